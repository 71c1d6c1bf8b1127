package cdr

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"januscdr/janus"
)

// Janus 1.2 and later counts what is open in it, each 15 s (janus.ServerUpdate). A census counts what is open by the log:
// of each emitter the sessions, handles and PeerConnections of this partition whose beginning was told, or life seen, and
// whose end was not told. What was only given up because nothing came of it counts on: silence is no end. At the moment of
// a heartbeat the sum over all partitions is what Janus counts, unless events were lost: see Reconcile.
//
// A census decides nothing about records. It is in memory only, made of the states when a partition is opened and kept by
// what changes in them. A heartbeat comes as a sign of life, which each partition gets, or in a file as the event itself.

// Census is what is open at a moment.
type Census struct{ Sessions, Handles, PeerConnections int64 }

// Add is the sum.
func (o Census) Add(other Census) Census {
	return Census{o.Sessions + other.Sessions, o.Handles + other.Handles, o.PeerConnections + other.PeerConnections}
}

// Tally is what a heartbeat of an emitter says, beside what a partition had open then.
type Tally struct {
	At    janus.Micros // timestamp of the heartbeat, by the clock of its emitter; it names the heartbeat in all partitions
	Janus Census       // by its own count, of all partitions
	Here  Census       // by the log, of this partition
}

// Heard is what a partition knows of an emitter besides its sessions.
type Heard struct {
	Emitter string
	Open    Census       // now
	Tallies []Tally      // of the last heartbeats behind which another one came, oldest first; a few
	Unseen  int64        // handles that have ended, and whose `attached` was not told, since the partition was opened
	Steps   int32        // of its clock, that were noticed since it is known
	Behind  janus.Micros // append time − timestamp of its newest event: its clock, and the way; 0 when none came for minutes
}

const (
	maxRolls     = 4096        // emitters that are counted
	maxTallies   = 4           // of an emitter that are kept
	maxMoves     = 8192        // beginnings and ends of an emitter that are remembered
	movesFor     = minute      // as long as the newest sign may be behind the heartbeat it carries
	staleWay     = 2 * minute  // after that, the newest event says nothing of the clock of now
	rollForgets  = 10 * minute // an emitter with nothing open of which no heartbeat came for so long is not counted any more
	neverCounted = janus.Micros(-1 << 62)
)

// census is what is open in a partition, by emitter.
type census struct {
	rolls map[string]*roll
	fresh []move // of the record at hand, whose moment is still to be known
	told  func(emitter string, t Tally)
}

// roll is what is open on an emitter.
type roll struct {
	open    Census
	moves   []moment
	from    janus.Micros // moves before that are not known
	heard   janus.Micros // partition clock at the last heartbeat
	pending []Tally      // whose events may still come
	due     []janus.Micros
	tallies []Tally
	unseen  int64
}

// move is a beginning or an end.
type move struct {
	at   janus.Micros // on the timeline of the emitter
	name string
	by   Census
}

// moment is a move of one emitter, in few bytes: an emitter has thousands.
type moment struct {
	at                                 janus.Micros
	sessions, handles, peerConnections int32
}

func (m moment) by() Census {
	return Census{int64(m.sessions), int64(m.handles), int64(m.peerConnections)}
}

// roll finds the count of an emitter, or begins one; nil when there is no room.
func (c *census) roll(name string, now janus.Micros) *roll {
	if r := c.rolls[name]; r != nil {
		return r
	}
	if len(c.rolls) >= maxRolls {
		maps.DeleteFunc(c.rolls, func(_ string, r *roll) bool { return r.open == Census{} && now-r.heard >= rollForgets })
		if len(c.rolls) >= maxRolls {
			return nil
		}
	}
	r := &roll{from: neverCounted, heard: now}
	c.rolls[strings.Clone(name)] = r
	return r
}

// moved notes that something begins or ends.
func (c *census) moved(name string, by Census) {
	if by != (Census{}) {
		c.fresh = append(c.fresh, move{name: name, by: by})
	}
}

// settle puts what the record at hand has moved at its moment; 0: when the states were read.
func (c *census) settle(at, now janus.Micros) {
	if len(c.fresh) == 0 {
		return
	}
	for _, m := range c.fresh {
		if r := c.roll(m.name, now); r != nil {
			m.at = at
			r.take(m)
		}
	}
	clear(c.fresh)
	c.fresh = c.fresh[:0]
}

func (r *roll) take(m move) {
	r.open = r.open.Add(m.by)
	for i := range r.pending {
		if m.at <= r.due[i] {
			r.pending[i].Here = r.pending[i].Here.Add(m.by)
		}
	}
	if len(r.moves) >= maxMoves {
		r.forget(maxMoves / 2)
	}
	r.moves = append(r.moves, moment{m.at, int32(m.by.Sessions), int32(m.by.Handles), int32(m.by.PeerConnections)})
}

// forget drops the oldest moves.
func (r *roll) forget(n int) {
	for _, m := range r.moves[:n] {
		r.from = max(r.from, m.at)
	}
	r.moves = append(r.moves[:0], r.moves[n:]...)
}

// beat takes a heartbeat: at is its moment on the timeline.
func (c *census) beat(name string, b *janus.ServerUpdate, timestamp, at, now janus.Micros) {
	if !b.Sessions.Known || !b.Handles.Known || !b.PeerConnections.Known {
		return
	}
	r := c.roll(name, now)
	if r == nil {
		return
	}
	r.heard = now
	same := func(t Tally) bool { return t.At == timestamp }
	if slices.ContainsFunc(r.pending, same) || slices.ContainsFunc(r.tallies, same) {
		return
	}
	c.judge(name, r)
	old := 0
	for old < len(r.moves) && r.moves[old].at < at-movesFor {
		old++
	}
	r.forget(old)
	if at <= r.from {
		return // what has moved since is not known
	}
	t := Tally{At: timestamp, Janus: Census{b.Sessions.Value, b.Handles.Value, b.PeerConnections.Value}, Here: r.open}
	for _, m := range r.moves {
		if m.at > at {
			t.Here = t.Here.Add(Census{}.less(m.by()))
		}
	}
	r.pending, r.due = append(r.pending, t), append(r.due, at)
}

// judge says that nothing more is expected of what was before the heartbeats so far.
func (c *census) judge(name string, r *roll) {
	for _, t := range r.pending {
		if c.told != nil {
			c.told(name, t)
		}
		if len(r.tallies) >= maxTallies {
			r.tallies = append(r.tallies[:0], r.tallies[1:]...)
		}
		r.tallies = append(r.tallies, t)
	}
	r.pending, r.due = r.pending[:0], r.due[:0]
}

// -- hooks of the partition --

// beginCensus counts what was read. Before the newest event of an emitter nothing can be told of it.
func (p *Partition) beginCensus() {
	p.census.settle(0, p.pos.clock.now)
	for name, r := range p.census.rolls {
		r.moves = r.moves[:0]
		if em := p.index.known(name); em != nil {
			r.from = em.timeline.now
		}
	}
}

// takeCensus puts what an event has moved at its moment, and takes the heartbeats of a file.
func (p *Partition) takeCensus(em *emitterEntry, e *janus.Event, raw janus.Micros) {
	p.census.settle(e.Time, p.pos.clock.now)
	if b, ok := e.Body.(*janus.ServerUpdate); ok && p.source.Whole {
		p.census.beat(em.name, b, raw, e.Time, p.pos.clock.now)
	}
}

// signOfLife takes the heartbeat that a sign of life carries, if it does.
func (p *Partition) signOfLife(name string, value []byte) {
	if len(value) == 0 || p.source.Whole {
		return
	}
	e, err := p.parser.Parse(value)
	if err != nil {
		return
	}
	if b, ok := e.Body.(*janus.ServerUpdate); ok {
		at := e.Time
		if em := p.index.known(name); em != nil {
			at += em.timeline.shift
		}
		p.census.beat(name, b, e.Time, at, p.pos.clock.now)
	}
}

// endCensus is for the end of a file: nothing comes behind the last heartbeat.
func (p *Partition) endCensus() {
	for _, name := range slices.Sorted(maps.Keys(p.census.rolls)) {
		p.census.judge(name, p.census.rolls[name])
	}
}

// -- what is open, by the states --

// goesOn tells whether the end of a session was not told.
func (k *sessionEntry) goesOn() bool {
	s := k.s
	switch {
	case k.deleted, s.stub != nil && !s.stub.sleeps:
		return false
	case s.closing, s.destroyed != 0, s.timedOut != 0, s.emitterEnd.basis != 0:
		return false
	}
	return s.transportLostAt == 0 || s.attached > 0 || s.detached == 0
}

// goesOn tells whether a handle is attached, and whether it has a PeerConnection that is up, by what was told.
func (h *handle) goesOn() (attached, up bool) {
	if h.detachedAt != 0 {
		return false, false
	}
	return true, slices.ContainsFunc(h.legs, (*leg).upAndOn) || slices.ContainsFunc(h.asleep, (*leg).upAndOn)
}

// upAndOn tells whether a PeerConnection, or what may be the next one, is up.
func (l *leg) upAndOn() bool {
	for ; l != nil; l = l.next {
		if l.kind == PeerConnection && !l.ended && !l.closing && (l.up != 0 || l.reports > 0) {
			return true
		}
	}
	return false
}

// counted is what counts of a handle, while its session does.
type counted struct{ attached, up bool }

func (c counted) open() (o Census) {
	if c.attached {
		o.Handles = 1
	}
	if c.up {
		o.PeerConnections = 1
	}
	return o
}

func (o Census) less(other Census) Census {
	return Census{o.Sessions - other.Sessions, o.Handles - other.Handles, o.PeerConnections - other.PeerConnections}
}

// countSession notes whether a session counts, which has changed or was read.
func (p *Partition) countSession(k *sessionEntry) {
	if k.s == nil && !k.deleted {
		return
	}
	now := k.goesOn()
	if now == k.counts {
		return
	}
	k.counts = now
	by := Census{Sessions: 1}
	for e := range k.handles.all() {
		by = by.Add(e.counts.open())
	}
	if !now {
		by = Census{}.less(by)
	}
	p.census.moved(k.em.name, by)
}

// countHandle notes what counts of a handle, which has changed or was read.
func (p *Partition) countHandle(k *sessionEntry, e *handleEntry) {
	var now counted
	switch {
	case e.deleted:
	case e.h == nil:
		return
	default:
		now.attached, now.up = e.h.goesOn()
	}
	if now == e.counts {
		return
	}
	if k.counts {
		p.census.moved(k.em.name, now.open().less(e.counts.open()))
	}
	if e.h != nil && e.counts.attached && !now.attached && !e.h.attached {
		if r := p.census.roll(k.em.name, p.pos.clock.now); r != nil {
			r.unseen++
		}
	}
	e.counts = now
}

// Heard tells what is known of the emitters of which something is open or a heartbeat came, by name.
func (p *Partition) Heard() []Heard {
	all := make([]Heard, 0, len(p.census.rolls))
	for name, r := range p.census.rolls {
		h := Heard{Emitter: name, Open: r.open, Tallies: slices.Clone(r.tallies), Unseen: r.unseen}
		if em := p.index.known(name); em != nil {
			h.Steps = em.timeline.steps
			if t := &em.timeline; t.floorKnown && !t.isFile() && p.pos.clock.last-(t.now+t.way) < staleWay {
				h.Behind = t.way
			}
		}
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b Heard) int { return cmp.Compare(a.Emitter, b.Emitter) })
	return all
}

// OnTally lets somebody hear each tally, once, when it is final.
func (p *Partition) OnTally(f func(emitter string, t Tally)) { p.census.told = f }

// Silent are the sessions of an emitter that are open by the log and of which nothing came since a moment, by its clock:
// those whose end may have been lost. They come in the order of their ids, so many at most.
func (p *Partition) Silent(emitter string, since janus.Micros, most int) (ids []janus.SessionID, err error) {
	em := p.index.known(emitter)
	if em == nil {
		return nil, nil
	}
	for ref, k := range p.index.sessions {
		if ref.emitter != em.number || !k.counts {
			continue
		}
		if err := p.load(k); err != nil {
			return nil, err
		}
		if k.s.lastTime-k.s.shift < since {
			ids = append(ids, ref.id)
		}
	}
	slices.Sort(ids)
	return ids[:min(len(ids), most)], nil
}
