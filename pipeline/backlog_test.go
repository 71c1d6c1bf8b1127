package pipeline

import (
	"testing"
	"time"

	"januscdr/cdr"
)

func TestCommitsStretchWhileThereIsABacklog(t *testing.T) {
	fold, err := cdr.Open(cdr.DefaultPolicy(), cdr.Source{}, cdr.MemoryStates{})
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]struct {
		interval, stretched time.Duration
		end                 int64
		want                time.Duration
	}{
		"at the end of the log":           {200 * time.Millisecond, time.Second, 0, 200 * time.Millisecond},
		"a little behind":                 {200 * time.Millisecond, time.Second, backlog, 200 * time.Millisecond},
		"far behind":                      {200 * time.Millisecond, time.Second, backlog + 1, time.Second},
		"far behind, with long intervals": {5 * time.Second, time.Second, 10 * backlog, 5 * time.Second},
	} {
		c := &consumer{
			worker: &worker{commitInterval: in.interval, commitBacklog: in.stretched},
			tasks:  map[int32]*task{0: {fold: fold, end: in.end}}, since: time.Now(),
		}
		if got := c.commitAt().Sub(c.since); got != in.want {
			t.Errorf("%s: commits after %v, want %v", name, got, in.want)
		}
	}
}
