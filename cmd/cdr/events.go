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

	"januscdr/cdr"
	"januscdr/config"
	"januscdr/janus"
)

// eventLines reads a file of events, one per line, as the inputs of one partition: the offset of an event is its line,
// from 0, and time is the largest timestamp so far. A line that is no event is named and left out.
type eventLines struct {
	name     string // for complaints
	limit    int    // bytes of a line
	complain io.Writer
	idle     func() error // called before a read that may have to wait; nil for nobody
	lines    *bufio.Reader
	parser   janus.Parser

	read   int64        // lines read
	latest janus.Micros // largest timestamp so far
	wrong  int64        // lines that are no event
}

func newEventLines(in io.Reader, name string, limit int, complain io.Writer) *eventLines {
	return &eventLines{name: name, limit: limit, complain: complain, lines: bufio.NewReaderSize(in, 64<<10)}
}

// next is the next event, io.EOF when there is none. Its Value is the caller's.
func (l *eventLines) next(ctx context.Context) (cdr.Input, error) {
	for {
		if err := ctx.Err(); err != nil {
			return cdr.Input{}, err
		}
		if l.idle != nil && l.lines.Buffered() == 0 {
			if err := l.idle(); err != nil {
				return cdr.Input{}, err
			}
		}
		line, size, err := readLine(l.lines, l.limit)
		if size == 0 && errors.Is(err, io.EOF) {
			return cdr.Input{}, io.EOF
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return cdr.Input{}, fmt.Errorf("read %s: line %d: %w", l.name, l.read+1, err)
		}
		offset := l.read
		l.read++
		line = bytes.TrimSpace(line)
		if size > l.limit {
			l.reject(offset, fmt.Sprintf("the line has %d bytes, more than ingest.event_limit (%s)", size, config.Size(l.limit)))
			continue
		}
		if len(line) == 0 {
			continue
		}
		event, err := l.parser.Parse(line)
		if err != nil {
			l.reject(offset, err.Error())
			continue
		}
		l.latest = max(l.latest, event.Time)
		return cdr.Input{Offset: offset, Append: l.latest, Value: bytes.Clone(line)}, nil
	}
}

// reject names a line that is no event.
func (l *eventLines) reject(offset int64, why string) {
	l.wrong++
	fmt.Fprintf(l.complain, "cdr: %s:%d: %s\n", l.name, offset+1, printable(why))
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
