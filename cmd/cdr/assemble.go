package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
)

func newAssemble(environ []string) *cobra.Command {
	var strict, noFlush bool
	cmd := &cobra.Command{
		Use:   "assemble FILE",
		Short: "Make records of the events in a file, without Kafka",
		Long: `Makes records of the events in a file, without Kafka: one event per line, as Janus wrote it, plain or
gzip; - reads standard input. Writes one record per line, as JSON. The same file gives the same bytes.

The file counts as one partition: the offset of an event is its line, from 0, and time is the largest
timestamp so far. What is open at the end is closed at its last evidence, as if time went on.

A line that is no event is named on standard error and left out.`,
		Example: `  cdr assemble events.jsonl
  cdr assemble events.jsonl.gz | jq 'select(.chargeable) | {calling_party, called_party, duration}'
  kcat -C -b 127.0.0.1:9092 -t janus.events -p 3 -e | cdr assemble -`,
		Args: cobra.ExactArgs(1),
	}
	flags := config.Bind(cmd.Flags(), "topics.events", "policy", "ingest.event_limit", "log")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 1 if a line is no event")
	cmd.Flags().BoolVar(&noFlush, "no-flush", false, "leave open what is open at the end")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, p, err := withPolicy(flags, environ)
		if err != nil {
			return err
		}
		in, name, err := openInput(cmd.Context(), args[0], cmd.InOrStdin())
		if err != nil {
			return err
		}
		defer in.Close()
		lines := newEventLines(in, name, int(c.Ingest.EventLimit), cmd.ErrOrStderr())
		a := assembly{lines: lines, out: bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)}
		if a.fold, err = cdr.NewFold(p, cdr.Source{Topic: c.Topics.Events, Whole: true}); err != nil {
			return err
		}
		if err := a.run(cmd.Context(), !noFlush); err != nil {
			return err
		}
		wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ).Debug("assembled",
			"lines", lines.read, "records", a.records, "not_events", lines.wrong, "open_sessions", a.fold.OpenSessions())
		if strict && lines.wrong > 0 {
			return cli.ErrSilent
		}
		return nil
	}
	return cmd
}

// assembly folds the lines of one input.
type assembly struct {
	lines   *eventLines
	fold    *cdr.Fold
	out     *bufio.Writer
	records int64
	json    []byte
}

func (a *assembly) run(ctx context.Context, flush bool) error {
	a.lines.idle = func() error { // whoever feeds us line by line sees records as they come
		if err := a.write(a.fold.Step()); err != nil {
			return err
		}
		return a.flush()
	}
	for {
		in, err := a.lines.next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		step, err := a.fold.Apply(in)
		if err != nil {
			return fmt.Errorf("fold %s: line %d: %w", a.lines.name, in.Offset+1, err)
		}
		if err := a.write(step); err != nil {
			return err
		}
	}
	if err := a.write(a.fold.Step()); err != nil {
		return err
	}
	if flush {
		step, err := a.fold.Flush()
		if err != nil {
			return fmt.Errorf("close what is open at the end of %s: %w", a.lines.name, err)
		}
		if err := a.write(step); err != nil {
			return err
		}
	}
	return a.flush()
}

func (a *assembly) flush() error {
	if err := a.out.Flush(); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	return nil
}

func (a *assembly) write(step cdr.Step) error {
	for _, p := range step.Parked {
		a.lines.reject(p.Input.Offset, p.Reason)
	}
	for i := range step.Records {
		a.json = append(avro.JSON(a.json[:0], &step.Records[i]), '\n')
		if _, err := a.out.Write(a.json); err != nil {
			return fmt.Errorf("write records: %w", err)
		}
		a.records++
	}
	return nil
}
