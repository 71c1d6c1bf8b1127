package embedded

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func broker(t *testing.T, dir string) *Broker {
	t.Helper()
	e, err := Start(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func client(t *testing.T, o kafka.Options, extra ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kafka.NewClient(o, extra...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func ours() kafka.Topics {
	return kafka.Topics{Events: "e", CDR: "c", State: "s", DLQ: "d", Partitions: 3, EventsRetention: time.Hour,
		Embedded: true}
}

func TestTheEmbeddedBrokerFindsItsDataAgain(t *testing.T) {
	dir := t.TempDir()
	first := broker(t, dir)
	addr := first.Addrs()[0]
	cl := client(t, kafka.Options{Brokers: []string{addr}})
	ctx := within(t, 20*time.Second)
	if _, err := kafka.CreateTopics(ctx, cl, ours()); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "e", Key: []byte("7"),
		Value: []byte("kept")}).FirstErr(); err != nil {
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
	if _, err := Start(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("second start on a directory in use: got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second, err := Start(Options{Dir: dir, Listen: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	again := client(t, kafka.Options{Brokers: second.Addrs()})
	after, err := kadm.NewClient(again).ListTopics(ctx, "e")
	if err != nil || after["e"].ID != before["e"].ID {
		t.Fatalf("topic id %v, %v; want %v", after["e"].ID, err, before["e"].ID)
	}
	if m, err := kadm.NewClient(again).BrokerMetadata(ctx); err != nil || m.Cluster != meta.Cluster {
		t.Fatalf("cluster id %q, %v; want %q", m.Cluster, err, meta.Cluster)
	}
	if got := readAll(t, kafka.Options{Brokers: second.Addrs()}, "e"); len(got) != 1 || got[0] != "kept" {
		t.Fatalf("read %q", got)
	}
}

func readAll(t *testing.T, o kafka.Options, topic string) (values []string) {
	t.Helper()
	ctx := within(t, 10*time.Second)
	err := kafka.ReadCommitted(ctx, client(t, o), o, topic, func(records []*kgo.Record) error {
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

func TestAnAddressThatClientsCouldNotComeToIsRefused(t *testing.T) {
	for _, listen := range []string{"9092", ":9092", "0.0.0.0:9092", "localhost:many"} {
		if _, err := Start(Options{Dir: t.TempDir(), Listen: listen}); err == nil {
			t.Errorf("listen %q was accepted", listen)
		}
	}
}
