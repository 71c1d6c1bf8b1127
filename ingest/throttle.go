package ingest

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	throttleFor   = 10 * time.Second // between two lines that say the same of the same sender
	throttleNames = 1024             // what is remembered at most; after that it starts anew
)

// throttledLog is a log in which a sender that fails all the time does not drown the others.
type throttledLog struct {
	log  hclog.Logger
	mu   sync.Mutex
	said map[string]*heldBack // by message and sender
}

// heldBack is what became of one line: when it was last written, and how many were left out since.
type heldBack struct {
	since time.Time
	lines int
}

func newThrottledLog(log hclog.Logger) *throttledLog {
	return &throttledLog{log: log, said: map[string]*heldBack{}}
}

// warn logs, unless it said the same of this sender within the last 10 s; then the next line tells how many there were.
func (t *throttledLog) warn(message string, from Sender, pairs ...any) {
	if lines, ok := t.permit(message+"\x00"+from.String(), time.Now()); ok {
		t.log.Warn(message, append([]any{"sender", from.String(), "held_back", lines}, pairs...)...)
	}
}

// permit tells whether a line may be written now, and how many like it were held back since the last one.
func (t *throttledLog) permit(line string, now time.Time) (lines int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, known := t.said[line]
	if known && now.Sub(h.since) < throttleFor {
		h.lines++
		return 0, false
	}
	if !known {
		if len(t.said) >= throttleNames {
			clear(t.said)
		}
		h = &heldBack{}
		t.said[line] = h
	}
	lines = h.lines
	h.since, h.lines = now, 0
	return lines, true
}
