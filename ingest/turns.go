package ingest

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/semaphore"
)

// heavyBody is how many bytes are work: what has fewer is done at once.
const heavyBody = 1 << 20

// turns are for work that takes much of the processors: hashing, decompressing and sorting large bodies. Half of the
// processors do it, and one for each sender, so that small bodies find a free one.
type turns struct {
	all *semaphore.Weighted
	mu  sync.Mutex
	of  map[party]*turn
}

// turn is that of one sender; there is one as long as somebody has it or waits for it.
type turn struct {
	free  chan struct{}
	asked int
}

func newTurns() *turns {
	return &turns{all: semaphore.NewWeighted(int64(max(1, runtime.GOMAXPROCS(0)/2))), of: map[party]*turn{}}
}

// take waits for the turn to work on so many bytes, as long as the context lives. Who has it ends it with done.
func (t *turns) take(ctx context.Context, who party, size int64) (done func(), err error) {
	if size < heavyBody {
		return func() {}, nil
	}
	leave, err := t.alone(ctx, who)
	if err != nil {
		return nil, err
	}
	if t.all.Acquire(ctx, 1) != nil {
		leave()
		return nil, errBusy
	}
	return func() {
		t.all.Release(1)
		leave()
	}, nil
}

// alone waits until the sender has no other heavy work, as long as the context lives. It is for work at the speed at
// which the sender sends, which must not hold up others.
func (t *turns) alone(ctx context.Context, who party) (done func(), err error) {
	t.mu.Lock()
	mine := t.of[who]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, 1)}
		t.of[who] = mine
	}
	mine.asked++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.asked--; mine.asked == 0 {
			delete(t.of, who)
		}
	}
	select {
	case mine.free <- struct{}{}:
		return func() {
			<-mine.free
			leave()
		}, nil
	case <-ctx.Done():
		leave()
		return nil, errBusy
	}
}
