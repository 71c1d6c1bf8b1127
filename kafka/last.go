package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Last returns the committed record of a topic that was appended last, of the records it holds now, or nil when it
// holds none. It reads backwards, in spans that grow until there is one in each partition: an end may have nothing but
// marks of transactions and aborted records in front of it. The client is for asking how far the partitions reach.
func Last(ctx context.Context, cl *kgo.Client, o Options, topic string) (*kgo.Record, error) {
	whole, err := CommittedRanges(ctx, cl, topic)
	if err != nil {
		return nil, err
	}
	var last *kgo.Record
	for span := int64(16); len(whole) > 0; span *= 64 {
		some, found := map[int32]Range{}, map[int32]bool{}
		for partition, r := range whole {
			some[partition] = Range{From: max(r.From, r.To-span), To: r.To}
		}
		if err := readSpans(ctx, o, topic, some, func(records []*kgo.Record) error {
			for _, r := range records {
				found[r.Partition] = true
				if last == nil || !r.Timestamp.Before(last.Timestamp) {
					last = r
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
		for partition, r := range some {
			before := Range{From: whole[partition].From, To: r.From}
			if whole[partition] = before; found[partition] || before.From >= before.To {
				delete(whole, partition)
			}
		}
	}
	return last, nil
}

func readSpans(ctx context.Context, o Options, topic string, spans map[int32]Range,
	take func([]*kgo.Record) error) error {
	r, err := NewReader(o, topic, spans)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Each(ctx, take)
}
