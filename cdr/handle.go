package cdr

import (
	"slices"

	"januscdr/janus"
)

// handle folds the event into its handle and the handle's legs.
func (f *eventFold) handle() {
	s, e := f.s, f.e
	h := s.find(e.Handle)
	if h == nil {
		if slices.Contains(s.past, e.Handle) {
			return
		}
		if h = s.attach(f, e); h == nil {
			return
		}
	}
	f.h = h
	if h.opaqueID == "" && e.OpaqueID != "" {
		h.opaqueID = keep(e.OpaqueID, &s.truncated)
	}
	stepped := h.last != 0 && h.last-e.Time > stepBack
	h.last, h.alive = max(h.last, e.Time), f.em.alive

	switch b := e.Body.(type) {
	case *janus.HandleAttached:
		f.learn(b.Plugin)
		s.sign = max(s.sign, e.Time)
	case *janus.HandleDetached:
		f.learn(b.Plugin)
	case *janus.PluginEvent:
		f.learn(b.Plugin)
	}
	f.opens()
	var few [few]*leg
	for _, l := range h.taking(few[:0], e.Time) {
		f.cuts(l)
		f.take(l)
		if stepped {
			l.suspect, s.clockSuspect = true, true
			f.p.conclude(RuleClockStepped, s, h, l, facts{at: h.last, limit: h.last - e.Time})
		}
	}
	switch b := e.Body.(type) {
	case *janus.HandleDetached:
		f.detached()
	case *janus.PluginEvent:
		f.plugin(b)
	default:
		f.peerConnection()
	}
}

// attach adds a handle to the session. Where there is no room it lets go of one on which nothing is open; what that
// handle was is then not known any more when it calls again.
func (s *session) attach(f *eventFold, e *janus.Event) *handle {
	if len(s.handles) >= maxHandles {
		s.truncated = true
		f.p.conclude(RuleLeftOut, s, nil, nil, facts{word: "handles"})
		idle := -1
		for i, h := range s.handles {
			if len(h.legs) == 0 {
				idle = i
				break
			}
		}
		if idle < 0 {
			return nil
		}
		s.lose(s.handles[idle])
		s.handles = slices.Delete(s.handles, idle, idle+1)
	}
	h := &handle{id: e.Handle, last: e.Time}
	for kind := range h.next {
		h.next[kind] = s.lostLegs
	}
	s.handles = append(s.handles, h)
	f.p.conclude(RuleHandleOpened, s, h, nil, facts{at: e.Time})
	return h
}

// learn notes the plugin of the handle. A script names itself in its events, so the first name stays.
func (f *eventFold) learn(plugin string) {
	if f.h.plugin == "" && plugin != "" {
		f.h.plugin = keep(plugin, &f.s.truncated)
	}
}

// detached closes what is open on the handle.
func (f *eventFold) detached() {
	h, s := f.h, f.s
	if h.gone != 0 {
		return
	}
	h.gone, h.goneAt = f.e.Time, f.p.pos.clock.now
	s.detached++
	f.p.conclude(RuleHandleClosed, s, h, nil, facts{at: f.e.Time})
	s.lastDetached = max(s.lastDetached, f.e.Time)
	for _, l := range h.legs {
		f.close(l)
		if !l.told {
			f.p.conclude(RuleLegEndedDetached, s, h, l, facts{at: f.e.Time, limit: f.p.terms(f.em, h.plugin).Grace})
			h.lastEnd[l.kind] = max(h.lastEnd[l.kind], f.e.Time)
		}
	}
	f.p.closeIfLost(f.em, s)
}
