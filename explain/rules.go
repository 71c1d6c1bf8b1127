package explain

import (
	"fmt"
	"slices"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// rule is what people are told of a rule of the fold.
type rule struct {
	says    string // the conclusion in the story: {leg}, {at}, {limit}, {word}, {ends}, {whose}, {record}
	means   string // the rule, whatever the case
	money   string // what follows for the invoice
	section string // of docs/records.md, where it is explained
}

// Sections of docs/records.md.
const (
	secTimes     = "The times of a record"
	secIdentity  = "How a record is identified"
	secKinds     = "Five kinds of leg"
	secEnds      = "How a call ended"
	secBecame    = "What became of a call"
	secCertain   = "What is not certain, and what it means for money"
	secParts     = "Partial records"
	secRepeats   = "Repetitions, holes and amendments"
	secCharged   = "Which legs are charged"
	secClocks    = "Rounding, clocks and time zones"
	secDefending = "Defending a line of an invoice"
)

// ruleOf has a line for each rule of the fold.
var ruleOf = map[cdr.TraceRule]rule{
	cdr.RuleSessionOpened: {
		"the session opens, because it was seen being created",
		"A session opens when Janus says that it was created.",
		"Nothing is charged for a session as such; its legs are what is charged.", secIdentity},
	cdr.RuleSessionOpenedByFirstEvent: {
		"the session opens here, because this is its first event; its creation was not seen",
		"A session whose creation was not seen opens with its first event.",
		"Its SESSION record says start_missing. A leg that began later is not concerned.", secCertain},
	cdr.RuleSessionIdentified: {
		"the session is known by its creation from now on, because `created` came after other events of it",
		"A creation that comes late still gives the session its identity, as long as no record was emitted.",
		"None: no record had gone out.", secIdentity},
	cdr.RuleSessionRevived: {
		"a new incarnation of the session opens, because the one before was closed and this shows life after it",
		"An event after a close by silence, or a later creation with the same id, opens a new incarnation.",
		"What comes from now on is in new records; those that went out stay as they are.", secIdentity},
	cdr.RuleHandleOpened: {
		"the handle is known from here on, because this is its first event; its attach was not seen",
		"A handle is known from its first event.",
		"None: a handle alone makes no leg.", secKinds},
	cdr.RuleConnectionLost: {
		"the session has lost its connection, because the transport it was created over is gone; it may be claimed over another one, so nothing ends yet",
		"A lost connection alone ends nothing: the session may be claimed by another one.",
		"None yet. An end that follows within a second has the cause TRANSPORT_GONE.", secEnds},
	cdr.RuleEmitterMarked: {
		"{word}; what shows no life and no end of its own is closed in {limit}",
		"A server that stops or starts ends what was open on it.",
		"Where no end of its own comes, a leg ends at its last event, and the record says in which interval the true end lies.", secCertain},
	cdr.RuleMarkWithdrawn: {
		"the session lives on after all, because this event is later than the end of the server; another server has the same name",
		"A session that shows life after the end of its server was not on that server.",
		"None: the call goes on. Give each server a name of its own.", secEnds},
	cdr.RuleClockStepped: {
		"{leg} has a clock that cannot be trusted, because the timestamps went back by {limit}",
		"When timestamps of a handle go back by more than events get out of order, the server's clock was set.",
		"The record says clock_suspect and is ESTIMATED: its durations may be wrong by the step.", secClocks},
	cdr.RuleLegOpenedByOffer: {
		"{leg} starts, because an offer begins a PeerConnection",
		"A PeerConnection starts with its first offer.",
		"The time until the answer is setup_duration and is not charged.", secTimes},
	cdr.RuleLegOpenedByAnswer: {
		"{leg} starts here, because there is an answer whose offer was not seen",
		"An SDP answer without an offer starts a PeerConnection: the offer was lost.",
		"The record says start_missing; the time that is charged begins with the answer of the leg and is not touched.", secCertain},
	cdr.RuleLegOpenedByGathering: {
		"{leg} starts, because ICE begins to gather candidates",
		"Where no offers are reported, a PeerConnection starts when ICE begins to gather.",
		"The time until the answer is setup_duration and is not charged.", secTimes},
	cdr.RuleLegOpenedByWebRTCUp: {
		"{leg} starts here, because it is up and nothing before was seen of it",
		"webrtcup starts a PeerConnection of which nothing was seen before.",
		"The record says start_missing; what is charged begins here, as it would have.", secCertain},
	cdr.RuleLegOpenedByMedia: {
		"{leg} starts here, because there are media and nothing before was seen of it",
		"Media start a PeerConnection of which nothing was seen before.",
		"The record says start_missing: what is charged may have begun earlier.", secCertain},
	cdr.RuleLegOpenedByCall: {
		"{leg} starts, because the client calls",
		"An outgoing SIP call starts with `calling`.",
		"Nothing is charged until it is accepted.", secTimes},
	cdr.RuleLegOpenedByIncomingCall: {
		"{leg} starts, because somebody calls the client",
		"An incoming SIP call starts with `incomingcall`.",
		"Nothing is charged until it is accepted.", secTimes},
	cdr.RuleLegOpenedByMissedCall: {
		"{leg} starts and ends here, because the plugin refused it while the line was busy",
		"A call that comes while the account is busy is one event: it was refused.",
		"The call was missed; nothing is charged.", secBecame},
	cdr.RuleLegOpenedByLaterEvent: {
		"{leg} starts here, because this belongs to a call whose setup was not seen",
		"A SIP call whose setup was not seen starts with the first event of it.",
		"The record says start_missing. What is charged begins with `accepted`, if that was seen.", secCertain},
	cdr.RuleLegOpenedWithCall: {
		"{leg} starts at {at}, with the call that it carries, because its offer was not seen",
		"Where one call follows another without an end, its PeerConnection begins with it.",
		"The record says start_missing, unless the offer comes yet; what is charged begins with the answer.", secCertain},
	cdr.RuleLegOpenedByJoin: {
		"{leg} starts, because the participant has joined",
		"A membership starts with `joined`.",
		"By default a membership is not charged: its PeerConnection is.", secKinds},
	cdr.RuleLegOpenedBeside: {
		"{leg} starts beside its PeerConnection",
		"Streaming and Record&Play have a view or a recording beside each PeerConnection.",
		"By default it is not charged: its PeerConnection is.", secKinds},
	cdr.RuleLegStartMoved: {
		"{leg} started at {at}, because this happened before what it was first known by",
		"A leg starts with the earliest event that opens it, in whatever order they come.",
		"The time until the answer is setup_duration and is not charged.", secTimes},
	cdr.RuleLegNotOpened: {
		"this opens no {leg}, because it belongs to one that has ended",
		"An event not later than the end of the last leg belongs to that leg and opens no new one.",
		"None: nothing is charged twice.", secRepeats},
	cdr.RuleLeftOut: {
		"something is left out of the record ({word}), because a bound was reached",
		"Each session, leg and text has a bound; what goes beyond is left out.",
		"The record says truncated. Legs that were left out are not charged.", secCertain},
	cdr.RuleAnsweredSIP: {
		"{leg} is answered at {at}, because SIP says `accepted`",
		"A SIP call is answered when it is accepted.",
		"Charging begins here.", secTimes},
	cdr.RuleAnsweredWebRTCUp: {
		"{leg} is answered at {at}, because media can flow from now on (webrtcup)",
		"A PeerConnection is answered when it is up.",
		"Charging begins here, if the leg is chargeable.", secTimes},
	cdr.RuleAnsweredJoined: {
		"{leg} is answered at {at}, because joining is all it takes",
		"A membership is answered when it starts.",
		"By default a membership is not charged: its PeerConnection is.", secTimes},
	cdr.RuleAnsweredStreamStarted: {
		"{leg} is answered at {at}, because the plugin says that the stream has started",
		"A view is answered when the plugin says so, or with webrtcup.",
		"By default it is not charged: its PeerConnection is.", secTimes},
	cdr.RuleAnsweredByEvidence: {
		"{leg} is answered at {at}, because media flow; webrtcup was not seen",
		"Where webrtcup was lost, the first event that proves media counts as the answer.",
		"Charging begins here, perhaps later than the true answer; the record is ESTIMATED.", secCertain},
	cdr.RuleNotAnAnswer: {
		"{leg} is not answered yet, because `{word}` is no answer",
		"Early media, ringing and VideoCall's `accepted` are no answer.",
		"Nothing is charged yet.", secTimes},
	cdr.RuleCallDeclined: {
		"{leg} is refused by the client",
		"An incoming call that the client declines is REJECTED, whatever the code.",
		"Nothing is charged.", secBecame},
	cdr.RuleByeSeen: {
		"{leg} is ended by {word}, because the BYE comes from there",
		"Who sends BYE ended the call.",
		"None: it goes into disconnect_initiator.", secEnds},
	cdr.RuleLegEndedSIPHangup: {
		"{leg} ends at {at}, because SIP says hangup; late events may come for {limit}",
		"A SIP call ends when the plugin says hangup.",
		"Charging ends here, to the microsecond.", secEnds},
	cdr.RuleLegEndedHangup: {
		"{leg} ends at {at}, because {whose} says so; late events may come for {limit}",
		"A PeerConnection, and what cannot live without it, ends with its hangup.",
		"Charging ends here, to the microsecond.", secEnds},
	cdr.RuleLegEndedByPlugin: {
		"{leg} ends at {at}, because the plugin says `{word}`; late events may come for {limit}",
		"A membership, view or recording ends when its plugin says so.",
		"The end is exact. Where the PeerConnection is charged, it counts until its own end.", secEnds},
	cdr.RuleMembershipEndedByOther: {
		"{leg} ends at {at}, because `{word}` names its room{ends}; late events may come for {limit}",
		"A membership ends by an event that names its room and participant, though not its session, or its whole room.",
		"The end is exact. Where the PeerConnection is charged, it counts until its own end.", secEnds},
	cdr.RuleLegEndedDetached: {
		"{leg} ends at {at}, because its handle is gone and no earlier end was told; late events may come for {limit}",
		"A leg without an end of its own ends when its handle is detached.",
		"Charging ends here; with a session timeout the client may have been gone before.", secEnds},
	cdr.RuleLegEndedWithSession: {
		"{leg} ends with its session at {at}, unless its own end is told within {limit}",
		"A leg without an end of its own ends with its session.",
		"Charging ends here, unless the leg's own end comes within the grace.", secEnds},
	cdr.RuleCallWaitsForSIP: {
		"{leg} waits up to {limit} for the word of SIP, because its PeerConnection is gone ({word})",
		"When the PeerConnection of a call goes, the plugin says BYE, and SIP's own hangup tells the end.",
		"Charging ends with SIP's hangup; where none comes, with the PeerConnection.", secEnds},
	cdr.RuleHandleClosed: {
		"the handle is gone",
		"`detached` is the end of a handle; its id does not come again.",
		"None of its own.", secEnds},
	cdr.RuleSessionEndDestroyed: {
		"the session ends, because Janus destroyed it; late events may come for {limit}",
		"A session ends when Janus says that it is destroyed.",
		"Nothing is charged for a session as such.", secEnds},
	cdr.RuleSessionEndTimeout: {
		"the session ends, because Janus gave up waiting for its client; late events may come for {limit}",
		"A session ends when Janus' watchdog times it out.",
		"Janus held the resources until now, so its legs count until now; the client may have gone earlier, and the record says since when.", secCertain},
	cdr.RuleSessionEndConnectionLost: {
		"the session ends, because its connection is lost and all its handles are detached; late events may come for {limit}",
		"A session whose connection is lost ends when all its handles are detached; Janus up to 1.3.1 says no more.",
		"Legs end with their handles, with the cause TRANSPORT_GONE.", secEnds},
	cdr.RuleSuperseded: {
		"{leg} is over, because another one began at {at} in its place",
		"A handle carries one call at a time and a session id one session: the next one shows that the one before is over.",
		"It ends at its last event, and the record says in which interval the true end lies.", secCertain},
	cdr.RuleDuplicate: {
		"nothing changes, because the same bytes came before",
		"An exact repetition is counted and changes nothing else.",
		"None: nothing is charged twice.", secRepeats},
	cdr.RuleLateInGrace: {
		"it still counts, because it comes within the grace after the close",
		"What comes within the grace after a close is taken into the record.",
		"None: the end stays where it was told.", secRepeats},
	cdr.RuleLateEvent: {
		"it changes nothing, because the records have gone out",
		"An event after the record went out is counted, and no record is changed.",
		"None: a record that was emitted is never changed.", secRepeats},
	cdr.RuleGraceOver: {
		"{leg} is written down, because the {limit} for late events are over",
		"A record waits for late events, and is then written down.",
		"What was concluded before is now on the record.", secDefending},
	cdr.RuleGaveUpSilent: {
		"{leg} is given up, because nothing came of it for {limit} while its server was alive",
		"What is silent for too long while its server lives is closed at its last event.",
		"It ends at its last event: less than it may have lasted, never more. The record says in which interval the true end lies.", secCertain},
	cdr.RuleGaveUpEmitterSilent: {
		"the session is given up with all that is open in it, because nothing came of the server for {limit}",
		"When a server is silent for too long, what is open on it is closed at its last event.",
		"Legs end at their last events: less than they may have lasted, never more. The records say in which interval the true end lies.", secCertain},
	cdr.RulePartCut: {
		"a part of {leg} ends at {at}, because {word}",
		"Long legs are reported in parts, by time, volume or at midnight, as the policy says.",
		"The parts tile the leg: their durations add up to it exactly.", secParts},
	cdr.RuleRecordEmitted: {
		"{record}",
		"A record is emitted once and never changed.",
		"This is what a billing system reads.", secCharged},
	cdr.RuleSessionForgotten: {
		"the session is forgotten after {limit}: an event of it would open it anew",
		"A closed session is remembered for a while, so that late events open nothing.",
		"None.", secRepeats},
}

// conclusion is a conclusion of the fold that is kept.
type conclusion struct {
	cdr.Conclusion
	record *cdr.Record
	ended  bool // the file ended, and time went on as if
	closed bool // the end of the session was told before
	said   bool // together with the one before
}

// sentence puts a conclusion into words.
func (t *teller) sentence(c conclusion) string {
	r := ruleOf[c.Rule]
	at := ""
	if c.At != 0 {
		at = clockTime(c.At)
	}
	word, ends, whose := clean(c.Word), "", "its hangup"
	if c.LegKind != cdr.PeerConnection {
		whose = "the hangup of its PeerConnection"
	}
	switch c.Rule {
	case cdr.RuleConnectionLost:
		if c.closed {
			return "nothing follows from the end of the connection, because the session has ended before"
		}
	case cdr.RuleEmitterMarked:
		if c.closed {
			return "nothing follows from the end of the server, because the session has ended before"
		}
		word = "the server has stopped"
		if c.Word == cdr.EndEmitterRestart.String() {
			word = "the server has started anew"
		}
	case cdr.RuleByeSeen:
		word = initiator(cdr.Initiator(slices.Index(cdr.Initiators, c.Word)))
	case cdr.RulePartCut:
		word = cause(cdr.Cause(slices.Index(cdr.Causes, c.Word)))
	case cdr.RuleMembershipEndedByOther:
		if c.Word != "destroyed" {
			ends = " and participant"
		}
	case cdr.RuleGaveUpEmitterSilent:
		if c.ended {
			return "the session is closed with all that is open in it, because the file ends here; on a log that goes on, it would wait " + span(c.Limit) + " for a sign of the server"
		}
	}
	record := ""
	if c.record != nil {
		record = "the record of " + t.subject(c) + " goes out: record " + emitted(c.record)
	}
	return strings.NewReplacer(
		"{leg}", t.subject(c), "{at}", at, "{limit}", span(c.Limit), "{word}", word, "{ends}", ends, "{whose}", whose, "{record}", record,
	).Replace(r.says)
}

// emitted is what a record says, at a glance.
func emitted(r *cdr.Record) string {
	text := r.RecordID.String()[:8] + ", " + r.Disposition.String()
	if r.AnswerTime != 0 {
		text += ", " + span(janus.Micros(r.Duration))
	}
	if !r.IsFinal {
		text += fmt.Sprintf(", part %d", r.RecordSequenceNumber)
	}
	return text + ", " + r.Confidence.String()
}
