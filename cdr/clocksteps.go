package cdr

import (
	"cmp"
	"math/bits"
	"slices"

	"januscdr/janus"
)

// How steps of an emitter's clock are found that no append time shows: by events that go on from where their handle was,
// with timestamps before it; and by reports, which Janus sends by a clock that is never set. Some show only after other
// events came behind the step. What was folded of those is moved when its session is next looked at.

// clockStep is a step of the clock that showed late, and what it has to do with what was folded behind it.
type clockStep struct {
	number int32        // timeline.steps with it
	by     janus.Micros // what the moments of these events lack
	offset int64        // of a clock that was set back: legs that began behind it
	pivot  janus.Micros // and before this moment; of one that was set forward: moments from this one on
}

func (d *clockStep) fields(c *codec) {
	num(c, 1, &d.number)
	num(c, 2, &d.by)
	num(c, 3, &d.offset)
	num(c, 4, &d.pivot)
}

// maxLateSteps bounds the steps that are remembered for sessions that had no event since.
const maxLateSteps = 8

// late notes what is to be moved by the last step.
func (t *timeline) late(d clockStep) {
	d.number = t.steps
	if len(t.lateSteps) >= maxLateSteps {
		t.lateSteps = slices.Delete(t.lateSteps, 0, 1)
	}
	t.lateSteps = append(t.lateSteps, d)
}

// place finds the moment of an event of a handle or a session, and notes steps of the clock that it shows.
func (f *eventFold) place(appended janus.Micros) {
	h, line := f.known, &f.em.timeline
	if h == nil {
		switch {
		case f.endsEarly():
			f.setBack(max(line.next(line.now, appended), f.s.lastTime))
		case !f.attachedEarly():
		case f.wasWild(f.s.firstTime):
			f.takeBack()
		default:
			f.setBack(line.next(line.now, appended))
		}
		return
	}
	//mutant:told-again
	if h.toldAgain(f.raw, f.e.Body) {
		f.again = true
		return
	}
	if f.reportedBefore(h) {
		f.again = true
		return
	}
	switch {
	//mutant:wild-timestamp
	case f.wasWild(h.last):
		f.takeBack()
	//mutant:told-late
	case f.toldLate(h), f.ofOneBefore(h):
		f.late = true
	//mutant:clock-set-back
	case h.last-f.e.Time > leastStep && f.goesOn(h), f.beginsBefore(h), f.runsBack(h, appended), f.beforeAttached(h),
		f.behindItsHangup(h, appended):
		f.setBack(f.goneBack(h, appended))
	default:
		//mutant:reports-lag
		if lag := f.reportsLag(h, appended); lag > leastStep {
			f.setBack(f.e.Time + lag)
		} else if !line.settled(&f.p.pos.clock) {
			f.setForward(h)
		}
	}
}

// reportedBefore tells whether a report is one of a PeerConnection that was reported: by its time it is, and it does not go on from
// the last one of the open PeerConnection as that did.
func (f *eventFold) reportedBefore(h *handle) bool {
	b, ok := f.e.Body.(*janus.MediaReport)
	pc := h.openLeg(PeerConnection)
	if !ok || pc == nil || f.raw+leastStep >= pc.start-pc.shift || !pc.knows(b) || pc.growsEvenly(b) {
		return false
	}
	//mutant:reported-before
	return slices.ContainsFunc(h.past, func(p pastLeg) bool { return p.kind == PeerConnection && f.raw >= p.from && f.raw <= p.to })
}

// attachedEarly tells whether the event attaches a handle before its session was created.
func (f *eventFold) attachedEarly() bool {
	_, attached := f.e.Body.(*janus.HandleAttached)
	return attached && f.s.precedes(f.e.Time+leastStep)
}

// endsEarly tells whether the event ends its session before what that has told: nothing of it comes long behind its end.
func (f *eventFold) endsEarly() bool {
	if f.s.destroyed != 0 || f.s.timedOut != 0 || f.s.lastTime-f.e.Time <= leastStep {
		return false
	}
	switch f.e.Body.(type) {
	case *janus.SessionDestroyed, *janus.SessionTimedOut:
		//mutant:ends-before-it-lived
		return true
	}
	return false
}

// wasWild tells whether the last moment of a handle or a session was a timestamp far ahead of all others, and the event at
// hand goes on where the clock was before that one. What tells an end may have come late. Where the log has a clock of its own,
// that one was seen when it came.
func (f *eventFold) wasWild(last janus.Micros) bool {
	line := &f.em.timeline
	leapt, since := line.leapTo-line.leapFrom, f.e.Time-line.leapFrom
	return leapt >= leastLeap && last == line.leapTo && line.now == line.leapTo && !line.settled(&f.p.pos.clock) &&
		since > 0 && since <= min(leapt/20, minute) && !tellsEnd(f.e.Body)
}

func tellsEnd(body janus.Body) bool {
	switch b := body.(type) {
	case *janus.PeerConnectionHangup, *janus.HandleDetached, *janus.SessionDestroyed, *janus.SessionTimedOut:
		return true
	case *janus.PluginEvent:
		switch signOf(b.Plugin, b) {
		case signCallOver, signBye, signLeft, signStopped:
			return true
		}
	}
	return false
}

// takeBack takes the last leap of the clock back: it was but one timestamp.
func (f *eventFold) takeBack() {
	line := &f.em.timeline
	leapt := line.leapTo - line.leapFrom
	line.step(0)
	line.late(clockStep{by: -leapt, pivot: line.leapTo})
	line.now = line.leapFrom
	line.leapFrom, line.leapTo = 0, 0
}

// setBack notes that the clock was set back before the event, which happened at a moment.
func (f *eventFold) setBack(at janus.Micros) { f.em.timeline.setBack(f.e, at) }

func (t *timeline) setBack(e *janus.Event, at janus.Micros) {
	by := at - e.Time
	t.step(by)
	//mutant:moved-back
	t.late(clockStep{by: by, offset: t.nowOffset, pivot: t.now - slack})
	e.Time = at
}

// slack is how far events of different threads may be out of order.
const slack = 100 * millisecond

// goneBack is the moment of an event whose timestamp went back.
func (f *eventFold) goneBack(h *handle, appended janus.Micros) janus.Micros {
	line := &f.em.timeline
	at := line.next(h.last, appended)
	pc := h.openLeg(PeerConnection)
	if pc == nil || pc.interval == 0 || !isReport(f.e.Body) || !line.isFile() {
		return at
	}
	at = max(pc.reported+pc.interval, h.last)
	if was := f.raw + line.undo; line.steps > 0 && was >= h.last-pc.interval && was <= at {
		at = max(was, h.last) // one timestamp was wild, and the clock goes on as before
	}
	return at
}

func isReport(b janus.Body) bool { _, ok := b.(*janus.MediaReport); return ok }

// goesOn tells whether an event whose timestamp is behind those of its handle goes on from there: then the clock was set
// back. Else it may be told again, or late.
func (f *eventFold) goesOn(h *handle) bool {
	pc, t := h.openLeg(PeerConnection), f.e.Time
	early := pc != nil && t < pc.start
	first := early && t > h.lastEnd[PeerConnection] // else it may be of the one before, and come late
	switch b := f.e.Body.(type) {
	case *janus.MediaReport:
		return pc != nil && pc.grows(b) && (pc.growsEvenly(b) || !h.wasTold(b, t))
	case *janus.JSEP:
		if !b.Offer {
			return first
		}
		origin := originOf(b.SDP)
		//mutant:offered-again
		if origin != 0 && slices.ContainsFunc(h.past, func(p pastLeg) bool { return p.client == origin && f.raw >= p.from && f.raw <= p.to }) {
			return false // told again
		}
		return !slices.ContainsFunc(h.legs, func(l *leg) bool { // it is that one's
			own := origin != 0 && (origin == l.client || slices.Contains(l.origins, origin))
			return l.kind == PeerConnection && (own || l.start == t || l.offer == 0 && (!l.ended || l.endedAt >= t))
		})
	case *janus.PeerConnectionUp:
		//mutant:up-again
		return early && pc.up == 0 && !h.wasUp(f.raw)
	case *janus.ICEState, *janus.DTLSState, *janus.LocalCandidate, *janus.RemoteCandidate, *janus.SelectedPair, *janus.MediaState:
		return first
	case *janus.PeerConnectionHangup, *janus.HandleDetached:
		return early && pc.life != 0 || pc == nil && len(h.legs) == 0 && h.detachedAt == 0
	case *janus.PluginEvent:
		return f.pluginGoesOn(h, b)
	}
	return false
}

// pluginGoesOn is goesOn for what a plugin tells.
func (f *eventFold) pluginGoesOn(h *handle, b *janus.PluginEvent) bool {
	t := f.e.Time
	switch signOf(h.plugin, b) {
	case signCallOver:
		c := h.openLeg(SIPCall)
		return c != nil && (c.callID == b.CallID || b.CallID == "") && t < c.start
	case signLeft:
		return h.openLeg(RoomMembership) != nil && t < h.openLeg(RoomMembership).start
	//mutant:word-before-the-call
	case signBye, signDialog:
		c := h.openLeg(SIPCall)
		return c != nil && c.callID != "" && callIDOf(b) == c.callID && t < c.start // nothing is said of a call before it is there
	case signMember, signStream, signStopped:
		return false
	}
	switch b.Name {
	case "calling", "incomingcall":
		//mutant:calling-of-videocall
		return h.plugin == janus.PluginSIP && !h.has(SIPCall, t)
	case "joined", "join":
		return !h.has(RoomMembership, t)
	}
	return false
}

// toldLate tells whether an event of the thread of a PeerConnection that comes behind the end of its handle or its session has
// waited: it goes on from what that thread had told, and a clock that was set back takes the timestamps of a thread backwards.
func (f *eventFold) toldLate(h *handle) bool {
	pc, gone := h.openLeg(PeerConnection), f.gone(h)
	if pc == nil || gone-f.e.Time <= leastStep || f.e.Time < max(pc.life, pc.opening()) {
		return false
	}
	switch f.e.Body.(type) {
	case *janus.MediaReport, *janus.PeerConnectionHangup:
		return true
	}
	return false
}

// ofOneBefore tells whether the last report or the hangup of a PeerConnection comes when the next one is there already: its
// timestamp lies in the hole that was left at its end.
func (f *eventFold) ofOneBefore(h *handle) bool {
	b, report := f.e.Body.(*janus.MediaReport)
	if _, ends := f.e.Body.(*janus.PeerConnectionHangup); !ends && !report {
		return false
	}
	before := func(l *leg) bool {
		return l.kind == PeerConnection && l.leftOpenAt(f.e.Time) && (!report || l.reports == 0 || l.grows(b))
	}
	//mutant:of-the-one-before
	return slices.ContainsFunc(h.asleep, before) || slices.ContainsFunc(h.legs, before)
}

// gone is when a handle was let go, or its session; 0 while neither is known.
func (f *eventFold) gone(h *handle) janus.Micros {
	return cmp.Or(h.detachedAt, f.s.destroyed, f.s.timedOut)
}

// mayHaveLived is until when a PeerConnection may have lived whose end was told late, 0 if no later: its last report may have come
// in its time, by a clock that was set back by less than lies between two.
func (f *eventFold) mayHaveLived(l *leg) janus.Micros {
	gone, every := f.gone(f.h), least(l.period(), l.cadence)
	if gone-f.t <= leastStep || l.reports > 1 && every != 0 && 10*(gone-l.reported) > 11*every {
		return 0
	}
	//mutant:late-or-set-back
	return gone
}

// beforeAttached tells whether an event of a handle comes from before the handle was there.
func (f *eventFold) beforeAttached(h *handle) bool {
	_, attached := f.e.Body.(*janus.HandleAttached)
	//mutant:before-attached
	return !attached && h.since-f.e.Time > leastStep
}

// behindItsHangup tells whether `webrtcup` or the end of a handshake, with a time of a PeerConnection that has ended, came behind the
// hangup that the same thread had told of that one, while the next one is set up: so it is of that one, if it is none that is told
// again.
func (f *eventFold) behindItsHangup(h *handle, appended janus.Micros) bool {
	_, up := f.e.Body.(*janus.PeerConnectionUp)
	if d, ok := f.e.Body.(*janus.DTLSState); !up && !(ok && d.State == "connected") {
		return false
	}
	pc, t := h.openLeg(PeerConnection), f.e.Time
	if pc == nil || pc.up != 0 || pc.start-t <= slack {
		return false
	}
	//mutant:behind-its-hangup
	return f.waited(slack, appended) && slices.ContainsFunc(h.legs, func(l *leg) bool {
		again := up && h.wasUp(f.raw) || !up && l.secured == t
		return l.kind == PeerConnection && l.ended && l.endBasis == EndWebRTCHangup && t >= l.start && t <= l.endedAt && !again
	})
}

// beginsBefore tells whether an event begins something on a handle before the last of its kind had ended.
func (f *eventFold) beginsBefore(h *handle) bool {
	for _, l := range h.legs {
		if !l.ended || l.endedAt-f.e.Time <= slack || l.start == f.e.Time {
			continue
		}
		switch b := f.e.Body.(type) {
		case *janus.JSEP:
			if b.Offer && l.kind == PeerConnection && l.offer != 0 && h.openLeg(PeerConnection) == nil && h.detachedAt == 0 {
				origin := originOf(b.SDP)
				return origin == 0 || origin != l.client && !slices.Contains(l.origins, origin) // else it is that one's
			}
		case *janus.PluginEvent:
			switch b.Name {
			case "calling", "incomingcall":
				if l.kind == SIPCall && b.CallID != "" && l.callID != "" && b.CallID != l.callID {
					return true
				}
			case "joined", "join":
				if l.kind == RoomMembership && b.Room == l.room && b.ID == l.user {
					return true
				}
			}
		}
	}
	return false
}

// wasUp tells whether a timestamp is that of the webrtcup of a PeerConnection of the handle that has ended: it is told again.
func (h *handle) wasUp(timestamp janus.Micros) bool {
	return slices.ContainsFunc(h.past, func(p pastLeg) bool { return p.up == timestamp }) ||
		slices.ContainsFunc(h.legs, func(l *leg) bool { return l.ended && l.up-l.shift == timestamp })
}

// has tells whether a leg of a kind that is open or in its grace began at a moment.
func (h *handle) has(kind LegKind, t janus.Micros) bool {
	for _, l := range h.legs {
		if l.kind == kind && l.start == t {
			return true
		}
	}
	return false
}

// knows tells whether a medium of a report was reported before: of one that was not, nothing tells whose it is.
func (l *leg) knows(b *janus.MediaReport) bool {
	//mutant:another-medium-of-the-report
	return slices.ContainsFunc(b.Streams, func(now janus.StreamStats) bool {
		s := l.find(&now)
		return s != nil && s.count > 0
	})
}

// grows tells whether a report goes on from the last one: no counter that fell, and one that rose.
func (l *leg) grows(b *janus.MediaReport) bool {
	rose := false
	for i := range b.Streams {
		now := &b.Streams[i]
		s := l.find(now)
		if s == nil || s.count == 0 {
			continue
		}
		if now.BytesReceived < s.seen.BytesReceived || now.BytesSent < s.seen.BytesSent {
			return false
		}
		rose = rose || now.BytesReceived > s.seen.BytesReceived || now.BytesSent > s.seen.BytesSent
	}
	return rose
}

// wasTold tells whether a report may be one of a PeerConnection that has ended and waits for what comes late.
func (h *handle) wasTold(b *janus.MediaReport, t janus.Micros) bool {
	return slices.ContainsFunc(h.legs, func(l *leg) bool {
		if l.kind != PeerConnection || !l.ended || t < l.start || t > l.endedAt {
			return false
		}
		return !slices.ContainsFunc(b.Streams, func(now janus.StreamStats) bool {
			s := l.find(&now)
			return s == nil || now.BytesReceived > s.seen.BytesReceived || now.BytesSent > s.seen.BytesSent ||
				s.farOff(&now, max(l.start, l.up), t)
		})
	})
}

// farOff tells whether a stream that was up since a moment had counted much more or less at another one than a report says, as
// it had grown by its last report.
func (s *stream) farOff(now *janus.StreamStats, up, t janus.Micros) bool {
	lived := s.last - up
	if lived <= 0 || t < up {
		return false
	}
	all, told := scaled(s.seen.BytesReceived+s.seen.BytesSent, t-up, lived), now.BytesReceived+now.BytesSent
	//mutant:far-off
	return 2*told < all || told > 2*all+2*s.growth
}

// scaled is n * by / of, of numbers that are not negative, up to a limit that no counter comes to. It is the same on each machine.
func scaled(n int64, by, of janus.Micros) int64 {
	const most = 1 << 60
	hi, lo := bits.Mul64(uint64(max(n, 0)), uint64(by))
	if hi >= uint64(of) {
		return most
	}
	q, _ := bits.Div64(hi, lo, uint64(of))
	return int64(min(q, most))
}

// growsEvenly tells whether a report goes on from the last one by about as much as that had.
func (l *leg) growsEvenly(b *janus.MediaReport) bool {
	even := false
	for i := range b.Streams {
		now := &b.Streams[i]
		s := l.find(now)
		if s == nil || s.count == 0 {
			continue
		}
		before := s.growth
		if s.interval == 0 {
			before = s.seen.BytesReceived + s.seen.BytesSent // it is the second one
		}
		//mutant:grows-evenly
		if !alike(s.grew(now), before) {
			return false
		}
		even = true
	}
	return even
}

// grew is by how many bytes a report goes on from the last one of its stream.
func (s *stream) grew(now *janus.StreamStats) int64 {
	return now.BytesReceived - s.seen.BytesReceived + now.BytesSent - s.seen.BytesSent
}

// alike tells whether two growths of counters may be those of intervals of one length.
func alike(a, b int64) bool { return a > 0 && 4*a <= 5*b && 4*b <= 5*a }

// reportsLag is by how much reports came too early for how their counters grew: the one before by part of an interval, in which
// they grew as in a whole one, and this one in its time again, so that one was not the last of its PeerConnection; or this one
// came before the one before. Where the log has a clock of its own, that must agree.
func (f *eventFold) reportsLag(h *handle, appended janus.Micros) (lag janus.Micros) {
	b, ok := f.e.Body.(*janus.MediaReport)
	pc := h.openLeg(PeerConnection)
	if !ok || pc == nil || len(b.Streams) == 0 {
		return 0
	}
	for i := range b.Streams {
		now := &b.Streams[i]
		s := pc.find(now)
		if s == nil || s.shortest == 0 {
			return 0
		}
		span, one := f.e.Time-s.last, alike(s.grew(now), s.growth)
		switch {
		case one && span <= 0:
			lag = s.shortest - span
		//mutant:reports-lag-before-the-last
		case s.shortest-s.interval > leastStep && alike(s.growth, s.growthBefore) && s.goesOnAsBefore(s.grew(now), span):
			lag = s.shortest - s.interval
		default:
			return 0
		}
	}
	if !f.waited(lag/2, appended) {
		return 0
	}
	return lag
}

// goesOnAsBefore tells whether a report that grew by some bytes over a span goes on from the one before at the rate of a whole interval,
// and comes no later than in its time: the last one comes early.
func (s *stream) goesOnAsBefore(grew int64, span janus.Micros) bool {
	return span > slack && 10*span <= 11*s.shortest && alike(scaled(grew, s.shortest, span), s.growth)
}

// waited tells whether the log agrees that an event is later, by a span, than its timestamp says; a file does not know.
func (f *eventFold) waited(span, appended janus.Micros) bool {
	line := &f.em.timeline
	return !line.settled(&f.p.pos.clock) || appended-f.e.Time-line.floor >= span
}

// runsBack tells whether an event of the thread of a PeerConnection comes before what that thread had told, and is none that
// comes late: a report with counters that have grown, the hangup behind a report.
func (f *eventFold) runsBack(h *handle, appended janus.Micros) bool {
	pc := h.openLeg(PeerConnection)
	if pc == nil || !pc.ahead(f.e.Time+slack) {
		return false
	}
	told := janus.Micros(0)
	switch b := f.e.Body.(type) {
	case *janus.MediaReport:
		if h.wasTold(b, f.e.Time) {
			return false
		}
		for i := range b.Streams {
			s := pc.find(&b.Streams[i])
			switch {
			case s != nil && s.count > 0 && pc.grows(b):
				told = s.last
			case (s == nil || s.count == 0) && b.Streams[i].BytesReceived > 0 && b.Streams[i].Media != janus.MediaData:
				told = pc.up
			}
		}
	case *janus.PeerConnectionHangup:
		if pc.index == 0 {
			told = pc.reported
		}
	}
	//mutant:runs-back
	return told-f.e.Time > slack && f.waited(slack, appended)
}

// ahead tells whether anything that the thread of a PeerConnection has told may be after a moment: its reports, and that it is
// up. Of most events nothing is, and no counter need be compared.
func (l *leg) ahead(t janus.Micros) bool {
	if l.up > t || l.reported > t {
		return true
	}
	for i := range l.streams {
		if l.streams[i].last > t {
			return true
		}
	}
	return false
}

// leastLeap is the least step forward that reports alone are believed. A shorter one than longLeap is believed when the next
// report came in its time, with as much in it as the ones before: else the client fell silent while some reports were lost.
const (
	leastLeap = 10 * second
	longLeap  = minute
	wildLeap  = 15 * minute // beyond it nothing is cut into parts before another event tells the same
)

// leap is a span in which many intervals of reports should have passed, and all counters grew as in one.
type leap struct {
	by       janus.Micros
	from, to janus.Micros // it happened between
}

// setForward notes that the clock was set forward, when reports show that: at once, or when the first events behind the step
// were others.
func (f *eventFold) setForward(h *handle) {
	line := &f.em.timeline
	l := f.reportsLeap(h)
	switch {
	case l.by < leastLeap:
	case f.e.Time-line.now >= l.by:
		line.step(-l.by)
		f.e.Time -= l.by
	//mutant:moved-forward
	case line.leapFrom >= l.from-slack && line.leapTo <= l.to && line.leapTo-line.leapFrom >= l.by-slack:
		// The moments before the step lie up to leapFrom, those behind it from leapTo on.
		line.step(-l.by)
		line.late(clockStep{by: -l.by, pivot: line.leapTo})
		line.now -= l.by
		line.leapFrom, line.leapTo = 0, 0
		line.floorKnown = false
		f.e.Time -= l.by
	}
}

// reportsLeap is what a report shows; nothing of the kind is a leap by 0.
func (f *eventFold) reportsLeap(h *handle) (found leap) {
	b, ok := f.e.Body.(*janus.MediaReport)
	pc := h.openLeg(PeerConnection)
	if !ok || pc == nil || pc.amid || len(b.Streams) == 0 {
		return leap{}
	}
	for i := range b.Streams {
		s := pc.find(&b.Streams[i])
		if s == nil || s.count == 0 {
			return leap{}
		}
		if found = s.leap(max(pc.up, pc.start), f.e.Time, s.grew(&b.Streams[i])); found.by <= 0 {
			return leap{}
		}
	}
	return found
}

// leap is what a report of the stream shows, which came at a moment and grew by some bytes, of a PeerConnection that was up
// since another moment.
func (s *stream) leap(up, t janus.Micros, grew int64) leap {
	span := t - s.last
	within := func(from, to, cadence janus.Micros, grew, as int64) leap {
		if cadence <= 0 || as <= 0 || !leapt(to-from, cadence, grew, as) {
			return leap{}
		}
		return leap{by: to - from - cadence, from: from, to: to}
	}
	var l leap
	switch {
	case s.interval == 0: // what came before and between the first reports is known only behind them
		l = within(up, s.last, span, s.seen.BytesReceived+s.seen.BytesSent, grew)
	case s.before == 0 && span < s.interval:
		l = within(s.last-s.interval, s.last, span, s.growth, grew)
	//mutant:leap-before-the-last
	case s.intervals > 1 && s.interval > s.shortest+leastLeap && alike(s.growth, s.growthBefore) && s.goesOnAsBefore(grew, span):
		return leap{by: s.interval - s.shortest, from: s.last - s.interval, to: s.last}
	default:
		l = within(s.last, t, s.interval, grew, s.growth)
	}
	//mutant:short-leap
	if l.by < longLeap && (span < manyReports*s.shortest || s.shortest == 0 || !alike(grew, s.growth) || !alike(s.growth, s.growthBefore)) {
		return leap{}
	}
	return l
}

// manyReports is how many reports in a row must be missing before it is more likely that the clock was set than that they were lost while
// the client was silent, and the counters grew by chance as in one interval.
const manyReports = 8

// leapt tells whether a span in which the counters of a stream grew was no longer than an interval in which they grew as told.
func leapt(span, cadence janus.Micros, grew, as int64) bool {
	if span >= 4*cadence {
		return 2*grew >= as && 2*grew <= 3*as
	}
	return 2*span >= 5*cadence && alike(grew, as)
}

// stepped notes in what is open on a session that the clock of its emitter was set, and moves what was folded behind a step
// that showed late.
func (p *Partition) stepped(k *sessionEntry) {
	s, line := k.s, &k.em.timeline
	//mutant:clock-stepped
	if s.steps == line.steps {
		return
	}
	p.touch(k)
	handles := p.all(k)
	for i := range line.lateSteps {
		if d := &line.lateSteps[i]; d.number > s.steps {
			d.move(s, handles)
		}
	}
	s.steps, s.newest = line.steps, 0
	//mutant:over-before-the-step
	s.clockSuspect = s.clockSuspect || !s.closing || s.lastOffset > line.stepOffset
	for _, h := range handles {
		p.touchHandle(k, h.id)
		for _, l := range h.legs {
			//mutant:to-be-detached
			told := l.ended || l.closing && (h.detachedAt != 0 || !h.attached) || l.hangTime != 0 && l.kind != PeerConnection
			//mutant:bye-before-the-step
			if l.byeTime != 0 && !l.ended {
				told = false // its hangup is to come
			}
			by := l.lastOffset
			//mutant:late-behind-its-end
			if l.ended && l.endOffset != 0 {
				by = l.endOffset // what seemed to come late of it may be the next one's
			}
			if told && by <= line.stepOffset {
				continue // its end was told before
			}
			l.clockSuspect = true
			p.conclude(RuleClockStepped, s, h, l, facts{at: line.now, limit: leastStep})
		}
	}
}

// move puts what was folded behind the step of a clock to where it belongs.
func (d *clockStep) move(s *session, handles []*handle) {
	if d.by > 0 {
		d.moveBack(s, handles)
		return
	}
	move := func(t *janus.Micros) {
		if *t >= d.pivot {
			*t += d.by
		}
	}
	if s.firstTime >= d.pivot {
		s.shift += d.by
	}
	s.moments(move)
	for _, h := range handles {
		h.moments(move)
		for _, l := range h.legs {
			over := l.start < d.pivot && l.last >= d.pivot
			if l.start >= d.pivot {
				l.shift += d.by
				each(move, &l.partStart, &l.answerFixed) // told by the clock as it was, and so they stay
			}
			l.moments(move)
			l.clockSuspect = l.clockSuspect || over
		}
	}
}

// moveBack moves what began behind a step back. It is of the clock as it was set: its moments are too early.
func (d *clockStep) moveBack(s *session, handles []*handle) {
	move := func(t *janus.Micros) { *t += d.by }
	whole := s.firstOffset > d.offset && s.firstTime < d.pivot
	if whole {
		s.shift += d.by
		s.moments(move)
	}
	for _, h := range handles {
		moved := 0
		for _, l := range h.legs {
			//mutant:end-moved-back
			d.moveEnd(h, l)
			if l.firstOffset > d.offset && l.start < d.pivot {
				l.shift += d.by
				each(move, &l.partStart, &l.answerFixed)
				l.moments(move)
				moved++
			}
		}
		if whole || moved > 0 && moved == len(h.legs) && h.last < d.pivot {
			h.moments(move)
		}
	}
}

// moveEnd moves the end of a leg that began before the step and was told behind it.
func (d *clockStep) moveEnd(h *handle, l *leg) {
	if l.firstOffset > d.offset {
		return
	}
	if l.byeTime != 0 && l.byeOffset > d.offset && l.byeTime < d.pivot {
		l.byeTime += d.by
		l.clockSuspect = true
	}
	if l.ended && l.endOffset > d.offset && l.endedAt < d.pivot {
		l.endedAt += d.by
		l.clockSuspect = true
		h.lastEnd[l.kind] = max(h.lastEnd[l.kind], l.endedAt)
	}
}
