package kafka_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

func TestTheLastRecordIsFoundBehindWhatWasAborted(t *testing.T) {
	ctx := t.Context()
	o, topics, client, end := demo(ctx)
	defer end()
	if r, err := kafka.Last(ctx, client, o, topics.CDR); r != nil || err != nil {
		t.Fatalf("an empty topic has %v, %v", r, err)
	}
	producer, err := kafka.NewClient(o, kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	write := func(how kgo.TransactionEndTry, partition int32, n int) {
		t.Helper()
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			r := &kgo.Record{Topic: topics.CDR, Partition: partition, Value: fmt.Append(nil, partition, i)}
			producer.Produce(ctx, r, nil)
		}
		if err := producer.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if err := producer.EndTransaction(ctx, how); err != nil {
			t.Fatal(err)
		}
	}
	write(kgo.TryAbort, 0, 3)
	if r, err := kafka.Last(ctx, client, o, topics.CDR); r != nil || err != nil {
		t.Fatalf("a topic of what was aborted has %v, %v", r, err)
	}
	write(kgo.TryCommit, 2, 2)
	for range 20 { // with their marks, more than a span
		write(kgo.TryAbort, 2, 60)
	}
	if r, err := kafka.Last(ctx, client, o, topics.CDR); err != nil || r == nil || string(r.Value) != "2 1" {
		t.Fatalf("got %v, %v", r, err)
	}
	write(kgo.TryCommit, 1, 1)
	if r, err := kafka.Last(ctx, client, o, topics.CDR); err != nil || r == nil || string(r.Value) != "1 0" {
		t.Fatalf("got %v, %v", r, err)
	}
}
