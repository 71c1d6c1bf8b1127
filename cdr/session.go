package cdr

import (
	"slices"

	"januscdr/janus"
)

// eventFold is one event on its way into its session.
type eventFold struct {
	p      *Partition
	em     *emitterEntry
	k      *sessionEntry
	s      *session
	h      *handle // nil for events of the session itself
	known  *handle // the handle of the event, nil when it is the first of it
	e      *janus.Event
	raw    janus.Micros // its timestamp
	t      janus.Micros // when it happened, on its emitter's timeline
	again  bool         // it is of what was reported
	offset int64

	stepped janus.Micros // how far the event is behind the handle's last one
	opened  bool         // the event opened a leg
	late    bool         // it has waited, and the clock was not set
	leapt   bool         // its timestamp is far ahead, and nothing says yet whether that is true
}

// session folds the event into its session.
func (f *eventFold) session() {
	s, t := f.s, f.t
	created, isCreated := f.e.Body.(*janus.SessionCreated)
	if s.closing && !isCreated {
		s.late++
		f.p.conclude(RuleLateInGrace, s, nil, nil, facts{})
	}
	s.events++
	s.lastOffset = max(s.lastOffset, f.offset)
	s.firstTime, s.lastTime = min(s.firstTime, t), max(s.lastTime, t)
	s.touched, s.touchedAlive = f.p.pos.clock.now, f.em.alive
	//mutant:outlives-the-emitter
	if s.emitterEnd.basis != 0 && s.outlives(f.e) {
		f.p.conclude(RuleMarkWithdrawn, s, nil, nil, facts{at: s.emitterEnd.time, word: s.emitterEnd.basis.String()})
		s.emitterEnd = emitterEnd{} // another server of the same name has ended
	}
	if s.closing && s.destroyed == 0 && s.timedOut == 0 && s.livesOn(f.e) {
		f.p.conclude(RuleMarkWithdrawn, s, nil, nil, facts{at: s.transportLostAt, word: CauseTransportGone.String()})
		s.closing, s.transportLostAt = false, 0 // another connection has claimed it
	}
	switch f.e.Body.(type) {
	case *janus.SessionCreated:
		f.created(created)
	case *janus.SessionDestroyed:
		if s.destroyed == 0 {
			s.destroyed = t
		}
		f.p.conclude(RuleSessionEndDestroyed, s, nil, nil, facts{at: s.destroyed, limit: f.p.terms(f.em, "").Grace})
		f.closeSession()
	case *janus.SessionTimedOut:
		if s.timedOut == 0 {
			s.timedOut = t
		}
		f.p.conclude(RuleSessionEndTimeout, s, nil, nil, facts{at: s.timedOut, limit: f.p.terms(f.em, "").Grace})
		f.closeSession()
	default:
		if f.e.Handle != 0 {
			f.handle()
		}
	}
}

// created gives the session its identity, unless a record has already gone out under another one.
func (f *eventFold) created(b *janus.SessionCreated) {
	s := f.s
	//mutant:late-created
	if s.basis == FirstEvent && !s.emitted && s.revised == 0 {
		s.basis, s.incarnation, s.shift, s.newest = Created, f.raw, f.em.timeline.shift, 0
		//mutant:late-created-told
		if s.events > 1 {
			f.p.conclude(RuleSessionIdentified, s, nil, nil, facts{at: f.t})
		}
	}
	if s.transport == "" {
		s.transport = keep(b.Transport, &s.truncated)
		if b.TransportID != "" && janus.ConnectionIsClient(b.Transport) {
			s.transportID = keep(b.TransportID, &s.truncated)
			f.p.index.connect(f.k, s)
		}
	}
	s.lastClientActivity = max(s.lastClientActivity, f.t)
}

// superseded tells whether an event is of another incarnation of the session's id: its `created`, or what comes after a told end.
func (s *session) superseded(e *janus.Event, raw janus.Micros, known bool) bool {
	//mutant:begun-at-one-moment
	if raw == s.incarnation {
		return false // it would be the same one by its identity
	}
	if _, ok := e.Body.(*janus.SessionCreated); !ok {
		end := max(s.destroyed, s.timedOut)
		//mutant:handle-of-this-life
		if known && e.Time <= end+teardownSpan {
			return false // no other life has the same handle
		}
		return s.closing && end != 0 && isAnother(e, end)
	}
	if s.basis == Created {
		//mutant:incarnation-ends
		return true
	}
	return e.Time > s.lastTime // else it comes late, after other events of its own session
}

// revives tells whether an event is a new life of a session that was closed: another `created`, or what no life goes on to after
// its end.
func revives(b *stub, e *janus.Event, raw janus.Micros) bool {
	if raw == b.incarnation {
		return false
	}
	_, created := e.Body.(*janus.SessionCreated)
	//mutant:later-created
	if created {
		return true
	}
	last := b.last
	if isReport(e.Body) { // it may be of a handle that is forgotten
		last += teardownSpan
	}
	return !created && !b.sleeps && isAnother(e, last)
}

// isAnother tells whether an event that happened after what was told of a session to its end is of another life of its id, whose
// `created` was lost. What Janus tears down after a session's end is told within moments of it.
func isAnother(e *janus.Event, ended janus.Micros) bool {
	switch e.Body.(type) {
	case *janus.PeerConnectionHangup, *janus.HandleDetached, *janus.SessionDestroyed, *janus.SessionTimedOut:
		return e.Time > ended+teardownSpan
	case *janus.MediaReport:
		return e.Time > ended+lateSpan
	}
	//mutant:id-chosen-again
	return e.Time > ended+second
}

// teardownSpan is how long after the end of a session the last word of it may have been said.
const teardownSpan = 10 * second

// outlives tells whether an event shows that the session lives on after its emitter's end.
func (s *session) outlives(e *janus.Event) bool {
	switch e.Body.(type) {
	case *janus.SessionDestroyed, *janus.SessionTimedOut, *janus.HandleDetached, *janus.PeerConnectionHangup:
		return false
	}
	if s.emitterEnd.basis == EndEmitterShutdown {
		return e.Time-s.emitterEnd.time > shutdownSpan // until then it may be the end itself that is reported
	}
	return e.Time > s.emitterEnd.time
}

// livesOn tells whether an event shows that a session whose connection is gone goes on: what only a client can cause.
func (s *session) livesOn(e *janus.Event) bool {
	if e.Time <= s.transportLostAt {
		return false
	}
	switch b := e.Body.(type) {
	case *janus.HandleAttached, *janus.PeerConnectionUp:
		return true
	case *janus.JSEP:
		return b.FromClient
	}
	return false
}

// closeSession starts the grace of the session and of what is open in it.
func (f *eventFold) closeSession() {
	s := f.s
	if !s.closing {
		//mutant:session-grace
		s.closing, s.closeClock = true, f.p.pos.clock.now
	}
	for _, h := range f.p.all(f.k) {
		for _, l := range h.legs {
			f.p.touchHandle(f.k, h.id)
			f.close(l)
			if !l.ended {
				f.p.conclude(RuleLegEndedWithSession, s, h, l, facts{at: f.t, limit: f.p.terms(f.em, h.plugin).Grace})
				l.lastOffset = max(l.lastOffset, f.offset)
			}
		}
	}
}

// ended tells whether the session had ended before a time.
func (s *session) ended(t janus.Micros) bool {
	return s.destroyed != 0 && t > s.destroyed || s.timedOut != 0 && t > s.timedOut
}

// precedes tells whether a time is before the session was there: then the clock has stepped back.
func (s *session) precedes(t janus.Micros) bool {
	return s.basis == Created && t < s.incarnation+s.shift
}

// lose notes of a handle that is not kept any more what must not be forgotten. The id of one that is gone does not come
// again, but old events of it may: they would open legs that were reported. Another one may go on: its next leg must not
// get the number of an earlier one; nor may that of one whose id is chosen again.
func (s *session) lose(h *handle) {
	most := slices.Max(h.next[:])
	if h.detachedAt == 0 {
		s.lostLegs = max(s.lostLegs, most)
		return
	}
	s.goneLegs = max(s.goneLegs, most)
	if len(s.past) >= maxPast {
		s.past = slices.Delete(s.past, 0, 1)
	}
	s.past = append(s.past, h.id)
}

// transportLost notes that the session's connection is gone. The session itself may be claimed by another one.
func (p *Partition) transportLost(em *emitterEntry, k *sessionEntry, at janus.Micros) {
	s := k.s
	if s.transportLostAt != 0 || at < s.incarnation+s.shift {
		return
	}
	p.touch(k)
	s.transportLostAt = at
	p.conclude(RuleConnectionLost, s, nil, nil, facts{at: at})
	p.index.disconnect(k, s)
	p.closeIfLost(em, s)
	p.watch(k, s)
}

// closeIfLost starts the grace of a session whose connection is gone and whose handles are all detached: Janus up to
// 1.3.1 tells no more of it. Where it may be claimed again, its timeout will tell.
func (p *Partition) closeIfLost(em *emitterEntry, s *session) {
	//mutant:connection-lost-closes
	if !s.closing && s.transportLostAt != 0 && s.detached > 0 && s.attached == 0 && em.reclaim == 0 {
		s.closing, s.closeClock = true, p.pos.clock.now
		p.conclude(RuleSessionEndConnectionLost, s, nil, nil, facts{at: s.lastDetached, limit: p.terms(em, "").Grace})
	}
}

// old tells whether a session is an old batch that came again when its session was forgotten: it began in the middle, longer
// before what its emitter had told than a session is remembered, and that went on from there. Nothing of it is charged; its records
// show it.
func (s *session) old(em *emitterEntry) bool {
	return s.newest != 0 && em.timeline.now > s.newest
}
