package ingest

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	quietFor   = 10 * time.Second // between two lines that say the same of the same sender
	quietNames = 1024             // what is remembered at most; after that it starts anew
)

// quiet is a log in which a sender that fails all the time does not drown the others.
type quiet struct {
	log  hclog.Logger
	mu   sync.Mutex
	said map[string]*muted
}

type muted struct {
	since time.Time
	count int // lines held back
}

func newQuiet(log hclog.Logger) *quiet { return &quiet{log: log, said: map[string]*muted{}} }

// warn logs, unless it said the same of this sender within the last 10 s; then the next line tells how many there were.
func (q *quiet) warn(message string, who sender, pairs ...any) {
	if held, ok := q.permit(message+"\x00"+who.String(), time.Now()); ok {
		q.log.Warn(message, append([]any{"sender", who.String(), "held_back", held}, pairs...)...)
	}
}

func (q *quiet) permit(what string, now time.Time) (heldBack int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m, known := q.said[what]
	if known && now.Sub(m.since) < quietFor {
		m.count++
		return 0, false
	}
	if !known {
		if len(q.said) >= quietNames {
			clear(q.said)
		}
		m = &muted{}
		q.said[what] = m
	}
	heldBack = m.count
	m.since, m.count = now, 0
	return heldBack, true
}
