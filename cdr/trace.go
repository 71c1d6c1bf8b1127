package cdr

import "januscdr/janus"

// TraceRule names why the fold concluded something. The set is closed: whoever shows conclusions has a sentence for each.
type TraceRule uint8

// The rules, in the order of the life of a session.
const (
	RuleUnknown TraceRule = iota

	RuleSessionOpened             // `created` was seen
	RuleSessionOpenedByFirstEvent // it was not: the first event of the session opens it
	RuleSessionIdentified         // `created` came after other events of the session
	RuleSessionRevived            // a closed session lives again, as a new incarnation
	RuleHandleOpened              // the first event of a handle
	RuleConnectionLost            // the session's transport is gone; it may be claimed by another one
	RuleEmitterMarked             // the server stopped or started: what was open is closed unless it shows that it lives
	RuleMarkWithdrawn             // it lives on
	RuleClockStepped              // a timestamp went back by more than events get out of order

	RuleLegOpenedByOffer
	RuleLegOpenedByAnswer    // the offer was not seen
	RuleLegOpenedByGathering // where jsep events are not sent
	RuleLegOpenedByWebRTCUp
	RuleLegOpenedByMedia
	RuleLegOpenedByCall         // SIP `calling`
	RuleLegOpenedByIncomingCall // SIP `incomingcall`
	RuleLegOpenedByMissedCall   // SIP `missed_call`: refused because the account was busy
	RuleLegOpenedByLaterEvent   // of a SIP call whose setup was not seen
	RuleLegOpenedWithCall       // a PeerConnection whose offer was not seen, on a handle whose next call was
	RuleLegOpenedByJoin
	RuleLegOpenedBeside // a view or recording, beside its PeerConnection
	RuleLegStartMoved   // what opened it came after another event of its own
	RuleLegNotOpened    // the event belongs to something that has ended
	RuleLeftOut         // a bound was reached

	RuleAnsweredSIP
	RuleAnsweredWebRTCUp
	RuleAnsweredJoined
	RuleAnsweredStreamStarted
	RuleAnsweredByEvidence // webrtcup was not seen, media was
	RuleNotAnAnswer        // it looks like one: early media, VideoCall `accepted`
	RuleCallDeclined
	RuleByeSeen

	RuleLegEndedSIPHangup
	RuleLegEndedHangup
	RuleLegEndedByPlugin
	RuleMembershipEndedByOther // by an event that names the room and the participant, not this session
	RuleLegEndedDetached       // the handle went, and no end of the leg itself was told
	RuleLegEndedWithSession    // the session went, and no end of the leg itself was told
	RuleCallWaitsForSIP        // the PeerConnection of a call is gone, the word of SIP is to come
	RuleHandleClosed           // `detached`
	RuleSessionEndDestroyed
	RuleSessionEndTimeout
	RuleSessionEndConnectionLost // its transport is gone and all its handles are detached
	RuleSuperseded               // the next one has begun: the next call of a handle, the next incarnation of a session

	RuleDuplicate   // the same bytes came before
	RuleLateInGrace // folded in, after the close
	RuleLateEvent   // after the record went out: counted, nothing else

	RuleGraceOver
	RuleGaveUpSilent        // nothing came of it for too long while its emitter lived
	RuleGaveUpEmitterSilent // nothing came of the emitter for too long, or the file ends
	RulePartCut
	RuleRecordEmitted
	RuleLegWoken         // it was reported at its last evidence, and is heard of again
	RuleSessionForgotten // the stub's time is over
)

// TraceRules are the names of the rules in the order of the constants.
var TraceRules = []string{
	"unknown",
	"session_opened", "session_opened_by_first_event", "session_identified", "session_revived", "handle_opened",
	"connection_lost", "emitter_marked", "mark_withdrawn", "clock_stepped",
	"leg_opened_by_offer", "leg_opened_by_answer", "leg_opened_by_gathering", "leg_opened_by_webrtcup", "leg_opened_by_media",
	"leg_opened_by_call", "leg_opened_by_incoming_call", "leg_opened_by_missed_call", "leg_opened_by_later_event",
	"leg_opened_with_call", "leg_opened_by_join", "leg_opened_beside", "leg_start_moved", "leg_not_opened", "left_out",
	"answered_sip", "answered_webrtcup", "answered_joined", "answered_stream_started", "answered_by_evidence",
	"not_an_answer", "call_declined", "bye_seen",
	"leg_ended_sip_hangup", "leg_ended_hangup", "leg_ended_by_plugin", "membership_ended_by_other", "leg_ended_detached",
	"leg_ended_with_session", "call_waits_for_sip", "handle_closed",
	"session_end_destroyed", "session_end_timeout", "session_end_connection_lost", "superseded",
	"duplicate", "late_in_grace", "late_event",
	"grace_over", "gave_up_silent", "gave_up_emitter_silent", "part_cut", "record_emitted", "leg_woken", "session_forgotten",
}

// String is the name of the rule.
func (r TraceRule) String() string { return word(TraceRules, r) }

// Conclusion is something that the fold concluded about a session, and by which rule. It explains a record and never
// reaches one.
type Conclusion struct {
	Offset int64        // of the input at hand; at the end of a file, of the last one
	Time   janus.Micros // timestamp of the event at hand, in its emitter's clock; 0 when time passed and no event led to it
	Clock  janus.Micros // partition time: of the event, or of the deadline that has passed

	Emitter  string
	Session  janus.SessionID
	Handle   janus.HandleID // 0 when it is about the session
	LegKind  LegKind        // LegKindUnknown when it is about the handle or the session
	LegIndex int32

	Rule   TraceRule
	At     janus.Micros // the moment concluded, in the emitter's clock: a start, an answer, an end; 0 for none
	Limit  janus.Micros // the span that has passed, or passes from now on: grace, silence; 0 for none
	Word   string       // the event or reason that decided, as Janus words it; valid during the call only
	Record *Record      // of RuleRecordEmitted; valid during the call only
}

// Trace has f called for each conclusion from now on, in the order in which they are drawn; nil for nobody, which is the
// default and costs nothing. What f does has no influence on the records.
func (p *Partition) Trace(f func(Conclusion)) { p.trace = f }

// Clock is the partition time of the last record that was folded.
func (p *Partition) Clock() janus.Micros { return p.pos.clock.now }

// facts are what a conclusion tells besides what it is about.
type facts struct {
	at, limit janus.Micros
	word      string
	record    *Record
}

// conclude tells whoever traces. The handle and the leg are nil where it is not about one.
func (p *Partition) conclude(rule TraceRule, s *session, h *handle, l *leg, x facts) {
	if p.trace == nil {
		return
	}
	c := Conclusion{
		Offset: p.pos.next - 1, Time: p.eventTime, Clock: p.pos.clock.now, Emitter: s.emitter, Session: s.id,
		Rule: rule, At: x.at, Limit: x.limit, Word: x.word, Record: x.record,
	}
	if p.dueClock != 0 {
		c.Clock = p.dueClock
	}
	if h != nil {
		c.Handle = h.id
	}
	switch {
	case l != nil:
		c.LegKind, c.LegIndex = l.kind, l.index
		if c.At != 0 {
			c.At -= l.shift
		}
	case c.At != 0:
		c.At -= s.shift
	}
	p.trace(c)
}

// openedBy is the rule by which the event at hand opens a leg.
func openedBy(kind LegKind, body janus.Body) TraceRule {
	switch b := body.(type) {
	case *janus.JSEP:
		switch {
		case kind != PeerConnection:
			return RuleLegOpenedBeside
		case b.Offer:
			return RuleLegOpenedByOffer
		}
		return RuleLegOpenedByAnswer
	case *janus.PluginEvent:
		switch {
		case kind == RoomMembership:
			return RuleLegOpenedByJoin
		case kind == PeerConnection:
			return RuleLegOpenedWithCall
		case kind != SIPCall:
			return RuleLegOpenedBeside
		case b.Name == "calling":
			return RuleLegOpenedByCall
		case b.Name == "incomingcall":
			return RuleLegOpenedByIncomingCall
		case b.Name == "missed_call":
			return RuleLegOpenedByMissedCall
		}
		return RuleLegOpenedByLaterEvent
	}
	if kind != PeerConnection {
		return RuleLegOpenedBeside
	}
	switch body.(type) {
	case *janus.ICEState:
		return RuleLegOpenedByGathering
	case *janus.PeerConnectionUp:
		return RuleLegOpenedByWebRTCUp
	}
	return RuleLegOpenedByMedia
}

// endedBy is the rule by which an event tells the end of a leg.
func (f *eventFold) endedBy(basis EndBasis) TraceRule {
	switch {
	case basis == EndSIPHangup:
		return RuleLegEndedSIPHangup
	case basis == EndWebRTCHangup:
		return RuleLegEndedHangup
	case f.e.Session != f.s.id:
		return RuleMembershipEndedByOther
	}
	return RuleLegEndedByPlugin
}
