package consume_test

import (
	"context"
	"fmt"
	"maps"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/consume"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

// printer is a target that holds nothing but how far it is.
type printer struct {
	of consume.Origin
	at map[int32]int64
}

func (p *printer) Positions(context.Context) (consume.Origin, map[int32]int64, error) {
	return p.of, maps.Clone(p.at), nil
}

func (p *printer) Write(_ context.Context, b consume.Batch) error {
	for _, row := range b.Rows {
		fmt.Println(row.Offset, row.Record.Emitter, row.Record.RecordType)
	}
	p.of = b.Origin
	for partition, step := range b.Steps {
		p.at[partition] = step.To
	}
	return nil
}

func (*printer) Flush(context.Context) error { return nil }

func (*printer) Close() error { return nil }

// A target is given each record of the topic once, with the position behind it.
func ExampleSink_Run() {
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	broker, err := embedded.Start(embedded.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	defer broker.Close()
	ctx, options := context.Background(), kafka.Options{Brokers: broker.Addrs()}
	client, err := kafka.NewClient(options)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	if _, err := kafka.CreateTopics(ctx, client, kafka.Topics{CDR: "janus.cdr", Partitions: 1}); err != nil {
		panic(err)
	}
	value, err := avro.Encode(&cdr.Record{RecordType: cdr.Leg, Emitter: "janus-1"})
	if err != nil {
		panic(err)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "janus.cdr", Value: value}).FirstErr(); err != nil {
		panic(err)
	}

	target := &printer{at: map[int32]int64{}}
	for range 2 { // the second one goes on where the first has ended
		sink := consume.New(consume.Options{Kafka: options, Topic: "janus.cdr", Name: "print", Once: true}, target)
		if err := sink.Run(ctx); err != nil {
			panic(err)
		}
		fmt.Println("next:", target.at[0])
	}
	// Output:
	// 0 janus-1 LEG
	// next: 1
	// next: 1
}
