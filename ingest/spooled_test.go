package ingest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
	"januscdr/spool"
)

// spooling gives a receiver a spool.
func spooling(t *testing.T, o *Options) {
	o.Spool = &spool.Options{Dir: t.TempDir()}
	o.Delivery = 2 * time.Second
}

func (s *site) waiting() int64 {
	s.t.Helper()
	st, ok := s.server.Spool()
	if !ok {
		s.t.Fatal("there is no spool")
	}
	return st.Records
}

// plain is what stands in a record, but for its place.
func plain(r *kgo.Record) string {
	var headers []string
	for _, h := range r.Headers {
		headers = append(headers, h.Key+"="+string(h.Value))
	}
	return fmt.Sprintf("%d %q %v %s", r.Partition, r.Key, headers, r.Value)
}

func TestWhatWentThroughTheSpoolStandsInTheTopicsLikeAllElse(t *testing.T) {
	bodies := []string{"[" + attached(1, 1) + "," + attached(2, 2) + "]", serverStarted, "no json",
		`[{"a":1},` + attached(3, 3) + "]"}
	assign := func(o *Options) { o.Rules = []SenderRule{{Address: "127.0.0.0/8", Emitter: "edge-1"}} }

	direct := open(t, assign)
	for _, b := range bodies {
		direct.accepted([]byte(b))
	}
	spooled := open(t, func(o *Options) { assign(o); spooling(t, o) })
	address := spooled.broker.Addrs()[0]
	spooled.broker.Close()
	for _, b := range bodies {
		spooled.accepted([]byte(b))
	}
	if got := spooled.waiting(); got != 6 {
		t.Errorf("%d events and dead letters wait, want 6", got)
	}
	spooled.startBroker(address)
	spooled.until("the spool is empty", func() bool { return spooled.waiting() == 0 })

	for _, topic := range []string{"events", "dlq"} {
		var want, got []string
		for _, r := range direct.records(topic) {
			if kind, _ := kafka.Header(r, kafka.HeaderKind); string(kind) != kafka.KindAlive {
				want = append(want, plain(r))
			}
		}
		for _, r := range spooled.records(topic) {
			if kind, _ := kafka.Header(r, kafka.HeaderKind); string(kind) != kafka.KindAlive {
				got = append(got, plain(r))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) { // the first body may come twice
			t.Errorf("%s: through the spool came\n%s\ndirectly\n%s", topic, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if spooled.count("events_total", "handle") < 3 || spooled.count("parked_total", "not_json") != 1 {
		t.Error("what came through the spool is not counted when it is in Kafka")
	}
}

func TestWhatNeitherKafkaNorTheSpoolTakesIsNotAnswered(t *testing.T) {
	s := open(t, func(o *Options) {
		spooling(t, o)
		o.Delivery = 400 * time.Millisecond
		o.Spool.MaxBytes = 64 << 10
	})
	s.accepted([]byte(attached(1, 1)))
	s.broker.Close()
	taken := 0
	for n := range 1000 {
		status, err := s.post([]byte(attached(1, 2+n)))
		if err != nil {
			break
		}
		if status != http.StatusOK {
			t.Fatalf("answer %d", status)
		}
		taken++
	}
	if taken == 0 || taken == 1000 {
		t.Errorf("%d bodies were taken", taken)
	}
	if got := s.count("refused_total", "spool"); got == 0 || !strings.Contains(s.server.LastFailure(), "full") {
		t.Errorf("%v refused: %q", got, s.server.LastFailure())
	}
}

func TestWithASpoolBodiesAreTakenBeforeKafkaWasEverThere(t *testing.T) {
	here := make(chan struct{})
	s := open(t, func(o *Options) {
		spooling(t, o)
		o.Delivery = 400 * time.Millisecond
		o.Prepare = func(ctx context.Context) error {
			select {
			case <-here:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	for n := range 3 {
		s.accepted([]byte(attached(1, n)))
	}
	s.accepted([]byte(attached(1, 2))) // again: it is known, though Kafka never saw it
	if got := len(s.events()); got != 0 || s.waiting() != 3 {
		t.Errorf("%d events are in topics that nobody has checked, %d wait", got, s.waiting())
	}
	close(here)
	s.until("the spool is empty", func() bool { return s.waiting() == 0 })
	for n, r := range s.events() {
		if string(r.Value) != attached(1, n) {
			t.Errorf("event %d is %s", n, r.Value)
		}
	}
}

func TestASpoolOfAnotherProcessStopsTheStart(t *testing.T) {
	dir := t.TempDir()
	other, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	server, err := New(Options{Kafka: kafka.Options{Brokers: []string{"127.0.0.1:1"}}, Spool: &spool.Options{Dir: dir},
		Topics: kafka.Topics{Events: "events", DLQ: "dlq", Partitions: 1}, Sources: []Source{&HTTP{Listen: "127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "used by another process") {
		t.Errorf("it started: %v", err)
	}
}

func TestWhileTheLastOfTheSpoolGoesToKafkaNewBatchesWaitAndThenGoDirectly(t *testing.T) {
	s := open(t, func(o *Options) {
		spooling(t, o)
		o.Delivery = 8 * time.Second
	})
	p := s.server.spooled
	p.holding = patience // so that a slow machine holds them, too
	batch := func(n int) *Batch {
		return &Batch{Events: []Event{{Key: []byte("1"), Value: []byte(attached(1, n))}}}
	}
	s.until("kafka is there", p.direct)
	s.server.stopForward() // from here on it is done by hand
	s.server.stopAlive()
	s.server.working.Wait()
	if err := p.keep(t.Context(), batch(0)); err != nil {
		t.Fatal(err)
	}
	reached, release := s.cutProduce()
	handedOver := make(chan *Batch)
	go func() {
		left, _ := p.handOver(t.Context())
		handedOver <- left
	}()
	<-reached
	const callers = 16
	published := make(chan error)
	for n := range callers {
		go func() { published <- p.Publish(t.Context(), batch(1+n)) }()
	}
	release()
	if left := <-handedOver; left != nil {
		t.Fatal("kafka did not take the last of the spool")
	}
	for range callers {
		if err := <-published; err != nil {
			t.Error(err)
		}
	}
	if st, _ := s.server.Spool(); st.Counts.Appended != 1 || st.Records != 0 {
		t.Errorf("new batches went to the spool: %+v", st.Counts)
	}
	if got := s.events(); len(got) != 1+callers || string(got[0].Value) != attached(1, 0) {
		t.Errorf("%d events came, the first is %s", len(got), got[0].Value)
	}
}
