package cdr

import (
	"slices"
	"time"

	"januscdr/janus"
)

// Long legs are reported in parts, if the policy asks for it. A part ends at a moment of the emitter's clock, and only
// when an event of the leg shows that it lived until then: so the parts tile exactly, and what they say does not depend
// on batches or on when anybody looked.

// cuts writes the parts of a leg that end before the event at hand.
func (f *eventFold) cuts(h *handle, l *leg) {
	if !f.p.partials || l.revised > 0 && l.parts == 0 {
		return // it was reported as a whole
	}
	if f.leapUnproven(l) && !tellsEnd(f.e.Body) {
		return // what comes next tells whether that is true
	}
	f.p.cutUntil(f.k, h, l, f.t)
}

// leapUnproven tells whether the timestamps have leapt in the running part of a leg, by more than lies between two reports, and
// nothing says yet whether so much time has passed: not the log's own clock, and not two reports behind it.
func (f *eventFold) leapUnproven(l *leg) bool {
	line := &f.em.timeline
	if f.leapt {
		return true
	}
	if line.settled(&f.p.pos.clock) {
		return false
	}
	leap := func(from, to janus.Micros) bool { return to-from >= max(leastLeap, 2*l.cadence) }
	//mutant:leap-unproven
	if line.now != 0 && leap(line.now, f.t) {
		return true
	}
	//mutant:leap-before
	return line.leapTo > l.opening() && leap(line.leapFrom, line.leapTo) && (l.reports < 2 || l.reported-l.interval < line.leapTo)
}

// cutUntil writes the parts of a leg that end at a moment at the latest.
func (p *Partition) cutUntil(k *sessionEntry, h *handle, l *leg, until janus.Micros) {
	part := p.terms(k.em, h.plugin).Partial
	for n := 0; n < maxCuts; n++ {
		at, cause := l.nextCut(part)
		if at == 0 || until < at || l.ended && at >= l.endedAt {
			return
		}
		p.emitPart(k, h, l, at, cause)
	}
}

// maxCuts bounds the parts that one event completes, should a clock jump by years: what is beyond is in the next part.
const maxCuts = 1000

// cutsByVolume writes a part when a report shows that the leg has carried enough since the last one.
func (f *eventFold) cutsByVolume(l *leg) {
	// What was reported as a whole stays whole, and what may be the next one may be absorbed.
	if !f.p.partials || l.ended || l.revised > 0 && l.parts == 0 || !slices.Contains(f.h.legs, l) {
		return
	}
	limit := f.p.terms(f.em, f.h.plugin).Partial.Volume
	if answer, _ := l.answer(); limit <= 0 || answer == 0 || f.t <= l.opening() {
		return
	}
	if v := l.volume(); v-l.partVolume >= limit {
		f.p.emitPart(f.k, f.h, l, f.t, CauseVolumeLimit)
	}
}

// nextCut is when the running part of a leg ends by the clock, and why; 0 when it does not. An attempt that is not
// answered is not cut.
func (l *leg) nextCut(p Partial) (at janus.Micros, cause Cause) {
	if answer, _ := l.answer(); answer == 0 {
		return 0, CauseUnknown
	}
	if p.Every > 0 {
		at, cause = l.opening()+p.Every, CauseTimeLimit
	}
	if p.Midnight != nil {
		if m := nextMidnight(l.opening()-l.shift, p.Midnight) + l.shift; at == 0 || m <= at {
			at, cause = m, CauseTariffTimeChange
		}
	}
	return at, cause
}

// nextMidnight is the first midnight of a place after a moment. Where the clocks skip midnight it is the first moment of
// the day.
func nextMidnight(after janus.Micros, place *time.Location) janus.Micros {
	t := time.UnixMicro(int64(after)).In(place)
	y, m, d := t.Date()
	for next := d + 1; ; next++ {
		at := time.Date(y, m, next, 0, 0, 0, 0, place)
		if at.Day() != time.Date(y, m, next, 12, 0, 0, 0, place).Day() {
			_, at = at.ZoneBounds() // the clocks skip midnight, and it was put before the gap
		}
		if at.After(t) {
			return janus.Micros(at.UnixMicro())
		}
	}
}

// opening is when the running part of the leg begins.
func (l *leg) opening() janus.Micros {
	if l.parts > 0 {
		return l.partStart
	}
	return l.start
}

// volume is what the leg has carried so far, both ways, by the reports.
func (l *leg) volume() (v int64) {
	for i := range l.streams {
		s := &l.streams[i]
		v += s.base.BytesReceived + s.seen.BytesReceived + s.base.BytesSent + s.seen.BytesSent
	}
	return v
}

// emitPart writes a partial record that ends at a moment, and begins the next part there. Its offsets, counts and volumes
// are those of the leg so far: that is what it takes to make it again.
func (p *Partition) emitPart(k *sessionEntry, h *handle, l *leg, at janus.Micros, cause Cause) {
	answer, basis := l.answer()
	l.parts++
	l.answerFixed, l.basisFixed = max(answer, l.start), basis
	p.conclude(RulePartCut, k.s, h, l, facts{at: at, word: cause.String()})
	r := p.legRecord(k, h, l)
	r.IsFinal = false
	r.RecordSequenceNumber = l.parts
	if l.kind == PeerConnection {
		r.Streams, r.InterimMissing = l.media(ending{basis: EndLastEvidence, time: at}), l.interim(ending{basis: EndLastEvidence, time: at})
	}
	r.CauseForRecordClosing, r.Disposition = cause, Answered
	r.StartTime, r.AnswerTime, r.AnswerBasis = l.start, max(answer, l.start), basis
	r.RecordClosureTime = at
	l.span(r)
	r.HoldDuration = l.hold.span(r)
	l.hold.told += janus.Micros(r.HoldDuration)
	r.byTheClock(l.shift)
	r.setConfidence(l.cut)
	r.revise(l.revised)
	l.revised = 0
	p.emit(r)
	p.conclude(RuleRecordEmitted, k.s, h, l, facts{at: at, record: r})

	l.pays = l.pays || r.Chargeable && l.kind == PeerConnection && h.plugin == janus.PluginSIP
	k.s.emitted = true
	//mutant:parts-tile
	l.partStart, l.cumulative, l.partVolume = at, r.CumulativeDuration, l.volume()
}

// span fills in the part's opening and what of the answered time lies in it.
func (l *leg) span(r *Record) {
	r.RecordOpeningTime = r.StartTime
	if l.parts > 0 && r.RecordSequenceNumber > 1 {
		r.RecordOpeningTime = l.partStart
	}
	if r.AnswerTime != 0 {
		r.SetupDuration = int64(r.AnswerTime - r.StartTime)
		r.Duration = int64(max(r.RecordClosureTime-max(r.RecordOpeningTime, r.AnswerTime), 0))
	}
	r.CumulativeDuration = l.cumulative + r.Duration
}
