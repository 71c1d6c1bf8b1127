package cdr

import "januscdr/janus"

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

	stepOffset int64 // offset of the last event that is known to be before the last of them

	floor      janus.Micros // smallest append − moment, while known
	floorKnown bool
	floorSince janus.Micros // partition time since when it has not fallen by much
	floorBacks int32        // steps back of the log's own clock when it was measured
	way        janus.Micros // append − moment of the event that was seen at now

	file  bool  // the log is known to be a file; not part of the state
	alike int32 // how many append times in a row were the timestamps themselves

	nowOffset        int64        // offset of the event that was seen at now
	leapFrom, leapTo janus.Micros // the last time that now went on by more than leastLeap
	lateSteps        []clockStep  // the last steps that showed late
}

// isFile tells whether the append times are made of the timestamps, as those of a file of events are: they are no clock.
func (t *timeline) isFile() bool { return t.file || t.alike >= fewAlike }

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
	num(c, 10, &t.nowOffset)
	num(c, 11, &t.leapFrom)
	num(c, 12, &t.leapTo)
	list(c, 13, &t.lateSteps, func(c *codec, d *clockStep) { d.fields(c) })
	num(c, 14, &t.way)
	num(c, 15, &t.stepOffset)
}

// moment is when an event happened. One that goes through the floor shows that the clock was set forward.
func (t *timeline) moment(timestamp, appended janus.Micros, c *clock) janus.Micros {
	at := timestamp + t.shift
	if t.floorBacks != c.backs { // the log's own clock was set back: the floor is another one
		t.floorKnown, t.floorBacks = false, c.backs
	}
	//mutant:through-the-floor
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

// leaps tells whether a moment is far ahead of what was seen, and the log does not say whether so much time has passed.
func (t *timeline) leaps(at janus.Micros, c *clock) bool {
	return t.now != 0 && at-t.now >= wildLeap && !t.settled(c)
}

// step moves the timeline against the timestamps.
func (t *timeline) step(by janus.Micros) {
	t.undo = t.shift
	t.shift += by
	t.steps++
	t.stepOffset = t.nowOffset
}

// see notes that an event happened at a moment.
func (t *timeline) see(at, appended janus.Micros, offset int64, c *clock) {
	if at >= t.now {
		if t.now != 0 && at-t.now >= leastLeap {
			t.leapFrom, t.leapTo = t.now, at
		}
		t.now, t.nowOffset = at, offset
	}
	switch {
	case t.isFile():
		return
	case appended == at-t.shift:
		t.alike++
	default:
		t.alike = 0
	}
	way := appended - at
	if t.now == at {
		t.way = way
	}
	switch {
	case !t.floorKnown || way < t.floor-second:
		t.floor, t.floorKnown, t.floorSince = way, true, c.now
	case way < t.floor:
		t.floor = way
	}
}

// next is the moment at which an event is put whose timestamp went back: behind what was seen, and where the log has a
// clock of its own, when that says, though behind the last event of its handle.
func (t *timeline) next(last, appended janus.Micros) janus.Micros {
	at := max(t.now, last)
	if t.floorKnown && !t.isFile() {
		byTheLog := max(last, appended-t.floor)
		if t.way-t.floor > slack { // what comes has waited, and so may this have
			byTheLog = min(at, byTheLog)
		}
		at = byTheLog
	}
	return at + 1
}

// toldAgain tells whether an event, by its timestamp, is of a leg that has ended: it begins with what opened that leg, at
// the same moment, and goes on to its end, or it is that end.
func (h *handle) toldAgain(timestamp janus.Micros, body janus.Body) bool {
	for i := range h.past {
		if p := &h.past[i]; timestamp >= p.from && timestamp <= p.to && h.toldAgainOf(p.kind, p.from, p.to, timestamp, body) {
			return true
		}
	}
	for _, l := range h.legs {
		if !l.ended {
			continue
		}
		from, to := l.start-l.shift, l.endedAt-l.shift
		if timestamp >= from && timestamp <= to && h.toldAgainOf(l.kind, from, to, timestamp, body) {
			return true
		}
	}
	return false
}

// toldAgainOf is toldAgain for a leg in whose span the event lies.
func (h *handle) toldAgainOf(kind LegKind, from, to, timestamp janus.Micros, body janus.Body) bool {
	again := timestamp == from && opensKind(body, kind) || timestamp == to && endsKind(body, kind) || h.again >= from && h.again <= timestamp
	//mutant:reports-again
	if again || kind == PeerConnection && h.falls(timestamp, body) {
		h.again = timestamp
		return true
	}
	return false
}

// falls tells whether an event is a report from before the open PeerConnection with less in it than the last one of that: in the
// span of one that has ended, it is of that one.
func (h *handle) falls(timestamp janus.Micros, body janus.Body) bool {
	report, _ := body.(*janus.MediaReport)
	pc := h.openLeg(PeerConnection)
	return report != nil && pc != nil && pc.knows(report) && timestamp+leastStep < pc.start-pc.shift && !pc.grows(report)
}

// endsKind tells whether an event is one that ends legs of a kind.
func endsKind(body janus.Body, kind LegKind) bool {
	switch b := body.(type) {
	case *janus.PeerConnectionHangup:
		return kind == PeerConnection
	case *janus.PluginEvent:
		switch signOf(b.Plugin, b) {
		case signCallOver:
			return kind == SIPCall && b.Name == "hangup"
		//mutant:left-again
		case signLeft:
			return kind == RoomMembership
		case signStopped:
			return kind == StreamView || kind == Recording
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
