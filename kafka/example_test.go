package kafka_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

// demo is a broker with topics, and a client of it. The examples leave out what errors would do.
func demo(ctx context.Context) (o kafka.Options, topics kafka.Topics, client *kgo.Client, end func()) {
	dir, _ := os.MkdirTemp("", "kafka")
	broker, err := embedded.Start(embedded.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	o = kafka.Options{Brokers: broker.Addrs()}
	topics = kafka.Topics{Events: "janus.events", CDR: "janus.cdr", Partitions: 4, Embedded: true}
	client, err = kafka.NewClient(o)
	if err != nil {
		panic(err)
	}
	if _, err := kafka.CreateTopics(ctx, client, topics); err != nil {
		panic(err)
	}
	return o, topics, client, func() {
		client.Close()
		_ = broker.Close()
		_ = os.RemoveAll(dir)
	}
}

// All that a topic holds now, as a reader of committed records sees it.
func ExampleReadCommitted() {
	ctx := context.Background()
	o, topics, client, end := demo(ctx)
	defer end()
	client.ProduceSync(ctx, &kgo.Record{Topic: topics.Events, Key: []byte("4711"), Value: []byte("created")},
		&kgo.Record{Topic: topics.Events, Key: []byte("4711"), Value: []byte("destroyed")})

	err := kafka.ReadCommitted(ctx, client, o, topics.Events, func(records []*kgo.Record) error {
		for _, r := range records {
			fmt.Printf("partition %d offset %d: session %s is %s\n", r.Partition, r.Offset, r.Key, r.Value)
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// partition 2 offset 0: session 4711 is created
	// partition 2 offset 1: session 4711 is destroyed
	// <nil>
}

// A part of one partition. A range without an end, To: -1, is read for ever.
func ExampleReader_Each() {
	ctx := context.Background()
	o, topics, client, end := demo(ctx)
	defer end()
	for _, word := range []string{"zero", "one", "two", "three"} {
		client.ProduceSync(ctx, &kgo.Record{Topic: topics.Events, Key: []byte("4711"), Value: []byte(word)})
	}

	reader, err := kafka.NewReader(o, topics.Events, map[int32]kafka.Range{2: {From: 1, To: 3}})
	if err != nil {
		panic(err)
	}
	defer reader.Close()
	_ = reader.Each(ctx, func(records []*kgo.Record) error {
		for _, r := range records {
			fmt.Println(r.Offset, string(r.Value))
		}
		return nil
	})
	// Output:
	// 1 one
	// 2 two
}

// Where the records of a session are: every client of Kafka puts a key into the same partition.
func ExamplePartitionOf() {
	fmt.Println(kafka.PartitionOf([]byte("4711"), 4), kafka.PartitionOf([]byte("4711"), 12))
	// Output: 2 10
}

// What a record of the event topic is. Without the header it is an event.
func ExampleHeader() {
	tick := &kgo.Record{Headers: []kgo.RecordHeader{{Key: kafka.HeaderKind, Value: []byte(kafka.KindTick)}}}
	kind, ok := kafka.Header(tick, kafka.HeaderKind)
	fmt.Println(string(kind), ok)
	_, ok = kafka.Header(&kgo.Record{}, kafka.HeaderKind)
	fmt.Println(ok)
	// Output:
	// tick true
	// false
}

// What the topics must be like, for those who make them in another way.
func ExampleTopics_Specs() {
	topics := kafka.Topics{Events: "janus.events", State: "janus.cdr.state", Partitions: 12, Replication: 3,
		EventsRetention: 7 * 24 * time.Hour}
	for _, t := range topics.Specs() {
		fmt.Printf("%s (%s): cleanup.policy=%s retention.ms=%s min.insync.replicas=%s\n",
			t.Name, t.Role, t.CleanupPolicy, t.Configs["retention.ms"], t.Configs["min.insync.replicas"])
	}
	// Output:
	// janus.events (the event log): cleanup.policy=delete retention.ms=604800000 min.insync.replicas=2
	// janus.cdr.state (the changelog): cleanup.policy=compact retention.ms= min.insync.replicas=2
}
