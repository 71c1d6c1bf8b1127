package pipeline

import (
	"context"
	"sync"
	"time"
)

// event is something that a worker is told from outside: by the callbacks of its client, or by a restore.
type event struct {
	assigned []int32
	place    place // where we are in the group, with assigned
	revoked  []int32
	lost     []int32        // nobody says whose they are by now
	owned    map[int32]bool // the whole assignment, by the group

	partition int32
	restored  *restored
	attempt   *restoring // that it is the outcome of
}

// inbox is where others leave events for a worker. Each one wakes it from its poll.
type inbox struct {
	mu      sync.Mutex
	events  []event
	failed  error
	cancel  context.CancelFunc // of the poll that runs
	offsets map[int32]int64    // of the group, by partition
	killer  func()             // ends the client
	waiting bool               // a callback of the client is blocked until rebalanceDone
	asking  bool               // the client asks for an assignment
	asksBy  time.Time          // until when it may be about to ask
}

// reset empties the inbox for a new client: what was left for the last one is nothing to us.
func (b *inbox) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events, b.offsets, b.killer = nil, map[int32]int64{}, nil
	b.waiting, b.asking, b.asksBy = false, false, time.Time{}
}

func (b *inbox) put(e event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
	b.wakeLocked()
}

func (b *inbox) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = err
	}
	b.wakeLocked()
}

func (b *inbox) fenced() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// requestRebalance interrupts a poll: a callback of the group, on a goroutine of the client, is blocked until the
// worker has finished its step and calls rebalanceDone.
func (b *inbox) requestRebalance() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = true
	b.wakeLocked()
}

// rebalanceDone says that the callback is let in: nothing is folded that is not committed.
func (b *inbox) rebalanceDone() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = false
}

// rebalanceWaiting tells whether a callback is blocked.
func (b *inbox) rebalanceWaiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

func (b *inbox) wakeLocked() {
	if b.cancel != nil {
		b.cancel()
	}
}

// watch says which poll to wake. It is false when something waits already.
func (b *inbox) watch(cancel context.CancelFunc) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cancel = cancel
	return len(b.events) == 0 && b.failed == nil && !b.waiting
}

func (b *inbox) take() ([]event, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events, b.cancel = nil, nil
	return events, b.failed
}

func (b *inbox) setKill(kill func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.killer = kill
}

// kill ends the client at once, without a word to the group: the word would be taken for the other process's.
func (b *inbox) kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.killer != nil {
		b.killer()
	}
}

func (b *inbox) noteGroupOffset(partition int32, offset int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offsets[partition] = offset
}

// groupOffset is what the group had when the partition was assigned; false when it had none.
func (b *inbox) groupOffset(partition int32) (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	offset, ok := b.offsets[partition]
	return offset, ok && offset >= 0
}

// joinSoon is how long after a revocation the client may take to ask for an assignment.
const joinSoon = 250 * time.Millisecond

func (b *inbox) join(begins bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking, b.asksBy = begins, time.Time{}
}

// joinsSoon says that a revocation ended: mostly, the client asks for an assignment next.
func (b *inbox) joinsSoon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asksBy = time.Now().Add(joinSoon)
}

// joining tells whether the client is about to join the group's next generation.
func (b *inbox) joining(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asking || now.Before(b.asksBy)
}
