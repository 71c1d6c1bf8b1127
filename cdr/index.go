package cdr

import (
	"container/heap"
	"slices"

	"januscdr/janus"
)

// index is what a partition keeps in memory of everything that is open, however much of it is in the store: deadlines,
// rooms and transports. It is never stored; one scan of the states builds it.
type index struct {
	emitterSilence janus.Micros // of the policy

	emitters map[string]*emitterEntry // by name
	numbered int64                    // emitters that were given a number
	idle     int                      // emitters of which no session is known: see emitter.go
	changed  []*emitterEntry          // since the last step
	sessions map[sessionRef]*sessionEntry
	open     int // sessions that are no stubs
	cached   int // sessions in memory

	handles       int // of all sessions
	cachedHandles int // handles in memory

	epoch         uint32 // counts stretches of the log, see resting.go
	inputs        int    // of this one so far
	touched       int    // handles that were looked at in it
	touchedBefore int    // and in the one before

	due        deadlines                     // partition clock: graces, silent emitters
	lookedAt   janus.Micros                  // partition time when its first entry was looked at last
	stubs      deadlines                     // partition clock: they wait for no tick
	rooms      map[roomRef][]membershipEntry // open memberships
	transports map[transportRef][]sessionRef // sessions by their connection

	decodedSessions turns[*sessionEntry] // for eviction, see resting.go
	decodedHandles  turns[*handleEntry]
}

// sessionRef names a session in memory.
type sessionRef struct {
	emitter int64
	id      janus.SessionID
}

// sessionEntry is a session of the index.
type sessionEntry struct {
	ref             sessionRef
	em              *emitterEntry
	s               *session // nil: at rest, see resting.go
	bytes           stateBytes
	deadline        janus.Micros // next deadline on the partition clock, 0 for none
	silenceDeadline janus.Micros // next deadline on the emitter's alive clock, 0 for none
	dirty           bool
	deleted         bool
	openAt          int32 // where it stands among the open ones of its emitter
	counts          bool  // in the census
	old             bool  // its state in the store is of version 1
	stub            bool
	sleeps          bool         // a stub of which nobody told the end
	used, listed    bool         // for eviction: since it was looked at last, and whether it stands in index.decodedSessions
	queuedFor       janus.Micros // the earliest entry for it in its emitter's queue, 0 for none

	handles   handleSet
	waiting   int            // handles on which something is open that may be given up by silence
	changed   []*handleEntry // since the last step
	unwatched []*handleEntry // their deadlines may have changed
	chunks    int32          // states of closed legs in the store
}

type roomRef struct {
	emitter int64
	plugin  string
	room    janus.ID
}

type membershipEntry struct {
	ref     sessionRef
	handle  janus.HandleID
	user    janus.ID
	joined  janus.Micros
	private uint64 // private_id of a VideoRoom participant
}

type transportRef struct {
	emitter int64
	id      string
}

func newIndex(emitterSilence janus.Micros) index {
	return index{
		emitterSilence: emitterSilence,

		emitters: map[string]*emitterEntry{}, sessions: map[sessionRef]*sessionEntry{},
		rooms: map[roomRef][]membershipEntry{}, transports: map[transportRef][]sessionRef{},
	}
}

// add puts a new or a scanned session into the index.
func (x *index) add(s *session) *sessionEntry {
	em := x.emitter(s.emitter)
	ref := sessionRef{em.number, s.id}
	k := x.sessions[ref]
	if k == nil {
		k = &sessionEntry{ref: ref, em: em, deleted: true}
		x.sessions[ref] = k
	}
	if k.deleted {
		x.addSessions(em, 1)
	}
	k.s, k.deleted, k.stub = s, false, s.stub != nil
	k.sleeps = k.stub && s.stub.sleeps
	x.decoded(k)
	if !k.stub {
		x.open++
		k.openAt = int32(len(em.open))
		em.open = append(em.open, k)
		x.watchEmitter(em)
	}
	if s.transportID != "" {
		x.connect(k, s)
	}
	return k
}

// watchEmitter sees to it that the silence of an emitter with open sessions is noticed.
func (x *index) watchEmitter(em *emitterEntry) {
	if len(em.open) > 0 && !em.queued {
		em.queued = true // at a lower bound: the emitter is looked at when its entry comes up
		heap.Push(&x.due, deadline{at: em.seen, emitter: em.name, ref: sessionRef{em.number, 0}})
	}
}

// drop takes a session out of what is open in the index; its handles are dropped apart. The session itself stays until it is deleted.
func (x *index) drop(k *sessionEntry) {
	if !k.stub {
		x.open--
		k.em.close(k)
	}
	if k.s != nil {
		x.disconnect(k, k.s)
		x.cached--
	}
	k.deadline, k.silenceDeadline, k.queuedFor, k.stub = 0, 0, 0, true
	for e := range k.handles.all() {
		e.queued = 0 // their entries are void, should the session wake up
	}
}

// close takes a session out of the open ones.
func (em *emitterEntry) close(k *sessionEntry) {
	last := len(em.open) - 1
	moved := em.open[last]
	em.open[k.openAt], moved.openAt = moved, k.openAt
	em.open[last] = nil
	if em.open = em.open[:last]; last == 0 {
		em.open, em.due, em.pruned = nil, nil, 0 // nothing is left that it could be silent of
	}
}

func (x *index) addMembership(k *sessionEntry, h *handle, l *leg) {
	r := roomRef{k.ref.emitter, h.plugin, l.room}
	x.rooms[r] = append(x.rooms[r], membershipEntry{ref: k.ref, handle: h.id, user: l.user, joined: l.start, private: l.private})
}

func (x *index) dropMembership(k *sessionEntry, h *handle, l *leg) {
	if l.kind != RoomMembership {
		return
	}
	r := roomRef{k.ref.emitter, h.plugin, l.room}
	seats := slices.DeleteFunc(x.rooms[r], func(s membershipEntry) bool {
		return s.ref == k.ref && s.handle == h.id && s.user == l.user && s.joined == l.start
	})
	if len(seats) == 0 {
		delete(x.rooms, r)
	} else {
		x.rooms[r] = seats
	}
}

func (x *index) connect(k *sessionEntry, s *session) {
	w := transportRef{k.ref.emitter, s.transportID}
	if s.transportLostAt == 0 && !slices.Contains(x.transports[w], k.ref) {
		x.transports[w] = append(x.transports[w], k.ref)
	}
}

func (x *index) disconnect(k *sessionEntry, s *session) {
	w := transportRef{k.ref.emitter, s.transportID}
	refs := slices.DeleteFunc(x.transports[w], func(r sessionRef) bool { return r == k.ref })
	if len(refs) == 0 {
		delete(x.transports, w)
	} else {
		x.transports[w] = refs
	}
}

// watch puts the deadlines of a session into the queues: at on the partition clock, silence on the alive clock of its
// emitter, 0 for none. A stub has no silence.
func (x *index) watch(k *sessionEntry, s *session, at, silence janus.Micros) {
	if at != k.deadline {
		k.deadline = at
		d := deadline{at: at, emitter: s.emitter, ref: k.ref}
		switch {
		case at == 0:
		case s.stub != nil:
			heap.Push(&x.stubs, d)
		default:
			heap.Push(&x.due, d)
		}
	}
	if s.stub != nil {
		k.silenceDeadline = 0
		return
	}
	em := k.em
	k.silenceDeadline = silence
	// One entry a session is enough: it is looked at when it comes up, and put back when the session lived on.
	if k.silenceDeadline != 0 && (k.queuedFor == 0 || k.silenceDeadline < k.queuedFor) {
		k.queuedFor = k.silenceDeadline
		x.queueSilence(em, deadline{at: k.silenceDeadline, emitter: s.emitter, ref: k.ref})
	}
}

// prune takes void entries out of a queue when there may be as many as others: what a session that is over was waiting for
// may be a day away, and sessions come and go, of thousands of emitters. left is how many the time before has left, and
// what is returned how many this time has.
func (q *deadlines) prune(left int, current func(deadline) bool) int {
	if len(*q) <= 2*left+fewEntries {
		return left
	}
	*q = slices.DeleteFunc(*q, func(d deadline) bool { return !current(d) })
	heap.Init(q)
	if cap(*q) > 4*len(*q)+fewEntries {
		*q = slices.Clone(*q)
	}
	return len(*q)
}

// fewEntries are not looked through.
const fewEntries = 4

// mayBeDue tells whether something may be due at a partition time. No entry is later than what it stands for. So the queue need not
// be put right for each record, but now and then: void entries are taken out only then.
func (x *index) mayBeDue(now janus.Micros) bool {
	if len(x.due) == 0 || x.due[0].at > now && now-x.lookedAt < second {
		return false
	}
	x.lookedAt = now
	return true
}

// nextDeadline is when, on the partition clock, something that is open is due at the earliest.
func (x *index) nextDeadline() (janus.Micros, bool) {
	for len(x.due) > 0 {
		d := x.due[0]
		at, ok := x.current(d)
		if ok && at == d.at {
			return at, true
		}
		heap.Pop(&x.due)
		if ok {
			heap.Push(&x.due, deadline{at: at, emitter: d.emitter, ref: d.ref})
		}
	}
	return 0, false
}

// current is when an entry that comes up is really due; not ok means that it is void. The caller takes the entry out of
// the queue unless it is due at its own time.
func (x *index) current(d deadline) (janus.Micros, bool) {
	if d.ref.id == 0 {
		em := x.emitters[d.emitter]
		if em == nil || len(em.open) == 0 {
			if em != nil {
				em.queued = false
			}
			return 0, false
		}
		return em.seen + x.emitterSilence, true
	}
	k := x.sessions[d.ref]
	if k == nil || k.deleted {
		return 0, false
	}
	if d.handle != 0 {
		e := k.handles.get(d.handle)
		return d.at, !k.stub && e != nil && !e.deleted && e.deadline == d.at
	}
	return d.at, k.deadline == d.at
}

// deadline is an entry of a queue: when, and for which handle; handle 0 is the session, session 0 the emitter itself.
type deadline struct {
	at      janus.Micros
	emitter string
	ref     sessionRef
	handle  janus.HandleID
}

// deadlines is a queue in the order of (deadline, emitter, session, handle).
type deadlines []deadline

func (q deadlines) Len() int { return len(q) }
func (q deadlines) Less(i, j int) bool {
	a, b := &q[i], &q[j]
	//mutant:deadlines-by-time
	if a.at != b.at {
		return a.at < b.at
	}
	if a.emitter != b.emitter {
		return a.emitter < b.emitter
	}
	if a.ref.id != b.ref.id {
		return a.ref.id < b.ref.id
	}
	return a.handle < b.handle
}
func (q deadlines) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push adds an entry; heap.Push calls it.
func (q *deadlines) Push(v any) { *q = append(*q, v.(deadline)) }

// Pop takes the last entry; heap.Pop calls it.
func (q *deadlines) Pop() any {
	old := *q
	d := old[len(old)-1]
	*q = old[:len(old)-1]
	return d
}
