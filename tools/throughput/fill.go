package main

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/internal/fixtures/recordings"
	"januscdr/internal/fixtures/traffic"
	"januscdr/janus"
	"januscdr/kafka"
)

// servers is how many Janus say what -fleet writes.
const servers = 20

// filled is what is written: recorded sessions side by side, or with so many open at once, or all that servers say.
func filled() iter.Seq[traffic.Event] {
	switch {
	case *fleet:
		return everything
	case *open > 0:
		return traffic.Open(*open)
	}
	return traffic.Copies(traffic.Recordings, 100, 1000)
}

// everything is what some servers say, one event of each after the other. They say it to the end of the process.
func everything(yield func(traffic.Event) bool) {
	says := make([]func() (traffic.Event, bool), servers)
	for i := range says {
		says[i], _ = iter.Pull(traffic.Janus(fmt.Sprint("edge-", i), recordings.Names(), 10))
	}
	for {
		for _, next := range says {
			if e, ok := next(); !ok || !yield(e) {
				return
			}
		}
	}
}

// fill writes the events, as ingest would. Copies do not count.
func fill(ctx context.Context, o kafka.Options, topics kafka.Topics, events int) error {
	client, err := kafka.NewClient(o, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kafka.CreateTopics(ctx, client, topics); err != nil {
		return err
	}
	var failed atomic.Pointer[error]
	var parser janus.Parser
	n, size, copies := 0, 0, 0
	write := func(partition int32, key, value []byte, headers []kgo.RecordHeader) {
		r := &kgo.Record{Topic: topics.Events, Partition: partition, Key: key, Value: value, Headers: headers}
		client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	copied := []kgo.RecordHeader{{Key: kafka.HeaderKind, Value: []byte(kafka.KindCopy)}}
	for e := range filled() {
		if n == events || failed.Load() != nil {
			break
		}
		n++
		size += len(e.Value)
		key, value := []byte(e.Session), append([]byte(nil), e.Value...)
		parsed, err := parser.Parse(value)
		if err != nil {
			return err
		}
		if e.Session == "" {
			key = []byte(parsed.Emitter)
		}
		own := kafka.PartitionOf(key, topics.Partitions)
		write(own, key, value, nil)
		if !*fleet || parsed.Reach() != janus.ReachEveryone {
			continue
		}
		for other := range topics.Partitions {
			if other != own {
				copies++
				write(other, key, value, copied)
			}
		}
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	fmt.Printf("wrote %d events of %d bytes on average, and %d copies\n", n, size/max(n, 1), copies)
	return nil
}
