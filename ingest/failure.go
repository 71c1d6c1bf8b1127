package ingest

import (
	"sync"
	"time"
)

const failureFor = 30 * time.Second // after that it is no news

// lastFailure is the last reason why a body could not be made safe. A success ends it.
type lastFailure struct {
	mu    sync.Mutex
	why   string
	since time.Time
}

func (f *lastFailure) note(err error, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.why, f.since = "", now
	if err != nil {
		f.why = err.Error()
	}
}

// now is the reason, or empty when all is well or nobody tried for half a minute.
func (f *lastFailure) now(now time.Time) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.since) > failureFor {
		return ""
	}
	return f.why
}
