package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func embedded(t *testing.T, dir string, opts ...kfake.Opt) *Embedded {
	t.Helper()
	e, err := StartEmbedded(EmbeddedOptions{Dir: dir, Kfake: opts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func client(t *testing.T, o Options, extra ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := NewClient(o, extra...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func ours() Topics {
	return Topics{Events: "e", CDR: "c", State: "s", DLQ: "d", Partitions: 3, EventsRetention: time.Hour, Embedded: true}
}

func TestWrongPasswordIsFinalAndSaysSo(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			e := embedded(t, t.TempDir(), kfake.EnableSASL(), kfake.Superuser(mechanism, "cdr", "right"))
			options := func(password string) Options {
				return Options{Brokers: e.Addrs(), SASL: &SASL{Mechanism: mechanism, User: "cdr", Password: password}}
			}
			ctx := within(t, 10*time.Second)
			if err := WaitReady(ctx, client(t, options("right")), nil); err != nil {
				t.Fatalf("right password: %v", err)
			}

			// The embedded broker hangs up on a wrong password, which may also be a proxy in front of a broker that
			// starts: we wait, and say what it may be.
			lines := &hints{seen: make(chan struct{})}
			waiting, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() {
				ended <- WaitReady(waiting, client(t, options("wrong")), hclog.New(&hclog.LoggerOptions{Output: lines}))
			}()
			select {
			case <-lines.seen:
			case <-ctx.Done():
				t.Fatal("no line about the password")
			}
			stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want the context's error", err)
			}

			// Apache Kafka says why.
			e.Cluster().ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) {
				e.Cluster().KeepControl()
				response := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
				response.ErrorCode = kerr.SaslAuthenticationFailed.Code
				return response, nil, true
			})
			err := WaitReady(ctx, client(t, options("wrong")), nil)
			if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "password") || strings.Contains(err.Error(), "\n") {
				t.Fatalf("wrong password: got %v, want one line about the password, at once", err)
			}
		})
	}
}

// hints closes seen at the first line about a password.
type hints struct {
	once sync.Once
	seen chan struct{}
}

func (h *hints) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("password")) {
		h.once.Do(func() { close(h.seen) })
	}
	return len(line), nil
}

func TestWaitingEndsWhenKafkaComesAndWhenTheContextEnds(t *testing.T) {
	dir := t.TempDir()
	first := embedded(t, dir)
	addr := first.Addrs()[0]
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	cl := client(t, Options{Brokers: []string{addr}})
	short, cancel := context.WithCancel(context.Background())
	gone := make(chan error, 1)
	go func() { gone <- WaitReady(short, cl, nil) }()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the context's error", err)
	}

	ready := make(chan error, 1)
	ctx := within(t, 20*time.Second)
	go func() { ready <- WaitReady(ctx, cl, nil) }()
	again, err := StartEmbedded(EmbeddedOptions{Dir: dir, Listen: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
}

func TestABrokerThatIsAwayIsOneLineNotTwo(t *testing.T) {
	e := embedded(t, t.TempDir())
	addrs := e.Addrs()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	log := hclog.New(&hclog.LoggerOptions{Output: &lines, Mutex: &sync.Mutex{}})
	cl, err := NewClient(Options{Brokers: addrs, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := WaitReady(ctx, cl, log); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	cl.Close()
	if text := lines.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "waiting for kafka") || !strings.Contains(text, "refused") {
		t.Fatalf("the log says\n%swant one line", text)
	}
}

func TestTopicsThatWereCreatedFit(t *testing.T) {
	cl := client(t, Options{Brokers: embedded(t, t.TempDir()).Addrs()})
	ctx := within(t, 10*time.Second)
	created, err := CreateTopics(ctx, cl, ours())
	if err != nil || len(created) != 4 {
		t.Fatalf("created %v, %v", created, err)
	}
	if again, err := CreateTopics(ctx, cl, ours()); err != nil || len(again) != 0 {
		t.Fatalf("created again %v, %v", again, err)
	}
	if err := CheckTopics(ctx, cl, ours()); err != nil {
		t.Fatal(err)
	}
	real := ours()
	real.Embedded = false
	if err := CheckTopics(ctx, cl, real); !errors.Is(err, ErrTopics) || !strings.Contains(err.Error(), "cleanup.policy=compact`") {
		t.Fatalf("a changelog that is deleted by age: got %v", err)
	}
}

func TestTopicsAreThereWhenTheLastBrokerKnowsOfThem(t *testing.T) {
	e := embedded(t, t.TempDir(), kfake.Ports(0, 0, 0))
	cl := client(t, Options{Brokers: e.Addrs()})
	ctx := within(t, 20*time.Second)
	broker := e.Cluster()
	late := map[int32]int{} // by broker: how often it was asked
	broker.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		asked := request.(*kmsg.MetadataRequest)
		node := broker.CurrentNode()
		if len(asked.Topics) == 0 || node == 0 || late[node] >= 3 {
			return nil, nil, false
		}
		late[node]++
		response := asked.ResponseKind().(*kmsg.MetadataResponse)
		for _, name := range asked.Topics {
			topic := kmsg.NewMetadataResponseTopic()
			topic.Topic, topic.ErrorCode = name.Topic, kerr.UnknownTopicOrPartition.Code
			response.Topics = append(response.Topics, topic)
		}
		return response, nil, true
	})
	if created, err := CreateTopics(ctx, cl, ours()); err != nil || len(created) != 4 {
		t.Fatalf("created %v, %v", created, err)
	}
	if late[1] != 3 || late[2] != 3 {
		t.Fatalf("the other brokers were asked %v times before they knew, want 3 each", late)
	}
	if err := CheckTopics(ctx, cl, ours()); err != nil {
		t.Fatal(err)
	}

	// Another process may have made them just now, so that a check finds brokers that do not know of them yet.
	var refusals int
	broker.ControlKey(int16(kmsg.DescribeConfigs), func(request kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		if refusals++; refusals > 3 {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, asked := range request.(*kmsg.DescribeConfigsRequest).Resources {
			resource := kmsg.NewDescribeConfigsResponseResource()
			resource.ResourceType, resource.ResourceName, resource.ErrorCode = asked.ResourceType, asked.ResourceName, kerr.UnknownTopicOrPartition.Code
			response.Resources = append(response.Resources, resource)
		}
		return response, nil, true
	})
	if err := CheckTopics(ctx, cl, ours()); err != nil {
		t.Fatal(err)
	}
}

func TestTopicsThatDoNotFitAreAllComplainedOfAtOnce(t *testing.T) {
	cl := client(t, Options{Brokers: embedded(t, t.TempDir()).Addrs()})
	ctx := within(t, 10*time.Second)
	admin := kadm.NewClient(cl)
	make := func(name string, partitions int32, configs map[string]*string) {
		if _, err := admin.CreateTopic(ctx, partitions, -1, configs, name); err != nil {
			t.Fatal(err)
		}
	}
	make("e", 5, nil)
	make("c", 3, map[string]*string{"cleanup.policy": kadm.StringPtr("compact"), "max.message.bytes": kadm.StringPtr("5000000")})
	make("s", 2, map[string]*string{"max.message.bytes": kadm.StringPtr("5000000")})
	if _, err := admin.CreateTopic(ctx, 5, -1, nil, "grown"); err != nil {
		t.Fatal(err)
	}
	grown := ours()
	grown.CDR = "grown"
	if err := CheckTopics(ctx, cl, grown); err == nil || strings.Contains(err.Error(), "partition n of the") && strings.Contains(err.Error(), "topic grown (the records) has 5") {
		t.Fatalf("records that have as many partitions as the events: got %v, want that the configuration is wrong", err)
	}
	err := CheckTopics(ctx, cl, ours())
	if !errors.Is(err, ErrTopics) {
		t.Fatalf("got %v, want topics that do not fit", err)
	}
	for _, want := range []string{
		"topic e (the event log) has 5 partitions, the configuration says 3",
		"--entity-name e --add-config message.timestamp.type=LogAppendTime",
		"--entity-name e --add-config max.message.bytes=2097152",
		"--entity-name c --add-config cleanup.policy=delete",
		"topic s (the changelog) has 2 partitions",
		"topic d (the parked events) does not exist: create it with `cdr topics create`",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the complaints lack %q", want)
		}
	}
	if strings.Contains(err.Error(), "topic c (the records) has 3") || strings.Contains(err.Error(), "\n") {
		t.Errorf("complained of too much, or on several lines: %v", err)
	}
}

func TestTheEmbeddedBrokerFindsItsDataAgain(t *testing.T) {
	dir := t.TempDir()
	first := embedded(t, dir)
	addr := first.Addrs()[0]
	cl := client(t, Options{Brokers: []string{addr}})
	ctx := within(t, 20*time.Second)
	if _, err := CreateTopics(ctx, cl, ours()); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "e", Key: []byte("7"), Value: []byte("kept")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	before, err := kadm.NewClient(cl).ListTopics(ctx, "e")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := kadm.NewClient(cl).BrokerMetadata(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := StartEmbedded(EmbeddedOptions{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("second start on a directory in use: got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second, err := StartEmbedded(EmbeddedOptions{Dir: dir, Listen: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	again := client(t, Options{Brokers: second.Addrs()})
	if err := CheckTopics(ctx, again, ours()); err != nil {
		t.Fatal(err)
	}
	after, err := kadm.NewClient(again).ListTopics(ctx, "e")
	if err != nil || after["e"].ID != before["e"].ID {
		t.Fatalf("topic id %v, %v; want %v", after["e"].ID, err, before["e"].ID)
	}
	if m, err := kadm.NewClient(again).BrokerMetadata(ctx); err != nil || m.Cluster != meta.Cluster {
		t.Fatalf("cluster id %q, %v; want %q", m.Cluster, err, meta.Cluster)
	}
	if got := readAll(t, Options{Brokers: second.Addrs()}, "e"); len(got) != 1 || got[0] != "kept" {
		t.Fatalf("read %q", got)
	}
}

func readAll(t *testing.T, o Options, topic string) (values []string) {
	t.Helper()
	ctx := within(t, 10*time.Second)
	err := ReadWhole(ctx, client(t, o), o, topic, func(records []*kgo.Record) error {
		for _, record := range records {
			values = append(values, string(record.Value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestAReaderReadsWhatIsCommittedAndEndsBehindTransactions(t *testing.T) {
	o := Options{Brokers: embedded(t, t.TempDir()).Addrs()}
	cl := client(t, o, kgo.TransactionalID("writer"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx := within(t, 20*time.Second)
	if _, err := CreateTopics(ctx, cl, ours()); err != nil {
		t.Fatal(err)
	}
	for i, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for partition := range int32(2) { // the third stays empty
			record := &kgo.Record{Topic: "c", Partition: partition, Value: fmt.Append(nil, i)}
			if err := cl.ProduceSync(ctx, record).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := cl.EndTransaction(ctx, commit); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(readAll(t, o, "c"), ""); strings.Count(got, "0") != 2 || strings.Count(got, "2") != 2 || len(got) != 4 {
		t.Fatalf("read %q, want 0 and 2 from two partitions", got)
	}

	whole, err := Whole(ctx, cl, "c")
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(o, "c", whole)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	enough := errors.New("enough")
	if err := r.Each(ctx, func([]*kgo.Record) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("who has read enough ends it: got %v", err)
	}
}

func TestAReaderSaysThatAnOffsetIsGone(t *testing.T) {
	e := embedded(t, t.TempDir())
	o := Options{Brokers: e.Addrs()}
	cl := client(t, o, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx := within(t, 20*time.Second)
	if _, err := CreateTopics(ctx, cl, ours()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "e"}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Cluster().DeleteRecords("e", 0, 2); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(o, "e", map[int32]Range{0: {From: 0, To: -1}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(ctx); !errors.Is(err, ErrOutOfRange) {
		t.Fatalf("got %v, want out of range", err)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"brokers are missing": {},
		"compression":         {Brokers: []string{"h:1"}, Compression: "brotli"},
		"sasl mechanism":      {Brokers: []string{"h:1"}, SASL: &SASL{Mechanism: "GUESS", User: "u"}},
		"sasl user":           {Brokers: []string{"h:1"}, SASL: &SASL{Mechanism: "PLAIN"}},
		"belong together":     {Brokers: []string{"h:1"}, TLS: &TLS{CertFile: "cert.pem"}},
		"ca file":             {Brokers: []string{"h:1"}, TLS: &TLS{CAFile: "missing.pem"}},
	} {
		if _, err := NewClient(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, listen := range []string{"9092", ":9092", "0.0.0.0:9092", "localhost:many"} {
		if _, err := StartEmbedded(EmbeddedOptions{Dir: t.TempDir(), Listen: listen}); err == nil {
			t.Errorf("listen %q was accepted", listen)
		}
	}
}

func TestAKeyHasThePartitionThatEveryClientGivesIt(t *testing.T) {
	// From Kafka's own test of its default partitioner: the murmur2 hash of these keys.
	for key, hash := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536} {
		if got, want := PartitionOf([]byte(key), 48), (hash&0x7fffffff)%48; got != want {
			t.Errorf("partition of %q: %d, want %d", key, got, want)
		}
	}
}
