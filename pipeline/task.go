package pipeline

import (
	"fmt"
	"runtime/debug"
	"time"

	"januscdr/cdr"
	"januscdr/statestore"
)

// task is one partition at work: its fold, its store, and where it stands. It belongs to the goroutine of its worker.
type task struct {
	partition   int32
	fold        *cdr.Partition
	store       *statestore.Store
	releaseSlot func() // gives the partition's slot in this process back
	place       place  // where we were in the group when we got the partition: see ours

	start int64 // where the log began at the restore: for a fold that has no position, or one before it
	end   int64 // end of the partition at the last fetch, -1 when not known
	dirty bool  // something was folded since the last commit
	lags  bool  // the next commit may leave its states for a later one

	unwritten time.Time // since when something is folded that is not in the states; zero: nothing is
	counted   cdr.Counts

	changelog   logSpan // of the changelog partition
	positionKey []byte  // of the last position in it; nil before the first commit
	liveStates  int64   // states at the last rewrite

	waits time.Time // since when it waits to be handed over; zero when it does not
	said  time.Time // when that was said last

	seen   time.Time // when the last record was read
	ticked time.Time // when the last tick was appended
	due    cdr.Due

	heard   []cdr.Heard // of its emitters
	listens time.Time   // when that was asked for
}

// logSpan is about how much of a changelog partition there is to read, for rewriting it on the embedded broker, and a
// leader that had all of it.
type logSpan struct {
	first, next int64
	epoch       int32 // as in a checkpoint
}

// next is the offset to read next.
func (t *task) next() int64 {
	return max(t.fold.Next(), t.start)
}

// step takes what the next commit has of the task; without Changes when it has nothing.
func (t *task) step() cdr.Step {
	dirty := t.dirty
	t.dirty = false
	switch {
	case t.lags && dirty:
		return t.fold.Tell()
	case !t.lags && (dirty || !t.unwritten.IsZero()):
		step := t.fold.Step()
		if len(step.Changes) == 0 { // all that was read was folded before
			t.unwritten = time.Time{}
		}
		return step
	}
	return cdr.Step{}
}

// apply folds a record. An error, or a panic, means that the state is broken or the fold is: nothing that was folded
// since the last commit will be seen.
func (t *task) apply(in cdr.Input) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("fold partition %d at offset %d: %w: this is a defect of the program, please report it with "+
				"the event at that offset: %w",
				t.partition, in.Offset, ErrBroken, &panicked{value: p, stack: debug.Stack()})
		}
	}()
	if err := t.fold.Apply(in); err != nil {
		return fmt.Errorf("fold partition %d at offset %d: %w: %w", t.partition, in.Offset, ErrBroken, err)
	}
	return nil
}

// listenEvery is how often a task looks at what is known of its emitters.
const listenEvery = 5 * time.Second

// listen is what is known of the emitters, of some seconds ago at the most.
func (t *task) listen(now time.Time) []cdr.Heard {
	if now.Sub(t.listens) >= listenEvery {
		t.heard, t.listens = t.fold.Heard(), now
	}
	return t.heard
}

// panicked is a panic of the fold as an error.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// close writes what waits and frees the partition for another task of this process.
func (t *task) close() error {
	defer t.releaseSlot()
	if err := t.store.Close(); err != nil {
		return fmt.Errorf("close task of partition %d: %w", t.partition, err)
	}
	return nil
}
