package ingest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// site is a receiver and its broker.
type site struct {
	t        testing.TB
	broker   *embedded.Broker
	dir      string
	options  Options
	registry *prometheus.Registry
	web      *HTTP
	server   *Server
}

// open starts a broker with topics and a receiver.
func open(t testing.TB, change func(*Options)) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), registry: prometheus.NewRegistry(), web: &HTTP{Listen: "127.0.0.1:0"}}
	s.startBroker("")
	s.options = Options{
		Kafka:      kafka.Options{Brokers: s.broker.Addrs()},
		Topics:     kafka.Topics{Events: "events", DLQ: "dlq", Partitions: 4, Embedded: true},
		Sources:    []Source{s.web},
		Registerer: s.registry,
	}
	if change != nil {
		change(&s.options)
	}
	s.createTopics(s.options.Topics)
	if s.options.Log == nil {
		s.options.Log = toldWhenItFails(t)
	}
	server, err := New(s.options)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.server = server
	t.Cleanup(func() {
		if s.server != nil {
			s.server.Stop()
		}
	})
	return s
}

// toldWhenItFails is a log that is printed if the test fails.
func toldWhenItFails(t testing.TB) hclog.Logger {
	var text answers
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("ingest said:\n%s", text.String())
		}
	})
	return hclog.New(&hclog.LoggerOptions{Output: &text, Level: hclog.Info})
}

func (s *site) startBroker(listen string) {
	s.t.Helper()
	broker, err := embedded.Start(embedded.Options{Dir: s.dir, Listen: listen})
	if err != nil {
		s.t.Fatal(err)
	}
	s.broker = broker
	s.t.Cleanup(func() { broker.Close() })
}

func (s *site) client() *kgo.Client {
	s.t.Helper()
	client, err := kafka.NewClient(kafka.Options{Brokers: s.broker.Addrs()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	return client
}

func (s *site) createTopics(topics kafka.Topics) {
	s.t.Helper()
	if _, err := kafka.CreateTopics(s.context(), s.client(), topics); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// records reads a topic from its beginning to its present end.
func (s *site) records(topic string) []*kgo.Record {
	s.t.Helper()
	ranges, err := kafka.CommittedRanges(s.context(), s.client(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	reader, err := kafka.NewReader(kafka.Options{Brokers: s.broker.Addrs()}, topic, ranges)
	if err != nil {
		s.t.Fatal(err)
	}
	defer reader.Close()
	var all []*kgo.Record
	for {
		records, err := reader.Next(s.context())
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, records...)
	}
}

// events are the events in the log, without copies.
func (s *site) events() []*kgo.Record {
	s.t.Helper()
	return slices.DeleteFunc(s.records("events"), func(r *kgo.Record) bool { return header(r, kafka.HeaderKind) != "" })
}

func (s *site) url() string { return "http://" + s.web.Addr().String() + "/events" }

// count is the value of a counter or gauge, 0 if it is not there.
func (s *site) count(name, label string) float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "januscdr_ingest_"+name {
			continue
		}
		for _, m := range family.GetMetric() {
			fits := label == ""
			for _, l := range m.GetLabel() {
				fits = fits || l.GetValue() == label
			}
			if fits {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

// until waits for a condition.
func (s *site) until(what string, is func() bool) {
	s.t.Helper()
	ctx := s.context()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("waited in vain: %s", what)
		}
	}
}

var errNoAnswer = errors.New("no answer")

// post sends a body as Janus does and returns the status, or errNoAnswer when the connection was closed.
func (s *site) post(body []byte, change ...func(*http.Request)) (int, error) {
	s.t.Helper()
	return s.postReader(bytes.NewReader(body), change...)
}

func (s *site) postReader(body io.Reader, change ...func(*http.Request)) (int, error) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.context(), http.MethodPost, s.url(), body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(request)
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, ExpectContinueTimeout: patience}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	defer answer.Body.Close()
	if said, _ := io.ReadAll(answer.Body); len(said) > 0 {
		s.t.Errorf("the answer says %q", said)
	}
	return answer.StatusCode, nil
}

// accepted posts a body that must be answered.
func (s *site) accepted(body []byte, change ...func(*http.Request)) {
	s.t.Helper()
	if status, err := s.post(body, change...); err != nil || status != http.StatusOK {
		s.t.Fatalf("got %d, %v, want 200", status, err)
	}
}

// unanswered posts a body that must not be answered.
func (s *site) unanswered(body []byte, change ...func(*http.Request)) {
	s.t.Helper()
	if status, err := s.post(body, change...); !errors.Is(err, errNoAnswer) {
		s.t.Fatalf("got %d, %v, want no answer", status, err)
	}
}

// silence sends the text of a request and fails when any byte comes back before the connection is closed.
func (s *site) silence(request string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.web.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		s.t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	var timeout net.Error
	if len(said) > 0 || errors.As(err, &timeout) && timeout.Timeout() {
		s.t.Fatalf("got %q, %v, want a connection that is closed without a byte", said, err)
	}
}

// cutProduce makes the broker hang up on everything that is produced to it, until release is called. Reached is closed
// by the first time.
func (s *site) cutProduce() (reached <-chan struct{}, release func()) {
	var cut atomic.Bool
	cut.Store(true)
	first := make(chan struct{})
	var seen atomic.Bool
	s.broker.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.broker.Cluster().KeepControl()
		if !cut.Load() {
			return nil, nil, false
		}
		if seen.CompareAndSwap(false, true) {
			close(first)
		}
		return nil, errors.New("cut"), true
	})
	return first, func() { cut.Store(false) }
}

func header(r *kgo.Record, key string) string {
	value, _ := kafka.Header(r, key)
	return string(value)
}

func zip(t testing.TB, plain []byte) []byte {
	t.Helper()
	var wire bytes.Buffer
	z := gzip.NewWriter(&wire)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return wire.Bytes()
}

func gzipped(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }

// attached is an event of a session; n makes it another one.
func attached(session uint64, n int) string {
	return fmt.Sprintf(`{"emitter":"j1","type":2,"timestamp":%d,"session_id":%d,"handle_id":%d,`+
		`"event":{"name":"attached","plugin":"janus.plugin.echotest"}}`,
		1790000000000000+n, session, 7000+n)
}

const serverStarted = `{"emitter":"j1","type":256,"subtype":1,"timestamp":1790000000000000,` +
	`"event":{"status":"started","info":{}}}`

func TestABodyIsAnsweredWhenItsEventsStandInTheLogByteForByte(t *testing.T) {
	one, two := attached(11, 1), strings.ReplaceAll(attached(12, 2), `,"`, ",\n\t \"")
	for _, scene := range []struct {
		name, body string
		events     []string
	}{
		{"grouped", "[" + one + "," + two + "]", []string{one, two}},
		{"a single object", one, []string{one}},
		{"indented", " [\n    " + two + ",\n    " + one + "\n]\n", []string{two, one}},
		{"nothing", "[]", nil},
		{"an escape that another writer would not choose",
			`{"emitter":"\u006a1\/","type":1,"timestamp":1790000000000000,"session_id":5,"event":{"name":"created"}}`,
			[]string{`{"emitter":"\u006a1\/","type":1,"timestamp":1790000000000000,"session_id":5,"event":{"name":"created"}}`}},
		{"a type that nobody knows yet", `{"emitter":"j1","type":512,"timestamp":1790000000000000,"event":{"new":true}}`,
			[]string{`{"emitter":"j1","type":512,"timestamp":1790000000000000,"event":{"new":true}}`}},
		{"the largest session id", strings.Replace(one, `:11,`, `:9223372036854775807,`, 1), []string{strings.Replace(one,
			`:11,`, `:9223372036854775807,`, 1)}},
	} {
		for _, compressed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, gzip %v", scene.name, compressed), func(t *testing.T) {
				s := open(t, nil)
				if compressed {
					s.accepted(zip(t, []byte(scene.body)), gzipped)
				} else {
					s.accepted([]byte(scene.body))
				}
				var got []string
				for _, r := range s.events() {
					got = append(got, string(r.Value))
				}
				slices.Sort(got)
				want := slices.Sorted(slices.Values(scene.events))
				if !slices.Equal(got, want) {
					t.Errorf("got %q\nwant %q", got, want)
				}
				if parked := s.records("dlq"); len(parked) > 0 {
					t.Errorf("parked %q", parked[0].Value)
				}
			})
		}
	}
}

func TestEachEventLiesInThePartitionOfItsSession(t *testing.T) {
	s := open(t, nil)
	var body []string
	for session := range uint64(20) {
		body = append(body, attached(1000+session, 1), attached(1000+session, 2))
	}
	s.accepted([]byte("[" + strings.Join(body, ",") + "]"))
	last := map[string]string{}
	records := s.records("events")
	if len(records) != 40 {
		t.Fatalf("%d records, want 40", len(records))
	}
	for _, r := range records {
		key := string(r.Key)
		if want := kafka.PartitionOf(r.Key, 4); r.Partition != want {
			t.Errorf("session %s lies in partition %d, want %d", key, r.Partition, want)
		}
		if !strings.Contains(string(r.Value), `"session_id":`+key+`,`) {
			t.Errorf("key %s of %s", key, r.Value)
		}
		if string(r.Value) < last[key] {
			t.Errorf("session %s: out of order", key)
		}
		last[key] = string(r.Value)
		if len(r.Headers) != 0 {
			t.Errorf("an event needs no headers, got %v", r.Headers)
		}
	}
	if got := s.count("events_total", "handle"); got != 40 {
		t.Errorf("counted %v events of handles, want 40", got)
	}
}

func TestAnEventThatConcernsOthersIsCopiedToEachOtherPartition(t *testing.T) {
	kicked := `{"emitter":"j1","type":64,"timestamp":1790000000000000,"session_id":77,"handle_id":1,` +
		`"event":{"plugin":"janus.plugin.videoroom","data":{"event":"kicked","room":1,"id":2}}}`
	nameless := `{"type":256,"subtype":2,"timestamp":1790000000000000,"event":{"status":"shutdown","signum":15}}`
	for _, scene := range []struct{ name, event, key, assigned string }{
		{"with a session", kicked, "77", ""},
		{"of a server", serverStarted, "j1", ""},
		{"of a server that has no name", nameless, "", ""},
		{"of a server that got its name from us", serverStarted, "edge-1", "edge-1"},
		{"with a session, of a server that got its name from us", kicked, "77", "edge-1"},
	} {
		t.Run(scene.name, func(t *testing.T) {
			s := open(t, func(o *Options) {
				if scene.assigned != "" {
					o.Rules = []SenderRule{{Address: "127.0.0.0/8", Emitter: scene.assigned}}
				}
			})
			s.accepted([]byte(scene.event))
			seen := map[int32]string{}
			for _, r := range s.records("events") {
				if _, twice := seen[r.Partition]; twice {
					t.Errorf("partition %d has it twice", r.Partition)
				}
				seen[r.Partition] = header(r, kafka.HeaderKind)
				if string(r.Key) != scene.key || string(r.Value) != scene.event {
					t.Errorf("key %q, value %s", r.Key, r.Value)
				}
				if got := header(r, kafka.HeaderEmitter); got != scene.assigned {
					t.Errorf("assigned emitter %q, want %q", got, scene.assigned)
				}
			}
			own := int32(0)
			if scene.key != "" {
				own = kafka.PartitionOf([]byte(scene.key), 4)
			}
			for p := range int32(4) {
				want := kafka.KindCopy
				if p == own {
					want = ""
				}
				if kind, there := seen[p]; !there || kind != want {
					t.Errorf("partition %d: kind %q (%v), want %q", p, kind, there, want)
				}
			}
		})
	}
}

func TestWhileKafkaIsAwayNothingIsAnsweredAndNothingAnsweredIsLost(t *testing.T) {
	s := open(t, func(o *Options) { o.Delivery = 400 * time.Millisecond })
	address := s.broker.Addrs()[0]
	before, during := attached(1, 1), attached(2, 2)
	s.accepted([]byte(before))

	s.broker.Close()
	s.unanswered([]byte(during))
	s.silence("POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: " + fmt.Sprint(len(during)) + "\r\n\r\n" + during)
	if got := s.count("bodies_total", "unacknowledged"); got < 2 {
		t.Errorf("%v bodies unacknowledged, want 2", got)
	}

	s.startBroker(address)
	s.until("the repetition is answered", func() bool {
		status, err := s.post([]byte(during))
		return err == nil && status == http.StatusOK
	})
	found := map[string]bool{}
	for _, r := range s.events() {
		found[string(r.Value)] = true
	}
	if !found[before] || !found[during] {
		t.Errorf("found %v, want both events", found)
	}
}

func TestARepetitionIsJoinedToTheBodyOnItsWay(t *testing.T) {
	s := open(t, func(o *Options) { o.Delivery = 2 * time.Second })
	reached, release := s.cutProduce()
	body := []byte(attached(1, 1))
	type end struct {
		status int
		err    error
	}
	ends := make(chan end, 2)
	repeat := func() {
		status, err := s.post(body)
		ends <- end{status, err}
	}
	go repeat()
	<-reached
	go repeat()
	s.until("both bodies are held", func() bool { return s.count("bytes_total", "") == float64(2*len(body)) })
	release()
	for range 2 {
		if e := <-ends; e.err != nil || e.status != http.StatusOK {
			t.Errorf("got %d, %v, want 200", e.status, e.err)
		}
	}
	if got := len(s.events()); got != 1 {
		t.Errorf("%d events in the log, want 1", got)
	}
	if got := s.count("bodies_total", "repeated"); got != 1 {
		t.Errorf("%v bodies counted as repeated, want 1", got)
	}
}

func TestARepetitionAfterTheFirstTryGaveUpIsAnsweredByItsLateAcknowledgement(t *testing.T) {
	s := open(t, func(o *Options) { o.Delivery = 300 * time.Millisecond })
	_, release := s.cutProduce()
	body := []byte(attached(1, 1))
	s.unanswered(body)
	release()
	s.until("the repetition is answered", func() bool {
		status, err := s.post(body)
		return err == nil && status == http.StatusOK
	})
	s.accepted(body) // and again: its answer may have been lost
	if got := len(s.events()); got != 1 {
		t.Errorf("%d events in the log, want 1: the first try was still on its way", got)
	}
}

func TestTheSameBytesFromAnotherSenderAreWrittenAgain(t *testing.T) {
	s := open(t, func(o *Options) { o.Rules = []SenderRule{{Path: "/b", Emitter: "b"}} })
	body := []byte(attached(1, 1))
	s.accepted(body)
	s.accepted(body, func(r *http.Request) { r.URL.Path = "/b" })
	if got := len(s.events()); got != 2 {
		t.Errorf("%d events, want 2", got)
	}
}

func TestWrongCredentialsAreLeftWithoutAByte(t *testing.T) {
	s := open(t, func(o *Options) { h := o.Sources[0].(*HTTP); h.User, h.Password = "janus", "secret" })
	body := attached(1, 1)
	s.unanswered([]byte(body))
	s.unanswered([]byte(body), func(r *http.Request) { r.SetBasicAuth("janus", "wrong") })
	s.unanswered([]byte(body), func(r *http.Request) { r.SetBasicAuth("januss", "ecret") })
	s.silence("POST /events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2000000\r\n\r\n")
	if got := s.count("refused_total", "credentials"); got != 4 {
		t.Errorf("counted %v, want 4", got)
	}
	s.accepted([]byte(body), func(r *http.Request) { r.SetBasicAuth("janus", "secret") })
	if got := len(s.events()); got != 1 {
		t.Errorf("%d events, want 1", got)
	}
}

func TestAWrongPathIsLeftWithoutAByteBecauseA404WouldCountAsDelivered(t *testing.T) {
	s := open(t, nil)
	s.silence("POST /event HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]")
	if got := s.count("refused_total", "path"); got != 1 {
		t.Errorf("counted %v, want 1", got)
	}
}

func TestWhoIsNoSenderIsToldSo(t *testing.T) {
	s := open(t, nil)
	answer, err := http.Get(s.url())
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != "POST" {
		t.Errorf("got %s, allow %q", answer.Status, answer.Header.Get("Allow"))
	}
}

func TestASenderThatBreaksOffLeavesNothing(t *testing.T) {
	s := open(t, nil)
	body := attached(1, 1)
	conn, err := net.Dial("tcp", s.web.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body)+1, body)
	conn.Close()
	s.until("it is counted", func() bool { return s.count("bodies_total", "aborted") == 1 })
	if got := len(s.events()) + len(s.records("dlq")); got != 0 {
		t.Errorf("%d records, want 0", got)
	}
	s.until("its memory is given back", func() bool { return s.count("inflight_bytes", "") == 0 })
}

func TestABodyThatFindsNoRoomIsLeftWithoutAnAnswer(t *testing.T) {
	const limit = 1 << 20
	s := open(t, func(o *Options) {
		o.BodyLimit, o.EventLimit, o.InflightMax, o.Delivery = limit, limit, 2*limit, 300*time.Millisecond
	})
	all := s.server.receiver.reader.budget.open(party{"another", true}, nil)
	if err := all.take(t.Context(), 2*limit+1); err != nil {
		t.Fatal(err)
	}
	s.unanswered([]byte(attached(1, 1)))
	if got := s.count("refused_total", "busy"); got != 1 {
		t.Errorf("counted %v, want 1", got)
	}
	all.close()
	s.accepted([]byte(attached(1, 1)))
}

func TestTheOrderOfOneSenderIsTheOrderOfTheLog(t *testing.T) {
	s := open(t, nil)
	for n := range 50 {
		s.accepted([]byte("[" + attached(5, 2*n) + "," + attached(5, 2*n+1) + "]"))
	}
	records := s.events()
	if len(records) != 100 {
		t.Fatalf("%d events, want 100", len(records))
	}
	for n, r := range records {
		if string(r.Value) != attached(5, n) {
			t.Fatalf("event %d is %s", n, r.Value)
		}
	}
}

func TestALargeBatchThatIsInterruptedGoesOnWhereItStood(t *testing.T) {
	s := open(t, nil)
	const events = 3000
	long := strings.Repeat("x", 4<<10)
	b := &Batch{}
	for n := range events {
		b.Events = append(b.Events, Event{Key: []byte("7"), Value: fmt.Appendf(nil, `{"n":%d,"x":%q}`, n, long)})
	}
	_, release := s.cutProduce()
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.server.publisher.Publish(short, b); !errors.Is(err, errUnacknowledged) {
		t.Fatalf("got %v, want that it is not acknowledged", err)
	}
	if unsent := len(b.delivery.unsent); unsent == 0 {
		t.Error("all of it is on its way, and others have to wait for it")
	}
	release()
	if err := s.server.publisher.Publish(s.context(), b); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	last := -1
	for _, r := range s.records("events") {
		var n int
		if fmt.Sscanf(string(r.Value), `{"n":%d,`, &n); seen[string(r.Value)] {
			continue
		} else if n != last+1 {
			t.Fatalf("event %d comes after %d", n, last)
		}
		seen[string(r.Value)], last = true, n
	}
	if last != events-1 {
		t.Errorf("the last one is %d, want %d", last, events-1)
	}
}

func TestAnInterruptedWriteWritesOnlyWhatIsMissing(t *testing.T) {
	s := open(t, func(o *Options) { o.Topics.DLQ = "later" })
	good := attached(1, 1)
	if _, err := s.client().Request(s.context(), deleteTopic("later")); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		status, err := s.post([]byte("[" + good + ",1]"))
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		answered <- err
	}()
	s.until("the good event is written", func() bool { return len(s.events()) == 1 })
	topics := s.options.Topics
	topics.DLQ = "later"
	s.createTopics(topics)
	if err := <-answered; err != nil {
		t.Fatalf("got %v, want an answer as soon as both are safe", err)
	}
	if events, parked := len(s.events()), len(s.records("later")); events != 1 || parked != 1 {
		t.Errorf("%d events and %d parked, want 1 and 1", events, parked)
	}
}

func deleteTopic(name string) *kmsg.DeleteTopicsRequest {
	request := kmsg.NewPtrDeleteTopicsRequest()
	request.TopicNames = []string{name}
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &name
	request.Topics = append(request.Topics, topic)
	return request
}

func TestAStopAnswersWhatIsInFlightAndRefusesWhatIsNew(t *testing.T) {
	s := open(t, nil)
	reached, release := s.cutProduce()
	answered := make(chan error, 1)
	go func() {
		status, err := s.post([]byte(attached(1, 1)))
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		answered <- err
	}()
	<-reached
	server, address := s.server, s.web.Addr().String()
	s.server = nil
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop() }()
	s.until("nobody listens any more", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	release()
	if err := <-answered; err != nil {
		t.Errorf("in flight: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	if got := len(s.events()); got != 1 {
		t.Errorf("%d events, want 1", got)
	}
}

func TestAStopEndsInTimeEvenIfKafkaDoesNot(t *testing.T) {
	s := open(t, nil)
	reached, _ := s.cutProduce()
	answered := make(chan error, 1)
	go func() {
		_, err := s.post([]byte(attached(1, 1)))
		answered <- err
	}()
	<-reached
	server := s.server
	s.server = nil
	started := time.Now()
	server.Stop()
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if err := <-answered; !errors.Is(err, errNoAnswer) {
		t.Errorf("got %v, want no answer", err)
	}
}

func TestAPortInUseIsOneClearLine(t *testing.T) {
	s := open(t, nil)
	o := s.options
	web := &HTTP{Listen: s.web.Addr().String()}
	o.Sources, o.Registerer = []Source{web}, nil
	second, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	err = second.Run(s.context())
	if err == nil || !strings.Contains(err.Error(), web.Listen) || !strings.Contains(err.Error(),
		"another process listens there") ||
		!strings.Contains(err.Error(), "--ingest-listen") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestWrongOptionsAreAllNamedAtOnce(t *testing.T) {
	_, err := New(Options{Sources: []Source{&HTTP{Path: "events", Password: "x"}}, EventLimit: 64 << 20,
		Delivery: 11 * time.Second,
		Rules: []SenderRule{{Emitter: "e"}, {User: "nobody", Emitter: "e"}, {Address: "300.1.1.1", Emitter: "e"},
			{Path: "/x"}}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"does not begin with a slash", "password without a user", "event limit",
		"delivery timeout", "names of the topics",
		"partitions", "rule 1: it fits everybody", `http: sender rule 2: user "nobody"`, `rule 3: address "300.1.1.1"`,
		"rule 4: the emitter's name is missing"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestSendersAreHeldUntilAllIsPrepared(t *testing.T) {
	listens, prepared := make(chan struct{}), make(chan struct{})
	s := &site{t: t, dir: t.TempDir(), registry: prometheus.NewRegistry(), web: &HTTP{Listen: "127.0.0.1:0"}}
	s.startBroker("")
	o := Options{
		Kafka: kafka.Options{Brokers: s.broker.Addrs()}, Topics: kafka.Topics{Events: "events", DLQ: "dlq", Partitions: 4,
			Embedded: true},
		Sources: []Source{s.web}, Registerer: s.registry,
		Prepare: func(context.Context) error { close(listens); <-prepared; return nil },
	}
	s.createTopics(o.Topics)
	server, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(s.context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	<-listens
	s.server = server
	answered := make(chan error, 1)
	go func() {
		_, err := s.post([]byte(attached(1, 1)))
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("got %v before the topics were checked", err)
	case <-time.After(50 * time.Millisecond): // too short proves nothing, and fails nothing
	}
	close(prepared)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestAFailureIsToldUntilItIsOver(t *testing.T) {
	var failure lastFailure
	start := time.Unix(1_790_000_000, 0)
	if got := failure.now(start); got != "" {
		t.Errorf("at first: %q", got)
	}
	failure.note(errUnacknowledged, start)
	if got := failure.now(start.Add(time.Second)); got != errUnacknowledged.Error() {
		t.Errorf("while it fails: %q", got)
	}
	if got := failure.now(start.Add(time.Minute)); got != "" {
		t.Errorf("a minute later, nobody asked: %q", got)
	}
	failure.note(errUnacknowledged, start)
	failure.note(nil, start)
	if got := failure.now(start); got != "" {
		t.Errorf("after a success: %q", got)
	}
}

func TestAClockThatKafkaDoesNotBelieveIsNamed(t *testing.T) {
	s := open(t, func(o *Options) { o.Delivery = time.Second })
	s.broker.Cluster().ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.broker.Cluster().KeepControl()
		request := r.(*kmsg.ProduceRequest)
		response := request.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range request.Topics {
			refused := kmsg.ProduceResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
			for _, p := range topic.Partitions {
				refused.Partitions = append(refused.Partitions, kmsg.ProduceResponseTopicPartition{Partition: p.Partition,
					ErrorCode: kerr.InvalidTimestamp.Code})
			}
			response.Topics = append(response.Topics, refused)
		}
		return response, nil, true
	})
	s.unanswered([]byte(attached(1, 1)))
	if got := s.server.LastFailure(); !strings.Contains(got, "clock") || !strings.Contains(got, "NTP") {
		t.Errorf("it says %q, want the clocks and what to do", got)
	}
}

func TestSignsOfLifeGoToEachPartition(t *testing.T) {
	s := open(t, nil)
	s.accepted([]byte(attached(1, 1)))
	s.until("a sign of life is acknowledged in each partition", func() bool {
		return s.count("alive_total",
			"acknowledged") == 4
	})
	seen := map[int32]int{}
	for _, r := range s.records("events") {
		if header(r, kafka.HeaderKind) != kafka.KindAlive {
			continue
		}
		seen[r.Partition]++
		if string(r.Key) != "j1" || len(r.Value) != 0 {
			t.Errorf("key %q, value %q", r.Key, r.Value)
		}
	}
	for p := range int32(4) {
		if seen[p] != 1 {
			t.Errorf("partition %d has %d signs of life, want 1", p, seen[p])
		}
	}
}
