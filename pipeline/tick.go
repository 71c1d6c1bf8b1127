package pipeline

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/kafka"
)

// Time is in the log: a partition that is idle, while something is open in it, gets a tick appended by its owner, who
// acts on it only when it comes back as a record. A replay sees the same ticks.

const (
	tickAtLeast = time.Minute // while something is open
	tickAtMost  = time.Second
	// tickSlack makes a tick come after its deadline, not a millisecond before: append times have no more digits.
	tickSlack = 2 * time.Millisecond
)

// nextTick is when an idle partition wants a tick, if it wants any: by our own, monotonic clock, counted from when the
// last record was read.
func nextTick(due cdr.Due, seen, ticked time.Time) (at time.Time, wanted bool) {
	if !due.Open {
		return time.Time{}, false
	}
	wait := tickAtLeast
	if due.Deadline {
		wait = min(wait, due.In+tickSlack)
	}
	at = seen.Add(wait)
	if earliest := ticked.Add(tickAtMost); !ticked.IsZero() && at.Before(earliest) {
		at = earliest
	}
	return at, true
}

// appendTicks appends ticks where they are due. It does not wait for them: one that is lost is followed by the next.
func (c *consumer) appendTicks(ctx context.Context, now time.Time) {
	for _, t := range c.tasks {
		at, wanted := nextTick(t.due, t.seen, t.ticked)
		if !wanted || at.After(now) {
			continue
		}
		t.ticked = now
		c.plain.TryProduce(ctx, &kgo.Record{
			Topic:     c.topic,
			Partition: t.partition,
			Headers:   []kgo.RecordHeader{{Key: kafka.HeaderKind, Value: []byte(kinds[cdr.KindTick])}},
		}, func(r *kgo.Record, err error) {
			if err != nil {
				c.metrics.ticks.WithLabelValues("failed").Inc()
				c.log.Debug("tick was not appended", "partition", r.Partition, "error", err)
				return
			}
			c.metrics.ticks.WithLabelValues("appended").Inc()
		})
	}
}
