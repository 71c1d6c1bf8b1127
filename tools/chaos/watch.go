package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"januscdr/internal/fixtures/procs"
)

const (
	lookEvery = 200 * time.Millisecond
	tellEvery = 5 * time.Second
)

// watch looks how far the processors are, as the group says.
type watch struct {
	s *storm

	mu        sync.Mutex
	began     time.Time
	end, at   map[int32]int64
	moved     map[int32]time.Time // when a partition was last seen to move, or to have nothing left
	advances  int64
	last      time.Time
	gap       time.Duration // the longest without any commit while there was work
	partition time.Duration // the same for the partition that waited longest
	which     int32
	why       string // it is not settled yet
}

func newWatch(s *storm) *watch {
	now := time.Now()
	return &watch{s: s, began: now, last: now, end: map[int32]int64{}, at: map[int32]int64{}, moved: map[int32]time.Time{}}
}

// offsets asks for the ends of the event log and the committed positions, by partition.
func (s *storm) offsets(ctx context.Context) (end, at map[int32]int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	end, at = map[int32]int64{}, map[int32]int64{}
	// The positions first: the end is never behind them then.
	committed, err := s.admin.FetchOffsetsForTopics(ctx, s.group, s.topics.Events)
	if err == nil {
		err = committed.Error()
	}
	if err != nil {
		return nil, nil, err
	}
	committed.Each(func(o kadm.OffsetResponse) { at[o.Partition] = max(o.At, 0) })
	listed, err := s.admin.ListEndOffsets(ctx, s.topics.Events)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, nil, err
	}
	listed.Each(func(o kadm.ListedOffset) { end[o.Partition] = o.Offset })
	return end, at, nil
}

// run looks until the context ends, and tells now and then how it goes.
func (w *watch) run(ctx context.Context) {
	told := time.Now()
	for procs.Sleep(ctx, lookEvery) {
		if end, at, err := w.s.offsets(ctx); err == nil {
			w.saw(time.Now(), end, at)
		} else {
			w.sawNothing(time.Now())
		}
		if time.Since(told) >= tellEvery {
			told = time.Now()
			fmt.Println(w.line())
		}
	}
}

// saw takes what was asked for.
func (w *watch) saw(now time.Time, end, at map[int32]int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	any, lag := false, int64(0)
	for p := range end {
		if _, known := w.moved[p]; !known {
			w.moved[p] = now
		}
		lag += end[p] - at[p]
		if at[p] > w.at[p] {
			any = true
			w.advances++
		}
		if waited := now.Sub(w.moved[p]); w.end[p] > w.at[p] && waited > w.partition {
			w.partition, w.which = waited, p
		}
		if at[p] > w.at[p] || at[p] == end[p] {
			w.moved[p] = now
		}
	}
	w.gap = max(w.gap, now.Sub(w.last))
	if any || lag == 0 {
		w.last = now
	}
	w.end, w.at = end, at
}

// sawNothing takes that nobody answered: there is no commit then, and work enough.
func (w *watch) sawNothing(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gap = max(w.gap, now.Sub(w.last))
}

// waitsFor notes why the end is not reached.
func (w *watch) waitsFor(why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.why = why
}

func sum(offsets map[int32]int64) (n int64) {
	for _, o := range offsets {
		n += o
	}
	return n
}

func (w *watch) line() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	f, o := w.s.faults, w.s.o
	_, answered, _, repeats := w.s.ledger.counts()
	return fmt.Sprintf("%5.0fs  killed cdr %d/%d ingest %d/%d broker %d/%d paused %d/%d  answered %d (tried again %d)  log %d lag %d  waits %.1fs (longest %.1fs)  %s",
		time.Since(w.began).Seconds(), f.cdr.Load(), o.killsCDR, f.ingest.Load(), o.killsIngest, f.broker.Load(), o.killsBroker,
		f.pauses.Load(), o.pausesCDR+o.pausesIngest+o.pausesBroker, answered, repeats, sum(w.end), sum(w.end)-sum(w.at), time.Since(w.last).Seconds(), w.gap.Seconds(), w.why)
}
