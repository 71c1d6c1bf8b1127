package cdr

import (
	"slices"
	"strings"

	"januscdr/janus"
)

// sip folds an event of a SIP handle into its account and its calls. A handle carries one call at a time; more than one
// at once takes helper handles, which are handles like any other.
func (f *eventFold) sip(b *janus.PluginEvent) {
	h, t := f.h, f.t
	switch b.Name {
	case "registered":
		if b.Identity != "" {
			h.account = keep(b.Identity, &f.h.truncated)
		}
		h.helper = b.Helper
	//mutant:sip-calling
	case "calling":
		if l := f.call(b, Originating, true); l != nil {
			l.calling, l.called = h.account, keep(b.Callee, &l.truncated)
			f.shareParties(l)
		}
	//mutant:sip-incomingcall
	case "incomingcall":
		if l := f.call(b, Terminating, true); l != nil {
			l.calling, l.called = keep(b.Username, &l.truncated), keep(b.Callee, &l.truncated)
			l.display = unquoted(keep(b.DisplayName, &l.truncated))
			if b.ReferredBy != "" {
				l.referredBy = keep(addressOf(b.ReferredBy), &l.truncated)
			}
			f.shareParties(l)
		}
	case "proceeding", "progress":
		l := f.call(b, Originating, false)
		if l != nil && l.called == "" {
			l.calling, l.called = h.account, keep(b.Username, &l.truncated)
			f.shareParties(l)
		}
		if l != nil {
			l.progresses(b.Code, b.Name == "progress", t)
		}
		if l != nil && l.accepted == 0 && b.Name == "progress" {
			l.early = true
			f.p.conclude(RuleNotAnAnswer, f.s, h, l, facts{at: t, word: b.Name})
		}
	case "accepted", "accepting", "progressed":
		l := f.call(b, f.guess(b), false)
		if l == nil {
			return
		}
		if l.direction == Originating && l.called == "" && b.Username != "" {
			l.calling, l.called = h.account, keep(b.Username, &l.truncated)
			f.shareParties(l)
		}
		l.early = l.early || b.Name == "progressed"
		l.progresses(0, b.Name == "progressed", t)
		//mutant:answered-by-sip
		if b.Name == "accepted" && (l.accepted == 0 || t < l.accepted) {
			l.accepted = t
			f.p.conclude(RuleAnsweredSIP, f.s, h, l, facts{at: t})
		}
	case "declined":
		if b.CallID == "" && b.Callee == "" {
			return // a transfer that is declined names no call
		}
		if l := h.callOf(b.CallID, t); l != nil && l.accepted == 0 {
			l.declined, l.by = true, ByLocal
			f.p.conclude(RuleCallDeclined, f.s, h, l, facts{at: t})
		}
	//mutant:sip-missed-call
	case "missed_call":
		f.missed(b)
	case "hangup":
		f.sipHangup(b)
	case "sip-in", "sip-out":
		f.sipMessage(b)
	}
}

// sipMessage notes what a raw message proves of the call whose Call-ID it bears: that it was answered, that it is over.
func (f *eventFold) sipMessage(b *janus.PluginEvent) {
	l := f.h.openLeg(SIPCall)
	id := callIDHeader(b.SIP)
	//mutant:message-of-the-next-call
	if l != nil && f.t > l.start && id != "" && l.callID != "" && id != l.callID && bearsCall(b) {
		next := *b
		next.CallID = id
		l = f.call(&next, directionOf(b), false)
	}
	if l == nil || f.t < l.start || id != "" && l.callID != "" && id != l.callID {
		if b.Name == "sip-in" && strings.HasPrefix(b.SIP, "INVITE ") {
			f.invited(b)
		}
		return
	}
	switch {
	case l.accepted != 0 || l.ok200 != 0:
		l.hold.message(b, f.t)
	case strings.HasPrefix(b.SIP, "SIP/2.0 18") && sipCSeq(b.SIP) == "INVITE":
		code := 180
		if strings.HasPrefix(b.SIP, "SIP/2.0 183") {
			code = 183
		}
		l.progresses(code, false, f.t)
	case b.Name == "sip-out" && strings.HasPrefix(b.SIP, "INVITE "):
		f.invited(b)
		l.takeInvitation(f.h)
	}
	if strings.HasPrefix(b.SIP, "BYE ") || strings.HasPrefix(b.SIP, "CANCEL ") || finalAnswer(b.SIP) && sipCSeq(b.SIP) == "INVITE" && l.accepted == 0 {
		l.reason850(b.SIP)
	}
	switch {
	case accepts(b.SIP):
		if l.ok200 == 0 { // `accepted` is the next word, if that is not lost
			l.ok200 = f.t
		}
	case strings.HasPrefix(b.SIP, "BYE ") && l.bye == InitiatorUnknown:
		l.bye, l.byeTime, l.byeOffset = ByRemote, f.t, f.offset
		if b.Name == "sip-out" {
			l.bye = ByLocal
		}
		f.p.conclude(RuleByeSeen, f.s, f.h, l, facts{at: f.t, word: l.bye.String(), limit: f.p.terms(f.em, f.h.plugin).Grace})
		f.close(l)
	}
}

// bearsCall tells whether a message is of a call that the handle has taken up: it carries one at a time, so one before is
// over. A call that comes meanwhile is refused, and only what that takes is exchanged.
func bearsCall(b *janus.PluginEvent) bool {
	out := b.Name == "sip-out"
	switch method(b.SIP) {
	case "INVITE":
		return accepts(b.SIP) || out == !strings.HasPrefix(b.SIP, "SIP/2.0 ") // ours, or answers to ours
	case "ACK", "CANCEL":
		return out && !strings.HasPrefix(b.SIP, "SIP/2.0 ")
	case "BYE":
		return true
	}
	return false
}

// directionOf is the direction of a call by a message of its setup.
func directionOf(b *janus.PluginEvent) Direction {
	switch out := b.Name == "sip-out"; {
	case method(b.SIP) == "BYE":
		return DirectionUnknown
	case out == strings.HasPrefix(b.SIP, "SIP/2.0 "):
		return Terminating
	}
	return Originating
}

// progresses notes that a call that is not answered yet rings (180) or makes progress otherwise: 183, or early media.
func (l *leg) progresses(code int, media bool, t janus.Micros) {
	if l.accepted != 0 {
		return
	}
	//mutant:rings
	if code == 180 && (l.ringing == 0 || t < l.ringing) {
		l.ringing = t
	}
	//mutant:makes-progress
	if (code == 183 || media) && (l.progress == 0 || t < l.progress) {
		l.progress = t
	}
}

// accepts tells whether a SIP message is the 200 that answers an INVITE.
func accepts(message string) bool {
	return strings.HasPrefix(message, "SIP/2.0 200 ") && sipCSeq(message) == "INVITE"
}

// callOf is the call with a Call-ID that an event at a time belongs to. An event may lack the Call-ID.
func (h *handle) callOf(id string, t janus.Micros) *leg {
	//mutant:call-of-its-id
	if open := h.openLeg(SIPCall); open != nil && id != "" && open.callID == id && open.start <= t {
		return open
	}
	l := h.current(SIPCall, t)
	if l == nil || h.old(l, t) || id != "" && l.callID != "" && l.callID != id {
		return nil
	}
	return l
}

// call finds the call that an event is about, or opens it: with `calling` and `incomingcall`, or, where that was lost,
// with whatever comes first. It returns nil where the event says nothing new, or is of a call that has ended.
func (f *eventFold) call(b *janus.PluginEvent, dir Direction, setup bool) *leg {
	h, t := f.h, f.t
	if l := h.callOf(b.CallID, t); l != nil && (!setup || l.ended || l.noStart || t <= l.start) {
		if l.callID == "" {
			l.callID = keep(b.CallID, &l.truncated)
		}
		if setup && !l.noStart {
			return nil // it comes again: who speaks to whom is known, and the account may be another one by now
		}
		if setup && l.parts == 0 { // it comes late
			l.noStart, l.direction = false, dir
			f.startsAt(l, t)
		}
		return l
	}
	if old := h.openLeg(SIPCall); old != nil {
		if h.old(old, t) || !setup && t <= old.start || h.over(SIPCall, b.CallID) {
			return nil // of a call before it
		}
		if old.hangTime == 0 {
			old.life = min(old.life, f.surely(old, !setup))
			if pc := h.openLeg(PeerConnection); pc != nil && old.start <= pc.life && old.carriedBy(pc) {
				//mutant:doubted-with-its-call
				pc.doubted(old.life)
			}
		}
		f.supersede(old)
	} else if !setup && h.over(SIPCall, b.CallID) {
		return nil // what comes late of a call that was reported
	}
	l := f.successor()
	l.kind, l.noStart = SIPCall, !setup
	if pc := h.carrier(); pc != nil && !setup && pc.start > h.lastEnd[SIPCall] {
		l.rides(pc) // what carries it was seen from the beginning, or from earlier on
	}
	if l = f.openLeg(h, l, openedBy(SIPCall, f.e.Body)); l == nil {
		return nil
	}
	f.take(l)
	l.callID, l.direction = keep(b.CallID, &l.truncated), dir
	l.takeInvitation(h)
	if dir == Originating {
		l.calling = h.account
	}
	f.shareParties(l)
	return l
}

// surely is until when a call lived for certain, which the next one's first word shows to be over: what carries that may have
// begun before, and be what was taken for the PeerConnection of this one.
func (f *eventFold) surely(old *leg, begun bool) janus.Micros {
	sure := max(old.start, old.accepted, old.ok200, old.ringing, old.progress)
	pc := f.h.openLeg(PeerConnection)
	if pc == nil || !old.carriedBy(pc) {
		return old.life
	}
	//mutant:surely-its-own
	if pc.connected() && !f.h.startMissing(pc) {
		sure = max(sure, pc.up, pc.secured, pc.evidence, pc.reported)
	}
	at := pc.questioned(f.t)
	switch {
	case at != 0:
	case pc.thin():
		at = max(pc.start, pc.up)
	//mutant:first-report-of-the-next
	case pc.reports > 0 && least(pc.cadence, f.s.period) == 0 && f.t-pc.reported < pc.gap: // what was lost lies before them
		at = pc.gapFrom
	}
	//mutant:hole-before-the-next-call
	if begun && at != 0 {
		sure = max(min(sure, at), old.start)
	}
	return sure
}

// rides takes over from a PeerConnection what it tells of the call that it carries and whose setup was not seen.
func (l *leg) rides(pc *leg) {
	l.start, l.up, l.evidence, l.twoWay, l.lastClientActivity = pc.start, pc.up, pc.evidence, pc.twoWay, pc.lastClientActivity
	l.life, l.lifeClock = max(l.life, pc.life), pc.lifeClock
	l.reported, l.reports, l.cadence, l.firstReport = pc.reported, pc.reports, pc.cadence, pc.firstReport
}

// supersede closes a call whose end was not seen when the next one begins: a handle carries one at a time. What carries
// the next one may have begun before.
func (f *eventFold) supersede(old *leg) {
	if old.hangTime != 0 {
		f.endLeg(f.h, old, EndWebRTCHangup, old.hangTime, old.hangWord)
		return
	}
	if pc := f.h.openLeg(PeerConnection); pc != nil && pc.next != nil && old.start <= pc.life {
		f.takeOver(pc)
	}
	if slices.Contains(f.h.legs, old) {
		f.p.conclude(RuleSuperseded, f.s, f.h, old, facts{at: f.t})
		f.p.emitHandle(f.k, f.h, closeTrigger{cause: CauseInactivity, until: f.t}, func(l *leg) bool { return l == old })
	}
}

// guess is the direction of a call whose setup was not seen: by who offered, as far as that was seen.
func (f *eventFold) guess(b *janus.PluginEvent) Direction {
	var offer int8
	if pc := f.h.openLeg(PeerConnection); pc != nil {
		offer = pc.offer
		if pc.next != nil { // it may be the call before's
			offer = pc.next.offer
		}
	}
	switch offer {
	case offerByClient:
		return Originating
	case offerByJanus:
		return Terminating
	}
	switch {
	case b.Name == "progressed" || b.Name == "accepting":
		return Terminating
	case b.Username != "":
		return Originating
	}
	return DirectionUnknown
}

// missed is a call that was refused because the account was busy: this one event is all that Janus tells of it.
func (f *eventFold) missed(b *janus.PluginEvent) {
	h, t := f.h, f.t
	if slices.ContainsFunc(h.legs, func(l *leg) bool { return l.missed && l.start == t }) {
		return // told twice
	}
	if l := f.openConcurrent(h, SIPCall); l != nil { // the call that keeps the account busy goes on
		f.take(l)
		l.direction, l.role, l.missed, l.by = Terminating, Callee, true, ByLocal
		l.calling, l.called = keep(b.Caller, &l.truncated), keep(b.Callee, &l.truncated)
		l.ended, l.endBasis, l.endedAt, l.endWord = true, EndSIPHangup, t, "missed_call"
		f.close(l)
	}
}

// sipHangup ends a call. A code of 200 alone does not mean that it was answered.
func (f *eventFold) sipHangup(b *janus.PluginEvent) {
	h, t := f.h, f.t
	l := h.callOf(b.CallID, t)
	//mutant:hangup-in-the-next-call
	if old := h.endedWithItsCarrier(b.CallID); l == nil && old != nil {
		if old.code == 0 {
			old.code, old.reason = int32(b.Code), keep(b.Reason, &old.truncated)
		}
		return
	}
	if l == nil {
		// The setup was lost; the PeerConnection shows that there was an attempt, or the words that there was a dialog.
		pc := h.openLeg(PeerConnection)
		//mutant:dialog-of-nothing
		dialog := ofDialog(b) && b.CallID != "" && t > h.lastEnd[SIPCall]
		if h.openLeg(SIPCall) == nil && (pc == nil || h.lastEnd[SIPCall] >= pc.start) && !dialog {
			return
		}
		if l = f.call(b, f.guess(b), false); l == nil {
			return
		}
	}
	if l.ended {
		return
	}
	if l.code == 0 {
		l.code, l.reason = int32(b.Code), keep(b.Reason, &l.truncated)
	}
	l.releasedBy(b.ReasonProtocol, b.ReasonCause, b.ReasonText)
	l.dialog = l.dialog || ofDialog(b)
	l.by = l.whoHungUp(b)
	f.endLeg(h, l, EndSIPHangup, t, b.Reason)
	if pc := h.current(PeerConnection, t); pc != nil { // its own end may have overtaken this one
		pc.by = l.by
	}
}

// endedWithItsCarrier is a call with a Call-ID whose own `hangup` was waited for, as its PeerConnection had ended, until the next one
// began; nil for none.
func (h *handle) endedWithItsCarrier(id string) *leg {
	for _, l := range h.legs {
		if l.kind == SIPCall && l.ended && l.endBasis == EndWebRTCHangup && id != "" && l.callID == id {
			return l
		}
	}
	return nil
}

// byeAnswered is the reason of a `hangup` that is the answer to our BYE, whatever its code. Sofia says it and "Session
// Terminated" of an established dialog only; "Early Session Terminated" is the other thing.
const byeAnswered = "to BYE"

// ofDialog tells whether a `hangup` is that of a call that was answered.
func ofDialog(b *janus.PluginEvent) bool {
	return b.Reason == byeAnswered || b.Reason == "Session Terminated"
}

// byePatience is how long the SIP stack waits for the answer to a BYE: 64 times T1.
const byePatience = 32 * second

// impliedAnswer is when a call was answered whose `accepted` was not seen: the earliest moment that what was seen proves,
// if it proves an answer at all; else 0.
func (l *leg) impliedAnswer() (at janus.Micros) {
	refused := l.code >= 300 && l.endWord != byeAnswered
	incoming := l.direction == Terminating && l.up != 0 && !l.early
	//mutant:implied-answer
	if refused || l.missed || l.ok200 == 0 && l.byeTime == 0 && !l.dialog && !incoming {
		return 0
	}
	proof := func(t janus.Micros) {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	proof(l.ok200)
	//mutant:early-media
	if !l.early { // else the PeerConnection was up before, and media may have flowed both ways
		proof(l.up)
		proof(l.evidence)
		proof(l.twoWay)
	}
	over := l.endedAt
	for _, t := range []janus.Micros{l.byeTime, l.hangTime} {
		if t != 0 && (over == 0 || t < over) {
			over = t
		}
	}
	if at == 0 || over != 0 && at > over {
		at = over
	}
	return at
}

// callEnd is how a call ended, by SIP's `hangup`, a BYE or the end of its PeerConnection: the earliest of them proves it,
// and where they are together the call's own word counts.
func (l *leg) callEnd() ending {
	e := explicitEnd(l.endBasis, l.endedAt, l.endWord)
	first := e
	if !l.ended {
		first.time = 1<<63 - 1
	}
	if l.byeTime != 0 && l.byeTime < first.time {
		first = explicitEnd(EndSIPHangup, l.byeTime, l.endWord)
	}
	if l.hangTime != 0 && l.hangTime < first.time {
		first = explicitEnd(EndWebRTCHangup, l.hangTime, l.hangWord)
	}
	switch {
	//mutant:end-by-first-word
	case !l.ended, !together(first.time, e.time):
		e = first
	//mutant:bye-timed-out
	case l.endWord == byeAnswered && l.code != 200 && first.time == e.time:
		e.time = max(e.time-byePatience, l.start)
		e.earliest = e.time
	}
	return e
}

// whoHungUp is who ended a call: of an answered one who sent BYE, as Janus words it in every version or as the messages
// show; of another one who gave up or refused.
func (l *leg) whoHungUp(b *janus.PluginEvent) Initiator {
	//mutant:who-sent-bye
	switch {
	case b.Reason == byeAnswered:
		return ByLocal
	//mutant:bye-of-the-peer
	case b.Code == 200 && b.Reason == "Session Terminated":
		return ByRemote
	case l.accepted != 0 || l.bye != InitiatorUnknown:
		return l.bye
	case l.declined:
		return ByLocal
	case b.Code == 487:
		if l.direction == Originating {
			return ByLocal
		}
		return ByRemote
	case b.Code == 408:
		return ByTimer
	case b.Code >= 300 && b.Code != 503 && l.direction == Originating: // 503 may be made up locally
		return ByRemote
	}
	return InitiatorUnknown
}

// shareParties tells the PeerConnection of a call who speaks to whom.
func (f *eventFold) shareParties(l *leg) {
	l.role = Callee
	switch l.direction {
	case Originating:
		l.role = Caller
	case DirectionUnknown:
		l.role = RoleUnknown
	}
	//mutant:old-word-of-a-call
	if pc := f.h.carrier(); pc != nil && !l.over(pc.start) {
		partner := l.partner
		l.shareParties(pc)
		if pc != f.h.openLeg(PeerConnection) {
			l.partner = partner // it has no number yet
		}
	}
}

// carrier is the PeerConnection that carries what begins now: what takes over, if it is another client's.
func (h *handle) carrier() *leg {
	pc := h.openLeg(PeerConnection)
	//mutant:carried-by-the-next
	if pc != nil && pc.next != nil && (pc.next.foreign || pc.next.offer != 0) {
		return pc.next
	}
	return pc
}

// over tells whether the call had ended before a time, by SIP or with its PeerConnection: one that began then is another
// call's, whatever is said of this one again.
func (l *leg) over(t janus.Micros) bool {
	return l.ended && l.endedAt < t || l.hangTime != 0 && l.hangTime < t
}

// carriedBy tells whether a PeerConnection may be that of the call, and is not known to be another one's, whose end was not
// seen.
func (l *leg) carriedBy(pc *leg) bool {
	//mutant:carried-by-another
	return pc.callID == "" || l.callID == "" || pc.callID == l.callID
}

func (l *leg) shareParties(pc *leg) {
	if !l.carriedBy(pc) {
		return
	}
	pc.mate, pc.mateIndex = SIPCall, l.index
	l.received = max(l.received, pc.received)
	l.partner = pc.index + 1
	pc.role, pc.direction, pc.calling, pc.called, pc.display, pc.callID = l.role, l.direction, l.calling, l.called, l.display, l.callID
	pc.truncated = pc.truncated || l.truncated
}

// unquoted takes one enclosing pair of quotes off, as SIP writes display names.
func unquoted(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
