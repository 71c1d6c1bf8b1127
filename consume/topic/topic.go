// Package topic copies records to another topic, as JSON, for readers that know no Avro and no transactions.
//
// It promises each record once and in order within its partition, readable by those who read uncommitted: it writes
// without transactions, since such readers see the records of aborted ones. So there is no act that moves data and
// position at once but the append itself: each copy says in its headers where it stood, and the last one of a partition
// is the position. What a writer that was killed has sent may still arrive, so a start waits until nothing does. Each
// step looks whether the topic ends where ours ended: of two writers both stop, after one batch each at most.
//
// It touches Kafka: it writes to one topic.
package topic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/consume"
	"januscdr/kafka"
)

// Headers of a copy, besides januscdr-topic, januscdr-partition and januscdr-offset: the rest of its origin.
const (
	headerCluster = "januscdr-cluster"
	headerTopicID = "januscdr-topic-id"
)

// Options say where the copies go, and which.
type Options struct {
	Kafka  kafka.Options
	Topic  string // with as many partitions as that of the records
	Format string // one of Formats
	Filter consume.Filter
	// SchemaID is the id that a registry gave the schema of flat-avro; negative: single-object encoding.
	SchemaID int32

	Settle   time.Duration // a start waits until the topic has stood still for so long; 0: 2s
	FromNow  bool          // an emptied topic goes on with what comes
	FromAll  bool          // or with all that there is, again
	NewTopic bool          // copies of another topic may stand before ours
	Log      hclog.Logger
}

// Formats are the forms of copies.
var Formats = []string{"json", "cloudevents", "flat-avro"}

const (
	delivery = 10 * time.Second // an append that took longer is given up
	tail     = 100              // offsets at the end of a partition among which the last copy must be
)

// Target is a topic.
type Target struct {
	o      Options
	client *kgo.Client
	ends   map[int32]int64 // where each partition ends, if nobody else writes
	values []avro.Value
	json   []byte // of the copy that is being made
}

// New makes a target; Positions connects.
func New(o Options) *Target {
	if o.Settle <= 0 {
		o.Settle = 2 * time.Second
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return &Target{o: o}
}

// Positions waits until the topic stands still, and reads the last copy of each partition.
func (t *Target) Positions(ctx context.Context) (consume.Origin, map[int32]int64, error) {
	var origin consume.Origin
	if err := t.Close(); err != nil {
		return origin, nil, err
	}
	client, err := kafka.NewClient(t.o.Kafka, kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RecordDeliveryTimeout(delivery))
	if err != nil {
		return origin, nil, err
	}
	t.client = client
	ranges, err := t.still(ctx)
	if err != nil {
		return origin, nil, err
	}
	t.ends = map[int32]int64{}
	next := map[int32]int64{}
	spans := map[int32]kafka.Range{}
	for partition, r := range ranges {
		t.ends[partition] = r.To
		switch {
		case r.From < r.To:
			spans[partition] = kafka.Range{From: max(r.From, r.To-tail), To: r.To}
		case r.To > 0 && !t.o.FromAll && !t.o.FromNow:
			return origin, nil, fmt.Errorf(
				"%w: %s partition %d has been emptied, and the last copy told how far we were; go on with --from latest or "+
					"--from earliest",
				consume.ErrLost, t.o.Topic, partition)
		case t.o.FromNow:
			next[partition] = consume.Latest
		}
	}
	last, err := t.last(ctx, spans)
	if err != nil {
		return origin, nil, err
	}
	for _, partition := range slices.Sorted(maps.Keys(spans)) {
		from, offset, err := sourceOf(last[partition])
		if err != nil {
			return origin, nil, fmt.Errorf("%w: %s partition %d: %w", consume.ErrForeign, t.o.Topic, partition, err)
		}
		if is, was := avro.FramingOf(t.head()), avro.FramingOf(last[partition].Value); is != was {
			return origin, nil, fmt.Errorf("%w: the copies of %s are in %s, and ours would be in %s: readers cannot read both",
				consume.ErrRefused, t.o.Topic, was, is)
		}
		if origin != (consume.Origin{}) && origin != from && !t.o.NewTopic {
			return origin, nil, fmt.Errorf("%w: %s has copies of two topics", consume.ErrForeign, t.o.Topic)
		}
		origin, next[partition] = from, offset+1
	}
	return origin, next, nil
}

// still waits until no partition of the topic has grown for a while.
func (t *Target) still(ctx context.Context) (map[int32]kafka.Range, error) {
	var before map[int32]kafka.Range
	for {
		ranges, err := kafka.CommittedRanges(ctx, t.client, t.o.Topic)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("%w: topic %s does not exist; make it with --create-topic", consume.ErrRefused, t.o.Topic)
		}
		if err != nil {
			return nil, err
		}
		if before != nil && maps.Equal(ranges, before) {
			return ranges, nil
		}
		before = ranges
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(t.o.Settle):
		}
	}
}

// last is the last record of each span.
func (t *Target) last(ctx context.Context, spans map[int32]kafka.Range) (map[int32]*kgo.Record, error) {
	all := map[int32]*kgo.Record{}
	reader, err := kafka.NewReader(t.o.Kafka, t.o.Topic, spans)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	err = reader.Each(ctx, func(records []*kgo.Record) error {
		for _, r := range records {
			all[r.Partition] = r
		}
		return nil
	})
	return all, err
}

// sourceOf tells of which record this is a copy.
func sourceOf(r *kgo.Record) (origin consume.Origin, offset int64, err error) {
	if r == nil {
		return origin, 0, errors.New("no record stands at its end")
	}
	text := func(key string) string {
		b, ok := kafka.Header(r, key)
		if !ok {
			err = fmt.Errorf("the record at offset %d is no copy of ours: it has no header %s", r.Offset, key)
		}
		return string(b)
	}
	origin = consume.Origin{Cluster: text(headerCluster), Topic: text(kafka.HeaderTopic), TopicID: text(headerTopicID)}
	at := text(kafka.HeaderOffset)
	if err == nil {
		offset, err = strconv.ParseInt(at, 10, 64)
	}
	return origin, offset, err
}

// Write appends copies of the records that are wanted, and waits until they are safe.
func (t *Target) Write(ctx context.Context, b consume.Batch) error {
	var copies []*kgo.Record
	for i := range b.Rows {
		r := &b.Rows[i]
		if _, ok := t.ends[r.Partition]; !ok {
			return fmt.Errorf("%w: %s has no partition %d", consume.ErrRefused, t.o.Topic, r.Partition)
		}
		t.values = avro.Values(t.values, &r.Record)
		if t.o.Filter.Wants(t.values) {
			copies = append(copies, t.copyOf(r, t.values, b.Origin))
		}
	}
	if len(copies) == 0 {
		return nil
	}
	if err := t.alone(ctx); err != nil {
		return err
	}
	if err := t.client.ProduceSync(ctx, copies...).FirstErr(); err != nil {
		return fmt.Errorf("append to %s: %w", t.o.Topic, kafka.WithRemedy(err))
	}
	for _, c := range copies {
		if c.Offset != t.ends[c.Partition] {
			return fmt.Errorf("append to %s: %w", t.o.Topic, consume.ErrFenced)
		}
		t.ends[c.Partition]++
	}
	return nil
}

// alone is an error when the topic does not end where ours ended.
func (t *Target) alone(ctx context.Context) error {
	ends, err := kadm.NewClient(t.client).ListEndOffsets(ctx, t.o.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("look at the end of %s: %w", t.o.Topic, err)
	}
	for partition, want := range t.ends {
		if end, ok := ends.Lookup(t.o.Topic, partition); !ok || end.Offset != want {
			return fmt.Errorf("%s partition %d ends at %d, not at %d: %w", t.o.Topic, partition, end.Offset, want,
				consume.ErrFenced)
		}
	}
	return nil
}

// Flush has nothing to do: what was written is there.
func (t *Target) Flush(context.Context) error { return nil }

// Close ends the connection.
func (t *Target) Close() error {
	if t.client != nil {
		t.client.Close()
		t.client = nil
	}
	return nil
}
