package ingest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Stdin receives lines, each of one JSON event or an array of events, and answers each by its number, in one line of
// JSON:
//
//	{"line":1,"outcome":"delivered","events":2}
//	{"line":2,"outcome":"parked","events":1,"parked":1,"reason":"not_event"}
//	{"line":3,"outcome":"try_again","reason":"timeout"}
//
// Lines are numbered from 1. Empty ones are counted and not answered; the last one needs no line end. They are answered
// in their order, one after the other, so that the order of the log is theirs: nothing but the next line is read before
// a line has its answer. One that is longer than the body limit is parked like any body over it, and never held.
//
// After the last line Serve returns an error if any must come again. When it is told to stop, it answers the line in
// hand; one without an answer is not known to be safe.
type Stdin struct {
	In  io.Reader // the lines
	Out io.Writer // the answers; each is one Write

	receiver *Receiver
}

// stdinAnswer is a line of the output.
type stdinAnswer struct {
	Line    int64  `json:"line"`
	Outcome Result `json:"outcome"`
	Events  int    `json:"events,omitempty"` // of the line, that are in the log
	Parked  int    `json:"parked,omitempty"` // parts of the line in the dead letter topic
	Reason  string `json:"reason,omitempty"` // of the first that was parked, or why it must come again
}

// Name is the word for this source.
func (*Stdin) Name() string { return "stdin" }

// Check says all that is wrong with the options.
func (s *Stdin) Check(Options) (complaints []error) {
	if s.In == nil || s.Out == nil {
		complaints = append(complaints, errors.New("lines have to come from somewhere, and answers to go somewhere"))
	}
	return complaints
}

// Open has nothing to open.
func (s *Stdin) Open(r *Receiver) ([]any, error) {
	s.receiver = r
	return []any{"line_limit", r.reader.limit}, nil
}

// Serve answers line after line until the end of the input, or until the context ends.
func (s *Stdin) Serve(ctx context.Context) error {
	select {
	case <-s.receiver.Ready():
	case <-ctx.Done():
		return nil
	}
	hand, cancel := inHand(ctx)
	defer cancel()
	lines := make(chan inputLine)
	// A read of a terminal or a pipe cannot be interrupted. After a stop it is left alone, and ends with the process or
	// with the input.
	go readLines(ctx, s.In, s.receiver.reader.limit, lines)
	var answered, again int
	for ctx.Err() == nil {
		var line inputLine
		select {
		case <-ctx.Done():
			return nil
		case line = <-lines:
		}
		switch {
		case errors.Is(line.err, io.EOF) && again > 0:
			return fmt.Errorf("%d of %d lines are not safe: send those again that were answered with %s",
				again, answered, TryAgain)
		case errors.Is(line.err, io.EOF):
			return nil
		case line.err != nil:
			return fmt.Errorf("read line %d from standard input: %w", line.number, line.err)
		}
		o := s.receive(ctx, hand, line)
		if err := s.answer(line.number, o); err != nil {
			return fmt.Errorf("answer line %d on standard output: %w", line.number, err)
		}
		answered++
		if !o.Safe() {
			again++
		}
	}
	return nil
}

// receive asks about a line, in the context of what is in hand. One of which not all was read yet is not in hand.
func (s *Stdin) receive(ctx, hand context.Context, line inputLine) Outcome {
	from := Sender{Source: s.Name()}
	if line.rest == nil {
		return s.receiver.Receive(hand, from, "", line.bytes)
	}
	// What is left unread of it is skipped.
	defer line.rest.Close()
	defer context.AfterFunc(ctx, func() { line.rest.CloseWithError(context.Cause(ctx)) })()
	return s.receiver.ReceiveStream(hand, from, "", io.MultiReader(bytes.NewReader(line.bytes), line.rest), -1)
}

func (s *Stdin) answer(line int64, o Outcome) error {
	text, err := json.Marshal(stdinAnswer{line, o.Result, o.Events, o.Parked, o.Reason})
	if err != nil {
		return err
	}
	_, err = s.Out.Write(append(text, '\n'))
	return err
}

// inputLine is a line as it was read.
type inputLine struct {
	number int64
	bytes  []byte         // without the line end; of a line over the limit, its beginning
	rest   *io.PipeReader // of a line over the limit; nil when bytes are all of it
	err    error          // why there is no line: io.EOF, or what reading failed with
}

// readLines hands over each line that is not empty, and at last the error that ended the input, until the context ends.
// It holds up to limit bytes of one line more than it has handed over.
func readLines(ctx context.Context, from io.Reader, limit int64, to chan<- inputLine) {
	in := bufio.NewReaderSize(from, 64<<10)
	give := func(l inputLine) (taken bool) {
		select {
		case to <- l:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for number := int64(1); ; number++ {
		line, ended, err := readLine(in, limit)
		switch {
		case err == nil && !ended: // over the limit
			rest, more := io.Pipe()
			if !give(inputLine{number: number, bytes: line, rest: rest}) {
				return
			}
			if err = pass(in, more); err == nil {
				continue
			}
		case len(bytes.TrimSpace(line)) > 0 && (err == nil || errors.Is(err, io.EOF)):
			if !give(inputLine{number: number, bytes: line}) {
				return
			}
		}
		if err != nil {
			give(inputLine{number: number, err: err})
			return
		}
	}
}

// readLine reads up to a line end, which it leaves out, but not much more than limit bytes: then the line has not
// ended. The bytes are not used again.
func readLine(in *bufio.Reader, limit int64) (line []byte, ended bool, err error) {
	for {
		piece, err := in.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case err == nil:
			return line[:len(line)-1], true, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, true, err
		case int64(len(line)) > limit:
			return line, false, nil
		}
	}
}

// pass hands the rest of a line on, or skips it when nobody reads it any more.
func pass(in *bufio.Reader, to *io.PipeWriter) error {
	for {
		piece, err := in.ReadSlice('\n')
		_, _ = to.Write(bytes.TrimSuffix(piece, []byte{'\n'})) // closed by a reader who has enough
		switch {
		case err == nil || errors.Is(err, io.EOF):
			to.Close()
			return err
		case !errors.Is(err, bufio.ErrBufferFull):
			to.CloseWithError(err)
			return err
		}
	}
}

var _ Source = (*Stdin)(nil)
