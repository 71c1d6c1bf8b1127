package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"januscdr/admin"
	"januscdr/cdr"
	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/pipeline"
	"januscdr/statestore"
)

func newRun(environ []string) *cobra.Command {
	var create, leave, acceptLoss, change bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Process events until told to stop",
		Long: `Folds the events of janus.events into sessions and calls and writes a record to janus.cdr when a call is
over, each exactly once, until told to stop. Any number of processes share the work; each needs an
instance name of its own, the same at each start.

It waits for Kafka for as long as it takes. Ctrl-C and SIGTERM stop it in order: what was read is
committed or left to the next start. A second signal stops it at once, and a kill -9 does no harm
either. SIGTERM always ends with exit code 0, Ctrl-C with 130 while it still waits for Kafka, else 0.
SIGHUP reads certificates and log.level again, for new connections.`,
		Example: `  cdr run --kafka-brokers kafka-1:9092,kafka-2:9092
  cdr run --config januscdr.yaml --instance cdr-2
  JANUSCDR_LOG_LEVEL=debug cdr run --create-topics`,
		Args: cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), "kafka", "topics", "registry", "group", "instance", "workers", "state_dir",
		"state_min_free", "commit_interval", "commit_backlog", "commit_bytes", "transaction_timeout", "session_timeout",
		"policy", "admin", "log")
	cmd.Flags().BoolVar(&create, "create-topics", false, "make the topics that are missing")
	cmd.Flags().BoolVar(&leave, "leave", false,
		"leave the group when stopping, so that others take over at once: for scaling in")
	cmd.Flags().BoolVar(&change, "change-framing", false,
		"write records in another framing than the topic has until now: for turning a registry on or off")
	cmd.Flags().BoolVar(&acceptLoss, "accept-loss", false,
		"go on at the beginning of the log if events were deleted before they were read")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ)
		wiring.BoundMemory(environ, 0, log)
		o, err := pipelineOptions(c, log)
		if err != nil {
			return err
		}
		o.Leave, o.AcceptLoss = leave, acceptLoss
		wiring.OnHangup(cmd.Context(), log, flags, environ, o.Kafka)
		err = run(cmd.Context(), c, o, create, change)
		if errors.Is(err, context.Canceled) && cli.StoppedInOrder(cmd.Context()) {
			return nil
		}
		return err
	}
	return cmd
}

// run has health and metrics from the beginning, and work as soon as Kafka answers.
func run(ctx context.Context, c *config.Config, o pipeline.Options, create, change bool) error {
	registry := wiring.Registry("cdr")
	o.Registerer = registry
	encode := pipeline.EncodeFunc(nil) // known when the registry answers, before the processor runs
	o.Encode = func(r *cdr.Record) ([]byte, error) { return encode(r) }
	processor, err := pipeline.New(o)
	if err == nil {
		err = statestore.Writable(o.StateDir) // before anybody is waited for
	}
	if err != nil {
		return err
	}
	if o.Policy.EmitterSilence < micros(time.Minute) {
		o.Log.Warn("policy.emitter_silence is below 1m: calls of a quiet Janus may be closed while they last",
			"emitter_silence", c.Policy.EmitterSilence)
	}
	o.Log.Info("cdr starts", "version", cli.Version(), "group", o.Group, "instance", o.Instance, "workers", o.Workers)

	work, ctx := errgroup.WithContext(ctx)
	stopped := make(chan struct{})
	if c.Admin.Listen != "" {
		server, err := admin.Listen(admin.Options{
			Listen: c.Admin.Listen, Gatherer: registry, Log: o.Log.Named("admin"),
			Ready: func() admin.Readiness { return readiness(processor.Status()) },
		})
		if err != nil {
			return err
		}
		serve, stop := context.WithCancel(context.WithoutCancel(ctx))
		work.Go(func() error { return server.Run(serve) })
		work.Go(func() error { // health is told until the work has ended
			<-stopped
			stop()
			return nil
		})
	}
	work.Go(func() error {
		defer close(stopped)
		client, err := wiring.Connect(ctx, o.Kafka, o.Log)
		if err != nil {
			return err
		}
		err = wiring.EnsureTopics(ctx, client, o.Topics, create, o.Log)
		if err == nil {
			err = wiring.Patiently(ctx, client, o.Log, func() (err error) {
				encode, err = encoding(ctx, c, client, o, change)
				return err
			})
		}
		client.Close()
		if err != nil {
			return err
		}
		return processor.Run(ctx)
	})
	return work.Wait()
}

// pipelineOptions is the configuration in the words of the pipeline.
func pipelineOptions(c *config.Config, log hclog.Logger) (pipeline.Options, error) {
	p, err := policy(c)
	return pipeline.Options{
		Kafka: wiring.Kafka(c, log), Topics: wiring.Topics(c),
		Group: c.Group, Instance: c.Instance, Workers: c.Workers,
		StateDir: c.StateDir, MinFree: uint64(c.StateMinFree), Policy: p,
		Headers:        pipeline.HeaderNames{Version: cli.Version(), Policy: p.Fingerprint()},
		CommitInterval: c.CommitInterval, CommitBacklog: c.CommitBacklog, CommitBytes: int(c.CommitBytes),
		ChangelogLag:       c.ChangelogLag,
		TransactionTimeout: c.TransactionTimeout,
		SessionTimeout:     c.SessionTimeout,
		Log:                log,
	}, err
}

// spans names partitions that are in order: 0-11, 13.
func spans(partitions []int32) string {
	var all []string
	for i := 0; i < len(partitions); {
		last := i
		for last+1 < len(partitions) && partitions[last+1] == partitions[last]+1 {
			last++
		}
		text := strconv.Itoa(int(partitions[i]))
		if last > i {
			text += "-" + strconv.Itoa(int(partitions[last]))
		}
		all, i = append(all, text), last+1
	}
	return strings.Join(all, ", ")
}

// readiness is what a load balancer or a rolling restart wants to know of the processor.
func readiness(s pipeline.Status) admin.Readiness {
	r := admin.Readiness{Ready: s.Ready}
	if s.Away != "" {
		r.Reasons = append(r.Reasons, s.Away)
	}
	var lost []int32
	for _, p := range s.Partitions {
		if p.State == pipeline.Lost {
			lost = append(lost, p.Partition)
		}
	}
	switch {
	case len(lost) == 1:
		r.Reasons = append(r.Reasons, fmt.Sprintf("partition %d is lost until the group says whose it is", lost[0]))
	case len(lost) > 1:
		r.Reasons = append(r.Reasons, fmt.Sprintf("partitions %s are lost until the group says whose they are", spans(lost)))
	}
	for _, p := range s.Partitions {
		if p.State == pipeline.Restoring {
			r.Reasons = append(r.Reasons, fmt.Sprintf("partition %d is being restored: %d of about %d records", p.Partition,
				p.Restored, p.ToRestore))
		}
	}
	if !s.Ready && len(r.Reasons) == 0 {
		r.Reasons = []string{"not all workers have learned their partitions yet: Kafka is awaited, or partitions move"}
	}
	r.Details = pipeline.Details{Tasks: append([]pipeline.PartitionStatus{}, s.Partitions...)} // [] where there are none
	return r
}
