package cdr

import (
	"bytes"

	"januscdr/janus"
)

// A session that is open for hours is seldom looked at, and as Go values it is many times as large as its state. So of
// the sessions and handles only those that were used lately are decoded. The others rest: as the bytes of their state,
// which the next Step hands out as they are, or in the store where they have not changed since the Step before. When
// something comes to rest is of no influence on what is folded: a state is what it was when it is read again.

// decoded notes that a session is in memory as Go values.
func (x *index) decoded(k *sessionEntry) {
	x.cached++
	k.used = true
	if !k.listed {
		k.listed = true
		x.decodedSessions.add(k)
	}
}

// decodedHandle notes that a handle is in memory as Go values.
func (x *index) decodedHandle(e *handleEntry) {
	x.cachedHandles++
	e.used = true
	if !e.listed {
		e.listed = true
		x.decodedHandles.add(e)
	}
}

// rest brings to rest what was not used for longest, where more is decoded than should be. It is called between two
// records: nobody has a session or a handle in hand.
func (p *Partition) rest() {
	p.restOver()
	x := &p.index
	if x.inputs++; x.inputs >= epochInputs {
		x.inputs, x.touchedBefore, x.touched = 0, x.touched, 0
		x.epoch++
	}
	p.restBeyond(mostDecoded(x.open, x.open, p.mostSessions), mostDecoded(x.handles, max(x.touched, x.touchedBefore), p.mostHandles))
}

// epochInputs is the stretch of the log by which it is seen how many handles are in use at a time.
const epochInputs = 8192

// look notes that a handle is looked at.
func (x *index) look(e *handleEntry) {
	e.used = true
	if e.epoch != x.epoch+1 {
		e.epoch = x.epoch + 1
		x.touched++
	}
}

// mostDecoded is how many of all are decoded, of which some are in use. Those that nothing comes of but their end, after a
// grace, need not be. Where those in use are too many for each to stay, their turns come one after the other, with some
// events of one at a time: then few do as well as many that are not all, and take less memory.
func mostDecoded(all, inUse, most int) int {
	switch {
	case all <= most:
		return most
	case inUse <= most*3/4:
		return max(inUse*5/4, fewDecoded)
	}
	return fewDecoded
}

func (p *Partition) restBeyond(sessions, handles int) {
	x := &p.index
	x.decodedSessions.sweep(&x.cached, sessions, func(k *sessionEntry) (stays bool) {
		if k.s != nil && !k.used && x.cached > sessions {
			p.restSession(k)
		}
		k.used, k.listed = false, k.s != nil
		return k.listed
	})
	x.decodedHandles.sweep(&x.cachedHandles, handles, func(e *handleEntry) (stays bool) {
		if e.h != nil && !e.used && x.cachedHandles > handles {
			p.restHandle(e)
		}
		e.used, e.listed = false, e.h != nil
		return e.listed
	})
}

func (p *Partition) restSession(k *sessionEntry) {
	if k.dirty {
		if len(k.s.chunks) > 0 || k.chunks != chunksOf(k.s.listed) || k.old { // what belongs to it is written with it
			return
		}
		p.keep(&k.bytes, k.s.base(), k.s.fields)
	}
	p.spare.putSession(k.s)
	k.s = nil
	p.index.cached--
}

// over tells whether a session is one that is not looked at any more, but for what comes late: as the bytes of its state it takes
// a tenth.
func (k *sessionEntry) over() bool { return k.s.stub != nil && !k.s.stub.sleeps }

// restOver brings to rest what is over.
func (p *Partition) restOver() {
	for i, k := range p.over {
		if k.s != nil && !k.deleted && k.over() {
			p.restSession(k)
		}
		p.over[i] = nil
	}
	p.over = p.over[:0]
}

func (p *Partition) restHandle(e *handleEntry) {
	if e.watch { // when it is due is still to be seen
		return
	}
	if e.dirty {
		p.keep(&e.bytes, e.h.base(), e.h.fields)
	}
	p.spare.putHandle(e.h)
	e.h = nil
	p.index.cachedHandles--
}

// stateBytes are the bytes of a state in memory, nil for none. They are those of something that rests, or that is decoded
// and has not changed; else they are memory for the next ones.
type stateBytes struct {
	b      []byte
	shared bool // a step has handed them out: they stay as they are
}

// keep writes down the state of something that comes to rest before it is written.
func (p *Partition) keep(s *stateBytes, base janus.Micros, fields func(*codec)) {
	p.scratch = encodeState(p.scratch[:0], base, fields)
	n := len(p.scratch)
	if s.shared || cap(s.b) < n {
		p.drop(s)
		s.b = make([]byte, 0, n+n/8)
		p.kept += cap(s.b)
	}
	s.b = append(s.b[:0], p.scratch...)
}

// handOut notes that a step hands out the bytes of a state, with which they are in the store.
func (p *Partition) handOut(s *stateBytes, b []byte) []byte {
	p.drop(s)
	if p.kept+cap(b) <= maxKept {
		p.kept += cap(b)
		s.b, s.shared = b, true
	}
	return b
}

// change is the new value of the key at hand, of something that is decoded.
func (p *Partition) change(s *stateBytes, base janus.Micros, fields func(*codec)) (c Change) {
	c, p.scratch = change(p.scratch, p.key, base, fields)
	p.handOut(s, c.Value)
	return c
}

// changeOf is the new value of the key at hand, of something that rests.
func (p *Partition) changeOf(s *stateBytes) Change {
	b := s.b
	return Change{Key: bytes.Clone(p.key), Value: p.handOut(s, b)}
}

// drop lets go of the bytes of a state.
func (p *Partition) drop(s *stateBytes) {
	p.kept -= cap(s.b)
	*s = stateBytes{}
}

// turns is what is looked at in turns: a hand goes round, and who was used since it came by last stays.
type turns[T any] struct {
	all  []T
	hand int
}

func (r *turns[T]) add(v T) { r.all = append(r.all, v) }

// sweep moves the hand until no more than most are decoded, twice round at most, and lets go of who does not stay: of
// all that are over by now, too, when they are many.
func (r *turns[T]) sweep(decoded *int, most int, stays func(T) bool) {
	over := len(r.all) > 2*max(*decoded, most/16)+64
	for n := 2 * len(r.all); n > 0 && len(r.all) > 0 && (*decoded > most || over); n-- {
		if r.hand >= len(r.all) {
			r.hand, over = 0, false
		}
		if stays(r.all[r.hand]) {
			r.hand++
			continue
		}
		last := len(r.all) - 1
		r.all[r.hand] = r.all[last]
		var none T
		r.all[last] = none
		r.all = r.all[:last]
	}
}
