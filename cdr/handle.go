package cdr

import (
	"slices"

	"januscdr/janus"
)

// handle folds the event into its handle and the handle's legs.
func (f *eventFold) handle() {
	s, e := f.s, f.e
	h := f.known
	if h == nil {
		if i := slices.Index(s.past, e.Handle); i >= 0 {
			if _, attached := e.Body.(*janus.HandleAttached); !attached {
				return
			}
			s.past = slices.Delete(s.past, i, i+1) // an application that chooses ids has chosen it again
			h = f.attach()
			//mutant:chosen-again
			h.countFrom(s.goneLegs)
		} else {
			h = f.attach()
		}
	}
	f.h = h
	if f.again {
		return // of what was reported
	}
	if h.opaqueID == "" && e.OpaqueID != "" {
		h.opaqueID = keep(e.OpaqueID, &h.truncated)
	}
	f.wakeBy()
	f.stepped = h.last - f.t
	h.last, h.alive = max(h.last, f.t), f.em.alive

	switch b := e.Body.(type) {
	case *janus.HandleAttached:
		h.attached, h.since = true, f.t
		f.learn(b.Plugin)
		s.lastClientActivity = max(s.lastClientActivity, f.t)
	case *janus.HandleDetached:
		f.learn(b.Plugin)
		f.takeAll(nil)
		f.detached()
		return
	case *janus.PeerConnectionHangup:
		h.refused = 0
	case *janus.PluginEvent:
		f.learn(b.Plugin)
		f.openCompanionLeg()
		f.takeAll(nil)
		f.liveOwn(signOf(h.plugin, b), b)
		f.plugin(b)
		return
	}
	f.peerConnection()
}

// takeAll counts the event in the legs that it is of; held is what takes it of PeerConnections, nil when it is of none in
// particular.
func (f *eventFold) takeAll(held *leg) {
	var buf [fewLegs]*leg
	for _, l := range f.h.taking(buf[:0], f.t) {
		if held != nil && l.next == held {
			l = held
		}
		f.take(l)
		//mutant:told-of-what-has-ended
		if f.stepped > stepBack && !l.ended && !f.late {
			l.clockSuspect, f.s.clockSuspect = true, true
			f.p.conclude(RuleClockStepped, f.s, f.h, l, facts{at: f.h.last, limit: f.stepped})
		}
	}
}

// countFrom numbers the legs to come from a number, by which none was called before.
func (h *handle) countFrom(n int32) {
	for kind := range h.next {
		h.next[kind] = max(h.next[kind], n)
	}
}

// attach adds a handle to the session.
func (f *eventFold) attach() *handle {
	s := f.s
	s.numbered++
	s.attached++
	h := &handle{id: f.e.Handle, number: s.numbered, last: f.e.Time}
	h.countFrom(s.lostLegs)
	f.p.index.addHandle(f.k, h)
	f.p.touchHandle(f.k, h.id)
	f.p.conclude(RuleHandleOpened, s, h, nil, facts{at: f.e.Time})
	return h
}

// learn notes the plugin of the handle. A script names itself in its events, so the first name stays.
func (f *eventFold) learn(plugin string) {
	if f.h.plugin == "" && plugin != "" {
		f.h.plugin = keep(plugin, &f.h.truncated)
	}
}

// detached closes what is open on the handle.
func (f *eventFold) detached() {
	h, s := f.h, f.s
	if h.detachedAt != 0 {
		return
	}
	h.detachedAt, h.detachedClock = f.t, f.p.pos.clock.now
	h.part(f.p, s)
	s.detached++
	s.attached--
	f.p.conclude(RuleHandleClosed, s, h, nil, facts{at: f.t})
	s.lastDetached = max(s.lastDetached, f.t)
	for _, l := range h.legs {
		f.close(l)
		if !l.ended {
			f.knowsCadence(l)
			if l.reports == 0 {
				f.cuts(h, l)
			}
			f.p.conclude(RuleLegEndedDetached, s, h, l, facts{at: f.t, limit: f.p.terms(f.em, h.plugin).Grace})
			h.lastEnd[l.kind] = max(h.lastEnd[l.kind], f.t)
		}
	}
	f.p.closeIfLost(f.em, s)
}

// maxPastLegs bounds the legs of a handle that are remembered when they were reported.
const maxPastLegs = 16

// report notes a leg that was reported.
func (h *handle) reportedLeg(l *leg, end janus.Micros, shift janus.Micros) {
	if len(h.past) >= maxPastLegs {
		h.past = slices.Delete(h.past, 0, 1)
	}
	past := pastLeg{kind: l.kind, from: l.start - l.shift, to: end - shift, id: l.identity()}
	if l.kind == PeerConnection {
		if past.client = l.client; l.up != 0 {
			past.up = l.up - l.shift
		}
	}
	h.past = append(h.past, past)
}

// over tells whether a leg of a kind that was reported had an id.
func (h *handle) over(kind LegKind, id string) bool {
	if id == "" {
		return false
	}
	sum := hashOf(id)
	return slices.ContainsFunc(h.past, func(l pastLeg) bool { return l.kind == kind && l.id == sum })
}

// identity is a hash of what names the leg in its events; 0 for none.
func (l *leg) identity() uint64 {
	switch {
	case l.kind == SIPCall && l.callID != "":
		return hashOf(l.callID)
	case l.kind == RoomMembership:
		return hashOf(l.room.Text + "\x00" + l.user.Text)
	}
	return 0
}

// hashOf is FNV-1a, never 0.
func hashOf(s string) uint64 {
	sum := uint64(14695981039346656037)
	for i := range len(s) {
		sum = (sum ^ uint64(s[i])) * 1099511628211
	}
	return max(sum, 1)
}
