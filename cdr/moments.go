package cdr

import "januscdr/janus"

// The moments of what is open, on its emitter's timeline: those that move when it turns out that the clock had been set
// before them. What partial records have told stays.

// moments calls a function with each moment of the leg that is known.
func (l *leg) moments(f func(*janus.Micros)) {
	each(f, &l.first, &l.last, &l.life, &l.reported, &l.gapFrom, &l.start, &l.accepted, &l.up, &l.evidence, &l.offerTime,
		&l.answered, &l.stepTime, &l.secured, &l.doubt, &l.pair, &l.hangTime, &l.endedAt, &l.endLatest, &l.lastClientActivity, &l.ok200, &l.byeTime,
		&l.twoWay, &l.saidLife, &l.renewed, &l.received, &l.ringing, &l.progress, &l.hold.since, &l.hold.askedSince)
	for i := range l.streams {
		s := &l.streams[i]
		each(f, &s.last, &s.firstMedia, &s.lastMedia)
	}
	if l.next != nil {
		l.next.moments(f)
	}
}

// moments calls a function with each moment of the handle that is known, but for its legs'.
func (h *handle) moments(f func(*janus.Micros)) {
	each(f, &h.detachedAt, &h.last, &h.since)
	for kind := range h.lastEnd {
		each(f, &h.lastEnd[kind])
	}
}

// moments calls a function with each moment of the session itself that is known.
func (s *session) moments(f func(*janus.Micros)) {
	each(f, &s.firstTime, &s.lastTime, &s.transportLostAt, &s.lastClientActivity, &s.lastDetached, &s.destroyed, &s.timedOut,
		&s.emitterEnd.time)
}

func each(f func(*janus.Micros), moments ...*janus.Micros) {
	for _, t := range moments {
		if *t != 0 {
			f(t)
		}
	}
}
