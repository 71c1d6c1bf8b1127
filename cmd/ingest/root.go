package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
)

// newRoot has all commands; the root itself receives events. The environment is given, so that tests have one of their
// own.
func newRoot(environ []string) *cobra.Command {
	var create bool
	root := &cobra.Command{
		Use:   "ingest",
		Short: "Receive the events of Janus WebRTC servers",
		Long: `ingest receives what the HTTP event handler (sampleevh) of Janus WebRTC servers sends, and writes each
event unchanged to the Kafka topic janus.events. A body is answered when Kafka has acknowledged all of
it. What is not safe is left without an answer, because Janus takes any answer as delivered, and sends
again only when there is none. For the same reason there must be no proxy in between that answers by
itself.

In janus.eventhandler.sampleevh.jcfg:
  general: {
    enabled = true
    events = "all"
    grouping = true
    backend = "http://HOST:8090/events"
    max_retransmissions = 15
  }
and in janus.jcfg:
  events: { broadcast = true }

` + cli.ExitCodes,
		Example: `  ingest                                   receive on this machine only
  ingest --ingest-listen :8090             receive from other machines
  ingest --create-topics                   make the topics first
  ingest healthcheck --ready               ask the one that runs whether it works`,
	}
	flags := config.Bind(root.Flags(), "kafka", "topics", "ingest", "admin", "log")
	root.Flags().BoolVar(&create, "create-topics", false, "make topics that are missing")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		return run(cmd.Context(), c, wiring.Logger(cmd.ErrOrStderr(), "ingest", c, environ), create)
	}
	root.AddCommand(wiring.Healthcheck("ingest", environ), newVersion())
	cli.Teach(root, config.Section, config.Nearest)
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
