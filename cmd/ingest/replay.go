package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"januscdr/ingest"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
)

const (
	replayLine     = 64 << 20 // bytes of a line
	replayAgain    = 200 * time.Millisecond
	replayAtMost   = 10 * time.Second // between two tries
	replayTimeout  = 20 * time.Second // of a request; ingest has answered or hung up before
	replayProgress = 5 * time.Second
)

// recorded is a body of a file.
type recorded struct {
	at   int64 // nanoseconds since the Unix epoch; 0: not known
	body []byte
}

// replayer reads recorded bodies and gives each to send, until that says that it is safe.
type replayer struct {
	files []string
	speed float64 // recorded pauses are divided by it; 0: none
	send  func(ctx context.Context, body []byte) error
	log   hclog.Logger

	bodies, left int   // so far; left out: those that the recorder had refused
	read, size   int64 // bytes of the files as they lie there
	first        int64 // recorded time of the first body
	began        time.Time
	said         time.Time
}

// recordedFiles are those that a name stands for: itself, or those of a folder by their names. Of a folder that has
// bodies and the events in them, the bodies.
func recordedFiles(name string) (files []string, size int64, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.IsDir() {
		return []string{name}, info.Size(), nil
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, 0, err
	}
	of := func(e os.DirEntry, what string) bool {
		return strings.HasSuffix(strings.TrimSuffix(e.Name(), ".gz"), what)
	}
	bodies := slices.ContainsFunc(entries, func(e os.DirEntry) bool { return of(e, "requests.jsonl") })
	for _, e := range entries {
		if e.IsDir() || !of(e, ".jsonl") || bodies && of(e, "events.jsonl") {
			continue
		}
		if info, err := e.Info(); err == nil {
			size += info.Size()
		}
		files = append(files, filepath.Join(name, e.Name()))
	}
	if len(files) == 0 {
		return nil, 0, fmt.Errorf("%s has no *.jsonl or *.jsonl.gz", name)
	}
	return files, size, nil
}

// play sends all of it; the error names the line that could not be sent.
func (p *replayer) play(ctx context.Context) error {
	p.began, p.said = time.Now(), time.Now()
	for _, file := range p.files {
		if err := p.playFile(ctx, file); err != nil {
			return err
		}
	}
	p.log.Info("all is sent", "bodies", p.bodies, "left_out", p.left, "took", time.Since(p.began).Round(time.Millisecond))
	return nil
}

func (p *replayer) playFile(ctx context.Context, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	counted := &counting{in: file, n: &p.read}
	var in io.Reader = counted
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(counted)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		in = z
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), replayLine)
	for number := 1; lines.Scan(); number++ {
		r, sent, err := parseRecorded(lines.Bytes())
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", name, number, err)
		}
		if !sent {
			p.left++
			continue
		}
		if len(r.body) == 0 {
			continue
		}
		if err := p.playBody(ctx, r); err != nil {
			return fmt.Errorf("%s: line %d: %w", name, number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// counting counts what is read.
type counting struct {
	in io.Reader
	n  *int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	*c.n += int64(n)
	return n, err
}

// parseRecorded reads a line: a captured body, or an event or an array of events as it is. Sent is false for what a
// recorder noted that it refused.
func parseRecorded(text []byte) (r recorded, sent bool, err error) {
	text = bytes.TrimSpace(text)
	var l struct {
		captured
		Accepted *bool `json:"accepted"`
		// of an event
		Timestamp int64 `json:"timestamp"`
	}
	if len(text) > 0 && text[0] == '{' {
		if err := json.Unmarshal(text, &l); err != nil {
			return r, false, fmt.Errorf("no body and no event: %w", err)
		}
	}
	switch {
	case l.Body != nil:
		r = recorded{at: l.At, body: bytes.Clone(l.Body)}
	case l.Base64 != nil:
		r = recorded{at: l.At, body: l.Base64}
	default:
		r = recorded{at: l.Timestamp * 1000, body: bytes.Clone(text)}
	}
	return r, l.Accepted == nil || *l.Accepted, nil
}

func (p *replayer) playBody(ctx context.Context, r recorded) error {
	if r.at != 0 && p.first == 0 {
		p.first = r.at
	}
	if p.speed > 0 && r.at != 0 {
		due := p.began.Add(time.Duration(float64(r.at-p.first) / p.speed))
		if err := sleep(ctx, time.Until(due)); err != nil {
			return err
		}
	}
	for again := replayAgain; ; again = min(2*again, replayAtMost) {
		err := p.send(ctx, r.body)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var final *finalError
		if errors.As(err, &final) {
			return err
		}
		p.log.Warn("body is not safe yet, it is sent again", "error", err)
		if err := sleep(ctx, again); err != nil {
			return err
		}
	}
	p.bodies++
	if time.Since(p.said) >= replayProgress {
		p.said = time.Now()
		p.log.Info("replay goes on", "bodies", p.bodies, "percent", 100*p.read/max(p.size, 1),
			"bodies_per_second", int64(float64(p.bodies)/time.Since(p.began).Seconds()))
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// finalError is one that another try does not mend.
type finalError struct{ error }

// poster sends bodies to an ingest as Janus does: each again until there is an answer.
func poster(url, user, password string) func(context.Context, []byte) error {
	client := &http.Client{
		Timeout:       replayTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, body []byte) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return &finalError{err}
		}
		request.Header.Set("Content-Type", "application/json")
		if user != "" {
			request.SetBasicAuth(user, password)
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		_, _ = io.CopyN(io.Discard, answer.Body, 64<<10)
		if answer.StatusCode != http.StatusOK {
			return &finalError{fmt.Errorf("%s answers %s, which no ingest does", url, answer.Status)}
		}
		return nil
	}
}

// replaySource is a source that plays recorded bodies into the receiver of this process.
type replaySource struct {
	replayer *replayer
	receiver *ingest.Receiver
}

func (*replaySource) Name() string                 { return "replay" }
func (*replaySource) Check(ingest.Options) []error { return nil }

func (s *replaySource) Open(r *ingest.Receiver) ([]any, error) {
	s.receiver = r
	return []any{"files", len(s.replayer.files), "bytes", s.replayer.size}, nil
}

func (s *replaySource) Serve(ctx context.Context) error {
	select {
	case <-s.receiver.Ready():
	case <-ctx.Done():
		return nil
	}
	s.replayer.send = func(ctx context.Context, body []byte) error {
		o := s.receiver.Receive(ctx, ingest.Sender{Source: "replay"}, "", body)
		if !o.Safe() {
			return fmt.Errorf("kafka does not take it: %s", o.Reason)
		}
		return nil
	}
	return s.replayer.play(ctx)
}

// newReplay sends recorded bodies.
func newReplay(environ []string) *cobra.Command {
	var create bool
	var to string
	var speed float64
	cmd := &cobra.Command{
		Use:   "replay FILE|DIR",
		Short: "Send recorded events to Kafka or to an ingest",
		Long: `Sends the bodies of a file, one after the other, each again until it is safe: to the Kafka of the
configuration, or with --to to an ingest, as Janus does. A line is a body as ingest capture writes it, or an event or an
array of events as Janus does, in *.jsonl or *.jsonl.gz; of a folder, all of them by their names.

Events that are in the log already do no harm: the processors know a repeated event, as long as they
remember its session. It ends with the files: with 0 if all is safe.`,
		Example: `  ingest replay support.jsonl --to http://127.0.0.1:8090/events --speed 10
  ingest replay captures/`,
		Args: cobra.ExactArgs(1),
	}
	flags := bind(cmd.Flags(), "kafka", "topics", "ingest.body_limit", "ingest.event_limit",
		"ingest.inflight_limit", "ingest.delivery_timeout", "ingest.auth", "log")
	cmd.Flags().BoolVar(&create, "create-topics", false, "make topics that are missing")
	cmd.Flags().StringVar(&to, "to", "", "URL of an ingest; with ingest.auth.user and its password, if they are set")
	cmd.Flags().Float64Var(&speed, "speed", 0, "1: as fast as it was recorded, 10: ten times that; 0: without pauses")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		if speed < 0 {
			return cli.Misused("--speed %v is not possible; write 0 or more", speed)
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "ingest", c, environ)
		p := &replayer{speed: speed, log: log.Named("replay")}
		if p.files, p.size, err = recordedFiles(args[0]); err != nil {
			return &cli.UsageError{Err: err}
		}
		if to != "" {
			p.send = poster(to, c.Ingest.Auth.User, c.Ingest.Auth.Password)
			return p.play(cmd.Context())
		}
		c.Admin.Listen, c.Spool.Dir = "", ""
		o, err := options(c, []ingest.Source{&replaySource{replayer: p}}, log)
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		if err := run(cmd.Context(), c, o, create); err != nil {
			return err
		}
		return cmd.Context().Err() // it is done only if nobody stopped it
	}
	return cmd
}
