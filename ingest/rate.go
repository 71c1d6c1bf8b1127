package ingest

import (
	"context"
	"sync"
	"time"
)

const (
	rateBurst   = 10 * time.Second // of its rate that a sender may send at once, after it was silent
	ratedAtOnce = 10_000           // senders whose rate is watched; what more there are is watched together
)

// rates bounds how many bytes a second each sender may send, on the average. Who has sent too much waits; Janus sends
// one body after the other, so that slows it down. A body is let through as long as nothing is owed, however large it
// is, and what it has too much is owed: else one that is larger than the burst would never come through.
type rates struct {
	perSecond int64 // bytes; 0: any

	mu      sync.Mutex
	senders map[party]*allowance
}

// allowance is what a sender may still send.
type allowance struct {
	bytes float64 // negative: it owes them
	at    time.Time
}

// others are all senders together for which there is no room.
var others = party{name: "others"}

func newRates(perSecond int64) *rates {
	return &rates{perSecond: perSecond, senders: map[party]*allowance{}}
}

func (r *rates) most() float64 { return float64(r.perSecond) * rateBurst.Seconds() }

// of is the allowance of a sender as it is now. The lock is held.
func (r *rates) of(who party, now time.Time) *allowance {
	a := r.senders[who]
	if a == nil {
		if len(r.senders) >= ratedAtOnce {
			r.forget(now)
		}
		if len(r.senders) >= ratedAtOnce {
			who = others
			a = r.senders[who]
		}
	}
	if a == nil {
		a = &allowance{bytes: r.most(), at: now}
		r.senders[who] = a
	}
	r.fill(a, now)
	return a
}

func (r *rates) fill(a *allowance, now time.Time) {
	if since := now.Sub(a.at); since > 0 {
		a.bytes, a.at = min(a.bytes+since.Seconds()*float64(r.perSecond), r.most()), now
	}
}

// forget drops the senders that may send all there is: they begin with as much. The lock is held.
func (r *rates) forget(now time.Time) {
	for who, a := range r.senders {
		if r.fill(a, now); a.bytes >= r.most() {
			delete(r.senders, who)
		}
	}
}

// take lets a body through, or says how long nothing more may come of its sender.
func (r *rates) take(who party, bytes int64, now time.Time) (wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.of(who, now)
	if a.bytes <= 0 {
		return time.Duration((-a.bytes + 1) / float64(r.perSecond) * float64(time.Second))
	}
	a.bytes -= float64(bytes)
	return 0
}

// admit lets a body through when its sender may send it. It is false when the context ended before.
func (r *rates) admit(ctx context.Context, who party, bytes int64) bool {
	if r.perSecond == 0 {
		return true
	}
	for {
		wait := r.take(who, bytes, time.Now())
		if wait == 0 {
			return true
		}
		if !pause(ctx, max(wait, time.Millisecond)) {
			return false
		}
	}
}
