package kafka_test

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
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/internal/fixtures/broker"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func ours() kafka.Topics {
	return kafka.Topics{Events: "e", CDR: "c", State: "s", DLQ: "d", Partitions: 3, EventsRetention: time.Hour,
		Embedded: true}
}

func TestWrongPasswordIsFinalAndSaysSo(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			e := broker.Start(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "cdr", "right"))
			options := func(password string) kafka.Options {
				return kafka.Options{Brokers: e.Addrs(), SASL: &kafka.SASL{Mechanism: mechanism, User: "cdr", Password: password}}
			}
			ctx := within(t, 10*time.Second)
			if err := kafka.WaitReady(ctx, broker.Client(t, options("right")), nil); err != nil {
				t.Fatalf("right password: %v", err)
			}

			// The embedded broker hangs up on a wrong password, which may also be a proxy in front of a broker that
			// starts: we wait, and say what it may be.
			lines := &hints{seen: make(chan struct{})}
			waiting, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() {
				ended <- kafka.WaitReady(waiting, broker.Client(t, options("wrong")),
					hclog.New(&hclog.LoggerOptions{Output: lines}))
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
			err := kafka.WaitReady(ctx, broker.Client(t, options("wrong")), nil)
			if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "password") ||
				strings.Contains(err.Error(), "\n") {
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
	first := broker.In(t, dir)
	addr := first.Addrs()[0]
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	cl := broker.Client(t, kafka.Options{Brokers: []string{addr}})
	short, cancel := context.WithCancel(context.Background())
	gone := make(chan error, 1)
	go func() { gone <- kafka.WaitReady(short, cl, nil) }()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the context's error", err)
	}

	ready := make(chan error, 1)
	ctx := within(t, 20*time.Second)
	go func() { ready <- kafka.WaitReady(ctx, cl, nil) }()
	again, err := embedded.Start(embedded.Options{Dir: dir, Listen: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
}

func TestABrokerThatIsAwayIsOneLineNotTwo(t *testing.T) {
	e := broker.Start(t)
	addrs := e.Addrs()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	log := hclog.New(&hclog.LoggerOptions{Output: &lines, Mutex: &sync.Mutex{}})
	cl, err := kafka.NewClient(kafka.Options{Brokers: addrs, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := kafka.WaitReady(ctx, cl, log); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	cl.Close()
	if text := lines.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "waiting for kafka") ||
		!strings.Contains(text, "refused") {
		t.Fatalf("the log says\n%swant one line", text)
	}
}

func readAll(t *testing.T, o kafka.Options, topic string) (values []string) {
	t.Helper()
	ctx := within(t, 10*time.Second)
	err := kafka.ReadCommitted(ctx, broker.Client(t, o), o, topic, func(records []*kgo.Record) error {
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
	o := kafka.Options{Brokers: broker.Start(t).Addrs()}
	cl := broker.Client(t, o, kgo.TransactionalID("writer"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx := within(t, 20*time.Second)
	if _, err := kafka.CreateTopics(ctx, cl, ours()); err != nil {
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
	if got := strings.Join(readAll(t, o, "c"), ""); strings.Count(got, "0") != 2 || strings.Count(got, "2") != 2 ||
		len(got) != 4 {
		t.Fatalf("read %q, want 0 and 2 from two partitions", got)
	}

	whole, err := kafka.CommittedRanges(ctx, cl, "c")
	if err != nil {
		t.Fatal(err)
	}
	r, err := kafka.NewReader(o, "c", whole)
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
	e := broker.Start(t)
	o := kafka.Options{Brokers: e.Addrs()}
	cl := broker.Client(t, o, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx := within(t, 20*time.Second)
	if _, err := kafka.CreateTopics(ctx, cl, ours()); err != nil {
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
	r, err := kafka.NewReader(o, "e", map[int32]kafka.Range{0: {From: 0, To: -1}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(ctx); !errors.Is(err, kafka.ErrOutOfRange) {
		t.Fatalf("got %v, want out of range", err)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	for name, o := range map[string]kafka.Options{
		"brokers are missing": {},
		"compression":         {Brokers: []string{"h:1"}, Compression: "brotli"},
		"sasl mechanism":      {Brokers: []string{"h:1"}, SASL: &kafka.SASL{Mechanism: "GUESS", User: "u"}},
		"sasl user":           {Brokers: []string{"h:1"}, SASL: &kafka.SASL{Mechanism: "PLAIN"}},
		"belong together":     {Brokers: []string{"h:1"}, TLS: &kafka.TLS{CertFile: "cert.pem"}},
		"ca file":             {Brokers: []string{"h:1"}, TLS: &kafka.TLS{CAFile: "missing.pem"}},
	} {
		if _, err := kafka.NewClient(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAKeyHasThePartitionThatEveryClientGivesIt(t *testing.T) {
	// From Kafka's own test of its default partitioner: the murmur2 hash of these keys.
	for key, hash := range map[string]int32{"21": -973932308, "foobar": -790332482,
		"a-little-bit-long-string": -985981536} {
		if got, want := kafka.PartitionOf([]byte(key), 48), (hash&0x7fffffff)%48; got != want {
			t.Errorf("partition of %q: %d, want %d", key, got, want)
		}
	}
}

func TestTooFewBrokersAreToldWithTheNumberThatIsPossible(t *testing.T) {
	cl, err := kafka.NewClient(kafka.Options{Brokers: broker.Start(t).Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	topics := kafka.Topics{Events: "many-copies", Partitions: 1, Replication: 3}
	_, err = kafka.CreateTopics(t.Context(), cl, topics)
	if err == nil || !strings.Contains(err.Error(), "set topics.replication to 1") {
		t.Errorf("three copies on one broker: %v", err)
	}
}
