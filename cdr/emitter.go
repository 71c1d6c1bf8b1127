package cdr

import (
	"cmp"
	"slices"
	"strings"

	"januscdr/janus"
)

// Whoever can send an event can invent a server that sent it. What a partition knows of an emitter is needed while one of
// its sessions is known, open or as a stub. After that only its reclaim_session_timeout is, should it have new ones: all
// else begins anew without a difference. So of the emitters without sessions only some are remembered, and which ones
// depends on the log alone. Nor is a name believed to be short.

// emitterEntry is an emitter in the index.
type emitterEntry struct {
	emitter
	number    int64
	dirty     bool            // it changed since the last step, and stands in index.changed
	forgotten bool            // it was forgotten, and its state is still to be deleted
	stored    bool            // its state is in the store, or will be with the step that is on its way
	due       deadlines       // alive clock: silences of its sessions
	pruned    int             // entries that were left in due when void ones were last taken out
	sessions  int             // sessions, open or stubs
	open      []*sessionEntry // its open sessions, in no order
	queued    bool            // it has its entry in index.due, one at most
}

// emitter finds or makes an emitter. Whoever calls it has an event of it at hand, and notes that: else what is known
// would not be what the states say.
func (x *index) emitter(name string) *emitterEntry {
	em := x.emitters[name]
	switch {
	case em == nil:
		em = &emitterEntry{emitter: emitter{name: strings.Clone(name)}, number: x.numbered}
		x.numbered++
		x.emitters[em.name] = em
	case em.forgotten:
		em.emitter, em.forgotten, em.due, em.pruned = emitter{name: em.name}, false, nil, 0
	default:
		return em
	}
	x.idle++
	return em
}

// known finds an emitter; nil: nothing is known of it.
func (x *index) known(name string) *emitterEntry {
	if em := x.emitters[name]; em != nil && !em.forgotten {
		return em
	}
	return nil
}

// sight notes a sighting of the emitter at a partition time.
func (x *index) sight(em *emitterEntry, now janus.Micros) {
	//mutant:emitter-step
	em.alive += min(max(now-em.seen, 0), maxStep)
	em.seen = now
	x.change(em)
}

// change notes that the state of the emitter changes in this step.
func (x *index) change(em *emitterEntry) {
	if !em.dirty {
		em.dirty = true
		x.changed = append(x.changed, em)
	}
}

// addSessions notes that a session of the emitter is known from now on, or is not any more.
func (x *index) addSessions(em *emitterEntry, sessions int) {
	before := em.sessions
	em.sessions += sessions
	switch {
	case before == 0:
		x.idle--
	case em.sessions == 0:
		x.idle++
	}
}

// forgetIdle sees to it that no more than most emitters without sessions are remembered: else it forgets all but a number
// to keep, first those of which nothing would be missed, then those that were not seen for longest. It returns how many.
func (x *index) forgetIdle(most, keep int) (forgotten int64) {
	//mutant:emitters-bounded
	if x.idle <= most {
		return 0
	}
	idle := make([]*emitterEntry, 0, x.idle)
	for _, em := range x.emitters {
		//mutant:emitter-known
		if em.sessions == 0 && !em.forgotten {
			idle = append(idle, em)
		}
	}
	slices.SortFunc(idle, func(a, b *emitterEntry) int {
		//mutant:emitter-forgotten-last
		return cmp.Or(cmp.Compare(a.worth(), b.worth()), cmp.Compare(a.seen, b.seen), cmp.Compare(a.name, b.name))
	})
	for _, em := range idle[:len(idle)-keep] {
		em.forgotten = true
		x.idle--
		x.change(em)
		forgotten++
	}
	return forgotten
}

// worth tells whether something would be missed of an emitter that is forgotten: that its sessions can be reclaimed, or its
// version only.
func (em *emitterEntry) worth() int {
	switch {
	case em.reclaim > 0:
		return 2
	case em.version != "":
		return 1
	}
	return 0
}

// emitterChanges appends what has changed of the emitters since the step before.
func (x *index) emitterChanges(changes []Change) []Change {
	for _, em := range x.changed {
		em.dirty = false
		switch {
		case !em.forgotten:
			em.stored = true
			changes = append(changes, Change{Key: emitterKey(em.name), Value: encode(nil, em.fields)})
		case em.stored:
			changes = append(changes, Change{Key: emitterKey(em.name)})
			fallthrough
		default:
			delete(x.emitters, em.name)
		}
	}
	clear(x.changed)
	x.changed = x.changed[:0]
	return changes
}
