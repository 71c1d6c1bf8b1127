package cdr

import (
	"cmp"
	"slices"

	"januscdr/janus"
)

// release closes a session: what is left of its legs, then its own record, then the stub.
func (p *Partition) release(k *sessionEntry, why closeTrigger) {
	s := k.s
	p.stepped(k)
	handles := p.all(k)
	for _, h := range handles {
		if len(h.legs) > 0 {
			p.touchHandle(k, h.id)
			h.part(p, s)
		}
	}
	p.emitLegs(k, handles, why, func(*leg) bool { return true })
	p.emitSession(k, why)

	end := s.end(why)
	p.index.drop(k)
	gone := &stub{incarnation: s.incarnation, last: cmp.Or(max(s.destroyed, s.timedOut), s.lastTime)}
	//mutant:session-remembered
	gone.expires = p.pos.clock.now + p.policy.StubRetention
	if gone.sleeps = why.until == 0 && (end.missing() || end.cause == CauseTransportGone); gone.sleeps {
		gone.expires = p.pos.clock.now + p.policy.SessionSilence
		s.stub, s.closing, k.sleeps = gone, false, true
		for _, h := range handles {
			if h.gone() {
				s.lose(h)
				p.forget(k, h)
			}
		}
	} else {
		p.discard(k)
		k.s = &session{emitter: s.emitter, id: s.id, stub: gone}
		p.over = append(p.over, k)
	}
	p.index.decoded(k)
	p.watch(k, k.s)
}

// emitLegs writes down the legs of handles of a session that a condition picks, in the order in which they began to close.
func (p *Partition) emitLegs(k *sessionEntry, handles []*handle, why closeTrigger, pick func(*leg) bool) {
	type due struct {
		h *handle
		l *leg
	}
	var legs []due
	for _, h := range handles {
		for _, l := range h.legs {
			if pick(l) {
				legs = append(legs, due{h, l})
			}
		}
	}
	slices.SortStableFunc(legs, func(a, b due) int {
		return cmp.Or(cmp.Compare(a.l.closeOrder(), b.l.closeOrder()), cmp.Compare(a.h.id, b.h.id), cmp.Compare(a.l.kind, b.l.kind), cmp.Compare(a.l.index, b.l.index))
	})
	for _, d := range legs {
		p.emitLeg(k, d.h, d.l, why)
	}
}

// emitHandle writes down the legs of one handle that a condition picks.
func (p *Partition) emitHandle(k *sessionEntry, h *handle, why closeTrigger, pick func(*leg) bool) {
	for _, l := range slices.Clone(h.legs) {
		if pick(l) {
			p.emitLeg(k, h, l, why)
		}
	}
}

// closeOrder is when the leg began to close; one that did not comes last.
func (l *leg) closeOrder() janus.Micros {
	if l.closing {
		return l.closeClock
	}
	return 1<<63 - 1
}

// emitLeg writes the final record of a leg and takes it off its handle.
func (p *Partition) emitLeg(k *sessionEntry, h *handle, l *leg, why closeTrigger) {
	s := k.s
	if l.closing && why == (closeTrigger{}) {
		p.conclude(RuleGraceOver, s, h, l, facts{limit: p.terms(k.em, h.plugin).Grace})
	}
	if l.kind == PeerConnection {
		h.doubtCarried(l)
	}
	end := s.resolve(h, l, why, p.terms(k.em, h.plugin).VanishedClient)
	if l.unchanged(end) { // it was woken up, and there was nothing in it
		h.legs = slices.DeleteFunc(h.legs, func(o *leg) bool { return o == l })
		h.sleep(p, k, l)
		return
	}
	if p.partials && (l.revised == 0 || l.parts > 0) {
		p.cutUntil(k, h, l, end.time-1) // what waited for another event
	}
	answer, basis := l.answer()
	t := clamp(l.start, answer, l.partStart, end)
	r := p.legRecord(k, h, l)
	if l.parts > 0 {
		r.RecordSequenceNumber = l.parts + 1
	}
	if l.kind == PeerConnection {
		r.Streams, r.InterimMissing = l.media(t.end), l.interim(t.end)
	}
	r.Disposition = h.disposition(l)
	r.ClockSuspect = l.clockSuspect || t.clamped
	r.times(t, basis)
	if answer == 0 {
		//mutant:cause-unsuccessful
		r.CauseForRecordClosing = CauseUnsuccessfulCallAttempt
	}
	l.span(r)
	r.HoldDuration = l.hold.span(r)
	r.byTheClock(l.shift)
	r.setConfidence(l.cut)
	r.revise(l.revised)
	p.emit(r)
	p.conclude(RuleRecordEmitted, s, h, l, facts{at: end.time, record: r})

	s.emitted, s.cut = true, s.cut || r.Truncated
	l.revised++
	beside := l.mate != LegKindUnknown && !l.pays // parts of it that were charged were its own
	if beside && l.mate == SIPCall {
		t.answer = 0 // that it was up is no answer
	}
	p.enlist(k, l, closedLeg{id: r.CDRID, start: t.start - l.shift, answer: t.answer, end: t.end.time, basis: basis, beside: beside})
	h.lastEnd[l.kind] = max(h.lastEnd[l.kind], t.end.time)
	h.reportedLeg(l, t.end.time, k.em.timeline.shift)
	h.legs = slices.DeleteFunc(h.legs, func(o *leg) bool { return o == l })
	if end.missing() {
		l.endLatest = cmp.Or(why.until, l.endLatest)
		h.sleep(p, k, l)
	} else {
		p.index.dropMembership(k, h, l)
	}
}

// revise makes an amendment of a record that was emitted before, as many times as revision says.
func (r *Record) revise(revision int32) {
	if revision > 0 {
		r.Revision, r.ChangeKind = revision, Amendment
		r.Supersedes = recordID(r.CDRID, r.RecordSequenceNumber, revision-1).String()
	}
}

// legRecord is what the partial and the final records of a leg have in common.
func (p *Partition) legRecord(k *sessionEntry, h *handle, l *leg) *Record {
	s := k.s
	terms := p.terms(k.em, h.plugin)
	uid := sessionUID(s.emitter, s.id, s.incarnation)
	r := p.record(s, uid)
	r.RecordType = Leg
	//mutant:companion-named
	if kind, index := h.companion(l, terms); kind != LegKindUnknown {
		r.CompanionCDRID = legID(uid, h.id, kind, index)
	}
	r.CDRID = legID(uid, h.id, l.kind, l.index)
	r.HandleID, r.Plugin, r.OpaqueID = h.id.String(), h.plugin, h.opaqueID
	r.LegKind, r.LegIndex = l.kind, l.index
	r.Chargeable = h.chargeable(l, terms) && !s.old(k.em)
	r.FirstOffset, r.LastOffset = l.firstOffset, l.lastOffset
	r.EventCount, r.DuplicateCount, r.LateCount = l.events, l.duplicates, l.late

	r.Role, r.Direction = h.role(l)
	r.CallingParty, r.CalledParty = l.calling, l.called
	r.DisplayName = p.policy.disclose(l.display, terms.DisplayName)
	if h.plugin == janus.PluginVideoCall {
		switch r.Role {
		case Caller:
			r.CallingParty = h.account
		case Callee:
			r.CalledParty = h.account
		}
	}
	r.RoomID, r.ParticipantID, r.SIPCallID = l.room.Text, l.user.Text, l.callID
	if r.Role == Subscriber || r.Role == Viewer || r.Role == Player {
		r.Feeds = slices.Clone(l.feeds)
	}
	if l.kind == SIPCall {
		r.SIPFinalCode, r.SIPReason = l.code, l.reason
		r.ReleaseCause, r.ReleaseCauseText = l.release, l.releaseText
		r.ReferredBy, r.ReplacesCallID = l.referredBy, l.replaces
		r.RingingTime, r.ProgressTime = l.ringing, l.progress
	}
	//mutant:master-of-helper
	if h.helper {
		r.MasterAccount = h.account
	}
	r.PeerCDRID = l.peer
	r.PeerParty, r.LastReceivedTime = l.peerParty, l.received
	if l.kind == PeerConnection {
		r.RemoteAddress = p.policy.disclose(l.address, terms.Address)
		r.LocalCandType, r.RemoteCandType, r.ICEProtocol = l.local, l.remote, l.protocol
	}
	r.StartMissing = h.startMissing(l)
	r.ClockSuspect = l.clockSuspect
	r.Truncated = l.truncated || h.truncated || s.truncated
	return r
}

// emitSession writes the summary of a session.
func (p *Partition) emitSession(k *sessionEntry, why closeTrigger) {
	s := k.s
	legs := p.closedLegs(k)
	var answer janus.Micros
	var basis AnswerBasis
	for _, l := range legs {
		if l.answer != 0 && (answer == 0 || l.answer < answer) {
			answer, basis = l.answer, l.basis
		}
	}
	start := s.incarnation + s.shift
	if s.basis == FirstEvent {
		start = s.firstTime
	}
	t := clamp(start, answer, 0, s.end(why))
	uid := sessionUID(s.emitter, s.id, s.incarnation)
	r := p.record(s, uid)
	r.RecordType, r.CDRID = SessionSummary, summaryID(uid)
	r.FirstOffset, r.LastOffset = s.firstOffset, s.lastOffset
	r.EventCount, r.DuplicateCount, r.LateCount = s.events, s.duplicates, s.late
	r.StartMissing = s.basis == FirstEvent
	r.ClockSuspect = s.clockSuspect || t.clamped
	r.Truncated = s.truncated || s.cut
	r.LegCount, r.AnsweredLegCount, r.LeftOutLegCount = s.legCount, s.answered, s.leftOut
	for _, l := range legs {
		r.LegIDs = append(r.LegIDs, l.id)
	}
	r.MaxConcurrentLegs = concurrent(legs)
	switch {
	case answer != 0:
		r.Disposition = Answered
	case s.legCount > 0:
		r.Disposition = NeverConnected
	}
	r.times(t, basis)
	r.RecordOpeningTime = r.StartTime
	if r.AnswerTime != 0 {
		r.SetupDuration, r.Duration = int64(r.AnswerTime-r.StartTime), int64(r.EndTime-r.AnswerTime)
	}
	r.CumulativeDuration = r.Duration
	r.byTheClock(s.shift)
	//mutant:left-out-not-exact
	r.setConfidence(s.leftOut > 0)
	r.revise(s.revised)
	s.revised++
	p.emit(r)
	p.conclude(RuleRecordEmitted, s, nil, nil, facts{at: r.EndTime, record: r})
}

// times are the moments of a record after clamping.
type times struct {
	start, answer janus.Micros
	end           ending
	clamped       bool
}

// clamp puts moments in order, none before what was reported already: a negative span becomes zero and is flagged. Events of different threads may be out of
// order by less than a step of the clock, and that is not flagged.
func clamp(start, answer, reported janus.Micros, end ending) times {
	t := times{start: start, answer: answer, end: end}
	if answer != 0 && answer < start {
		t.clamped = t.clamped || start-answer > stepBack
		t.answer = start
	}
	if floor := max(start, t.answer, reported); end.time < floor {
		t.clamped = t.clamped || floor-end.time > stepBack
		//mutant:negative-span
		t.end.time = floor
	}
	t.end.latest = max(t.end.latest, t.end.time)
	//mutant:last-evidence-before-the-answer
	if end.earliest == end.time && !end.missing() {
		t.end.earliest = t.end.time
	}
	t.end.earliest = min(max(t.end.earliest, start, reported), t.end.time)
	if end.latest == end.time {
		t.end.latest = t.end.time
	}
	return t
}

// record starts a record of a session.
func (p *Partition) record(s *session, uid ID) *Record {
	return &Record{
		SchemaVersion: SchemaVersion, SessionUID: uid, IdentityBasis: s.basis,
		IsFinal: true, ChangeKind: Original,
		Emitter: s.emitter, EmitterVersion: s.version, LineageOffset: s.firstOffset, SessionID: s.id.String(), Transport: s.transport,
		SourceTopic: p.source.Topic, SourcePartition: p.source.Partition,
	}
}

// times fills in a final record's moments and how they are known.
func (r *Record) times(t times, basis AnswerBasis) {
	r.StartTime = t.start
	r.AnswerTime, r.AnswerBasis = t.answer, basis
	r.EndTime, r.RecordClosureTime = t.end.time, t.end.time
	r.EndBasis, r.EndEarliestTime, r.EndLatestTime = t.end.basis, t.end.earliest, t.end.latest
	r.EndMissing = t.end.missing()
	r.CauseForRecordClosing, r.DisconnectInitiator, r.Diagnostics = t.end.cause, t.end.by, t.end.diagnostics
	if t.answer == 0 {
		r.HoldingDuration = int64(t.end.time - t.start)
	}
}

// setConfidence sums up in one word how sure the record is; cut tells that volumes or legs were left out, so that sums and
// counts are a floor.
func (r *Record) setConfidence(cut bool) {
	switch {
	case r.StartMissing || r.ClockSuspect || r.EndBasis == EndLastEvidence:
		r.Confidence = Estimated
	case cut || r.EndEarliestTime != r.EndLatestTime || r.EndMissing:
		r.Confidence = Bounded
	default:
		r.Confidence = Exact
	}
}

// recordBytes is about how many bytes a record has, here and where it is written.
const recordBytes = 1600

// emit numbers a record and hands it to the step, if it is not out already.
func (p *Partition) emit(r *Record) {
	r.RecordID = recordID(r.CDRID, r.RecordSequenceNumber, r.Revision)
	//mutant:told-once
	if p.ahead.told(r.RecordID) {
		return
	}
	r.LocalRecordSequenceNumber = p.pos.local
	p.pos.local++
	p.step.Records = append(p.step.Records, *r)
	p.pending += recordBytes
}

// concurrent is how many legs were up at a time at the most; up is from the answer to before the end.
func concurrent(legs []closedLeg) int32 {
	type edge struct {
		at   janus.Micros
		step int32
	}
	var edges []edge
	for _, l := range legs {
		//mutant:what-carries-counts-once
		if l.answer != 0 && !l.beside {
			edges = append(edges, edge{l.answer, 1}, edge{l.end, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.step, b.step)) })
	var now, most int32
	for _, e := range edges {
		now += e.step
		most = max(most, now)
	}
	return most
}
