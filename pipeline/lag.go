package pipeline

import (
	"cmp"
	"slices"
	"time"
)

// The changelog lags: a commit tells what the world waits for, and only now and then what the states are by now. Who
// restores folds again what lies between, see cdr.Partition.Tell. How far it lags is bounded by time, and by what it
// costs to keep what is not written in memory.

// While a worker is far behind, states lag by so many times as much, but for longest at most where the setting is less:
// nobody looks at the state of a session of hours ago, and what the next owner folds again of it is little beside what
// is before it.
const (
	behindLags = 30
	longest    = time.Minute
)

// lag is for how long the states of a task may wait at most: for the next commit in any case.
func (c *consumer) lag() time.Duration {
	lag := c.changelogLag
	if c.behind() > backlog {
		lag = max(lag, min(behindLags*lag, longest))
	}
	return max(lag, c.commitWait())
}

// waitsFor is how many times commit_bytes may wait of states: they are small in memory, see cdr/resting.go, and what is
// written of them goes out by partitions.
const waitsFor = 4

func (c *consumer) waitingBytes() int { return waitsFor * c.commitBytes }

// statesAt is when the states of some task are to be written at the latest, if any wait.
func (c *consumer) statesAt() (at time.Time, wanted bool) {
	for _, t := range c.tasks {
		if t.unwritten.IsZero() {
			continue
		}
		if !wanted || t.unwritten.Before(at) {
			at, wanted = t.unwritten, true
		}
	}
	return at.Add(c.lag()), wanted
}

// chooseLag says of each task whether the commit that comes now may leave its states: not, where they would lag for
// too long before the next one, and not of all tasks at once, so that what is written is spread over the commits.
func (c *consumer) chooseLag(now time.Time) {
	lag, wait := c.lag(), c.commitWait()
	all := lag <= wait || c.member.inbox.rebalanceWaiting()
	waiting, bytes := make([]*task, 0, len(c.tasks)), 0
	for _, t := range c.tasks {
		t.lags = !all
		if !t.unwritten.IsZero() {
			waiting, bytes = append(waiting, t), bytes+t.fold.Waiting()
		}
	}
	if all {
		return
	}
	slices.SortFunc(waiting, func(a, b *task) int {
		return cmp.Or(a.unwritten.Compare(b.unwritten), cmp.Compare(a.partition, b.partition))
	})
	some := 1 + int(2*int64(len(waiting))*int64(wait)/int64(lag))
	for _, t := range waiting {
		waits := now.Sub(t.unwritten)
		if waits+wait >= lag {
			t.lags = false
		} else if 2*waits >= lag && some > 0 {
			t.lags = false
			some--
		}
		if !t.lags {
			bytes -= t.fold.Waiting()
		}
	}
	if bytes < c.waitingBytes() {
		return
	}
	slices.SortFunc(waiting, func(a, b *task) int {
		return cmp.Or(cmp.Compare(b.fold.Waiting(), a.fold.Waiting()), cmp.Compare(a.partition, b.partition))
	})
	for _, t := range waiting {
		if t.lags && bytes >= c.waitingBytes()/2 {
			t.lags = false
			bytes -= t.fold.Waiting()
		}
	}
}
