package kafka_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/internal/fixtures/broker"
	"januscdr/kafka"
)

// twoClusters are two clusters, with our topics each, of which one at a time answers at an address.
func twoClusters(t *testing.T, opts ...kfake.Opt) (address *broker.Address, ours, other *broker.Home) {
	t.Helper()
	address, err := broker.NewAddress("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(address.Close)
	var both [2]*broker.Home
	for i := range both {
		both[i], err = address.Start(t.TempDir(), opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { both[i].Close() })
	}
	return address, both[0], both[1]
}

func makeTopics(t *testing.T, address *broker.Address, o kafka.Options, homes ...*broker.Home) {
	t.Helper()
	for _, h := range homes {
		address.Lead(h.At)
		o.Contact = nil
		if _, err := kafka.CreateTopics(within(t, 20*time.Second), broker.Client(t, o), ours()); err != nil {
			t.Fatal(err)
		}
	}
}

// written is how many records the event topic has where the address leads to.
func written(t *testing.T, o kafka.Options) (n int64) {
	t.Helper()
	o.Contact = nil
	ends, err := kadm.NewClient(broker.Client(t, o)).ListEndOffsets(within(t, 20*time.Second), "e")
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

func TestAClientSpeaksToTheClusterItBeganWithAndToNoOther(t *testing.T) {
	for _, scene := range []struct {
		name string
		sasl *kafka.SASL
		opts []kfake.Opt
	}{
		{name: "without a login"},
		{name: "with a login", sasl: &kafka.SASL{Mechanism: "SCRAM-SHA-256", User: "cdr", Password: "right"},
			opts: []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "cdr", "right")}},
	} {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			address, ours, other := twoClusters(t, scene.opts...)
			o := kafka.Options{Brokers: []string{address.String()}, SASL: scene.sasl, Contact: new(kafka.Contact)}
			makeTopics(t, address, o, other, ours)
			client := broker.Client(t, o)
			acked := make(chan error, 2)
			write := func() {
				client.Produce(t.Context(), &kgo.Record{Topic: "e", Value: []byte("{}")}, func(_ *kgo.Record, err error) {
					acked <- err
				})
			}
			taken := func(when string) {
				t.Helper()
				select {
				case err := <-acked:
					if err != nil {
						t.Fatalf("%s: %v", when, err)
					}
				case <-time.After(20 * time.Second):
					t.Fatalf("%s: nothing is taken", when)
				}
			}
			write()
			taken("in the beginning")
			if away := o.Contact.Away(); away != "" {
				t.Fatalf("it is here, and we say: %s", away)
			}

			address.Lead(other.At)
			write()
			for limit := time.Now().Add(20 * time.Second); o.Contact.Away() == ""; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(limit) {
					t.Fatal("nobody says that another cluster answers")
				}
			}
			if away := o.Contact.Away(); !strings.Contains(away, "another cluster answers") {
				t.Errorf("we say: %s", away)
			}
			if err := client.Ping(within(t, 20*time.Second)); !errors.Is(err, kafka.ErrOtherCluster) {
				t.Errorf("a ping ends with %v", err)
			}
			if n := written(t, o); n != 0 {
				t.Errorf("the other cluster has %d records of ours", n)
			}

			address.Lead(ours.At)
			taken("when our cluster is back")
			if away := o.Contact.Away(); away != "" {
				t.Errorf("our cluster is back, and we say: %s", away)
			}
		})
	}
}

// Who begins while another cluster answers has nothing to compare it with, but what it was told.
func TestAClusterThatIsNamedIsHeldToFromTheBeginning(t *testing.T) {
	t.Parallel()
	address, ours, other := twoClusters(t)
	o := kafka.Options{Brokers: []string{address.String()}}
	makeTopics(t, address, o, other, ours)
	id, err := kafka.ClusterID(within(t, 20*time.Second), broker.Client(t, o))
	if err != nil {
		t.Fatal(err)
	}
	address.Lead(other.At)
	named := o
	named.ClusterID, named.Contact = id, new(kafka.Contact)
	client := broker.Client(t, named)
	if err := client.Ping(within(t, 20*time.Second)); !errors.Is(err, kafka.ErrOtherCluster) {
		t.Errorf("a ping of another cluster than the one that is named ends with %v", err)
	}
	if away := named.Contact.Away(); !strings.Contains(away, "another cluster answers") {
		t.Errorf("we say: %s", away)
	}
	address.Lead(ours.At)
	if err := kafka.WaitReady(within(t, 20*time.Second), client, nil); err != nil {
		t.Error(err)
	}
}
