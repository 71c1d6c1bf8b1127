package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"januscdr/admin"
	"januscdr/config"
	"januscdr/consume"
	"januscdr/consume/otlp"
	"januscdr/consume/postgres"
	"januscdr/consume/sqlite"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
)

func newSink(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sink",
		Short: "Bring the records into a database, or to what shows traces",
		Long: `Reads the records of janus.cdr as they are committed and writes each into a database exactly once, however
often either is killed: the position lives in the database and moves in the transaction of the records.

Tables, columns and views are made by themselves, and grow when a newer program has more fields. The
views cdr_part, cdr_leg and cdr_session have what counts, cdr_revision what was replaced, cdr_hole what
is missing.`,
		Example: `  cdr sink sqlite --sink-sqlite-file calls.sqlite --once
  cdr sink postgres --sink-postgres-url-file /etc/januscdr/database`,
	}
	cmd.AddCommand(newSinkPostgres(environ), newSinkSQLite(environ), newSinkOTLP(environ))
	return cmd
}

// sinkFlags are what all targets are told alike.
type sinkFlags struct {
	once, newTopic, acceptLoss bool
}

func (f *sinkFlags) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.once, "once", false, "end where the topic ends now")
	cmd.Flags().
		BoolVar(&f.newTopic, "accept-new-topic", false,
			"go on with this topic though the target was filled from another one, from its beginning")
	cmd.Flags().
		BoolVar(&f.acceptLoss, "accept-loss", false, "go on without records that were deleted before they were read")
}

func newSinkPostgres(environ []string) *cobra.Command {
	return sinkTo(environ, &cobra.Command{
		Use:   "postgres",
		Short: "Bring the records into PostgreSQL",
		Long: `Writes the records into PostgreSQL, 12 or newer, until told to stop. Times are timestamptz, durations are
microseconds, lists are jsonb; the streams of a record stand in cdr_stream, too.

Of several that are started one writes, the others wait until its connection is gone. The user needs to
make tables in the schema: the first of its search_path, which the URL can set.`,
		Example: `  cdr sink postgres --sink-postgres-url-file /etc/januscdr/database
  cdr sink postgres --sink-postgres-url 'postgres://cdr@db.example/billing?search_path=calls' --once`,
	}, func(c *config.Config, o consume.Options) (consume.Target, error) {
		if c.Sink.Postgres.URL == "" {
			return nil, cli.Misused(
				"sink.postgres.url is empty: say which database, best in a file that sink.postgres.url_file names")
		}
		return postgres.New(
			postgres.Options{URL: c.Sink.Postgres.URL, Program: cli.Version(), NewTopic: o.NewTopic, Log: o.Log}), nil
	}, "topics.schemas", "sink.postgres.url", "sink.postgres.url_file")
}

func newSinkSQLite(environ []string) *cobra.Command {
	return sinkTo(environ, &cobra.Command{
		Use:   "sqlite",
		Short: "Bring the records into a file of SQLite",
		Long: `Writes the records into a file of SQLite, which is made if needed, until told to stop. Times are integers,
microseconds since the epoch, truths 0 and 1, lists JSON; the streams of a record stand in cdr_stream, too.
Others may read the file at the same time. Of two sinks that write to one file, one ends.`,
		Example: `  cdr sink sqlite --once
  cdr sink sqlite --sink-sqlite-file /var/lib/januscdr/calls.sqlite`,
	}, func(c *config.Config, o consume.Options) (consume.Target, error) {
		if c.Sink.SQLite.File == "" {
			return nil, cli.Misused("sink.sqlite.file is empty: name a file")
		}
		return sqlite.New(sqlite.Options{File: c.Sink.SQLite.File, Program: cli.Version(), NewTopic: o.NewTopic}), nil
	}, "topics.schemas", "sink.sqlite.file")
}

func newSinkOTLP(environ []string) *cobra.Command {
	return sinkTo(environ, &cobra.Command{
		Use:   "otlp",
		Short: "Send finished calls as traces: a session is a trace, its legs are spans",
		Long: `Sends each leg and session that is over as a span, by OTLP over HTTP as JSON, until told to stop. The ids of
traces and spans follow from those of the records, so that what is sent again after a kill is the same span.
The position is in a file, since no receiver keeps it.`,
		Example: "  cdr sink otlp --sink-otlp-url http://collector:4318/v1/traces",
	}, func(c *config.Config, o consume.Options) (consume.Target, error) {
		if c.Sink.OTLP.URL == "" || c.Sink.OTLP.File == "" {
			return nil, cli.Misused(
				"sink.otlp.url or sink.otlp.file is empty: say where traces go, and where the position is kept")
		}
		return otlp.New(otlp.Options{URL: c.Sink.OTLP.URL, File: c.Sink.OTLP.File, NewTopic: o.NewTopic}), nil
	}, "sink.otlp")
}

// sinkTo makes a command bring the records to a target, of which place are the settings.
func sinkTo(environ []string, cmd *cobra.Command,
	target func(*config.Config, consume.Options) (consume.Target, error), place ...string) *cobra.Command {
	var f sinkFlags
	cmd.Args = cobra.NoArgs
	flags := config.Bind(cmd.Flags(), append([]string{"kafka", "topics.cdr", "sink.batch_records", "sink.batch_delay",
		"sink.group", "admin", "log"}, place...)...)
	f.bind(cmd)
	wait := patient(cmd)
	cmd.RunE = wait.run(func(cmd *cobra.Command, _ []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ)
		o := sinkOptions(c, f, cmd.Name())
		o.Log = log.Named("sink")
		to, err := target(c, o)
		if err != nil {
			return err
		}
		if err := wait.ofSink(cmd, c, log, &o); err != nil {
			return err
		}
		return runSink(cmd.Context(), c, o, to)
	})
	return cmd
}

// sinkOptions are the configuration and the flags in the words of consume.
func sinkOptions(c *config.Config, f sinkFlags, name string) consume.Options {
	return consume.Options{
		Topic: c.Topics.CDR, Name: name,
		BatchRecords: c.Sink.BatchRecords, BatchDelay: c.Sink.BatchDelay, Group: c.Sink.Group,
		Once: f.once, NewTopic: f.newTopic, AcceptLoss: f.acceptLoss,
	}
}

// runSink has health and metrics from the beginning, unless it ends soon anyway.
func runSink(ctx context.Context, c *config.Config, o consume.Options, target consume.Target) error {
	registry := wiring.Registry("cdr")
	o.Registerer = registry
	sink := consume.New(o, target)
	defer target.Close()
	if o.Once || c.Admin.Listen == "" {
		return sink.Run(ctx)
	}
	server, err := admin.Listen(admin.Options{Listen: c.Admin.Listen, Gatherer: registry, Log: o.Log.Named("admin"),
		Ready: func() admin.Readiness { return sinkReadiness(sink.Status()) }})
	if err != nil {
		return err
	}
	work, ctx := errgroup.WithContext(ctx)
	serve, stop := context.WithCancel(context.WithoutCancel(ctx))
	work.Go(func() error { return server.Run(serve) })
	work.Go(func() error {
		defer stop()
		return sink.Run(ctx)
	})
	return work.Wait()
}

// sinkReadiness is ready when the target has had all that there was, and takes what comes.
func sinkReadiness(s consume.Status) admin.Readiness {
	r := admin.Readiness{
		Ready:   s.Ready,
		Details: map[string]any{"records": s.Records, "left": s.Left, "partitions": s.Partitions},
	}
	switch {
	case s.Trouble != "":
		r.Reasons = []string{s.Trouble}
	case !s.Ready:
		r.Reasons = []string{fmt.Sprintf("it catches up: %d records are left at most", s.Left)}
	}
	return r
}
