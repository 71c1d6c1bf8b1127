package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/config"
	"januscdr/ingest"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/kafka"
)

// parkedLine is what is said of one original.
type parkedLine struct {
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Error     string `json:"error"`
	Bytes     int64  `json:"bytes"`
	Outcome   string `json:"outcome"`
	Events    int    `json:"events,omitempty"`
	Parked    int    `json:"parked,omitempty"`
	File      string `json:"file,omitempty"`
}

func toldOf(l ingest.Letter, outcome string) parkedLine {
	return parkedLine{Partition: l.Partition, Offset: l.Offset, Error: string(l.Code), Bytes: l.Length, Outcome: outcome}
}

// letterReader reads originals from the dead letter topic, up to its present end.
type letterReader struct {
	from    int64
	codes   []string
	reader  *kafka.Reader
	records []*kgo.Record
	letters ingest.Letters
}

// open begins to read at an offset.
func (r *letterReader) open(ctx context.Context, o kafka.Options, topic string) error {
	client, err := kafka.NewClient(o)
	if err != nil {
		return err
	}
	defer client.Close()
	ranges, err := kafka.CommittedRanges(ctx, client, topic)
	if err != nil {
		return err
	}
	for p, span := range ranges {
		span.From = min(max(r.from, span.From), span.To)
		ranges[p] = span
	}
	r.reader, err = kafka.NewReader(o, topic, ranges)
	return err
}

// next is the next original of the wanted kinds; io.EOF at the end.
func (r *letterReader) next(ctx context.Context) (ingest.Letter, error) {
	for {
		for len(r.records) > 0 {
			record := r.records[0]
			r.records = r.records[1:]
			l, ok := r.letters.Add(record)
			if ok && (len(r.codes) == 0 || slices.Contains(r.codes, string(l.Code))) {
				return l, nil
			}
		}
		records, err := r.reader.Next(ctx)
		if err != nil {
			if errors.Is(err, io.EOF) {
				r.letters.Close()
			}
			return ingest.Letter{}, err
		}
		r.records = records
	}
}

// newRequeue takes up what is parked.
func newRequeue(environ []string) *cobra.Command {
	r := &letterReader{}
	var folder string
	cmd := &cobra.Command{
		Use:   "requeue",
		Short: "Take up again what was parked, or write it to files",
		Long: `Reads what was parked on janus.dlq, up to its present end, puts together what is there in parts, and
receives each original once more: what can be understood by now, because the program is a newer one or
a limit was raised, goes to janus.events; what can not stays where it is. Nothing is taken out of
janus.dlq. Events that are there twice do no harm, as long as the processors remember their session.

With --extract each original is written to a file of its own instead, byte for byte, to be looked at or
mended: ingest replay and ingest --stdin take it from there.

A line of JSON says what became of each: delivered, parked (in part, again), cut (not all of it was
kept), still (there is no event in it), foreign (a processor parked it), or written.`,
		Example: `  ingest requeue --error event_limit --ingest-event-limit 1900KiB
  ingest requeue --from 1200 --extract parked/`,
		Args: cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), "kafka", "topics", "ingest.body_limit", "ingest.event_limit",
		"ingest.inflight_limit", "ingest.delivery_timeout", "log")
	cmd.Flags().Int64Var(&r.from, "from", 0, "`offset` to begin at; 0: the beginning")
	cmd.Flags().StringSliceVar(&r.codes, "error", nil,
		"only what was parked for these: not_json, event_limit, ...; empty: all")
	cmd.Flags().StringVar(&folder, "extract", "", "folder for the originals; empty: they are received again")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		if r.from < 0 {
			return cli.Misused("--from %d is no offset; write 0 or more", r.from)
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "ingest", c, environ)
		out := json.NewEncoder(cmd.OutOrStdout())
		if err := r.open(cmd.Context(), wiring.Kafka(c, log), c.Topics.DLQ); err != nil {
			return err
		}
		defer r.reader.Close()
		if folder != "" {
			err = r.extract(cmd.Context(), folder, out)
		} else {
			err = r.requeue(cmd.Context(), c, environ, cmd.ErrOrStderr(), out)
		}
		if err == nil && r.letters.Incomplete > 0 {
			log.Warn("originals whose parts are not all there are left out", "originals", r.letters.Incomplete)
		}
		return err
	}
	return cmd
}

// requeue receives all originals again.
func (r *letterReader) requeue(
	ctx context.Context, c *config.Config, environ []string, stderr io.Writer, out *json.Encoder,
) error {
	log := wiring.Logger(stderr, "ingest", c, environ)
	c.Admin.Listen, c.Spool.Dir = "", ""
	var failed error
	again := &ingest.Requeue{Next: r.next, Done: func(l ingest.Letter, what string, o ingest.Outcome) {
		line := toldOf(l, what)
		line.Events, line.Parked = o.Events, o.Parked
		failed = errors.Join(failed, out.Encode(line))
	}}
	o, err := options(c, []ingest.Source{again}, log)
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	if err := run(ctx, c, o, false); err != nil {
		return err
	}
	return errors.Join(failed, ctx.Err()) // it is done only if nobody stopped it
}

// extract writes each original to a file.
func (r *letterReader) extract(ctx context.Context, folder string, out *json.Encoder) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	for {
		l, err := r.next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		outcome, ending := "written", "json"
		if !l.Whole && strings.HasPrefix(l.Source, "ingest/") {
			outcome = ingest.RequeueCut
		}
		if l.Encoding != "" {
			ending = "bin"
			if l.Encoding == "gzip" {
				ending = "json.gz"
			}
		}
		line := toldOf(l, outcome)
		line.File = filepath.Join(folder, fmt.Sprintf("%d-%d.%s", l.Partition, l.Offset, ending))
		if err := os.WriteFile(line.File, l.Value, 0o600); err != nil {
			return err
		}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
}
