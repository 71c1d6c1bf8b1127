package cdr

import (
	"slices"

	"januscdr/janus"
)

// Silence proves nothing. What is given up because nothing more was heard of it is reported at its last evidence, and
// sleeps: should it be heard of after all (a hangup that comes late, a server whose events waited somewhere), it goes on
// where it was, and when its end is known its record is made again, as an amendment of the first one. A consumer takes of
// each cdr_id and record_sequence_number the highest revision.

// maxAsleep bounds the legs of a handle that sleep.
const maxAsleep = 4

// sleep keeps a leg that was reported though nobody had told its end.
func (h *handle) sleep(p *Partition, k *sessionEntry, l *leg) {
	l.saidLife = l.life
	l.closing, l.closeClock = false, 0
	if len(h.asleep) >= maxAsleep {
		p.index.dropMembership(k, h, h.asleep[0])
		h.asleep = slices.Delete(h.asleep, 0, 1)
	}
	//mutant:leg-sleeps
	h.asleep = append(h.asleep, l)
}

// wake takes up legs that sleep and of which an event says something.
func (f *eventFold) wake(h *handle, says func(*leg) bool) {
	if len(h.asleep) == 0 {
		return
	}
	kept := h.asleep[:0]
	for _, l := range h.asleep {
		if f.t < l.saidLife || !says(l) || !f.wakes(h, l) {
			kept = append(kept, l)
			continue
		}
		if l.superseded() {
			f.close(l)
		}
		l.lastOffset = max(l.lastOffset, f.offset)
		h.legs = append(h.legs, l)
		f.p.conclude(RuleLegWoken, f.s, h, l, facts{at: l.life})
	}
	clear(h.asleep[len(kept):])
	h.asleep = kept
	slices.SortStableFunc(h.legs, func(a, b *leg) int { return int(a.index - b.index) })
}

// wakes tells whether a leg that sleeps may be woken. One that the next of its kind had followed is by what was told late of its
// end, and by nothing that came later.
func (f *eventFold) wakes(h *handle, l *leg) bool {
	if !l.superseded() {
		return h.openLeg(l.kind) == nil || l.kind == RoomMembership
	}
	//mutant:over-by-the-next
	return f.late && l.leftOpenAt(f.t)
}

// superseded tells whether a leg whose end was not seen was followed by the next of its kind: it was over by endLatest.
func (l *leg) superseded() bool { return !l.ended && l.endLatest != 0 }

// leftOpenAt tells whether a moment is one at which a leg may still have lived that the next of its kind has followed.
func (l *leg) leftOpenAt(t janus.Micros) bool {
	return l.superseded() && t >= l.saidLife && t < l.endLatest
}

// wakeBy wakes what an event of the handle proves something of.
func (f *eventFold) wakeBy() {
	h := f.h
	if len(h.asleep) == 0 {
		return
	}
	if _, ok := f.e.Body.(*janus.HandleDetached); ok {
		f.wake(h, func(l *leg) bool { return l.reports == 0 }) // it still tells the end of what has no reports
		return
	}
	s := signOf(h.plugin, f.e.Body)
	b, _ := f.e.Body.(*janus.PluginEvent)
	f.wake(h, func(l *leg) bool {
		if proofs[s][l.kind] == proofOfNothing {
			return false
		}
		if l.kind == SIPCall && b != nil {
			id := callIDOf(b)
			return id == "" || l.callID == "" || id == l.callID
		}
		return true
	})
}

// unchanged tells whether a leg that was reported before has nothing new to say.
func (l *leg) unchanged(e ending) bool {
	//mutant:nothing-new
	return l.revised > 0 && e.basis == EndLastEvidence && l.life == l.saidLife
}

// wakeSession takes up a session that was reported though nobody had told its end.
func (p *Partition) wakeSession(k *sessionEntry) {
	s := k.s
	p.index.drop(k)
	s.stub, s.closing, s.closeClock, s.emitterEnd, s.transportLostAt = nil, false, 0, emitterEnd{}, 0
	p.index.add(s)
	p.conclude(RuleSessionRevived, s, nil, nil, facts{at: s.lastTime})
}

// wakes tells whether an event says something of a session that sleeps: what it did after it was last heard of, or how
// something ended.
func (s *session) wakes(e *janus.Event, h *handle) bool {
	//mutant:life-after-silence
	if e.Time > s.lastTime {
		return true
	}
	switch e.Body.(type) {
	case *janus.SessionDestroyed, *janus.SessionTimedOut, *janus.PeerConnectionHangup:
	default:
		return false
	}
	//mutant:end-wakes
	return h == nil || slices.ContainsFunc(h.asleep, func(l *leg) bool { return e.Time >= l.saidLife })
}
