package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"januscdr/config"
	"januscdr/ingest"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
)

// adminListen is where health and metrics of ingest are by default: a processor beside it has another port.
const adminListen = "127.0.0.1:8089"

// bind is config.Bind with the defaults of ingest.
func bind(set *pflag.FlagSet, sectionsAndKeys ...string) *config.Flags {
	return config.Bind(set, sectionsAndKeys...).Default("admin.listen", adminListen)
}

// newRoot has all commands; the root itself receives events. The environment is given, so that tests have one of their
// own.
func newRoot(environ []string) *cobra.Command {
	var create, stdin bool
	root := &cobra.Command{
		Use:   "ingest",
		Short: "Receive the events of Janus WebRTC servers",
		Long: `ingest receives what the HTTP event handler (sampleevh) of Janus WebRTC servers sends, and writes each
event unchanged to the Kafka topic janus.events. A body is answered when Kafka has acknowledged all of
it. What is not safe is left without an answer, because Janus takes any answer as delivered, and sends
again only when there is none. For the same reason there must be no proxy in between that answers by
itself. With spool.dir, what Kafka does not take waits on disk: it is answered when it is fsynced there,
and goes to Kafka, in order, when that is back.

ingest janus-config prints the lines of Janus' configuration that fit.

Events also come by WebSocket (wsevh), from RabbitMQ (rabbitmqevh), from a broker of MQTT (mqttevh), by
nanomsg (nanomsgevh) and by GELF (gelfevh), as soon as ingest is told where: --ingest-websocket-listen,
--ingest-rabbitmq-url, --ingest-mqtt-brokers, --ingest-nanomsg-connect, --ingest-gelf-tcp. Several at once
are fine, and --ingest-listen "" leaves HTTP out. What each way can lose is in docs/sources.md.

With --stdin it reads lines instead, each of one JSON event or an array of events, and answers each on
standard output by its number, in one line of JSON:
  {"line":1,"outcome":"delivered","events":2}
  {"line":2,"outcome":"parked","events":1,"parked":1,"reason":"not_event"}
  {"line":3,"outcome":"try_again","reason":"timeout"}
Delivered and parked lines are safe: all of a line is in janus.events, or in part in janus.dlq (or in the
spool, if there is one: it goes on from there when ingest runs next). One that
must be sent again, or has no answer, is not. Lines are taken one after the other, at the speed of Kafka;
arrays make it faster. One longer than ingest.body_limit is parked. It ends with the input: with 0 if
all lines are safe, else 1. Health and metrics are served only if admin.listen is set.`,
		Example: `  ingest                                   receive on this machine only
  ingest --ingest-listen :8090             receive from other machines
  ingest --create-topics                   make the topics first
  ingest janus-config --host HOST          say how Janus is configured for that
  ingest --stdin < events.jsonl            write the events of a file
  ingest healthcheck --ready               ask the one that runs whether it works`,
	}
	flags := bind(root.Flags(), "kafka", "topics", "ingest", "spool", "admin", "log")
	root.Flags().BoolVar(&create, "create-topics", false, "make topics that are missing")
	root.Flags().BoolVar(&stdin, "stdin", false, "take events from standard input, a line each, not by HTTP")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "ingest", c, environ)
		wiring.BoundMemory(environ, memoryOf(c), log)
		if !stdin {
			sources, err := sources(c, log)
			if err != nil {
				return &cli.UsageError{Err: err}
			}
			o, err := options(c, sources, log)
			if err != nil {
				return &cli.UsageError{Err: err}
			}
			wiring.OnHangup(cmd.Context(), log, flags, environ, o.Kafka)
			return run(cmd.Context(), c, o, create)
		}
		if c.Origin("admin.listen").Kind == config.Default {
			c.Admin.Listen = "" // a receiver that stays has that address
		}
		lines := &ingest.Stdin{In: cmd.InOrStdin(), Out: cmd.OutOrStdout()}
		o, err := options(c, []ingest.Source{lines}, log)
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		if err := run(cmd.Context(), c, o, create); err != nil {
			return err
		}
		return cmd.Context().Err() // it is done only if nobody stopped it
	}
	root.AddCommand(newJanusConfig(environ), newReplay(environ), newCapture(environ), newRequeue(environ),
		wiring.Healthcheck("ingest", environ, bind), newVersion())
	root.AddCommand(cli.Tools("ingest")...)
	cli.VersionFlag(root)
	cli.Teach(root, config.Section, config.Words, config.Nearest)
	return root
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say what this program is",
		Long:    "Says which version this is, and with which Go it was built.",
		Example: "  ingest version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "ingest %s\ngo %s\n", cli.Version(), cli.GoVersion())
			return err
		},
	}
}
