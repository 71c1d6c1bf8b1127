package cdr

import (
	"januscdr/janus"
)

// A Janus server's timestamps are its wall clock, and that is set now and then: by NTP, after a resume, by hand. A
// timestamp alone never makes an event old, and never a call long. So the fold counts in a time of its own for each
// emitter, its timeline: the timestamps, and what the clock's steps have taken or added. Spans and the order of things are
// those of the timeline; a record says moments by the clock as it was when its leg began.
//
// Three clocks show a step. The append times of the log: append − timestamp has a floor, the way from Janus to the log;
// events that were kept somewhere come with more, and never with less, so what goes through the floor was set forward. The
// timestamps of a handle, which come from one thread: what goes back was set back. And the reports of a PeerConnection,
// which Janus sends by a clock that is never set: that is the only other clock of a file of events.

// timeline is the time of an emitter.
type timeline struct {
	shift janus.Micros // what its steps have come to: timeline − timestamp
	now   janus.Micros // largest moment that was seen
	steps int32        // how many were seen
	undo  janus.Micros // shift before the last of them

	floor      janus.Micros // smallest append − moment, while known
	floorKnown bool
	floorSince janus.Micros // partition time since when it has not fallen by much
	floorBacks int32        // steps back of the log's own clock when it was measured

	alike int32 // how many append times in a row were the timestamps themselves
}

// isFile tells whether the append times are made of the timestamps, as those of a file of events are: they are no clock.
func (t *timeline) isFile() bool { return t.alike >= fewAlike }

// fewAlike is how many append times of a broker, which counts in milliseconds, may be equal to a timestamp by chance.
const fewAlike = 3

const (
	// leastStep is the least that is taken for a step: events of different threads come out of order by less, and so do
	// append times of one broker after another.
	leastStep = 2 * second
	// floorSettles is how long, in partition time, the floor must have stayed where it is before anything can go through
	// it: the first events may be those that had waited longest.
	floorSettles = minute
)

func (t *timeline) fields(c *codec) {
	num(c, 1, &t.shift)
	num(c, 2, &t.now)
	num(c, 3, &t.steps)
	num(c, 4, &t.floor)
	flag(c, 5, &t.floorKnown)
	num(c, 6, &t.floorSince)
	num(c, 7, &t.floorBacks)
	num(c, 8, &t.alike)
	num(c, 9, &t.undo)
}

// moment is when an event happened. One that goes through the floor shows that the clock was set forward.
func (t *timeline) moment(timestamp, appended janus.Micros, c *clock) janus.Micros {
	at := timestamp + t.shift
	if t.floorBacks != c.backs { // the log's own clock was set back: the floor is another one
		t.floorKnown, t.floorBacks = false, c.backs
	}
	if through := t.floor - (appended - at); t.settled(c) && through > leastStep {
		t.step(-through)
		return at - through
	}
	return at
}

// settled tells whether the floor is known so well that nothing can go through it.
func (t *timeline) settled(c *clock) bool {
	return !t.isFile() && t.floorKnown && c.now-t.floorSince >= floorSettles
}

// step moves the timeline against the timestamps.
func (t *timeline) step(by janus.Micros) {
	t.undo = t.shift
	t.shift += by
	t.steps++
}

// see notes that an event happened at a moment.
func (t *timeline) see(at, appended janus.Micros, c *clock) {
	t.now = max(t.now, at)
	switch {
	case t.isFile():
		return
	case appended == at-t.shift:
		t.alike++
	default:
		t.alike = 0
	}
	way := appended - at
	switch {
	case !t.floorKnown || way < t.floor-second:
		t.floor, t.floorKnown, t.floorSince = way, true, c.now
	case way < t.floor:
		t.floor = way
	}
}

// next is the moment at which an event is put whose timestamp went back: not before what was seen, and where the log has
// a clock of its own, when that says.
func (t *timeline) next(last, timestamp, appended janus.Micros) janus.Micros {
	at := max(t.now, last)
	if t.floorKnown && !t.isFile() {
		at = max(last, min(at, appended-t.floor))
	}
	return at
}

// place finds the moment of an event of a handle or a session, and notes steps of the clock that it shows.
func (f *eventFold) place(appended janus.Micros) {
	line := &f.em.timeline
	h := f.p.handle(f.k, f.e.Handle)
	if h == nil {
		return
	}
	again := h.toldAgain(f.raw, f.e.Body)
	if again {
		f.again = true
		return
	}
	behind := h.last - f.e.Time
	switch {
	//mutant:clock-set-back
	case h.last != 0 && behind > leastStep && f.goesOn(h):
		at := line.next(h.last, f.raw, appended)
		if pc := h.openLeg(PeerConnection); pc != nil && pc.interval > 0 && isReport(f.e.Body) && line.isFile() {
			at = max(pc.reported+pc.interval, h.last)
			if was := f.raw + line.undo; line.steps > 0 && was >= h.last-pc.interval && was <= at {
				at = max(was, h.last) // one timestamp was wild, and the clock goes on as before
			}
		}
		line.step(at - f.e.Time)
		f.e.Time = at
	case line.isFile():
		if by := f.reportsLeap(h); by > leastStep {
			line.step(-by)
			f.e.Time -= by
		}
	}
}

func isReport(b janus.Body) bool { _, ok := b.(*janus.MediaReport); return ok }

// goesOn tells whether an event whose timestamp is behind those of its handle goes on from there: then the clock was set
// back. Else it may be told again, or late.
func (f *eventFold) goesOn(h *handle) bool {
	pc, t := h.openLeg(PeerConnection), f.e.Time
	switch b := f.e.Body.(type) {
	case *janus.MediaReport:
		return pc != nil && pc.grows(b)
	case *janus.JSEP:
		return b.Offer && !h.has(PeerConnection, t) && (pc == nil || pc.offer != 0)
	case *janus.PeerConnectionUp:
		return pc != nil && pc.up == 0 && t < pc.start
	case *janus.PeerConnectionHangup, *janus.HandleDetached:
		return pc != nil && pc.life != 0 && t < pc.start || pc == nil && len(h.legs) == 0 && h.detachedAt == 0
	case *janus.PluginEvent:
		switch signOf(h.plugin, b) {
		case signCallOver:
			c := h.openLeg(SIPCall)
			return c != nil && (c.callID == b.CallID || b.CallID == "") && t < c.start
		case signLeft:
			return h.openLeg(RoomMembership) != nil && t < h.openLeg(RoomMembership).start
		case signMember, signStream, signStopped, signBye, signDialog:
			return false
		}
		switch b.Name {
		case "calling", "incomingcall":
			return !h.has(SIPCall, t)
		case "joined", "join":
			return !h.has(RoomMembership, t)
		}
	}
	return false
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

// leastLeap is the least step forward that reports alone are believed.
const leastLeap = 10 * second

// reportsLeap is by how much a report is later than its PeerConnection's counters say: the emitter was silent, many
// intervals should have passed, and all counters grew as in one. It is 0 where nothing of the kind is seen.
func (f *eventFold) reportsLeap(h *handle) janus.Micros {
	b, ok := f.e.Body.(*janus.MediaReport)
	pc := h.openLeg(PeerConnection)
	if !ok || pc == nil || len(b.Streams) == 0 {
		return 0
	}
	var leap janus.Micros
	for i := range b.Streams {
		now := &b.Streams[i]
		s := pc.find(now)
		if s == nil || s.shortest == 0 || s.growth <= 0 {
			return 0
		}
		span := f.e.Time - s.last
		grew := now.BytesReceived - s.seen.BytesReceived + now.BytesSent - s.seen.BytesSent
		if span < 4*s.shortest || 2*grew < s.growth || 2*grew > 3*s.growth {
			return 0
		}
		leap = span - s.shortest
	}
	if leap < leastLeap || f.e.Time-f.em.timeline.now < leap {
		return 0
	}
	return leap
}

// toldAgain tells whether an event, by its timestamp, is of a leg that has ended: it begins with what opened that leg, at
// the same moment, and goes on to its end.
func (h *handle) toldAgain(timestamp janus.Micros, body janus.Body) bool {
	again := func(kind LegKind, from, to janus.Micros) bool {
		if timestamp < from || timestamp > to {
			return false
		}
		return timestamp == from && opensKind(body, kind) || h.again >= from && h.again <= timestamp
	}
	for i := range h.past {
		if p := &h.past[i]; again(p.kind, p.from, p.to) {
			h.again = timestamp
			return true
		}
	}
	for _, l := range h.legs {
		if l.ended && again(l.kind, l.start-l.shift, l.endedAt-l.shift) {
			h.again = timestamp
			return true
		}
	}
	return false
}

// opensKind tells whether an event is one that opens legs of a kind.
func opensKind(body janus.Body, kind LegKind) bool {
	switch b := body.(type) {
	case *janus.JSEP, *janus.ICEState, *janus.PeerConnectionUp, *janus.MediaState, *janus.MediaReport, *janus.SlowLink:
		return kind == PeerConnection
	case *janus.PluginEvent:
		switch kind {
		case SIPCall:
			return b.Name == "calling" || b.Name == "incomingcall" || b.Name == "missed_call"
		case RoomMembership:
			return b.Name == "joined" || b.Name == "join"
		}
	}
	return false
}

// stepped notes in what is open on a session that the clock of its emitter was set.
func (p *Partition) stepped(k *sessionEntry) {
	s, em := k.s, k.em
	//mutant:clock-stepped
	if s.steps == em.timeline.steps {
		return
	}
	s.steps, s.clockSuspect = em.timeline.steps, true
	for _, h := range p.all(k) {
		for _, l := range h.legs {
			if !l.ended {
				p.touchHandle(k, h.id)
				l.clockSuspect = true
				p.conclude(RuleClockStepped, s, h, l, facts{at: em.timeline.now, limit: leastStep})
			}
		}
	}
}

// byTheClock puts the moments of a record back from the timeline to the clock as it was.
func (r *Record) byTheClock(shift janus.Micros) {
	if shift == 0 {
		return
	}
	for _, t := range []*janus.Micros{
		&r.RecordOpeningTime, &r.RecordClosureTime, &r.StartTime, &r.AnswerTime, &r.EndTime, &r.EndEarliestTime, &r.EndLatestTime,
		&r.RingingTime, &r.ProgressTime, &r.LastReceivedTime,
	} {
		if *t != 0 {
			*t -= shift
		}
	}
	for i := range r.Streams {
		for _, t := range []*janus.Micros{&r.Streams[i].FirstMediaTime, &r.Streams[i].LastMediaTime} {
			if *t != 0 {
				*t -= shift
			}
		}
	}
}
