package cdr

import (
	"slices"

	"januscdr/janus"
)

// open makes a new leg of a kind on the handle, started by the event at hand. It returns nil where no leg may start:
// after the handle or the session has ended, within a leg that was there before, or where there is no room.
func (f *eventFold) open(h *handle, kind LegKind) *leg {
	l := f.successor()
	l.kind = kind
	return f.openLeg(h, l, openedBy(kind, f.e.Body))
}

// openLeg opens a leg of which something is known already: what is told of its birth is final, so that whoever traces is
// told of no leg that is not there, and of no other start.
func (f *eventFold) openLeg(h *handle, l *leg, rule TraceRule) *leg {
	t, kind := f.t, l.kind
	l.index = max(l.index, h.next[kind])
	//mutant:leg-may-not-open
	if h.detachedAt != 0 && t > h.detachedAt || f.s.ended(t) && !f.lastWordOf(h) || h.lastEnd[kind] != 0 && t <= h.lastEnd[kind] {
		f.p.conclude(RuleLegNotOpened, f.s, h, l, facts{at: t})
		return nil
	}
	if len(h.legs) >= maxOpenLegs {
		h.truncated, f.s.cut = true, true
		//mutant:left-out-once
		if h.refused&(1<<kind) == 0 || kind == RoomMembership { // the next events of the same attempt are no others
			h.refused |= 1 << kind
			f.s.leftOut++
		}
		f.p.conclude(RuleLeftOut, f.s, h, nil, facts{word: "legs"})
		return nil
	}
	//mutant:leg-number
	h.next[kind] = l.index + 1
	h.refused &^= 1 << kind
	h.legs = append(h.legs, l)
	if kind == PeerConnection {
		h.ended = false
	}
	f.p.conclude(rule, f.s, h, l, facts{at: l.start})
	if h.detachedAt != 0 || f.s.closing {
		f.close(l)
	}
	f.opened = true
	return l
}

// lastWordOf tells whether the event at hand is the last report of a PeerConnection that went with its session, and all that is left
// of it.
func (f *eventFold) lastWordOf(h *handle) bool {
	b, ok := f.e.Body.(*janus.MediaReport)
	//mutant:last-report-alone
	return ok && !idle(b) && f.t-max(f.s.destroyed, f.s.timedOut) <= togetherSpan
}

// openConcurrent makes a leg that may be one of several of its kind. The end of one that is still kept does not stand in its
// way, for it may have overtaken the event at hand; an event from before that is an old one that comes again.
func (f *eventFold) openConcurrent(h *handle, kind LegKind) *leg {
	last := h.lastEnd[kind]
	if f.t > last-overtaken && slices.ContainsFunc(h.legs, func(l *leg) bool { return l.kind == kind }) {
		h.lastEnd[kind] = 0
	}
	l := f.open(h, kind)
	h.lastEnd[kind] = last
	return l
}

// startsAt puts the start of an open leg where it belongs: what opens it was overtaken by another event of its own.
func (f *eventFold) startsAt(l *leg, t janus.Micros) {
	if t != l.start {
		l.start = t
		f.p.conclude(RuleLegStartMoved, f.s, f.h, l, facts{at: t})
	}
}

// current is the leg of a kind that an event at time t belongs to: one that is open, or one whose end is not before t.
func (h *handle) current(kind LegKind, t janus.Micros) *leg {
	var found *leg
	for _, l := range h.legs {
		if l.kind != kind {
			continue
		}
		if l.ended && t <= l.endedAt || l.leftOpenAt(t) {
			return l
		}
		if !l.ended && !l.superseded() {
			found = l
		}
	}
	return found
}

// old tells whether a time is not after the end of the leg of the same kind before l: what is said of it was about that
// one, and comes again. A clock that was set back so far looks the same.
func (h *handle) old(l *leg, t janus.Micros) bool {
	if l.ended { // lastEnd is its own
		return l.index > 0 && t < l.start-overtaken
	}
	return t <= h.lastEnd[l.kind] && t < l.start
}

// openLeg is the leg of a kind of which no event has told the end.
func (h *handle) openLeg(kind LegKind) *leg {
	for i := len(h.legs) - 1; i >= 0; i-- {
		if l := h.legs[i]; l.kind == kind && !l.ended && !l.superseded() {
			return l
		}
	}
	return nil
}

// taking appends the legs that an event of the handle at time t is folded into: of each kind the one that ended not before
// it, else those that are open.
func (h *handle) taking(legs []*leg, t janus.Micros) []*leg {
	for _, l := range h.legs {
		if l.ended && t <= l.endedAt || l.leftOpenAt(t) {
			legs = append(legs, l)
		}
	}
	past := len(legs)
	for _, l := range h.legs {
		if l.ended || l.superseded() {
			continue
		}
		if past == 0 || !slices.ContainsFunc(legs[:past], func(o *leg) bool { return o.kind == l.kind }) {
			legs = append(legs, l)
		}
	}
	return legs
}

// take counts an event in a leg.
func (f *eventFold) take(l *leg) {
	t := f.t
	l.events++
	l.lastOffset = max(l.lastOffset, f.offset)
	l.first, l.last = min(l.first, t), max(l.last, t)
	if l.closing && (l.ended || l.byeTime == 0) { // behind a BYE comes the call's own `hangup`
		l.late++
		f.p.conclude(RuleLateInGrace, f.s, f.h, l, facts{})
	}
}

// close starts the grace of a leg.
func (f *eventFold) close(l *leg) {
	if !l.closing {
		l.closing, l.closeClock = true, f.p.pos.clock.now
	}
}

// endLeg ends a leg by an event of its own: the first one that tells it counts.
func (f *eventFold) endLeg(h *handle, l *leg, basis EndBasis, at janus.Micros, diagnostics string) {
	//mutant:first-hangup-counts
	if l.ended {
		return
	}
	f.cuts(h, l)
	f.knowsCadence(l)
	l.ended, l.endBasis, l.endedAt, l.endOffset = true, basis, at, f.offset
	if l.kind == PeerConnection {
		h.ended = true
	}
	l.endWord = keep(diagnostics, &l.truncated)
	told := at
	if basis == EndSIPHangup {
		told = l.callEnd().time
	}
	f.p.conclude(f.endedBy(basis), f.s, h, l, facts{at: told, word: diagnostics, limit: f.p.terms(f.em, h.plugin).Grace})
	l.lastOffset = max(l.lastOffset, f.offset)
	h.lastEnd[l.kind] = max(h.lastEnd[l.kind], at)
	f.p.index.dropMembership(f.k, h, l)
	f.close(l)
}

// answer is when the leg became chargeable, and what decided.
func (l *leg) answer() (janus.Micros, AnswerBasis) {
	switch {
	case l.parts > 0:
		return l.answerFixed, l.basisFixed
	case l.kind == SIPCall || l.kind == RoomMembership:
		//mutant:answered-by-plugin
		if l.accepted != 0 {
			if l.kind == SIPCall {
				return l.accepted, AnswerSIPAccepted
			}
			return l.accepted, AnswerJoined
		}
		if l.kind == SIPCall {
			if at := l.impliedAnswer(); at != 0 {
				return at, AnswerFirstEvidence
			}
		}
		return 0, AnswerUnknown
	//mutant:answered-by-webrtcup
	case l.up != 0:
		return l.up, AnswerWebRTCUp
	case l.accepted != 0:
		return l.accepted, AnswerStreamStarted
	//mutant:answered-by-evidence
	case l.evidence != 0:
		return l.evidence, AnswerFirstEvidence
	}
	return 0, AnswerUnknown
}

// startMissing tells whether what opens such a leg was not seen, or what answers it. A PeerConnection opens with an
// offer, or, where jsep events are not sent, with ICE gathering.
func (h *handle) startMissing(l *leg) bool {
	//mutant:answer-by-evidence-marked
	if _, basis := l.answer(); basis == AnswerFirstEvidence {
		return true
	}
	switch {
	//mutant:unanswered-without-a-word
	case l.kind == SIPCall && l.hangTime != 0 && !l.named():
		at, _ := l.answer()
		return l.noStart || at == 0 // what the plugin says of an end was lost, and so may an answer be
	//mutant:up-and-let-go
	case l.kind == SIPCall && l.up != 0 && !l.ended && l.byeTime == 0:
		at, _ := l.answer()
		return l.noStart || at == 0 // it was up when its handle was let go, and no word of SIP says that nobody had answered
	case l.kind == SIPCall, l.kind == RoomMembership:
		return l.noStart
	}
	//mutant:went-further
	if l.misfit() {
		return true
	}
	//mutant:call-nobody-told-of
	if h.tellsOfCalls() && l.kind == PeerConnection && l.mate != SIPCall &&
		(l.connected() || !l.nothingFlowed() && l.overAt()-l.start > slowAnswer) {
		return true
	}
	//mutant:janus-answers
	if l.ended && l.offer == offerByClient && l.answered == 0 && !l.connected() && answersAtOnce(h.plugin) && l.unansweredUntil()-l.start > slowAnswer {
		return true
	}
	//mutant:answer-not-seen
	if l.connectedLate() {
		return true
	}
	//mutant:lost-offer-marked
	return l.offer == offerMissed || l.offer == 0 && !l.gathered
}

// unansweredUntil is until when an offer waited for its answer, at most: what connects was answered.
func (l *leg) unansweredUntil() janus.Micros {
	switch {
	case l.step <= stepGathering:
		return l.endedAt
	//mutant:unanswered-until
	case l.step == stepFailed:
		return l.start
	}
	return l.stepTime
}

// tellsOfCalls tells whether the SIP events of a handle are sent: then each PeerConnection of it is a call's.
func (h *handle) tellsOfCalls() bool {
	return h.plugin == janus.PluginSIP && (h.account != "" || h.next[SIPCall] > 0)
}

// nothingFlowed tells whether the last report of a PeerConnection says that nothing flowed in it.
func (l *leg) nothingFlowed() bool {
	return l.reports > 0 && l.overAt()-l.reported <= finalSpan && !l.traffic()
}

// slowAnswer is for how long an offer waits for the answer of a plugin that answers by itself, at most.
const slowAnswer = 2 * second

// answersAtOnce tells whether a plugin answers the offers of clients by itself, and not when somebody else does.
func answersAtOnce(plugin string) bool {
	switch plugin {
	case janus.PluginEchoTest, janus.PluginVideoRoom, janus.PluginAudioBridge, janus.PluginTextRoom, janus.PluginRecordPlay:
		return true
	}
	return false
}

// How long after its offer a PeerConnection comes up whose answer was not seen, and how long after its answer: one that was
// offered before may have come to nothing, and its end and the next offer be lost.
const (
	longSetup   = 5 * second
	longConnect = 10 * second
)

// slowConnect is how long after its answer a PeerConnection begins to connect, at most.
const slowConnect = 2 * second

// connectedLate tells whether a PeerConnection came up so long after its offer or its answer that it may be another one.
func (l *leg) connectedLate() bool {
	at, _ := l.answer()
	return l.offer != 0 && (at-max(l.start, l.answered) > longConnect || l.answered == 0 && at-l.start > longSetup)
}

// lastSeenAlive is until when the client certainly lived, by what Janus received from it.
func (l *leg) lastSeenAlive() janus.Micros { return max(l.start, l.up, l.lastClientActivity) }

// addFeed adds a feed to the union over the leg.
func (l *leg) addFeed(id janus.ID) {
	if !id.Known() {
		return
	}
	i, known := slices.BinarySearch(l.feeds, id.Text)
	switch {
	case known:
	case len(l.feeds) >= maxFeeds:
		l.truncated = true
	default:
		l.feeds = slices.Insert(l.feeds, i, keep(id.Text, &l.truncated))
	}
}

// misfit tells whether the end of a PeerConnection that was not answered does not fit the last step that was seen of it.
// Janus tells each step of ICE and DTLS, so it went further than what was seen: nobody can say that it was never up.
func (l *leg) misfit() bool {
	if l.kind != PeerConnection || l.connected() {
		return false
	}
	carries := l.traffic()
	if !l.ended || l.endBasis != EndWebRTCHangup {
		return carries
	}
	waited := l.endedAt - l.stepTime
	//mutant:alert-of-what-was-not-up
	if l.endWord == "DTLS alert" {
		return l.step != stepFailed // even if its last report says that nothing flowed
	}
	if !carries && l.reports > 0 && l.endedAt-l.reported <= finalSpan && (l.step < stepConnecting || waited <= longConnect) {
		return false // the last report says that nothing flowed
	}
	switch l.endWord {
	case "DTLS timeout", "DTLS error":
		return l.step < stepHandshake
	case "ICE failed":
		//mutant:failed-long-after-it-connected
		return l.step < stepConnecting || l.step == stepHandshake && waited > dtlsFails || carries
	}
	// With an answer, Janus tries to connect as soon as it has a candidate.
	//mutant:never-tried
	if l.step == stepGathering && l.answered != 0 && l.endedAt-l.answered > slowConnect {
		return true
	}
	switch l.step {
	case stepNone:
		return l.acted || l.offer != 0 || carries
	case stepConnecting:
		return waited > iceFails || carries
	case stepConnected, stepHandshake:
		return waited > dtlsFails || carries
	}
	return carries
}

// traffic tells whether any counter has moved; of a data channel it may be the handshake.
func (l *leg) traffic() bool {
	return slices.ContainsFunc(l.streams, func(s stream) bool { return s.seen.BytesReceived != 0 || s.seen.BytesSent != 0 })
}

// How long ICE and DTLS take at the most where they succeed: what was tried for longer, and then given up, may have
// succeeded meanwhile. Where they fail, Janus says so after 16 and 20 s.
const (
	iceFails  = 2 * second
	dtlsFails = 2 * second
)
