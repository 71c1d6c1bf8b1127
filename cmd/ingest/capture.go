package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"januscdr/ingest"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
)

const (
	captureQueue   = 1024     // bodies that wait to be written
	captureWaiting = 64 << 20 // bytes of them
	captureMost    = 4 << 30  // bytes of the file
)

// captured is a line of a capture: a body as it came. The names are those of recordings.
type captured struct {
	At     int64           `json:"t_ns"` // arrival, nanoseconds since the Unix epoch
	N      int             `json:"n"`    // running number from 1
	Via    string          `json:"via"`  // the source
	From   string          `json:"from,omitempty"`
	Path   string          `json:"path,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`     // of a body that is JSON in one line
	Base64 []byte          `json:"body_b64,omitempty"` // of any other
}

// capture writes bodies to a file, beside what else becomes of them. It never holds them up: what the disk does not
// take in time is left out, and counted.
type capture struct {
	file   *os.File
	redact *redaction // nil: as they came
	most   int64      // bytes of the file
	log    hclog.Logger

	queue   chan func() captured
	waiting atomic.Int64 // bytes
	left    atomic.Int64 // bodies that were left out
	working sync.WaitGroup
	lines   int
}

// openCapture makes the file, which must not be there yet.
func openCapture(name string, redact bool, most int64, log hclog.Logger) (*capture, error) {
	c := &capture{most: most, log: log, queue: make(chan func() captured, captureQueue)}
	var err error
	if redact {
		if c.redact, err = newRedaction(); err != nil {
			return nil, err
		}
	}
	if c.file, err = os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("make the file of the capture: %w; name one that is not there yet", err)
	}
	c.working.Go(c.write)
	return c, nil
}

// take is the Tap of the receiver.
func (c *capture) take(from ingest.Sender, body []byte) {
	at, size := time.Now().UnixNano(), int64(len(body))
	if c.waiting.Add(size) > captureWaiting {
		c.waiting.Add(-size)
		c.left.Add(1)
		return
	}
	line := func() captured {
		defer c.waiting.Add(-size)
		l := captured{At: at, Via: from.Source, Path: from.Path}
		if from.Address.IsValid() {
			l.From = from.Address.String()
		}
		if c.redact != nil {
			body = c.redact.body(body)
			l.From = c.redact.address(l.From)
		}
		if json.Valid(body) && !bytes.ContainsAny(body, "\r\n") {
			l.Body = body
		} else {
			l.Base64 = body
		}
		return l
	}
	select {
	case c.queue <- line:
	default:
		c.waiting.Add(-size)
		c.left.Add(1)
	}
}

// write writes what was taken until the end, or until the file is full.
func (c *capture) write() {
	out := bufio.NewWriterSize(c.file, 64<<10)
	var size int64
	full := false
	for make := range c.queue {
		l := make()
		if full {
			c.left.Add(1)
			continue
		}
		c.lines++
		l.N = c.lines
		text, err := line(l)
		if err == nil {
			size += int64(len(text))
			_, err = out.Write(text)
		}
		if err == nil && len(c.queue) == 0 {
			err = out.Flush()
		}
		switch {
		case err != nil:
			full = true
			c.log.Error("capture cannot go on; events go on", "error", err)
		case size >= c.most:
			full = true
			c.log.Warn("capture is as long as it may be; events go on", "bytes", size)
		}
	}
	if err := out.Flush(); err != nil {
		c.log.Error("end of the capture is not written", "error", err)
	}
}

// line is the text of a line; the body keeps its bytes, which a plain encoder would compact.
func line(l captured) ([]byte, error) {
	body := l.Body
	l.Body = nil
	text, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	if body != nil {
		text = append(text[:len(text)-1], `,"body":`...)
		text = append(append(text, body...), '}')
	}
	return append(text, '\n'), nil
}

// close waits until all is written.
func (c *capture) close() error {
	close(c.queue)
	c.working.Wait()
	err := errors.Join(c.file.Sync(), c.file.Close())
	c.log.Info("capture ended", "file", c.file.Name(), "bodies", c.lines, "left_out", c.left.Load())
	return err
}

// newCapture is ingest, which writes what comes to a file besides.
func newCapture(environ []string) *cobra.Command {
	var create, redact bool
	cmd := &cobra.Command{
		Use:   "capture FILE",
		Short: "Receive events, and write what comes to a file besides",
		Long: `Is ingest in all it does, and writes each body that comes to FILE besides, a line each, for support or to be
sent again by ingest replay. With --redact, addresses, names, SIP URIs, mail addresses, passwords and the
secrets of ICE are replaced, the same by the same, so that a call still belongs together. Look through it
before you give it away: opaque ids, rooms and texts of data channels stay as they are.

Events are never held up by it: what the disk does not take in time is left out and counted.`,
		Example: `  ingest capture --redact support.jsonl
  ingest capture --ingest-listen :8090 events.jsonl`,
		Args: cobra.ExactArgs(1),
	}
	flags := bind(cmd.Flags(), "kafka", "topics", "ingest", "spool", "admin", "log")
	cmd.Flags().BoolVar(&create, "create-topics", false, "make topics that are missing")
	cmd.Flags().BoolVar(&redact, "redact", false, "replace what tells of persons")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "ingest", c, environ)
		all, err := sources(c, log)
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		o, err := options(c, all, log)
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		file, err := openCapture(args[0], redact, captureMost, log.Named("capture"))
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		o.Tap = file.take
		return errors.Join(run(cmd.Context(), c, o, create), file.close())
	}
	return cmd
}
