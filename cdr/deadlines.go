package cdr

import (
	"cmp"
	"container/heap"
	"slices"

	"januscdr/janus"
)

// watch sees to it that a session, and its handles that have changed, are looked at when one of their deadlines passes.
func (p *Partition) watch(k *sessionEntry, s *session) {
	p.watchHandles(k)
	p.index.watch(k, s, p.deadline(k.em, s), p.silenceOf(k, s))
	p.countSession(k)
}

// deadline is when the session next has to be looked at on the partition clock; 0 for never.
func (p *Partition) deadline(em *emitterEntry, s *session) (at janus.Micros) {
	if s.stub != nil {
		return s.stub.expires
	}
	sooner := func(t janus.Micros) {
		if at == 0 || t < at {
			at = t
		}
	}
	if s.closing {
		sooner(s.closeClock + p.terms(em, "").Grace)
	}
	if s.emitterEnd.basis != 0 {
		sooner(s.emitterEnd.clock + p.terms(em, "").Grace)
	}
	return at
}

// silenceOf is when the session is given up if nothing comes of it, on the alive clock of its emitter; 0 while something is
// open on one of its handles, which is given up first.
func (p *Partition) silenceOf(k *sessionEntry, s *session) janus.Micros {
	if k.waiting > 0 {
		return 0
	}
	return s.touchedAlive + p.policy.SessionSilence
}

// patience is how long a handle with open legs may be silent; 0 when it has none.
func (h *handle) patience(t *Terms) janus.Micros {
	open := false
	for _, l := range h.legs {
		if l.closing {
			continue
		}
		open = true
		for i := range l.streams {
			if l.streams[i].count > 0 {
				return t.LegSilence
			}
		}
	}
	if open {
		return t.LegSilenceWithoutStatistics
	}
	return 0
}

// expire does what is due at a partition time, in the order of (deadline, emitter, session).
func (p *Partition) expire(now janus.Micros) error {
	for p.index.mayBeDue(now) {
		at, ok := p.index.nextDeadline()
		if !ok || at > now {
			break
		}
		d := heap.Pop(&p.index.due).(deadline)
		p.dueClock = at
		if d.ref.id == 0 {
			if err := p.giveUp(p.index.emitters[d.emitter], at); err != nil {
				return err
			}
			continue
		}
		k := p.index.sessions[d.ref]
		if err := p.load(k); err != nil {
			return err
		}
		if d.handle != 0 {
			p.closeLegsAfterGrace(k, k.handles.get(d.handle), at)
			continue
		}
		p.touch(k)
		k.deadline = 0
		p.closeAfterGrace(k, at)
	}
	for len(p.index.stubs) > 0 && p.index.stubs[0].at <= now {
		d := heap.Pop(&p.index.stubs).(deadline)
		if k := p.index.sessions[d.ref]; k != nil && !k.deleted && k.stub && k.deadline == d.at {
			p.touch(k)
			p.dueClock = d.at
			if p.trace != nil {
				p.conclude(RuleSessionForgotten, &session{emitter: d.emitter, id: d.ref.id}, nil, nil, facts{limit: p.policy.StubRetention})
			}
			if k.sleeps {
				if err := p.load(k); err != nil {
					return err
				}
				p.discard(k)
			}
			if k.s != nil {
				k.s = nil
				p.index.cached--
			}
			k.deleted = true
			p.countSession(k)
			p.index.addSessions(k.em, -1)
		}
	}
	p.dueClock = 0
	p.counts.Forgotten += p.index.forgetIdle(maxIdle, maxIdle*3/4)
	return nil
}

// closeAfterGrace writes down the session when its grace is over at now, on the partition clock.
func (p *Partition) closeAfterGrace(k *sessionEntry, now janus.Micros) {
	s, em := k.s, k.em
	grace := p.terms(em, "").Grace
	if s.closing && s.closeClock+grace <= now || s.emitterEnd.basis != 0 && s.emitterEnd.clock+grace <= now {
		p.conclude(RuleGraceOver, s, nil, nil, facts{limit: grace})
		p.release(k, closeTrigger{})
		return
	}
	p.watch(k, s)
}

// silence gives up the sessions and legs of an emitter from which nothing came for too long while the emitter lived.
func (p *Partition) silence(em *emitterEntry) error {
	for len(em.due) > 0 && em.due[0].at <= em.alive {
		d := heap.Pop(&em.due).(deadline)
		k := p.index.sessions[d.ref]
		if k == nil || k.deleted || k.stub {
			continue
		}
		if d.handle != 0 {
			if err := p.silentHandle(k, d); err != nil {
				return err
			}
			continue
		}
		if k.queuedFor != d.at {
			continue
		}
		k.queuedFor = 0
		if err := p.load(k); err != nil {
			return err
		}
		if p.silenceOf(k, k.s) != d.at { // it lived on: its turn comes when it is due, as it does after a restart, which queues it there
			p.watch(k, k.s)
			continue
		}
		p.touch(k)
		why := closeTrigger{cause: CauseInactivity, latest: p.pos.clock.now}
		p.inactive(k, why)
	}
	return nil
}

// silentHandle looks at a handle whose entry has come up.
func (p *Partition) silentHandle(k *sessionEntry, d deadline) error {
	e := k.handles.get(d.handle)
	if e == nil || e.deleted || e.queued != d.at {
		return nil
	}
	e.queued = 0
	if e.silence != d.at { // it lived on, or nothing is open any more
		p.index.watchHandle(k, e, e.deadline, e.silence)
		return nil
	}
	if err := p.load(k); err != nil {
		return err
	}
	p.giveUpSilent(k, e, k.em.alive)
	return nil
}

// inactive closes a session on which nothing is open, and which is silent.
func (p *Partition) inactive(k *sessionEntry, why closeTrigger) {
	p.conclude(RuleGaveUpSilent, k.s, nil, nil, facts{limit: p.policy.SessionSilence})
	p.release(k, why)
}

// giveUp closes everything of an emitter that was silent up to a deadline on the partition clock.
func (p *Partition) giveUp(em *emitterEntry, at janus.Micros) error {
	em.queued = false
	return p.eachSession(em, func(k *sessionEntry) error {
		p.touch(k)
		p.conclude(RuleGaveUpEmitterSilent, k.s, nil, nil, facts{limit: p.policy.EmitterSilence})
		//mutant:cause-emitter-silent
		p.release(k, closeTrigger{cause: CauseEmitterSilent, latest: at})
		return nil
	})
}

// eachSession visits the open sessions of an emitter in the order of their ids.
func (p *Partition) eachSession(em *emitterEntry, visit func(*sessionEntry) error) error {
	if len(em.open) == 0 {
		return nil
	}
	open := slices.Clone(em.open) // visit may close them
	slices.SortFunc(open, func(a, b *sessionEntry) int { return cmp.Compare(a.ref.id, b.ref.id) })
	for _, k := range open {
		if err := p.load(k); err != nil {
			return err
		}
		if err := visit(k); err != nil {
			return err
		}
	}
	return nil
}

// finish closes a session because another incarnation of its id has begun at a time.
func (p *Partition) finish(k *sessionEntry, began janus.Micros) error {
	why := closeTrigger{cause: CauseInactivity, until: began}
	if k.s.emitterEnd.basis != 0 {
		why = closeTrigger{} // its emitter's end told why
	}
	p.release(k, why)
	return nil
}
