package cdr

import (
	"slices"
	"strings"

	"januscdr/janus"
)

// maxVersion bounds what an emitter says of its version.
const maxVersion = 32

// reach applies an event, or the copy of one, to the sessions that it concerns besides its own: janus.Reach says which
// events these are. A copy ends only what was open at its own timestamp.
func (p *Partition) reach(em *emitterEntry, e *janus.Event, offset int64) error {
	switch b := e.Body.(type) {
	case *janus.ServerStarted:
		em.reclaim = max(b.ReclaimSessionTimeout.Value, 0)
		em.version = strings.Clone(b.Version[:min(len(b.Version), maxVersion)])
		//mutant:restart-closes
		return p.emitterEnded(em, emitterEnd{basis: EndEmitterRestart, time: e.Time})
	//mutant:what-shuts-down
	case *janus.ServerShutdown:
		//mutant:shutdown-closes
		return p.emitterEnded(em, emitterEnd{basis: EndEmitterShutdown, time: e.Time})
	case *janus.TransportEvent:
		if b.Event == "disconnected" {
			return p.disconnected(em, b.ID, e.Time)
		}
	case *janus.PluginEvent:
		return p.roomEvent(em, e, b, offset)
	}
	return nil
}

// emitterEnded marks every session that was open at the time. What lives on, lives on (session.outlives); the rest is
// closed when the grace is over.
func (p *Partition) emitterEnded(em *emitterEntry, m emitterEnd) error {
	m.clock = p.pos.clock.now
	return p.eachSession(em, func(k *sessionEntry) error {
		s := k.s
		if s.incarnation+s.shift > m.time && m.basis == EndEmitterRestart { // of the new process already
			p.touch(k)
			//mutant:version-of-new-process
			s.version = em.version
		}
		if s.incarnation+s.shift > m.time || s.emitterEnd.basis != 0 {
			return nil
		}
		// A session of the new process that began a moment before its `started` has newer events than the old one can have.
		if s.lastTime > m.time+shutdownSpan && m.basis == EndEmitterShutdown || s.lastTime > m.time && m.basis == EndEmitterRestart {
			return nil
		}
		p.touch(k)
		s.emitterEnd = m
		p.conclude(RuleEmitterMarked, s, nil, nil, facts{at: m.time, limit: p.terms(em, "").Grace, word: m.basis.String()})
		p.watch(k, s)
		return nil
	})
}

// disconnected notes the loss of a connection in the sessions that were created over it. An id is used again as soon as
// the connection is gone, so it counts for those that were there.
func (p *Partition) disconnected(em *emitterEntry, id string, at janus.Micros) error {
	for _, ref := range slices.Clone(p.index.transports[transportRef{em.number, id}]) {
		k := p.index.sessions[ref]
		if k == nil || k.stub || k.deleted {
			continue
		}
		if err := p.load(k); err != nil {
			return err
		}
		p.transportLost(em, k, at)
	}
	return nil
}

// roomEvent ends the memberships of others that a plugin event ends: one participant's, or those of a whole room.
func (p *Partition) roomEvent(em *emitterEntry, e *janus.Event, b *janus.PluginEvent, offset int64) error {
	d, ok := b.Departure()
	if !ok {
		return nil
	}
	by := InitiatorUnknown
	if d.ByOthers {
		by = ByRemote
	}
	seats := slices.DeleteFunc(slices.Clone(p.index.rooms[roomRef{em.number, b.Plugin, b.Room}]), func(s membershipEntry) bool {
		//mutant:end-of-a-room
		return !d.All && s.user != d.User
	})
	then := func(s membershipEntry) bool { return s.joined <= e.Time }
	line := &em.timeline
	//mutant:left-before-joined
	if len(seats) > 0 && !slices.ContainsFunc(seats, then) && line.now-e.Time > leastStep {
		line.setBack(e, line.next(line.now, p.pos.clock.now)) // nobody leaves before he came
	}
	//mutant:copy-ends-what-was-open
	seats = slices.DeleteFunc(seats, func(s membershipEntry) bool { return !then(s) })
	for _, s := range seats {
		k := p.index.sessions[s.ref]
		if k == nil || k.stub && !k.sleeps || k.deleted {
			continue
		}
		if err := p.load(k); err != nil {
			return err
		}
		if k.stub {
			p.touch(k)
			p.wakeSession(k)
		}
		h := p.handle(k, s.handle)
		if h == nil {
			continue
		}
		//mutant:left-long-after-detached
		if h.detachedAt != 0 && e.Time > h.detachedAt+togetherSpan {
			continue // it was over by then, whatever its grace lets come in yet
		}
		p.touchHandle(k, h.id)
		f := &eventFold{p: p, em: em, k: k, s: k.s, e: e, raw: e.Time - em.timeline.shift, t: e.Time, offset: offset}
		f.h = h
		f.wake(h, func(l *leg) bool { return l.kind == RoomMembership && l.room == b.Room && (d.All || l.user == d.User) })
		f.leave(h, b.Room, d.User, d.All, b.Name, by)
		p.watch(k, k.s)
	}
	return nil
}
