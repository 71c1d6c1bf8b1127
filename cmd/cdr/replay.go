package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/replay"
)

func newReplay(environ []string) *cobra.Command {
	var from string
	var partitions []int32
	var verify bool
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Make the records of the event log again, and compare",
		Long: `Reads janus.events from the beginning to where it ends now, folds it again and writes the records as
JSON, one a line. It belongs to no consumer group and changes nothing.

With --verify it stops where the processors are, as their group or, where that has forgotten it, their
changelog says, and compares what comes out with what is on janus.cdr,
by record_id, byte for byte. Only local_record_sequence_number is left out; it must not have gaps. It
writes the differences and a summary, and exits with 1 if there are any. The policy must be the one
that the processors have.

--since, --until and --last are times at which events came to Kafka. They, --from, and a log whose
beginning was deleted, cut through sessions. Their records are counted as
outside: nothing can be said of them.`,
		Example: `  cdr replay --verify
  cdr replay --verify --last 24h
  cdr replay --partition 3 --from earliest > again.jsonl`,
		Args: cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), "kafka", "topics.events", "topics.cdr", "topics.state", "topics.schemas",
		"group", "policy", "log")
	cmd.Flags().BoolVar(&verify, "verify", false, "compare with the emitted records")
	cmd.Flags().StringVar(&from, "from", "earliest", "where to begin: earliest or an `offset`")
	cmd.Flags().Int32SliceVar(&partitions, "partition", nil, "`partitions` to replay, with commas; none: all")
	cmd.Flags().Lookup("partition").DefValue = ""
	var when timeSpan
	when.bind(cmd)
	cmd.MarkFlagsMutuallyExclusive("verify", "until")
	wait := patient(cmd)
	cmd.RunE = wait.run(func(cmd *cobra.Command, _ []string) error {
		begin, err := parseFrom(from, "earliest")
		if err != nil {
			return err
		}
		if begin > 0 && len(partitions) != 1 {
			return cli.Misused("--from: an offset belongs to one partition; name it with --partition")
		}
		if err := when.parse(time.Now()); err != nil {
			return &cli.UsageError{Err: err}
		}
		c, p, err := withPolicy(flags, environ)
		if err != nil {
			return err
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ)
		o, err := wait.kafka(cmd, c, log)
		if err != nil {
			return err
		}
		options := replay.Options{Kafka: o, Events: c.Topics.Events, Policy: p, Partitions: partitions,
			From: begin, Since: when.since, Until: when.until}
		client, err := wiring.Connect(cmd.Context(), options.Kafka, log)
		if err != nil {
			return err
		}
		client.Close()
		out := bufio.NewWriter(cmd.OutOrStdout())
		if verify {
			report, err := replay.Verify(cmd.Context(),
				replay.VerifyOptions{Options: options, Records: c.Topics.CDR, Group: c.Group,
					State: c.Topics.State},
				func(f replay.Finding) error { return writeFinding(out, f) })
			if err != nil {
				return errors.Join(out.Flush(), err)
			}
			writeReport(out, report)
			if err := out.Flush(); err != nil {
				return fmt.Errorf("write findings: %w", err)
			}
			if !report.Same() {
				return cli.ErrSilent
			}
			return nil
		}
		var line []byte
		sum, err := replay.Run(cmd.Context(), options, func(r *cdr.Record) error {
			line = append(avro.JSON(line[:0], r), '\n')
			_, err := out.Write(line)
			return err
		})
		if err := errors.Join(err, out.Flush()); err != nil {
			return err
		}
		log.Info("replayed", "partitions", sum.Partitions, "inputs", sum.Inputs, "records", sum.Records, "parked", sum.Parked,
			"open_sessions", sum.Open)
		return nil
	})
	return cmd
}

func writeFinding(w io.Writer, f replay.Finding) error {
	line := fmt.Sprintf("%-10s partition %d", f.Verdict, f.Partition)
	if f.Offset >= 0 {
		line += fmt.Sprintf(" offset %d", f.Offset)
	}
	if f.Record != "" {
		line += " record " + f.Record
	}
	switch {
	case f.Verdict == replay.Different && len(f.Fields) == 0:
		line += ": in its encoding only"
	case f.Verdict == replay.Different:
		line += ": " + strings.Join(f.Fields, ", ")
	case f.Why != "":
		line += ": " + f.Why
	}
	_, err := fmt.Fprintln(w, printable(line))
	return err
}

func writeReport(w io.Writer, r replay.Report) {
	fmt.Fprintf(w, "%d inputs of %d partitions made %d records:", r.Summary.Inputs, r.Summary.Partitions,
		r.Summary.Records)
	for v, n := range r.Count {
		if n > 0 || replay.Verdict(v) <= replay.Extra {
			fmt.Fprintf(w, " %d %s", n, replay.Verdict(v))
		}
	}
	fmt.Fprintln(w)
}
