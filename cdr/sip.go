package cdr

import (
	"strings"

	"januscdr/janus"
)

// sip folds an event of a SIP handle into its account and its calls. A handle carries one call at a time; more than one
// at once takes helper handles, which are handles like any other.
func (f *eventFold) sip(b *janus.PluginEvent) {
	h, t := f.h, f.e.Time
	switch b.Name {
	case "registered":
		if b.Identity != "" {
			h.account = keep(b.Identity, &f.s.truncated)
		}
	case "calling":
		if l := f.call(b, Originating, true); l != nil {
			l.calling, l.called = h.account, keep(b.Callee, &l.cut)
			f.shareParties(l)
		}
	case "incomingcall":
		if l := f.call(b, Terminating, true); l != nil {
			l.calling, l.called = keep(b.Username, &l.cut), keep(b.Callee, &l.cut)
			l.display = unquoted(keep(b.DisplayName, &l.cut))
			f.shareParties(l)
		}
	case "proceeding", "progress":
		l := f.call(b, Originating, false)
		if l != nil && l.called == "" {
			l.calling, l.called = h.account, keep(b.Username, &l.cut)
			f.shareParties(l)
		}
		if l != nil && l.accepted == 0 && b.Name == "progress" {
			f.p.conclude(RuleNotAnAnswer, f.s, h, l, facts{at: t, word: b.Name})
		}
	case "accepted", "accepting", "progressed":
		l := f.call(b, f.guess(b), false)
		if l == nil {
			return
		}
		if l.direction == Originating && l.called == "" && b.Username != "" {
			l.calling, l.called = h.account, keep(b.Username, &l.cut)
			f.shareParties(l)
		}
		if b.Name == "accepted" && (l.accepted == 0 || t < l.accepted) {
			l.accepted = t
			f.p.conclude(RuleAnsweredSIP, f.s, h, l, facts{at: t})
		}
	case "declined":
		if l := h.callOf(b.CallID, t); l != nil && b.CallID != "" { // a transfer that is declined names no call
			l.declined, l.by = true, ByLocal
			f.p.conclude(RuleCallDeclined, f.s, h, l, facts{at: t})
		}
	case "missed_call":
		f.missed(b)
	case "hangup":
		f.sipHangup(b)
	case "sip-in", "sip-out":
		if l := h.unended(SIPCall); l != nil && accepts(b.SIP) {
			l.proved(t) // `accepted` is the next word, if that is not lost
		}
		if l := h.unended(SIPCall); l != nil && strings.HasPrefix(b.SIP, "BYE ") && l.bye == InitiatorUnknown {
			l.bye = ByRemote
			if b.Name == "sip-out" {
				l.bye = ByLocal
			}
			f.p.conclude(RuleByeSeen, f.s, h, l, facts{at: t, word: l.bye.String()})
		}
	}
}

// accepts tells whether a SIP message is the 200 that answers an INVITE.
func accepts(message string) bool {
	if !strings.HasPrefix(message, "SIP/2.0 200 ") {
		return false
	}
	_, after, _ := strings.Cut(message, "\r\nCSeq:")
	line, _, _ := strings.Cut(after, "\r\n")
	return strings.HasSuffix(line, " INVITE")
}

// callOf is the call with a Call-ID that an event at a time belongs to. An event may lack the Call-ID.
func (h *handle) callOf(id string, t janus.Micros) *leg {
	l := h.current(SIPCall, t)
	if l == nil || h.old(l, t) || id != "" && l.callID != "" && l.callID != id {
		return nil
	}
	return l
}

// call finds the call that an event is about, or opens it: with `calling` and `incomingcall`, or, where that was lost,
// with whatever comes first. It returns nil where the event says nothing new, or is of a call that has ended.
func (f *eventFold) call(b *janus.PluginEvent, dir Direction, setup bool) *leg {
	h, t := f.h, f.e.Time
	if l := h.callOf(b.CallID, t); l != nil && (!setup || l.told || l.noStart || t <= l.start) {
		if l.callID == "" {
			l.callID = keep(b.CallID, &l.cut)
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
	if old := h.unended(SIPCall); old != nil {
		if h.old(old, t) || !setup && (t <= old.start || old.resumed.at == 0 || t < old.resumed.at) {
			return nil // of a call before it
		}
		f.supersede(old)
	}
	l := f.open(h, SIPCall, f.birthNow(h, SIPCall))
	if l == nil {
		return nil
	}
	f.take(l)
	l.callID, l.direction, l.noStart = keep(b.CallID, &l.cut), dir, !setup
	if dir == Originating {
		l.calling = h.account
	}
	f.shareParties(l)
	return l
}

// supersede closes a call whose end was not seen when the next one begins: a handle carries one at a time.
func (f *eventFold) supersede(old *leg) {
	if old.hangTime != 0 {
		f.tell(f.h, old, EndWebRTCHangup, old.hangTime, old.hangWord)
		return
	}
	began := f.giveWay(old)
	if pc := f.h.unended(PeerConnection); pc != nil && pc.start < began.at && pc.resumed.at != 0 {
		if pc = f.begin(f.renew(pc)); pc != nil {
			f.take(pc)
		}
	}
}

// guess is the direction of a call whose setup was not seen: by who offered, as far as that was seen.
func (f *eventFold) guess(b *janus.PluginEvent) Direction {
	var offer int8
	if pc := f.h.unended(PeerConnection); pc != nil {
		offer = pc.offer
		if pc.resumed.offer != 0 { // it may be the call before's
			offer = pc.resumed.offer
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
	h, t := f.h, f.e.Time
	if l := f.openBeside(h, SIPCall); l != nil { // the call that keeps the account busy goes on
		f.take(l)
		l.direction, l.role, l.missed, l.by = Terminating, Callee, true, ByLocal
		l.calling, l.called = keep(b.Caller, &l.cut), keep(b.Callee, &l.cut)
		l.told, l.toldBasis, l.toldTime, l.toldReason = true, EndSIPHangup, t, "missed_call"
		f.close(l)
	}
}

// sipHangup ends a call. A code of 200 alone does not mean that it was answered.
func (f *eventFold) sipHangup(b *janus.PluginEvent) {
	h, t := f.h, f.e.Time
	l := h.callOf(b.CallID, t)
	if l == nil {
		// The setup was lost; the PeerConnection shows that there was an attempt.
		pc := h.unended(PeerConnection)
		if h.unended(SIPCall) == nil && (pc == nil || h.lastEnd[SIPCall] >= pc.start) {
			return
		}
		if l = f.call(b, f.guess(b), false); l == nil {
			return
		}
	}
	if l.told {
		return
	}
	if l.code == 0 {
		l.code, l.reason = int32(b.Code), keep(b.Reason, &l.cut)
	}
	l.by = l.whoHungUp(b)
	f.tell(h, l, EndSIPHangup, t, b.Reason)
	if pc := h.current(PeerConnection, t); pc != nil { // its own end may have overtaken this one
		pc.by = l.by
	}
}

// whoHungUp is who ended a call: of an answered one who sent BYE, as Janus words it in every version or as the messages
// show; of another one who gave up or refused.
func (l *leg) whoHungUp(b *janus.PluginEvent) Initiator {
	switch {
	case b.Code == 200 && b.Reason == "to BYE":
		return ByLocal
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
	if pc := f.h.unended(PeerConnection); pc != nil && !l.over(pc.start) {
		l.shareParties(pc)
	}
}

// over tells whether the call had ended before a time, by SIP or with its PeerConnection: one that began then is another
// call's, whatever is said of this one again.
func (l *leg) over(t janus.Micros) bool {
	return l.told && l.toldTime < t || l.hangTime != 0 && l.hangTime < t
}

func (l *leg) shareParties(pc *leg) {
	if pc.callID != "" && l.callID != "" && pc.callID != l.callID {
		return // it was that of another call, and its end was not seen
	}
	pc.role, pc.direction, pc.calling, pc.called, pc.display, pc.callID = l.role, l.direction, l.calling, l.called, l.display, l.callID
}

// unquoted takes one enclosing pair of quotes off, as SIP writes display names.
func unquoted(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
