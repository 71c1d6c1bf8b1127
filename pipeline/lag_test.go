package pipeline

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
)

// lagging is a consumer of tasks in which something waits since so long.
func lagging(t *testing.T, lag time.Duration, waits ...time.Duration) (*consumer, time.Time) {
	t.Helper()
	now := time.Now()
	c := &consumer{
		worker: &worker{
			commitInterval: 100 * time.Millisecond, commitBacklog: time.Second, commitBytes: 1 << 20, changelogLag: lag,
			member: &member{},
		},
		tasks: map[int32]*task{},
	}
	for i, wait := range waits {
		fold, err := cdr.Open(cdr.DefaultPolicy(), cdr.Source{}, cdr.MemoryStates{})
		if err != nil {
			t.Fatal(err)
		}
		c.tasks[int32(i)] = &task{partition: int32(i), fold: fold, dirty: true, unwritten: now.Add(-wait)}
	}
	return c, now
}

func TestStatesLagNoLongerThanTheyMay(t *testing.T) {
	const ms = time.Millisecond
	for name, in := range map[string]struct {
		lag   time.Duration
		waits []time.Duration
		lags  []bool
	}{
		"none is old":                      {time.Second, []time.Duration{100 * ms, 200 * ms}, []bool{true, true}},
		"one would be too old at the next": {time.Second, []time.Duration{900 * ms, 200 * ms}, []bool{false, true}},
		"all would be":                     {time.Second, []time.Duration{950 * ms, 900 * ms}, []bool{false, false}},
		"of those that are half as old, some": {
			time.Second, []time.Duration{600 * ms, 600 * ms, 600 * ms}, []bool{false, true, true},
		},
		"nothing may lag":    {0, []time.Duration{0, 0}, []bool{false, false}},
		"less than a commit": {50 * ms, []time.Duration{0, 0}, []bool{false, false}},
	} {
		c, now := lagging(t, in.lag, in.waits...)
		c.chooseLag(now)
		for i, want := range in.lags {
			if got := c.tasks[int32(i)].lags; got != want {
				t.Errorf("%s: task %d lags: %t, want %t", name, i, got, want)
			}
		}
	}
}

func TestStatesLagForLongerWhileMuchIsToBeFolded(t *testing.T) {
	for set, want := range map[time.Duration][2]time.Duration{ // while there is a backlog, and without
		time.Second:     {30 * time.Second, time.Second},
		5 * time.Second: {time.Minute, 5 * time.Second},
		time.Minute:     {time.Minute, time.Minute},
		0:               {time.Second, 100 * time.Millisecond}, // each commit has all states
	} {
		c, _ := lagging(t, set, 0)
		if got := c.lag(); got != want[1] {
			t.Errorf("set to %v, states lag for %v, want %v", set, got, want[1])
		}
		c.tasks[0].end = backlog + 1
		if got := c.lag(); got != want[0] {
			t.Errorf("set to %v, states lag for %v behind a backlog, want %v", set, got, want[0])
		}
	}
}

func TestStatesAreWrittenEvenIfNothingMoreComes(t *testing.T) {
	c, now := lagging(t, time.Second, 300*time.Millisecond, 700*time.Millisecond)
	at, wanted := c.statesAt()
	if !wanted || at.Sub(now) != 300*time.Millisecond {
		t.Fatalf("states are written in %v, want 300ms", at.Sub(now))
	}
	if c.commitDue(now) || !c.commitDue(at) {
		t.Fatal("a commit is due when the states are, and not before")
	}
}

func TestMuchThatIsNotWrittenIsWrittenSooner(t *testing.T) {
	c, now := lagging(t, time.Second, 0, 0)
	for partition, n := range map[int32]int{0: 1, 1: 9} {
		for offset := range n {
			created := fmt.Appendf(nil,
				`{"emitter":"e","type":1,"timestamp":1700000000000000,"session_id":%d,"event":{"name":"created"}}`, 1+offset)
			if err := c.tasks[partition].apply(cdr.Input{Offset: int64(offset), Value: created}); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.commitBytes = (c.tasks[0].fold.Waiting() + c.tasks[1].fold.Waiting()) / waitsFor
	c.chooseLag(now)
	if !c.tasks[0].lags || c.tasks[1].lags {
		t.Fatalf("the one with little lags: %t, the one with much: %t", c.tasks[0].lags, c.tasks[1].lags)
	}
}

func TestALogThatEndsBeforeWhatWasToldStopsUs(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	dir := t.TempDir()
	c.worked(dir)
	told := []byte{1 << 1, 3 << 1, 2 << 1, 1 << 1, 5 << 1, 0xd0, 0x0f} // position 1, told up to 1000
	c.write(&kgo.Record{Topic: "state", Key: []byte("p"), Value: told})
	c.refuses(dir, ErrAhead, "the position is 1000")
}

func TestWhatWasFoldedBeforeWaitsForNothing(t *testing.T) {
	c, _ := lagging(t, time.Second, time.Second)
	if step := c.tasks[0].step(); len(step.Changes) != 0 {
		t.Fatalf("%d changes of nothing", len(step.Changes))
	}
	if at, wanted := c.statesAt(); wanted {
		t.Fatalf("states are to be written at %v", at)
	}
}
