package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"januscdr/internal/fixtures/recordings"
	"januscdr/kafka"
)

// answers is what was answered so far.
type answers struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (a *answers) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text.Write(p)
}

func (a *answers) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text.String()
}

// pipe starts a receiver of lines beside the site's own. It runs until the input ends or stop is called; then ended has
// what it ended with.
func (s *site) pipe(in io.Reader) (said *answers, ended <-chan error, stop func()) {
	s.t.Helper()
	said = &answers{}
	o := s.options
	o.Sources, o.Registerer = []Source{&Stdin{In: in, Out: said}}, nil
	server, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	end := make(chan error, 1)
	go func() { end <- server.Run(ctx) }()
	return said, end, cancel
}

func TestEachLineIsAnsweredByItsNumber(t *testing.T) {
	good, next := attached(1, 1), attached(1, 2)
	in := strings.Join([]string{
		good,
		"[" + next + "," + attached(2, 1) + "]\r", // as another system ends its lines
		"",
		"[" + attached(1, 3) + ",17]",
		"  \t",
		"hello",
		good,
		attached(1, 4), // without a line end
	}, "\n")
	s := open(t, nil)
	said, ended, _ := s.pipe(strings.NewReader(in))
	if err := <-ended; err != nil {
		t.Errorf("all lines are safe, and it ended with %v", err)
	}
	const want = `{"line":1,"outcome":"delivered","events":1}
{"line":2,"outcome":"delivered","events":2}
{"line":4,"outcome":"parked","events":1,"parked":1,"reason":"not_event"}
{"line":6,"outcome":"parked","parked":1,"reason":"not_json"}
{"line":7,"outcome":"delivered","events":1}
{"line":8,"outcome":"delivered","events":1}
`
	if said.String() != want {
		t.Errorf("it answers\n%s\nwant\n%s", said, want)
	}
	if events := s.events(); len(events) != 5 {
		t.Errorf("%d events in the log, want 5: a line that comes again soon is not written again", len(events))
	}
	for _, r := range s.records("dlq") {
		if got := header(r, kafka.HeaderSource); got != "ingest/stdin" {
			t.Errorf("parked by %q", got)
		}
	}
}

func TestLinesStandInTheLogInTheirOrder(t *testing.T) {
	events := recordings.Events("1.1-c_videoroom")
	s := open(t, nil)
	said, ended, _ := s.pipe(bytes.NewReader(append(bytes.Join(events, []byte{'\n'}), '\n')))
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(said.String(), `"delivered"`); got != len(events) {
		t.Errorf("%d lines delivered, want %d", got, len(events))
	}
	of := map[string][]string{} // by key, as they stand in the log
	for _, r := range s.events() {
		of[string(r.Key)] = append(of[string(r.Key)], string(r.Value))
	}
	for key, got := range of {
		at := 0
		for _, e := range events {
			if at < len(got) && string(e) == got[at] {
				at++
			}
		}
		if at != len(got) {
			t.Errorf("session %s: event %d is out of order", key, at)
		}
	}
}

func TestALongLineIsParkedWithoutBeingHeldAndTheNextOneIsRead(t *testing.T) {
	const size, limit = 100 << 20, 1 << 20
	digest := sha256.New()
	io.Copy(digest, &endless{size})
	for _, scene := range []struct {
		name string
		tail string
		want string
	}{
		{"more follows", "\n" + attached(1, 1) + "\n", `{"line":2,"outcome":"delivered","events":1}` + "\n"},
		{"the input ends in it", "", ""},
	} {
		t.Run(scene.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s := open(t, func(o *Options) { o.BodyLimit, o.EventLimit = limit, limit })
			said, ended, _ := s.pipe(io.MultiReader(&endless{size}, strings.NewReader(scene.tail)))
			if err := <-ended; err != nil {
				t.Error(err)
			}
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 40<<20 {
				t.Errorf("allocated %d MiB in total", took>>20)
			}
			const parked = `{"line":1,"outcome":"parked","parked":1,"reason":"body_limit"}` + "\n"
			if said.String() != parked+scene.want {
				t.Errorf("it answers\n%s", said)
			}
			r := s.records("dlq")[0]
			if header(r, HeaderLength) != strconv.Itoa(size) || header(r, HeaderSHA256) != hex.EncodeToString(digest.Sum(nil)) {
				t.Errorf("parked as %v", r.Headers)
			}
		})
	}
}

// counted counts what was read of it.
type counted struct {
	from io.Reader
	read atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.read.Add(int64(n))
	return n, err
}

func TestWhileALineIsNotSafeTheInputWaits(t *testing.T) {
	const lines, padding = 100, 32 << 10
	var in bytes.Buffer
	for n := range lines {
		in.WriteString(attached(1, n) + strings.Repeat(" ", padding) + "\n")
	}
	total := int64(in.Len())
	s := open(t, nil)
	reached, release := s.cutProduce()
	input := &counted{from: &in}
	said, ended, _ := s.pipe(input)
	<-reached
	if got := input.read.Load(); got > 4*padding+2*64<<10 {
		t.Errorf("%d bytes are read while the first line has no answer", got)
	}
	if said.String() != "" {
		t.Errorf("answered before it was safe: %s", said)
	}
	release()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(said.String(), "delivered"); got != lines || input.read.Load() != total {
		t.Errorf("%d lines of %d delivered, %d bytes read of %d", got, lines, input.read.Load(), total)
	}
}

func TestALineThatIsNotSafeMustComeAgainAndTheEndSaysSo(t *testing.T) {
	s := open(t, func(o *Options) { o.Delivery = 300 * time.Millisecond })
	_, release := s.cutProduce()
	in, more := io.Pipe()
	said, ended, _ := s.pipe(in)
	again := 0
	for ; !strings.Contains(said.String(), "delivered"); again++ { // the producer pauses before it asks once more
		io.WriteString(more, attached(1, 1)+"\n")
		s.until("the line is answered", func() bool { return strings.Count(said.String(), "\n") == again+1 })
		release()
	}
	again--
	more.Close()
	err := <-ended
	want := fmt.Sprintf("%d of %d lines are not safe: send those again that were answered with try_again", again, again+1)
	if err == nil || err.Error() != want {
		t.Errorf("it ended with %v, want %s", err, want)
	}
	const first = `{"line":1,"outcome":"try_again","reason":"timeout"}` + "\n"
	last := fmt.Sprintf(`{"line":%d,"outcome":"delivered","events":1}`+"\n", again+1)
	if again == 0 || !strings.HasPrefix(said.String(), first) || !strings.HasSuffix(said.String(), last) {
		t.Errorf("it answers\n%s\nwant %s at first and %s at last", said, first, last)
	}
	if got := len(s.events()); got != 1 {
		t.Errorf("%d events in the log, want 1", got)
	}
}

func TestAStopAnswersTheLineInHandAndTakesNoMore(t *testing.T) {
	s := open(t, nil)
	reached, release := s.cutProduce()
	in, more := io.Pipe()
	t.Cleanup(func() { more.Close() })
	said, ended, stop := s.pipe(in)
	go func() {
		for n := range 3 {
			io.WriteString(more, attached(1, n)+"\n")
		}
	}()
	<-reached
	stop()
	release()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if want := `{"line":1,"outcome":"delivered","events":1}` + "\n"; said.String() != want {
		t.Errorf("it answers\n%s\nwant\n%s", said, want)
	}
}

func TestAStopDoesNotWaitForALineThatNobodyWrites(t *testing.T) {
	for name, begun := range map[string]string{"nothing": "", "the beginning of a line": `{"emitter":"j1",`,
		"the beginning of a long line": strings.Repeat("x", 3<<20)} {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(o *Options) { o.BodyLimit, o.EventLimit = 1<<20, 1<<20 })
			in, more := io.Pipe()
			t.Cleanup(func() { more.Close() })
			_, ended, stop := s.pipe(in)
			if _, err := io.WriteString(more, begun); err != nil { // returns when all of it was read
				t.Fatal(err)
			}
			stop()
			if err := <-ended; err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

func TestNothingIsReadBeforeTheTopicsAreChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		input := &counted{from: strings.NewReader(attached(1, 1))}
		lines := &Stdin{In: input, Out: io.Discard}
		if _, err := lines.Open(&Receiver{reader: &reader{limit: defaultBody}, admitted: make(chan struct{})}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- lines.Serve(ctx) }()
		synctest.Wait()
		if got := input.read.Load(); got != 0 {
			t.Errorf("%d bytes are read", got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAnInputThatBreaksIsNoEnd(t *testing.T) {
	s := open(t, nil)
	in, more := io.Pipe()
	said, ended, _ := s.pipe(in)
	io.WriteString(more, attached(1, 1)+"\n"+attached(1, 2)[:20])
	more.CloseWithError(io.ErrUnexpectedEOF)
	if err := <-ended; err == nil || err.Error() != "read line 2 from standard input: unexpected EOF" {
		t.Errorf("it ended with %v", err)
	}
	if got := strings.Count(said.String(), "\n"); got != 1 || len(s.records("dlq")) > 0 {
		t.Errorf("%d lines answered, want 1, and no piece of the second one parked: %s", got, said)
	}
}
