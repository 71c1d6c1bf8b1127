package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Range is a span of a partition: from offset From up to, without, offset To. A negative To means that it never
// ends.
type Range struct{ From, To int64 }

// CommittedRanges returns what each partition of a topic holds now: from the log start to the end of what is decided,
// that is, to the first record of an open transaction at most.
func CommittedRanges(ctx context.Context, cl *kgo.Client, topic string) (map[int32]Range, error) {
	admin := kadm.NewClient(cl)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, fmt.Errorf("topic %s is not there; `cdr topics create` makes it: %w", topic, err)
	}
	if err != nil {
		return nil, fmt.Errorf("list start offsets of %s: %w", topic, err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list end offsets of %s: %w", topic, err)
	}
	ranges := map[int32]Range{}
	starts.Each(func(start kadm.ListedOffset) {
		end, ok := ends.Lookup(topic, start.Partition)
		if ok {
			ranges[start.Partition] = Range{From: start.Offset, To: max(start.Offset, end.Offset)}
		}
	})
	return ranges, nil
}

// Since narrows spans to what was appended at a time or later, by the brokers' time.
func Since(ctx context.Context, cl *kgo.Client, topic string, ranges map[int32]Range,
	at time.Time) (map[int32]Range, error) {
	return narrow(ctx, cl, topic, ranges, at, func(r Range, offset int64) Range {
		return Range{From: min(max(r.From, offset), r.To), To: r.To}
	})
}

// Until narrows spans to what was appended before a time.
func Until(ctx context.Context, cl *kgo.Client, topic string, ranges map[int32]Range,
	at time.Time) (map[int32]Range, error) {
	return narrow(ctx, cl, topic, ranges, at, func(r Range, offset int64) Range {
		return Range{From: r.From, To: max(min(r.To, offset), r.From)}
	})
}

func narrow(ctx context.Context, cl *kgo.Client, topic string, ranges map[int32]Range, at time.Time,
	cut func(r Range, offset int64) Range) (map[int32]Range, error) {
	if at.IsZero() {
		return ranges, nil
	}
	listed, err := kadm.NewClient(cl).ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("find the offsets of %s at %v: %w", topic, at.Format(time.RFC3339), err)
	}
	cuts := map[int32]Range{}
	for partition, r := range ranges {
		cuts[partition] = r
		if o, ok := listed.Lookup(topic, partition); ok {
			cuts[partition] = cut(r, o.Offset)
		}
	}
	return cuts, nil
}

// ErrOutOfRange is what an error of Reader.Next wraps when the topic no longer has, or does not have yet, an offset
// that was asked for.
var ErrOutOfRange = errors.New("offset out of range")

// Reader reads spans of the partitions of one topic, committed records only. It belongs to no consumer group and
// commits nothing. It is used by one goroutine.
type Reader struct {
	client *kgo.Client
	topic  string
	ranges map[int32]Range // what is still to be read
}

// NewReader makes a reader of these spans, by partition. The extra options are for the client, ours win. The caller
// closes the reader.
func NewReader(o Options, topic string, ranges map[int32]Range, extra ...kgo.Opt) (*Reader, error) {
	r := &Reader{topic: topic, ranges: map[int32]Range{}}
	offsets := map[int32]kgo.Offset{}
	for partition, span := range ranges {
		if span.To >= 0 && span.From >= span.To {
			continue
		}
		r.ranges[partition] = span
		offsets[partition] = kgo.NewOffset().At(span.From)
	}
	if len(offsets) == 0 {
		return r, nil
	}
	client, err := NewClient(o, append(extra,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		//mutant:read-committed
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A span may end with the mark of a transaction, or with records that were aborted: without the marks its
		// end would never be seen.
		kgo.KeepControlRecords(),
	)...)
	if err != nil {
		return nil, err
	}
	r.client = client
	return r, nil
}

// Next returns the next records, those of one partition in the order of their offsets. It waits for them; the error is
// io.EOF when every span was read to its end, the context's when that ended, and one that wraps ErrOutOfRange when the
// topic does not have the offset.
//
// An open transaction in front of the end of a span is waited for.
func (r *Reader) Next(ctx context.Context) ([]*kgo.Record, error) {
	for {
		if len(r.ranges) == 0 {
			return nil, io.EOF
		}
		fetches := r.client.PollRecords(ctx, 10_000)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var failed error
		fetches.EachError(func(topic string, partition int32, err error) {
			if failed == nil {
				failed = fetchError(topic, partition, r.ranges[partition].From, err)
			}
		})
		if failed != nil {
			return nil, failed
		}
		var records []*kgo.Record
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			span, ok := r.ranges[p.Partition]
			if !ok {
				return
			}
			for _, record := range p.Records {
				if span.To >= 0 && record.Offset >= span.To {
					span.From = span.To
					break
				}
				span.From = record.Offset + 1
				if !record.Attrs.IsControl() {
					records = append(records, record)
				}
			}
			r.ranges[p.Partition] = span
			if span.To >= 0 && span.From >= span.To {
				delete(r.ranges, p.Partition)
				r.client.PauseFetchPartitions(map[string][]int32{r.topic: {p.Partition}})
			}
		})
		if len(records) > 0 {
			return records, nil
		}
	}
}

// Each calls take with what Next returns, until every span was read to its end, which is no error. An error of take
// ends it.
func (r *Reader) Each(ctx context.Context, take func(records []*kgo.Record) error) error {
	for {
		records, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := take(records); err != nil {
			return err
		}
	}
}

// ReadCommitted calls take with all committed records that a topic holds now. The client is for asking what that is;
// the records are read with one of their own.
func ReadCommitted(ctx context.Context, cl *kgo.Client, o Options, topic string,
	take func(records []*kgo.Record) error) error {
	ranges, err := CommittedRanges(ctx, cl, topic)
	if err != nil {
		return err
	}
	return readSpans(ctx, o, topic, ranges, take)
}

// Close ends the reader.
func (r *Reader) Close() {
	if r.client != nil {
		r.client.Close()
	}
}

func fetchError(topic string, partition int32, offset int64, err error) error {
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return fmt.Errorf("read %s partition %d at offset %d: %w: %w", topic, partition, offset, ErrOutOfRange, err)
	}
	if errors.Is(err, kerr.UnknownTopicID) {
		return fmt.Errorf("read %s partition %d: the topic was deleted and made again, begin once more: %w", topic,
			partition, err)
	}
	return fmt.Errorf("read %s partition %d: %w", topic, partition, err)
}
