package main

import (
	"crypto/sha256"
	"sync"

	"januscdr/internal/fixtures/traffic"
	"januscdr/janus"
)

// fingerprint stands for the bytes of an event.
type fingerprint [16]byte

func fingerprintOf(value []byte) fingerprint {
	sum := sha256.Sum256(value)
	return fingerprint(sum[:16])
}

// ledger is what the emitters know: which events they sent, and which were answered. It is filled by emitters, and
// judged when they are done.
type ledger struct {
	mu     sync.Mutex
	events map[fingerprint]*entry

	sent, answered  int64 // events
	bodies, repeats int64 // requests that were answered; tries that were not
}

// entry is an event, by its bytes. Some are recorded more than once.
type entry struct {
	emitter  int
	index    int    // place among what the emitter sent, when it was first sent
	session  string // empty: it names none
	everyone bool   // each partition must have it

	sent, answered int32  // times
	logged         int32  // times in the log, copies apart
	copies         uint64 // partitions that have a copy, a bit for each
}

func newLedger() *ledger { return &ledger{events: map[fingerprint]*entry{}} }

// sends notes events before their body is posted for the first time. It returns what answers needs.
func (l *ledger) sends(emitter, index int, parser *janus.Parser, events []traffic.Event) ([]*entry, error) {
	entries := make([]*entry, len(events))
	for i, e := range events {
		parsed, err := parser.Parse(e.Value)
		if err != nil {
			return nil, err
		}
		id := fingerprintOf(e.Value)
		l.mu.Lock()
		n := l.events[id]
		if n == nil {
			n = &entry{emitter: emitter, index: index + i, session: e.Session, everyone: parsed.Reach() == janus.ReachEveryone}
			l.events[id] = n
		}
		n.sent++
		l.sent++
		l.mu.Unlock()
		entries[i] = n
	}
	return entries, nil
}

// answers notes that a body was answered with 200.
func (l *ledger) answers(entries []*entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range entries {
		n.answered++
	}
	l.answered += int64(len(entries))
	l.bodies++
}

func (l *ledger) repeat() {
	l.mu.Lock()
	l.repeats++
	l.mu.Unlock()
}

func (l *ledger) counts() (sent, answered, bodies, repeats int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent, l.answered, l.bodies, l.repeats
}
