package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/internal/cli"
	"januscdr/internal/fixtures/broker"
	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// site is a broker, and the environment that leads to it.
type site struct {
	began   time.Time // when everything happens, however slow the machine is
	t       *testing.T
	ctx     context.Context
	broker  *embedded.Broker
	address string
	environ []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	t.Chdir(t.TempDir())
	b := broker.Start(t)
	address := b.Addrs()[0]
	return &site{began: time.Now(), t: t, ctx: ctx, broker: b, address: address, environ: []string{
		"JANUSCDR_KAFKA_BROKERS=" + address, "JANUSCDR_TOPICS_PARTITIONS=2", "JANUSCDR_TOPICS_REPLICATION=1",
		"JANUSCDR_INSTANCE=test", "JANUSCDR_WORKERS=1", "JANUSCDR_COMMIT_INTERVAL=20ms", "JANUSCDR_POLICY_GRACE=100ms",
	}}
}

func (s *site) says(args ...string) said {
	s.t.Helper()
	return once(s.t, saysIn(s.ctx, s.environ, "", args...))
}

// produce appends to the events of the site.
func (s *site) produce(records ...*kgo.Record) {
	s.t.Helper()
	client, err := kafka.NewClient(kafka.Options{Brokers: []string{s.address}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(s.ctx, records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// happens appends a recording, as ingest would.
func (s *site) happens(recording string) {
	s.t.Helper()
	var parser janus.Parser
	var records []*kgo.Record
	for _, b := range recordings.Events(recording) {
		e, err := parser.Parse(b)
		if err != nil {
			s.t.Fatal(err)
		}
		records = append(records, &kgo.Record{Topic: "janus.events", Key: []byte(e.Session.String()), Value: b,
			Timestamp: s.began})
	}
	s.produce(records...)
}

// service is a command that goes on until it is stopped.
type service struct {
	stop func(syscall.Signal)
	done chan struct{}
	code int
	err  *watched
}

// watched is standard error, on which one can wait for a word.
type watched struct {
	mu    sync.Mutex
	all   bytes.Buffer
	grown chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() {
		select {
		case w.grown <- struct{}{}:
		default:
		}
	}()
	return w.all.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}

func (s *site) start(args ...string) *service {
	s.t.Helper()
	ctx, cancel := context.WithCancelCause(s.ctx)
	v := &service{done: make(chan struct{}), err: &watched{grown: make(chan struct{}, 1)}}
	v.stop = func(sig syscall.Signal) { cancel(&cli.Stopped{Signal: sig}) }
	root := newRoot(s.environ)
	root.SetOut(io.Discard)
	go func() {
		defer close(v.done)
		v.code = cli.Run(ctx, root, args, v.err)
	}()
	s.t.Cleanup(func() { v.stop(syscall.SIGTERM); <-v.done })
	return v
}

// waitFor waits until standard error has a word.
func (v *service) waitFor(t *testing.T, word string) {
	t.Helper()
	limit := time.After(patience)
	for !strings.Contains(v.err.String(), word) {
		select {
		case <-v.err.grown:
		case <-v.done:
			if !strings.Contains(v.err.String(), word) {
				t.Fatalf("it ended without saying %q:\n%s", word, v.err)
			}
		case <-limit:
			t.Fatalf("it does not say %q:\n%s", word, v.err)
		}
	}
}

func TestFromAnEmptyClusterToVerifiedRecords(t *testing.T) {
	s := newSite(t)
	missing := s.says("topics", "check")
	if missing.code != cli.Failed || strings.Count(missing.err, "does not exist") != 4 {
		t.Fatalf("check of nothing: %+v", missing)
	}
	for line := range strings.Lines(missing.err) {
		if !strings.HasPrefix(line, "cdr: ") {
			t.Errorf("complaint %q", line)
		}
	}
	if refused := s.says("run", "--admin-listen="); refused.code != cli.Failed ||
		!strings.Contains(refused.err, "--create-topics") {
		t.Errorf("run without topics: %+v", refused)
	}
	if got := s.says("topics", "create"); got.code != cli.OK || strings.Count(got.out, "created ") != 4 ||
		!strings.HasSuffix(got.out, "are as they must be\n") {
		t.Fatalf("create: %+v", got)
	}
	if got := s.says("topics", "create"); got.code != cli.OK || strings.Contains(got.out, "created") {
		t.Errorf("create again: %+v", got)
	}

	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	health := free.Addr().String()
	free.Close()
	s.happens("1.1-a_echotest")
	s.produce(&kgo.Record{Topic: "janus.events", Key: []byte("1"), Value: []byte("\x1b[31mnonsense")})
	processor := s.start("run", "--admin-listen", health)
	processor.waitFor(t, "processor starts")

	line := s.says("tail", "--from", "earliest", "--count", "1")
	if line.code != cli.OK || !strings.Contains(line.out, "echotest pc") || !strings.Contains(line.out, " answered ") {
		t.Fatalf("tail: %+v\n%s", line, processor.err)
	}
	parked := s.says("tail", "--dlq", "--from", "earliest", "--count", "1")
	if parked.code != cli.OK || !strings.Contains(parked.out, `reason="`) ||
		!strings.Contains(parked.out, "?[31mnonsense") {
		t.Errorf("tail of what was parked: %+v", parked)
	}
	if got := s.says("healthcheck", "--admin-listen", health); got != (said{}) {
		t.Errorf("healthcheck: %+v", got)
	}
	// Its partitions may still move from one worker to another: it is ready when they have come to rest.
	for limit := time.Now().Add(patience); ; {
		got := s.says("healthcheck", "--ready", "--admin-listen", health)
		if got == (said{}) {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("healthcheck --ready: %+v", got)
		}
	}

	// The session record follows its legs, and then nothing is open.
	for n := 2; ; n++ {
		got := s.says("tail", "--from", "earliest", "--json", "--count", fmt.Sprint(n))
		last := got.out[strings.LastIndex(strings.TrimSuffix(got.out, "\n"), "\n")+1:]
		if got.code != cli.OK {
			t.Fatalf("tail: %+v", got)
		}
		if recordOf(t, last).RecordType == "SESSION" {
			break
		}
	}
	processor.stop(syscall.SIGTERM)
	<-processor.done
	if processor.code != cli.OK {
		t.Errorf("SIGTERM ended it with %d:\n%s", processor.code, processor.err)
	}

	verified := s.says("replay", "--verify")
	if verified.code != cli.OK || !strings.Contains(verified.out, " 0 different 0 missing 0 extra\n") ||
		strings.Contains(verified.out, " 0 identical") {
		t.Errorf("verify: %+v", verified)
	}
	all := s.says("tail", "--from", "earliest", "--once", "--json")
	again := s.says("replay")
	if again.code != cli.OK || strings.Count(again.out, "\n") != strings.Count(all.out, "\n") {
		t.Errorf("replay: %+v\nemitted:\n%s", again, all.out)
	}

	// Under another policy other records come out, and that is told.
	other := s.says("replay", "--verify", "--policy-grace", "59m")
	if other.code != cli.Failed || !strings.Contains(other.out, "extra ") || other.err != "" {
		t.Errorf("verify with another policy: %+v", other)
	}
}

func TestWatchingEndsWithCtrlC(t *testing.T) {
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	watcher := s.start("tail", "--log-level", "debug")
	watcher.waitFor(t, "watching: topic=janus.cdr")
	watcher.stop(syscall.SIGINT)
	<-watcher.done
	if watcher.code != cli.OK {
		t.Errorf("code %d:\n%s", watcher.code, watcher.err)
	}
}

func TestParkedEventsAreShownAsJSONToo(t *testing.T) {
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	s.produce(&kgo.Record{Topic: "janus.dlq", Key: []byte("7"), Value: []byte(`{"a":1}`),
		Headers: []kgo.RecordHeader{{Key: kafka.HeaderReason, Value: []byte("why")}}})
	s.produce(&kgo.Record{Topic: "janus.cdr", Key: []byte("7"), Value: []byte("no record")})
	got := s.says("tail", "--dlq", "--once", "--from", "0", "--json")
	var parked struct {
		Key, Value string
		Headers    map[string]string
	}
	if err := json.Unmarshal([]byte(got.out), &parked); err != nil || parked.Value != `{"a":1}` ||
		parked.Headers[kafka.HeaderReason] != "why" || parked.Key != "7" {
		t.Errorf("%v: %+v", err, got)
	}
	for _, args := range [][]string{{"--json"}, nil} {
		if got := s.says(append([]string{"tail", "--once", "--from", "earliest"}, args...)...); got.code != cli.OK ||
			strings.Count(got.out, "\n") != 1 || !strings.Contains(got.out, "read") {
			t.Errorf("what is no record: %+v", got)
		}
	}
}

func TestWithoutKafkaTheProcessorWaitsAndObeys(t *testing.T) {
	for _, scene := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGTERM, cli.OK}, {syscall.SIGINT, 130}} {
		t.Run(scene.signal.String(), func(t *testing.T) {
			nobody, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := nobody.Addr().String()
			nobody.Close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s := &site{began: time.Now(), t: t, ctx: ctx}
			v := s.start("run", "--kafka-brokers", address, "--admin-listen=", "--instance", "x")
			v.waitFor(t, "waiting for kafka: brokers="+address)
			v.stop(scene.signal)
			<-v.done
			if v.code != scene.code {
				t.Errorf("code %d, want %d:\n%s", v.code, scene.code, v.err)
			}
		})
	}
}

func TestAPortOfTheHealthServerThatIsTakenIsToldBeforeWork(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	got := says(t, "", "run", "--admin-listen", taken.Addr().String(), "--log-level", "warn", "--instance", "x")
	want := "cdr: serve health and metrics on " + taken.Addr().String() +
		": the port is in use; stop the other process or choose another admin.listen\n"
	if got != (said{cli.Failed, "", want}) {
		t.Errorf("%+v", got)
	}
}
