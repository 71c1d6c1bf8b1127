package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/kafka"
)

// place is an offset of the events.
type place struct {
	partition int32
	offset    int64
}

// latency measures, for a while, how long it takes from when the brokers took the last event of a record to when a
// reader of committed records has it. Another process fills the topic of events, and one makes records of it. Records
// of which nothing told the end are left out: what closed them is no event.
func latency(ctx context.Context, o kafka.Options, events, records string, span time.Duration) error {
	client, err := kafka.NewClient(o, kgo.ConsumeTopics(events, records), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), kgo.FetchMinBytes(1), kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	appended, came := map[place]time.Time{}, map[place][]time.Time{}
	var took []time.Duration
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		now := time.Now()
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Topic == events {
				appended[place{r.Partition, r.Offset}] = r.Timestamp
				return
			}
			record, err := avro.Decode(r.Value)
			if failed = errors.Join(failed, err); err == nil && record.EndBasis != cdr.EndLastEvidence {
				last := place{record.SourcePartition, record.LastOffset}
				came[last] = append(came[last], now)
			}
		})
		if failed != nil {
			return failed
		}
		for last, times := range came {
			if at, ok := appended[last]; ok {
				for _, t := range times {
					took = append(took, t.Sub(at))
				}
				delete(came, last)
			}
		}
	}
	if len(took) == 0 {
		return errors.New("no record came")
	}
	slices.Sort(took)
	at := func(share float64) int64 { return took[int(share*float64(len(took)-1))].Milliseconds() }
	fmt.Printf("%d records; append of the last event to the record, ms: p50 %d, p90 %d, p99 %d, at most %d\n",
		len(took), at(.5), at(.9), at(.99), at(1))
	return nil
}
