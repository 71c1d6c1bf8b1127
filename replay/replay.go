// Package replay answers whether it would come out the same: it folds the event log again and compares what comes out
// with the records that were emitted.
//
// It promises to change nothing: it reads with clients of its own, belongs to no group and commits nothing, so it can
// run beside the processors at any time. Memory is what is open in one partition, and what does not match. It touches
// Kafka, through package kafka.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/kafka"
	"januscdr/pipeline"
)

// Options say what is replayed.
type Options struct {
	Kafka  kafka.Options
	Events string // topic of the events
	Policy cdr.Policy

	Partitions []int32 // empty: all
	From       int64   // offset to begin at; negative: the earliest. What began before it comes out otherwise

	Since, Until time.Time // append times to begin at and to end before; zero: no bound. Until is not for Verify
}

// Earliest as Options.From begins at the earliest event that the log still has.
const Earliest int64 = -1

// Summary says what was replayed.
type Summary struct {
	Partitions int
	Inputs     int64 // records of the log: events, copies, ticks
	Records    int64 // that came out
	Parked     int64 // events that could not be understood
	Open       int   // sessions that are open at the end
}

// Run folds the log as it is now, one partition after the other, and calls emit for each record that comes out, in the
// order in which a processor emits them. An error of emit ends it. The record is valid during the call only.
func Run(ctx context.Context, o Options, emit func(*cdr.Record) error) (Summary, error) {
	var sum Summary
	client, err := kafka.NewClient(o.Kafka)
	if err != nil {
		return sum, err
	}
	defer client.Close()
	ranges, err := o.ranges(ctx, client)
	if err != nil {
		return sum, err
	}
	for _, partition := range slices.Sorted(maps.Keys(ranges)) {
		r, err := o.open(partition, ranges[partition])
		if err != nil {
			return sum, err
		}
		for {
			var record *cdr.Record
			if record, err = r.next(ctx); err != nil {
				break
			}
			if err = emit(record); err != nil {
				break
			}
			sum.Records++
		}
		r.close()
		sum.add(r)
		if !errors.Is(err, io.EOF) {
			return sum, err
		}
	}
	return sum, nil
}

func (s *Summary) add(r *refold) {
	s.Partitions++
	s.Inputs += r.inputs
	s.Parked += r.parked
	s.Open += r.fold.OpenSessions()
}

// ranges is what is to be replayed of each partition.
func (o Options) ranges(ctx context.Context, client *kgo.Client) (map[int32]kafka.Range, error) {
	all, err := kafka.CommittedRanges(ctx, client, o.Events)
	if err != nil {
		return nil, err
	}
	if all, err = kafka.Since(ctx, client, o.Events, all, o.Since); err != nil {
		return nil, err
	}
	if all, err = kafka.Until(ctx, client, o.Events, all, o.Until); err != nil {
		return nil, err
	}
	chosen := map[int32]kafka.Range{}
	partitions := o.Partitions
	if len(partitions) == 0 {
		partitions = slices.Collect(maps.Keys(all))
	}
	for _, p := range partitions {
		r, ok := all[p]
		if !ok {
			return nil, fmt.Errorf("replay partition %d of %s: it has partitions 0 to %d only", p, o.Events, len(all)-1)
		}
		if o.From >= 0 {
			switch {
			case o.From < r.From:
				return nil, fmt.Errorf("replay partition %d of %s from offset %d: the log begins at %d, "+
					"what was before is deleted; begin there", p, o.Events, o.From, r.From)
			case o.From > r.To:
				return nil, fmt.Errorf("replay partition %d of %s from offset %d: the log ends at %d; begin before",
					p, o.Events, o.From, r.To)
			}
			r.From = o.From
		}
		chosen[p] = r
	}
	return chosen, nil
}

// refold makes the records of one partition again, one at a time.
type refold struct {
	reader *kafka.Reader
	fold   *cdr.Fold
	queue  []cdr.Record
	done   bool

	inputs, parked int64
}

func (o Options) open(partition int32, stretch kafka.Range) (*refold, error) {
	fold, err := cdr.NewFold(o.Policy, cdr.Source{Topic: o.Events, Partition: partition})
	if err != nil {
		return nil, fmt.Errorf("replay partition %d of %s: %w", partition, o.Events, err)
	}
	reader, err := kafka.NewReader(o.Kafka, o.Events, map[int32]kafka.Range{partition: stretch})
	if err != nil {
		return nil, fmt.Errorf("replay partition %d of %s: %w", partition, o.Events, err)
	}
	return &refold{reader: reader, fold: fold}, nil
}

func (r *refold) close() { r.reader.Close() }

// next returns the next record, io.EOF after the last.
func (r *refold) next(ctx context.Context) (*cdr.Record, error) {
	for len(r.queue) == 0 {
		if r.done {
			return nil, io.EOF
		}
		records, err := r.reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			r.done = true
		} else if err != nil {
			return nil, err
		}
		for _, k := range records {
			step, err := r.fold.Apply(pipeline.Input(k))
			if err != nil {
				return nil, fmt.Errorf("replay %s partition %d at offset %d: %w", k.Topic, k.Partition, k.Offset, err)
			}
			r.inputs++
			r.take(step)
		}
		r.take(r.fold.Step())
	}
	record := &r.queue[0]
	r.queue = r.queue[1:]
	return record, nil
}

func (r *refold) take(step cdr.Step) {
	r.queue = append(r.queue, step.Records...)
	r.parked += int64(len(step.Parked))
}
