package consume

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/kafka"
)

// headerPolicy is the header of a record that names the policy under which it was made.
const headerPolicy = "policy_fingerprint"

// portion is what came of the topic at once.
type portion struct {
	rows  []Row
	steps map[int32]Step // also over what is no record: the marks of transactions
}

// feed reads partitions of the topic from given offsets on, committed records only, decodes them, and hands them out.
type feed struct {
	client   *kgo.Client
	topic    string
	most     int             // records in a portion
	next     map[int32]int64 // used by read only, after the start
	portions chan portion
	failed   chan error
}

// newFeed makes a feed whose reading is begun by read. The caller closes the client.
func newFeed(o Options, from map[int32]int64) (*feed, error) {
	offsets := map[int32]kgo.Offset{}
	next := map[int32]int64{}
	for partition, offset := range from {
		offsets[partition] = kgo.NewOffset().At(offset)
		next[partition] = offset
	}
	client, err := kafka.NewClient(o.Kafka,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.Topic: offsets}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// The end of a partition may be the mark of a transaction: without the marks it would never be reached.
		kgo.KeepControlRecords(),
		// What is fetched ahead of a slow target stays within some tens of megabytes.
		kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchBytes/4), kgo.MaxConcurrentFetches(2),
	)
	if err != nil {
		return nil, err
	}
	return &feed{
		client:   client,
		topic:    o.Topic,
		most:     o.BatchRecords,
		next:     next,
		portions: make(chan portion),
		failed:   make(chan error, 1),
	}, nil
}

const fetchBytes = 8 << 20

// read hands out portions until the context ends or something cannot be read.
func (f *feed) read(ctx context.Context) {
	for {
		fetches := f.client.PollRecords(ctx, f.most)
		if ctx.Err() != nil {
			return
		}
		p := portion{rows: make([]Row, 0, fetches.NumRecords()), steps: map[int32]Step{}}
		err := f.take(fetches, &p)
		if err == nil {
			select {
			case f.portions <- p:
				continue
			case <-ctx.Done():
				return
			}
		}
		f.failed <- err
		return
	}
}

func (f *feed) take(fetches kgo.Fetches, p *portion) (err error) {
	fetches.EachError(func(_ string, partition int32, why error) {
		switch {
		case err != nil:
		case errors.Is(why, kerr.OffsetOutOfRange):
			err = fmt.Errorf("read %s partition %d at offset %d: %w: %w", f.topic, partition, f.next[partition], ErrLost, why)
		default:
			err = fmt.Errorf("read %s partition %d: %w", f.topic, partition, why)
		}
	})
	if err != nil {
		return err
	}
	fetches.EachPartition(func(fetched kgo.FetchTopicPartition) {
		if err != nil || len(fetched.Records) == 0 {
			return
		}
		step := Step{From: f.next[fetched.Partition]}
		for _, r := range fetched.Records {
			if r.Attrs.IsControl() {
				continue
			}
			row, why := rowOf(r)
			if why != nil {
				err = why
				return
			}
			p.rows = append(p.rows, row)
		}
		step.To = fetched.Records[len(fetched.Records)-1].Offset + 1
		f.next[fetched.Partition] = step.To
		p.steps[fetched.Partition] = step
	})
	return err
}

func rowOf(k *kgo.Record) (Row, error) {
	record, err := avro.DecodeMessage(k.Value, kafka.Schema(k))
	if err != nil {
		return Row{}, fmt.Errorf("read %s partition %d offset %d: %w: %w", k.Topic, k.Partition, k.Offset, ErrUnreadable, err)
	}
	policy, _ := kafka.Header(k, headerPolicy)
	return Row{Record: record, Value: k.Value, Partition: k.Partition, Offset: k.Offset, Appended: k.Timestamp,
		Policy: string(policy)}, nil
}
