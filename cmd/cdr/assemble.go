package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/janus"
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
		a := assembly{
			name: name, limit: int(c.Ingest.EventLimit),
			out: bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10), complain: cmd.ErrOrStderr(),
		}
		if a.fold, err = cdr.NewFold(p, cdr.Source{Topic: c.Topics.Events}); err != nil {
			return err
		}
		if err := a.run(cmd.Context(), in, !noFlush); err != nil {
			return err
		}
		wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ).Debug("assembled", "lines", a.line, "records", a.records, "not_events", a.wrong, "open_sessions", a.fold.OpenSessions())
		if strict && a.wrong > 0 {
			return cli.ErrSilent
		}
		return nil
	}
	return cmd
}

// assembly folds the lines of one input.
type assembly struct {
	name     string
	limit    int // bytes of a line
	fold     *cdr.Fold
	parser   janus.Parser
	out      *bufio.Writer
	complain io.Writer

	line    int64 // lines read
	latest  janus.Micros
	records int64
	wrong   int64
	json    []byte
}

func (a *assembly) run(ctx context.Context, in io.Reader, flush bool) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, size, err := readLine(lines, a.limit)
		if size == 0 && errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: line %d: %w", a.name, a.line+1, err)
		}
		if err := a.take(line, size); err != nil {
			return err
		}
		// Whoever feeds us line by line sees records as they come.
		if lines.Buffered() == 0 {
			if err := a.write(a.fold.Step()); err != nil {
				return err
			}
			if err := a.out.Flush(); err != nil {
				return fmt.Errorf("write records: %w", err)
			}
		}
	}
	step := a.fold.Step()
	if err := a.write(step); err != nil {
		return err
	}
	if flush {
		step, err := a.fold.Flush()
		if err != nil {
			return fmt.Errorf("close what is open at the end of %s: %w", a.name, err)
		}
		if err := a.write(step); err != nil {
			return err
		}
	}
	if err := a.out.Flush(); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	return nil
}

// take folds one line; size is how long it was before it was cut.
func (a *assembly) take(line []byte, size int) error {
	offset := a.line
	a.line++
	line = bytes.TrimSpace(line)
	switch {
	case size > a.limit:
		a.reject(offset, fmt.Sprintf("the line has %d bytes, more than ingest.event_limit (%s)", size, config.Size(a.limit)))
		return nil
	case len(line) == 0:
		return nil
	}
	event, err := a.parser.Parse(line)
	if err != nil {
		a.reject(offset, err.Error())
		return nil
	}
	a.latest = max(a.latest, event.Time)
	// The fold may keep the value until the next step, the buffer is read into before.
	step, err := a.fold.Apply(cdr.Input{Offset: offset, Append: a.latest, Value: bytes.Clone(line)})
	if err != nil {
		return fmt.Errorf("fold %s: line %d: %w", a.name, a.line, err)
	}
	return a.write(step)
}

func (a *assembly) reject(offset int64, why string) {
	a.wrong++
	fmt.Fprintf(a.complain, "cdr: %s:%d: %s\n", a.name, offset+1, why)
}

func (a *assembly) write(step cdr.Step) error {
	for _, p := range step.Parked {
		a.reject(p.Input.Offset, p.Reason)
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

// readLine returns a line without its end, and how long it was; of a longer one than limit, only the first bytes. The
// slice is valid until the next call. io.EOF can come with the last line.
func readLine(r *bufio.Reader, limit int) (line []byte, size int, err error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		size += len(part)
		switch {
		case !errors.Is(err, bufio.ErrBufferFull) && long == nil:
			return part, size, err
		case len(long) <= limit:
			long = append(long, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return long, size, err
		}
	}
}

// openInput opens a file, or standard input for "-", and unpacks it if it is gzip. The name is for complaints.
func openInput(ctx context.Context, path string, stdin io.Reader) (in io.ReadCloser, name string, err error) {
	if path == "-" {
		in, name = io.NopCloser(&interruptible{ctx: ctx, in: stdin}), "standard input"
	} else {
		file, err := os.Open(path)
		if err != nil {
			return nil, "", fmt.Errorf("read events: %w", err)
		}
		if info, err := file.Stat(); err == nil && info.IsDir() {
			file.Close()
			return nil, "", fmt.Errorf("read events: %s is a folder; name a file, or - for standard input", path)
		}
		in, name = file, path
	}
	buffered := bufio.NewReaderSize(in, 64<<10)
	head, err := buffered.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		in.Close()
		return nil, "", fmt.Errorf("read %s: %w", name, err)
	}
	if !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return input{buffered, in}, name, nil
	}
	unpacked, err := gzip.NewReader(buffered)
	if err != nil {
		in.Close()
		return nil, "", fmt.Errorf("unpack %s: %w", name, err)
	}
	return input{unpacked, in}, name, nil
}

type input struct {
	io.Reader
	io.Closer
}

// interruptible is a reader that gives up when its context ends: standard input cannot be told to stop waiting for a
// keyboard or a pipe. A read that is still waiting then is left behind, at the end of the process.
type interruptible struct {
	ctx  context.Context
	in   io.Reader
	buf  []byte
	left []byte
}

func (r *interruptible) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		if r.buf == nil {
			r.buf = make([]byte, 64<<10)
		}
		type result struct {
			n   int
			err error
		}
		done := make(chan result, 1)
		go func() {
			n, err := r.in.Read(r.buf)
			done <- result{n, err}
		}()
		select {
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		case got := <-done:
			if got.n == 0 {
				return 0, got.err
			}
			r.left = r.buf[:got.n]
		}
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}
