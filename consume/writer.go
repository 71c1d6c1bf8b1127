package consume

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// writer collects what the feed hands out and writes it, batch after batch.
type writer struct {
	*Sink
	origin   Origin
	admin    *kgo.Client
	feed     *feed
	from     map[int32]int64 // where reading began
	position map[int32]int64 // of what the target took; Fresh where it holds nothing
	goal     map[int32]int64 // where the topic ended at the start
	began    time.Time

	batch  Batch
	oldest time.Time // when the first row of the batch came
	since  int64     // records written in this session
}

func (w *writer) work(ctx context.Context) error {
	watch, tell := time.NewTicker(watchEvery), time.NewTicker(tellEvery)
	defer watch.Stop()
	defer tell.Stop()
	full := time.NewTicker(w.o.BatchDelay)
	defer full.Stop()
	for {
		if w.reached() {
			if err := w.write(ctx, true); err != nil {
				return err
			}
			if w.status.caughtUp() {
				w.o.Log.Info("the target has what the topic had at the start", "target", w.o.Name, "records", w.since, "took",
					time.Since(w.began).Round(time.Millisecond))
			}
			if w.o.Once {
				return w.flush(ctx)
			}
		}
		select {
		case <-ctx.Done():
			return w.flush(ctx)
		case err := <-w.feed.failed:
			return err
		case p := <-w.feed.portions:
			w.collect(p)
			if len(w.batch.Rows) >= w.o.BatchRecords {
				if err := w.write(ctx, false); err != nil {
					return err
				}
			}
		case <-full.C:
			if len(w.batch.Rows) > 0 && time.Since(w.oldest) < w.o.BatchDelay/2 {
				continue // just begun
			}
			if err := w.write(ctx, false); err != nil {
				return err
			}
		case <-watch.C:
			if err := w.watch(ctx); err != nil {
				return err
			}
		case <-tell.C:
			w.tell()
		}
	}
}

// reached tells, once, that all was handed out that the topic had at the start.
func (w *writer) reached() bool {
	if w.goal == nil {
		return false
	}
	for partition, goal := range w.goal {
		if max(w.from[partition], w.position[partition], w.batch.Steps[partition].To) < goal {
			return false
		}
	}
	w.goal = nil
	return true
}

func (w *writer) collect(p portion) {
	if len(w.batch.Rows) == 0 {
		w.oldest = time.Now()
		w.batch.Rows = p.rows // without a copy
	} else {
		w.batch.Rows = append(w.batch.Rows, p.rows...)
	}
	if w.batch.Steps == nil {
		w.batch.Steps = map[int32]Step{}
	}
	for partition, step := range p.steps {
		if before, ok := w.batch.Steps[partition]; ok {
			step.From = before.From
		} else {
			step.From = w.position[partition] // also where it is Fresh, or lies before records that were given up
		}
		w.batch.Steps[partition] = step
	}
}

// write hands the batch to the target. Marks of transactions alone move no position, unless they have to: an idle topic
// has many of them.
func (w *writer) write(ctx context.Context, marks bool) error {
	b := w.batch
	b.Origin = w.origin
	if len(b.Rows) == 0 && !marks {
		return w.target.Write(ctx, Batch{Origin: w.origin})
	}
	if len(b.Steps) == 0 {
		return nil
	}
	began := time.Now()
	if err := w.target.Write(ctx, b); err != nil {
		return fmt.Errorf("write %d records to %s: %w", len(b.Rows), w.o.Name, err)
	}
	w.metrics.seconds.Observe(time.Since(began).Seconds())
	w.metrics.records.Add(float64(len(b.Rows)))
	w.since += int64(len(b.Rows))
	for partition, step := range b.Steps {
		w.position[partition] = step.To
	}
	if n := len(b.Rows); n > 0 {
		w.metrics.newest.Set(float64(b.Rows[n-1].Appended.UnixMilli()) / 1000)
	}
	w.status.wrote(len(b.Rows), b.Steps)
	w.batch = Batch{}
	return nil
}

// flush makes durable what the target took. It is done in spite of a context that ended: that is how we are told to
// stop.
func (w *writer) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	if err := w.target.Flush(ctx); err != nil {
		return fmt.Errorf("finish %s: %w", w.o.Name, err)
	}
	w.copyPosition(ctx)
	return nil
}

// watch looks how long the topic is now, and whether it is still the same.
func (w *writer) watch(ctx context.Context) error {
	origin, ranges, err := look(ctx, w.admin, w.o.Topic)
	if err != nil {
		w.o.Log.Debug("the topic cannot be looked at", "error", err)
		return nil
	}
	if origin != w.origin {
		return w.origin.foreign(w.o.Name, origin)
	}
	for _, partition := range slices.Sorted(maps.Keys(ranges)) {
		if _, ok := w.position[partition]; !ok {
			return fmt.Errorf("partition %d of %s is new", partition, w.o.Topic) // the next session reads it, too
		}
	}
	ends := map[int32]int64{}
	for partition, r := range ranges {
		ends[partition] = r.To
		w.metrics.lag.WithLabelValues(fmt.Sprint(partition)).Set(float64(lag(w.position[partition], r)))
	}
	w.status.sees(ends)
	w.copyPosition(ctx)
	return nil
}

func lag(position int64, r kafka.Range) int64 { return max(0, r.To-max(position, r.From)) }

// copyPosition tells the group where we are, for tools that draw its lag. Nothing depends on it.
func (w *writer) copyPosition(ctx context.Context) {
	if w.o.Group == "" {
		return
	}
	offsets := kadm.Offsets{}
	for partition, position := range w.position {
		if position >= 0 {
			offsets.AddOffset(w.o.Topic, partition, position, -1)
		}
	}
	if err := kadm.NewClient(w.admin).CommitAllOffsets(ctx, w.o.Group, offsets); err != nil {
		w.o.Log.Warn("the position could not be copied to the group, which only graphs miss", "group", w.o.Group, "error",
			err)
	}
}

// tell says how far the catching up is.
func (w *writer) tell() {
	if w.goal == nil {
		return
	}
	var left int64
	for partition, goal := range w.goal {
		left += max(0, goal-max(0, w.position[partition]))
	}
	rate := float64(w.since) / time.Since(w.began).Seconds()
	pairs := []any{"target", w.o.Name, "records", w.since, "per_second", int64(rate), "left", left}
	if rate > 0 {
		pairs = append(pairs, "takes", time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second))
	}
	w.o.Log.Info("catching up", pairs...)
}
