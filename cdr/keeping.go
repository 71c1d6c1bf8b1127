package cdr

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"fmt"
	"slices"

	"januscdr/janus"
)

// An application server holds one session and thousands of handles in it. So a handle is a state of its own, read when an
// event is of it and written when that changed it; its session's own state is small and holds of all its handles only
// sums. The index knows of each handle when it is due.

// handleEntry is a handle of the index.
type handleEntry struct {
	id       janus.HandleID
	number   int32   // it is the session's number-th
	epoch    uint32  // index.epoch when it was looked at last
	h        *handle // nil: at rest, see resting.go
	bytes    stateBytes
	deadline janus.Micros // next deadline on the partition clock, 0 for none
	silence  janus.Micros // next deadline on the emitter's alive clock, 0 for none
	queued   janus.Micros // the earliest entry for it in its emitter's queue, 0 for none
	used     bool         // for eviction: since it was looked at last
	listed   bool         // for eviction: it is in index.decodedHandles
	dirty    bool         // it changed since the last step
	watch    bool         // its deadlines may have changed
	counts   counted      // in the census, while its session does
	deleted  bool
	stored   bool // its state is in the store, or will be with the step that is on its way
}

// fail keeps the first error of the store, for Apply or Flush to return.
func (p *Partition) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// handle brings a handle of a session into memory; nil when the session knows none of that id.
func (p *Partition) handle(k *sessionEntry, id janus.HandleID) *handle {
	e := k.handles.get(id)
	if e == nil || e.deleted {
		return nil
	}
	p.loadHandle(k, e)
	return e.h
}

func (p *Partition) loadHandle(k *sessionEntry, e *handleEntry) {
	p.index.look(e)
	if e.h != nil || e.deleted {
		return
	}
	b, err := e.bytes.b, error(nil)
	p.key = appendHandleKey(p.key[:0], k.em.name, k.ref.id, e.id)
	if b == nil {
		b, err = p.states.Get(p.key)
	}
	switch {
	case err != nil:
		p.fail(fmt.Errorf("read handle %q: %w", p.key, err))
	case b == nil:
		p.fail(fmt.Errorf("read handle %q: the store has lost it: set its directory aside and start again, it is rebuilt from the changelog", p.key))
	default:
		if e.h, err = readHandle(&p.spare, p.key, b, e.id); err != nil {
			p.fail(err)
			return
		}
		p.index.decodedHandle(e)
	}
}

func readHandle(used *spare, key, value []byte, id janus.HandleID) (*handle, error) {
	h := used.handle()
	if err := decodeWith(used, value, h.fields); err != nil {
		return nil, fmt.Errorf("read handle %q: %w", key, err)
	}
	if h.id != id {
		return nil, fmt.Errorf("read handle %q: the state is that of handle %v", key, h.id)
	}
	return h, nil
}

// all brings all handles of a session into memory, in the order in which they came.
func (p *Partition) all(k *sessionEntry) []*handle {
	entries := make([]*handleEntry, 0, k.handles.size())
	for e := range k.handles.all() {
		if !e.deleted {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b *handleEntry) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.id, b.id))
	})
	handles := make([]*handle, 0, len(entries))
	for _, e := range entries {
		if p.loadHandle(k, e); e.h != nil {
			handles = append(handles, e.h)
		}
	}
	return handles
}

// addHandle puts a handle into the index.
func (x *index) addHandle(k *sessionEntry, h *handle) *handleEntry {
	e := k.handles.get(h.id)
	if e == nil {
		e = &handleEntry{id: h.id}
		k.handles.add(e)
		x.handles++
	}
	if e.h == nil {
		x.decodedHandle(e)
	}
	e.h, e.number, e.deleted = h, h.number, false
	x.look(e)
	return e
}

// touchHandle notes that a handle changes in this step, and may be due at another time.
func (p *Partition) touchHandle(k *sessionEntry, id janus.HandleID) {
	e := k.handles.get(id)
	if e == nil {
		return
	}
	p.touch(k)
	if !e.watch {
		e.watch = true
		k.unwatched = append(k.unwatched, e)
	}
	if !e.dirty {
		e.dirty = true
		k.changed = append(k.changed, e)
		p.changedHandles++
	}
}

// forget drops a handle that is not needed any more.
func (p *Partition) forget(k *sessionEntry, h *handle) {
	p.touchHandle(k, h.id)
	for _, legs := range [2][]*leg{h.legs, h.asleep} {
		for _, l := range legs {
			p.index.dropMembership(k, h, l)
		}
	}
	e := k.handles.get(h.id)
	e.deleted, e.h = true, nil
	p.index.cachedHandles--
}

// discard drops all handles of a session, and what its summary was to be made of.
func (p *Partition) discard(k *sessionEntry) {
	for _, h := range p.all(k) {
		//mutant:handles-discarded
		p.forget(k, h)
	}
}

// handleChanges appends what has changed of the handles of a session since the step before.
func (p *Partition) handleChanges(k *sessionEntry, changes []Change) []Change {
	p.watchHandles(k)
	for _, e := range k.changed {
		e.dirty = false
		switch {
		case !e.deleted:
			e.stored = true
			p.key = appendHandleKey(p.key[:0], k.em.name, k.ref.id, e.id)
			if e.h != nil {
				changes = append(changes, p.change(&e.bytes, e.h.base(), e.h.fields))
			} else if e.bytes.b != nil {
				changes = append(changes, p.changeOf(&e.bytes))
			}
		default:
			p.drop(&e.bytes)
			//mutant:handle-state-deleted
			if e.stored {
				changes = append(changes, Change{Key: handleKey(k.em.name, k.ref.id, e.id)})
			}
			k.handles.remove(e.id)
			p.index.handles--
		}
	}
	p.changedHandles -= len(k.changed)
	clear(k.changed)
	k.changed = k.changed[:0]
	if k.stub && k.handles.size() == 0 { // it will not have any, unless it begins anew
		k.handles, k.changed, k.unwatched = handleSet{}, nil, nil
	}
	return changes
}

// deadlineOf is when a handle next has to be looked at on the partition clock; 0 for never.
func (p *Partition) deadlineOf(em *emitterEntry, h *handle) (at janus.Micros) {
	for _, l := range h.legs {
		if l.closing {
			if t := l.closeClock + p.terms(em, h.plugin).Grace; at == 0 || t < at {
				at = t
			}
		}
	}
	if h.gone() {
		at = h.detachedClock + p.terms(em, "").Grace
	}
	return at
}

// gone tells whether a handle is gone and has nothing open any more. What sleeps though the next of its kind has followed is no reason
// to keep it: with it all that could come late of its end is over.
func (h *handle) gone() bool {
	for _, l := range h.asleep {
		//mutant:gone-with-what-sleeps
		if !l.superseded() {
			return false
		}
	}
	return h.detachedAt != 0 && len(h.legs) == 0
}

// watchHandles sees to it that the handles of a session that have changed are looked at when they are due.
func (p *Partition) watchHandles(k *sessionEntry) {
	for _, e := range k.unwatched {
		e.watch = false
		var at, silence janus.Micros
		if !e.deleted && !k.stub && e.h != nil {
			//mutant:handle-due
			at = p.deadlineOf(k.em, e.h)
			if limit := e.h.patience(p.terms(k.em, e.h.plugin)); limit != 0 {
				//mutant:handle-silent
				silence = e.h.alive + limit
			}
		}
		p.index.watchHandle(k, e, at, silence)
		p.countHandle(k, e)
	}
	k.unwatched = k.unwatched[:0]
}

// watchHandle puts the deadlines of a handle into the queues: at on the partition clock, silence on the alive clock of its
// emitter, 0 for none.
func (x *index) watchHandle(k *sessionEntry, e *handleEntry, at, silence janus.Micros) {
	switch {
	case e.silence == 0 && silence != 0:
		k.waiting++
	case e.silence != 0 && silence == 0:
		k.waiting--
	}
	if e.silence = silence; silence == 0 && e.deleted {
		e.queued = 0
	}
	if at != e.deadline {
		if e.deadline = at; at != 0 {
			heap.Push(&x.due, deadline{at: at, emitter: k.em.name, ref: k.ref, handle: e.id})
		}
	}
	if silence != 0 && (e.queued == 0 || silence < e.queued) {
		e.queued = silence
		x.queueSilence(k.em, deadline{at: silence, emitter: k.em.name, ref: k.ref, handle: e.id})
	}
}

// queueSilence puts an entry into the queue of an emitter.
func (x *index) queueSilence(em *emitterEntry, d deadline) {
	heap.Push(&em.due, d)
	em.pruned = em.due.prune(em.pruned, func(d deadline) bool {
		k := x.sessions[d.ref]
		if k == nil || k.deleted || k.stub {
			return false
		}
		if d.handle == 0 {
			return k.queuedFor == d.at
		}
		e := k.handles.get(d.handle)
		return e != nil && !e.deleted && e.queued == d.at
	})
}

// closeLegsAfterGrace writes down the legs of a handle whose grace is over at now, on the partition clock.
func (p *Partition) closeLegsAfterGrace(k *sessionEntry, e *handleEntry, now janus.Micros) {
	if p.loadHandle(k, e); e.h == nil {
		return
	}
	h := e.h
	p.touchHandle(k, e.id)
	//mutant:stepped-in-its-grace
	p.stepped(k)
	e.deadline = 0
	grace := p.terms(k.em, h.plugin).Grace
	p.emitLegs(k, []*handle{h}, closeTrigger{}, func(l *leg) bool { return l.closing && l.closeClock+grace <= now })
	//mutant:handle-gone
	if h.gone() && h.detachedClock+p.terms(k.em, "").Grace <= now {
		k.s.lose(h)
		p.forget(k, h)
	}
	p.watch(k, k.s)
}

// giveUpSilent closes the legs of a handle that is silent.
func (p *Partition) giveUpSilent(k *sessionEntry, e *handleEntry, alive janus.Micros) {
	if p.loadHandle(k, e); e.h == nil {
		return
	}
	s, h := k.s, e.h
	p.touchHandle(k, e.id)
	//mutant:stepped-in-silence
	p.stepped(k)
	p.conclude(RuleGaveUpSilent, s, h, nil, facts{limit: h.patience(p.terms(k.em, h.plugin))})
	h.part(p, s)
	p.emitHandle(k, h, closeTrigger{cause: CauseInactivity, latest: p.pos.clock.now}, func(l *leg) bool { return !l.closing })
	s.touchedAlive = max(s.touchedAlive, alive) // a session whose last leg was just given up is silent only from now on
	p.watch(k, s)
}

// scanHandle takes a handle that is in the store into the index.
func (p *Partition) scanHandle(key, value []byte) error {
	emitter, session, id, err := splitHandleKey(key)
	if err != nil {
		return err
	}
	h, err := readHandle(&p.spare, key, value, id)
	if err != nil {
		return err
	}
	var k *sessionEntry
	if em := p.index.emitters[emitter]; em != nil {
		k = p.index.sessions[sessionRef{em.number, session}]
	}
	if k == nil {
		return fmt.Errorf("read handle %q: its session %v of %q is not known", key, session, emitter)
	}
	p.index.scanned(p, k, h).h = nil
	p.index.cachedHandles--
	p.spare.putHandle(h)
	return nil
}

// scanned takes a handle into the index that was read.
func (x *index) scanned(p *Partition, k *sessionEntry, h *handle) *handleEntry {
	e := x.addHandle(k, h)
	e.stored = true
	for _, l := range h.legs {
		if l.kind == RoomMembership && !l.ended {
			//mutant:indexes-of-states
			x.addMembership(k, h, l)
		}
	}
	for _, l := range h.asleep {
		if l.kind == RoomMembership {
			x.addMembership(k, h, l)
		}
	}
	k.unwatched = append(k.unwatched, e)
	p.watchHandles(k)
	return e
}

// A state of version 1 is one for a session with all its handles and legs. It is read as it is, and written in its parts
// when the session changes.

// divide takes a session of version 1 apart. The handles of one that was loaded are all to be written.
func (p *Partition) divide(k *sessionEntry, s *session) {
	for i, h := range s.oldHandles {
		h.number = int32(i) + 1
		if e := k.handles.get(h.id); e != nil && e.h == nil {
			e.h = h
			p.index.decodedHandle(e)
		}
	}
	s.numbered = int32(len(s.oldHandles))
	for _, h := range s.oldHandles {
		if h.detachedAt == 0 {
			s.attached++
		}
	}
	for i, l := range s.oldLegs {
		c := s.chunkAt(int32(i) / legsPerChunk)
		c.legs, c.dirty = append(c.legs, l), true
	}
	s.listed = int32(len(s.oldLegs))
	s.oldHandles, s.oldLegs = nil, nil
}

// -- the legs of a summary --

// legsPerChunk is how many closed legs one state holds.
const legsPerChunk = 64

// legChunk is a part of the list of the legs of a session that were reported.
type legChunk struct {
	legs  []closedLeg
	dirty bool // it changed since the last step
}

func (c *legChunk) fields(w *codec) {
	list(w, 2, &c.legs, func(w *codec, l *closedLeg) { l.fields(w) })
}

func (s *session) chunkAt(n int32) *legChunk {
	if s.chunks == nil {
		s.chunks = map[int32]*legChunk{}
	}
	if s.chunks[n] == nil {
		s.chunks[n] = &legChunk{}
	}
	return s.chunks[n]
}

func chunksOf(legs int32) int32 { return (legs + legsPerChunk - 1) / legsPerChunk }

// chunk brings a part of the list of a session's closed legs into memory.
func (p *Partition) chunk(k *sessionEntry, n int32) *legChunk {
	s := k.s
	if s.chunks[n] == nil && n < chunksOf(s.listed) {
		key := legsKey(s.emitter, s.id, n)
		b, err := p.states.Get(key)
		c := s.chunkAt(n)
		switch {
		case err != nil:
			p.fail(fmt.Errorf("read legs %q: %w", key, err))
		case b == nil:
			p.fail(fmt.Errorf("read legs %q: the store has lost them: set its directory aside and start again, it is rebuilt from the changelog", key))
		default:
			if err := decode(b, c.fields); err != nil {
				p.fail(fmt.Errorf("read legs %q: %w", key, err))
			}
		}
	}
	return s.chunkAt(n)
}

// enlist notes a leg that was reported for the summary of its session, in the place of what was reported of it before.
func (p *Partition) enlist(k *sessionEntry, l *leg, closed closedLeg) {
	s := k.s
	p.touch(k)
	//mutant:counted-once
	if l.revised > 1 || l.listed > 0 { // its record was amended, or is that of a later part, as the leg went on after all
		s.legCount--
	}
	s.legCount++
	if l.revised > 1 && l.listed == 0 { // of a state of version 1
		l.listed = p.placeOf(k, closed.id)
	}
	switch {
	case l.listed > 0:
		c := p.chunk(k, (l.listed-1)/legsPerChunk)
		if i := (l.listed - 1) % legsPerChunk; int(i) < len(c.legs) {
			//mutant:amended-once
			if c.legs[i].answered() {
				s.answered--
			}
			c.legs[i], c.dirty = closed, true
		}
	case s.listed < maxClosedLegs:
		c := p.chunk(k, s.listed/legsPerChunk)
		c.legs, c.dirty = append(c.legs, closed), true
		s.listed++
		l.listed = s.listed
	default:
		s.cut = true
	}
	if closed.answered() {
		s.answered++
	}
}

// placeOf is the place of a leg in the list of its session, from 1; 0 for none.
func (p *Partition) placeOf(k *sessionEntry, id ID) int32 {
	for n := range chunksOf(k.s.listed) {
		for i, c := range p.chunk(k, n).legs {
			if c.id == id {
				return n*legsPerChunk + int32(i) + 1
			}
		}
	}
	return 0
}

// answered tells whether a leg counts among those that were answered.
func (l *closedLeg) answered() bool { return l.answer != 0 && !l.beside }

// closedLegs are the legs of a session that were reported, as many as are listed, by start.
func (p *Partition) closedLegs(k *sessionEntry) []closedLeg {
	all := make([]closedLeg, 0, k.s.listed)
	for n := range chunksOf(k.s.listed) {
		all = append(all, p.chunk(k, n).legs...)
	}
	slices.SortFunc(all, func(a, b closedLeg) int {
		return cmp.Or(cmp.Compare(a.start, b.start), bytes.Compare(a.id[:], b.id[:]))
	})
	return all
}

// chunkChanges appends what has changed of the closed legs of a session since the step before.
func (k *sessionEntry) chunkChanges(changes []Change) []Change {
	if k.s == nil && !k.deleted {
		return changes // it rests, and they are as they were
	}
	var want int32
	if k.s != nil && !k.deleted {
		want = chunksOf(k.s.listed)
		for n, c := range k.s.chunks {
			//mutant:legs-written
			if c.dirty && n < want {
				c.dirty = false
				changes = append(changes, Change{Key: legsKey(k.em.name, k.ref.id, n), Value: encode(make([]byte, 0, 512), c.fields)})
			}
			if n < want-1 {
				delete(k.s.chunks, n) // it is read again at the end
			}
		}
	}
	for n := want; n < k.chunks; n++ {
		//mutant:legs-deleted
		changes = append(changes, Change{Key: legsKey(k.em.name, k.ref.id, n)})
	}
	k.chunks = want
	return changes
}

// -- keys --

const (
	handlePrefix = "h"
	legsPrefix   = "l"
)

func handleKey(emitter string, id janus.SessionID, handle janus.HandleID) []byte {
	return appendHandleKey(nil, emitter, id, handle)
}

func appendHandleKey(b []byte, emitter string, id janus.SessionID, handle janus.HandleID) []byte {
	at := len(b)
	b = appendSessionKey(b, emitter, id)
	b[at] = handlePrefix[0]
	return binary.BigEndian.AppendUint64(b, uint64(handle))
}

func legsKey(emitter string, id janus.SessionID, chunk int32) []byte {
	b := sessionKey(emitter, id)
	b[0] = legsPrefix[0]
	return binary.BigEndian.AppendUint32(b, uint32(chunk))
}

func splitHandleKey(key []byte) (emitter string, session janus.SessionID, handle janus.HandleID, err error) {
	n, w := binary.Uvarint(key[1:])
	if w <= 0 || n > uint64(len(key)) || len(key) != 1+w+int(n)+16 {
		return "", 0, 0, fmt.Errorf("read handle %q: %w", key, errBroken)
	}
	rest := key[1+w:]
	emitter, rest = string(rest[:n]), rest[n:]
	return emitter, janus.SessionID(binary.BigEndian.Uint64(rest)), janus.HandleID(binary.BigEndian.Uint64(rest[8:])), nil
}
