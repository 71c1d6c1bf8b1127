package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"januscdr/avro"
	"januscdr/config"
	"januscdr/consume"
	"januscdr/consume/files"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/janus"
	"januscdr/kafka"
)

func newExport(environ []string) *cobra.Command {
	var f sinkFlags
	var s spreadsheet
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the records into files: CSV, JSON lines, Avro or Parquet",
		Long: `Writes the records of janus.cdr into files in a folder or an S3 bucket, each exactly once, until told to stop.
A file is complete after a time, a size, a number of records, and at midnight; manifests/ names those that are, in a
chain that has no gap, with control totals: "cdr export verify" checks it.

With --since or --until it writes one file of what the topic holds now, to standard output or to --output, of the
calls that were answered in that time (or began, when nobody answered), the newest revision of each.`,
		Example: `  cdr export --export-to /var/lib/januscdr/records
  cdr export --export-to records --once
  cdr export --export-to s3://billing/records --export-s3-endpoint http://minio:9000
  cdr export --since 2026-11-01 --until 2026-12-01 --format csv --spreadsheet --zone Europe/Vienna > november.csv
  cdr export verify records`,
		Args: cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), "kafka", "topics.cdr", "topics.schemas", "sink.batch_records",
		"sink.batch_delay", "sink.group",
		"export", "admin", "log")
	f.bind(cmd)
	s.bind(cmd)
	wait := patient(cmd)
	cmd.RunE = wait.run(func(cmd *cobra.Command, _ []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ)
		if s.since != "" || s.until != "" {
			wanted, err := s.wanted(c)
			if err != nil {
				return &cli.UsageError{Err: err}
			}
			o, err := wait.kafka(cmd, c, log)
			if err != nil {
				return err
			}
			client, err := wiring.Connect(cmd.Context(), o, log)
			if err != nil {
				return err
			}
			client.Close()
			return s.write(cmd.Context(), o, c.Topics.CDR, wanted, cmd.OutOrStdout())
		}
		if c.Export.To == "" {
			return cli.Misused("export.to is empty: name a folder, or a time with --since and --until")
		}
		o := sinkOptions(c, f, "files")
		o.Log = log.Named("export")
		if err := wait.ofSink(cmd, c, log, &o); err != nil {
			return err
		}
		target := files.New(files.Options{
			Dir:      c.Export.To,
			S3:       s3(c),
			Form:     files.Form{Name: c.Export.Format, Columns: s.columns},
			Program:  cli.Version(),
			NewTopic: f.newTopic,
			Every:    c.Export.RotateEvery,
			Bytes:    int64(c.Export.RotateSize),
			Records:  int64(c.Export.RotateRecords),
			Zone:     place(c.Export.Zone),
			Log:      o.Log,
		})
		return runSink(cmd.Context(), c, o, target)
	})
	cmd.AddCommand(newExportVerify(environ), newExportGC(environ))
	return cmd
}

// s3 is how to reach an object store.
func s3(c *config.Config) files.S3 {
	o := c.Export.S3
	return files.S3{Endpoint: o.Endpoint, Region: o.Region, AccessKey: o.AccessKey, SecretKey: o.SecretKey}
}

// countedTimes are what --by takes. Where nobody answered, start_time stands for answer_time.
var countedTimes = []string{"answer_time", "start_time", "record_opening_time", "record_closure_time", "append_time"}

// spreadsheet is what one file of a time is to have.
type spreadsheet struct {
	since, until, by, format, zone, output string
	columns, where                         []string
	people, revisions                      bool
}

func (s *spreadsheet) bind(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&s.since, "since", "", "one file, of calls from this `time` on: 2026-11-01 or 2026-11-01T08:00:00Z")
	set.StringVar(&s.until, "until", "", "one file, of calls before this `time`")
	set.StringVar(&s.by, "by", "answer_time",
		"the `time` that counts: "+strings.Join(countedTimes, ", "))
	set.StringVar(&s.format, "format", "", "form of the one file: csv, jsonl, avro or parquet (default: export.format)")
	set.StringVar(&s.zone, "zone", "", "`place` of the dates, for example Europe/Vienna (default: export.zone)")
	set.StringVar(&s.output, "output", "", "the one `file` (default: standard output)")
	set.StringSliceVar(&s.columns, "columns", nil, "`fields` of CSV and Parquet, with commas; none: all")
	set.StringSliceVar(&s.where, "where", nil,
		"`terms` that must hold for records of the one file: chargeable,record_type=LEG,disposition!=BUSY")
	set.BoolVar(&s.people, "spreadsheet", false,
		"CSV for people with a spreadsheet: times of --zone, nothing that is taken for a formula")
	set.BoolVar(&s.revisions, "all-revisions", false, "replaced records in the one file, too")
	for _, name := range []string{"columns", "where"} {
		set.Lookup(name).DefValue = ""
	}
}

// wanted is what the flags mean.
type wanted struct {
	form   files.Form
	filter consume.Filter
	from   janus.Micros
	to     janus.Micros
}

func (s *spreadsheet) wanted(c *config.Config) (w wanted, err error) {
	zone := s.zone
	if zone == "" {
		zone = c.Export.Zone
	}
	at, err := time.LoadLocation(zone)
	if err != nil {
		return w, fmt.Errorf("--zone: %q is no place of the time zone database", zone)
	}
	w.form = files.Form{Name: s.format, Columns: s.columns, Spreadsheet: s.people, Zone: at}
	if s.format == "" {
		w.form.Name = c.Export.Format
	}
	if _, err := w.form.NewEncoder(io.Discard, false); err != nil {
		return w, err
	}
	if w.filter, err = consume.ParseFilter(s.where); err != nil {
		return w, fmt.Errorf("--where: %w", err)
	}
	if !slices.Contains(countedTimes, s.by) {
		return w, fmt.Errorf("--by: %q is no time that can be asked for", s.by)
	}
	w.from, w.to, err = parseSpan(s.since, s.until, at)
	return w, err
}

// parseSpan reads --since and --until; one that is empty bounds nothing.
func parseSpan(since, until string, at *time.Location) (from, to janus.Micros, err error) {
	from, to = -1<<63, 1<<63-1
	for _, t := range []struct {
		flag, text string
		at         *janus.Micros
	}{{"--since", since, &from}, {"--until", until, &to}} {
		if t.text == "" {
			continue
		}
		if *t.at, err = parseTime(t.text, at); err != nil {
			return from, to, fmt.Errorf("%s: %w", t.flag, err)
		}
	}
	return from, to, nil
}

func parseTime(text string, at *time.Location) (janus.Micros, error) {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(form, text, at); err == nil {
			return janus.Micros(t.UnixMicro()), nil
		}
	}
	return 0, fmt.Errorf("%q is no time: write 2026-11-01 or 2026-11-01T08:00:00Z", text)
}

// counted is the time of a record that counts.
func (s *spreadsheet) counted(r *consume.Row) janus.Micros {
	switch s.by {
	case "start_time":
		return r.Record.StartTime
	case "record_opening_time":
		return r.Record.RecordOpeningTime
	case "record_closure_time":
		return r.Record.RecordClosureTime
	case "append_time":
		return janus.Micros(r.Appended.UnixMicro())
	}
	if r.Record.AnswerTime != 0 {
		return r.Record.AnswerTime
	}
	return r.Record.StartTime
}

// write writes the one file; a file that is named appears when it is whole.
func (s *spreadsheet) write(ctx context.Context, o kafka.Options, topic string, w wanted, out io.Writer) (err error) {
	if s.output != "" {
		file, err := os.OpenFile(s.output+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		err = s.encode(ctx, o, topic, w, file)
		if err = errors.Join(err, file.Close()); err != nil {
			_ = os.Remove(s.output + ".part")
			return err
		}
		return os.Rename(s.output+".part", s.output)
	}
	return s.encode(ctx, o, topic, w, out)
}

func (s *spreadsheet) encode(ctx context.Context, o kafka.Options, topic string, w wanted, out io.Writer) error {
	now, err := consume.Now(ctx, o, topic)
	if err != nil {
		return err
	}
	var newest consume.Newest
	if !s.revisions {
		if err := now.Each(ctx, func(r *consume.Row) error {
			newest.See(&r.Record)
			return nil
		}); err != nil {
			return err
		}
	}
	buffer := bufio.NewWriter(out)
	encoder, err := w.form.NewEncoder(buffer, false)
	if err != nil {
		return err
	}
	var values []avro.Value
	err = now.Each(ctx, func(r *consume.Row) error {
		if at := s.counted(r); at < w.from || at >= w.to || !newest.Counts(&r.Record) {
			return nil
		}
		values = avro.Values(values, &r.Record)
		if !w.filter.Wants(values) {
			return nil
		}
		return encoder.Add(r, values)
	})
	if err == nil {
		err = encoder.Close()
	}
	return errors.Join(err, buffer.Flush())
}

func newExportVerify(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify FOLDER",
		Short: "Check that a folder holds what its manifests say",
		Long: `Checks the chain of manifests, which must have no gap, and that each file that they name is as it was written.
It names what is missing, was changed, or is there besides, and exits with 1 if there is any. The sums are
those of the manifests: over all revisions.`,
		Example: `  cdr export verify /var/lib/januscdr/records
  cdr export verify s3://billing/records --export-s3-endpoint http://minio:9000`,
		Args: cobra.ExactArgs(1),
	}
	flags := config.Bind(cmd.Flags(), "export.s3")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		r, err := files.Verify(cmd.Context(), args[0], s3(c))
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		for _, f := range r.Findings {
			fmt.Fprintln(out, f)
		}
		fmt.Fprintf(out,
			"%d manifests name %d files with %d records in %d bytes; %d chargeable legs of %s; %d records lost; %d findings\n",
			r.Manifests, r.Files, r.Records, r.Bytes, r.ChargeableRecords, time.Duration(r.ChargeableDuration)*time.Microsecond,
			r.Lost, len(r.Findings))
		if len(r.Findings) > 0 {
			return cli.ErrSilent
		}
		return nil
	}
	return cmd
}

func newExportGC(environ []string) *cobra.Command {
	var remove bool
	var age time.Duration
	cmd := &cobra.Command{
		Use:   "gc FOLDER",
		Short: "Find files that no manifest names, or remove them",
		Long: `Finds what an export that was killed has left: files that no manifest names. With --remove they are removed.
Those that are younger than --age may still become part of the export.`,
		Example: "  cdr export gc --remove /var/lib/januscdr/records",
		Args:    cobra.ExactArgs(1),
	}
	flags := config.Bind(cmd.Flags(), "export.s3")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		found, err := files.GC(cmd.Context(), args[0], s3(c), age, remove)
		for _, name := range found {
			fmt.Fprintln(cmd.OutOrStdout(), name)
		}
		return err
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove them")
	cmd.Flags().DurationVar(&age, "age", 24*time.Hour, "leave younger ones alone")
	return cmd
}
