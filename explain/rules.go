package explain

import "januscdr/cdr"

// ruleText is what people are told of a rule of the fold.
type ruleText struct {
	conclusion string // in the story; {leg}, {at}, {limit}, {word}, {ends}, {whose}, {record}: see sentence.go
	rule       string // the rule, whatever the case
	billing    string // what follows for the invoice
	section    string // of docs/records.md, where it is explained
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

// ruleTexts has a text for each rule of the fold.
var ruleTexts = map[cdr.TraceRule]ruleText{
	cdr.RuleSessionOpened: {
		conclusion: "the session opens, because it was seen being created",
		rule:       "A session opens when Janus says that it was created.",
		billing:    "Nothing is charged for a session as such; its legs are what is charged.",
		section:    secIdentity,
	},
	cdr.RuleSessionOpenedByFirstEvent: {
		conclusion: "the session opens here, because this is its first event; its creation was not seen",
		rule:       "A session whose creation was not seen opens with its first event.",
		billing:    "Its SESSION record says start_missing. A leg that began later is not concerned.",
		section:    secCertain,
	},
	cdr.RuleSessionIdentified: {
		conclusion: "the session is known by its creation from now on, because `created` came after other events of it",
		rule:       "A creation that comes late still gives the session its identity, as long as no record was emitted.",
		billing:    "None: no record had gone out.",
		section:    secIdentity,
	},
	cdr.RuleSessionRevived: {
		conclusion: "a new incarnation of the session opens, because the one before was closed and this shows life after it",
		rule:       "An event after a close by silence, or a later creation with the same id, opens a new incarnation.",
		billing:    "What comes from now on is in new records; those that went out stay as they are.",
		section:    secIdentity,
	},
	cdr.RuleHandleOpened: {
		conclusion: "the handle is known from here on, because this is its first event; its attach was not seen",
		rule:       "A handle is known from its first event.",
		billing:    "None: a handle alone makes no leg.",
		section:    secKinds,
	},
	cdr.RuleConnectionLost: {
		conclusion: "the session has lost its connection, because the transport it was created over is gone; it may be " +
			"claimed over another one, so nothing ends yet",
		rule:    "A lost connection alone ends nothing: the session may be claimed by another one.",
		billing: "None yet. An end that follows within a second has the cause TRANSPORT_GONE.",
		section: secEnds,
	},
	cdr.RuleEmitterMarked: {
		conclusion: "{word}; what shows no life and no end of its own is closed in {limit}",
		rule:       "A server that stops or starts ends what was open on it.",
		billing: "Where no end of its own comes, a leg ends at its last event, and the record says in which interval the " +
			"true end lies.",
		section: secCertain,
	},
	cdr.RuleMarkWithdrawn: {
		conclusion: "the session lives on after all, because this event is later than the end of the server; another " +
			"server has the same name",
		rule:    "A session that shows life after the end of its server was not on that server.",
		billing: "None: the call goes on. Give each server a name of its own.",
		section: secEnds,
	},
	cdr.RuleClockStepped: {
		conclusion: "{leg} has a clock that cannot be trusted, because the clock of the server was set by {limit} or more",
		rule:       "When timestamps of a server go back or ahead by more than events get out of order, its clock was set.",
		billing:    "The record says clock_suspect and is ESTIMATED: its durations may be wrong by the step.",
		section:    secClocks,
	},
	cdr.RuleLegOpenedByOffer: {
		conclusion: "{leg} starts, because an offer begins a PeerConnection",
		rule:       "A PeerConnection starts with its first offer.",
		billing:    "The time until the answer is setup_duration and is not charged.",
		section:    secTimes,
	},
	cdr.RuleLegOpenedByAnswer: {
		conclusion: "{leg} starts here, because there is an answer whose offer was not seen",
		rule:       "An SDP answer without an offer starts a PeerConnection: the offer was lost.",
		billing: "The record says start_missing; the time that is charged begins with the answer of the leg and is not " +
			"touched.",
		section: secCertain,
	},
	cdr.RuleLegOpenedByGathering: {
		conclusion: "{leg} starts, because ICE begins to gather candidates",
		rule:       "Where no offers are reported, a PeerConnection starts when ICE begins to gather.",
		billing:    "The time until the answer is setup_duration and is not charged.",
		section:    secTimes,
	},
	cdr.RuleLegOpenedByWebRTCUp: {
		conclusion: "{leg} starts here, because it is up and nothing before was seen of it",
		rule:       "webrtcup starts a PeerConnection of which nothing was seen before.",
		billing:    "The record says start_missing; what is charged begins here, as it would have.",
		section:    secCertain,
	},
	cdr.RuleLegOpenedByMedia: {
		conclusion: "{leg} starts here, because there are media and nothing before was seen of it",
		rule:       "Media start a PeerConnection of which nothing was seen before.",
		billing:    "The record says start_missing: what is charged may have begun earlier.",
		section:    secCertain,
	},
	cdr.RuleLegOpenedByCall: {
		conclusion: "{leg} starts, because the client calls",
		rule:       "An outgoing SIP call starts with `calling`.",
		billing:    "Nothing is charged until it is accepted.",
		section:    secTimes,
	},
	cdr.RuleLegOpenedByIncomingCall: {
		conclusion: "{leg} starts, because somebody calls the client",
		rule:       "An incoming SIP call starts with `incomingcall`.",
		billing:    "Nothing is charged until it is accepted.",
		section:    secTimes,
	},
	cdr.RuleLegOpenedByMissedCall: {
		conclusion: "{leg} starts and ends here, because the plugin refused it while the line was busy",
		rule:       "A call that comes while the account is busy is one event: it was refused.",
		billing:    "The call was missed; nothing is charged.",
		section:    secBecame,
	},
	cdr.RuleLegOpenedByLaterEvent: {
		conclusion: "{leg} starts here, because this belongs to a call whose setup was not seen",
		rule:       "A SIP call whose setup was not seen starts with the first event of it.",
		billing:    "The record says start_missing. What is charged begins with `accepted`, if that was seen.",
		section:    secCertain,
	},
	cdr.RuleLegOpenedWithCall: {
		conclusion: "{leg} starts at {at}, with the call that it carries, because its offer was not seen",
		rule:       "Where one call follows another without an end, its PeerConnection begins with it.",
		billing:    "The record says start_missing, unless the offer comes yet; what is charged begins with the answer.",
		section:    secCertain,
	},
	cdr.RuleLegOpenedByJoin: {
		conclusion: "{leg} starts, because the participant has joined",
		rule:       "A membership starts with `joined`.",
		billing:    "By default a membership is not charged: its PeerConnection is.",
		section:    secKinds,
	},
	cdr.RuleLegOpenedBeside: {
		conclusion: "{leg} starts beside its PeerConnection",
		rule:       "Streaming and Record&Play have a view or a recording beside each PeerConnection.",
		billing:    "By default it is not charged: its PeerConnection is.",
		section:    secKinds,
	},
	cdr.RuleLegStartMoved: {
		conclusion: "{leg} started at {at}, because this happened before what it was first known by",
		rule:       "A leg starts with the earliest event that opens it, in whatever order they come.",
		billing:    "The time until the answer is setup_duration and is not charged.",
		section:    secTimes,
	},
	cdr.RuleLegNotOpened: {
		conclusion: "this opens no {leg}, because it belongs to one that has ended",
		rule:       "An event not later than the end of the last leg belongs to that leg and opens no new one.",
		billing:    "None: nothing is charged twice.",
		section:    secRepeats,
	},
	cdr.RuleLeftOut: {
		conclusion: "something is left out of the record ({word}), because a bound was reached",
		rule:       "Each handle, leg and text has a bound; what goes beyond is left out.",
		billing:    "The record says truncated. Legs that were left out are not charged.",
		section:    secCertain,
	},
	cdr.RuleAnsweredSIP: {
		conclusion: "{leg} is answered at {at}, because SIP says `accepted`",
		rule:       "A SIP call is answered when it is accepted.",
		billing:    "Charging begins here.",
		section:    secTimes,
	},
	cdr.RuleAnsweredWebRTCUp: {
		conclusion: "{leg} is answered at {at}, because media can flow from now on (webrtcup)",
		rule:       "A PeerConnection is answered when it is up.",
		billing:    "Charging begins here, if the leg is chargeable.",
		section:    secTimes,
	},
	cdr.RuleAnsweredJoined: {
		conclusion: "{leg} is answered at {at}, because joining is all it takes",
		rule:       "A membership is answered when it starts.",
		billing:    "By default a membership is not charged: its PeerConnection is.",
		section:    secTimes,
	},
	cdr.RuleAnsweredStreamStarted: {
		conclusion: "{leg} is answered at {at}, unless webrtcup says when, " +
			"because the plugin says that the stream has started",
		rule:    "A view is answered by webrtcup; where none is seen, when the plugin says that the stream has started.",
		billing: "By default it is not charged: its PeerConnection is.",
		section: secTimes,
	},
	cdr.RuleAnsweredByEvidence: {
		conclusion: "{leg} is answered at {at}, because media flow; webrtcup was not seen",
		rule:       "Where webrtcup was lost, the first event that proves media counts as the answer.",
		billing:    "Charging begins here, perhaps later than the true answer; the record is ESTIMATED.",
		section:    secCertain,
	},
	cdr.RuleNotAnAnswer: {
		conclusion: "{leg} is not answered yet, because `{word}` is no answer",
		rule:       "Early media, ringing and VideoCall's `accepted` are no answer.",
		billing:    "Nothing is charged yet.",
		section:    secTimes,
	},
	cdr.RuleCallDeclined: {
		conclusion: "{leg} is refused by the client",
		rule:       "An incoming call that the client declines is REJECTED, whatever the code.",
		billing:    "Nothing is charged.",
		section:    secBecame,
	},
	cdr.RuleByeSeen: {
		conclusion: "{leg} is ended by {word}, because the BYE comes from there",
		rule:       "Who sends BYE ended the call.",
		billing:    "None: it goes into disconnect_initiator.",
		section:    secEnds,
	},
	cdr.RuleLegEndedSIPHangup: {
		conclusion: "{leg} ends at {at}, because SIP says hangup; late events may come for {limit}",
		rule:       "A SIP call ends when the plugin says hangup.",
		billing:    "Charging ends here, to the microsecond.",
		section:    secEnds,
	},
	cdr.RuleLegEndedHangup: {
		conclusion: "{leg} ends at {at}, because {whose} says so; late events may come for {limit}",
		rule:       "A PeerConnection, and what cannot live without it, ends with its hangup.",
		billing:    "Charging ends here, to the microsecond.",
		section:    secEnds,
	},
	cdr.RuleLegEndedByPlugin: {
		conclusion: "{leg} ends at {at}, because the plugin says `{word}`; late events may come for {limit}",
		rule:       "A membership, view or recording ends when its plugin says so.",
		billing:    "The end is exact. Where the PeerConnection is charged, it counts until its own end.",
		section:    secEnds,
	},
	cdr.RuleMembershipEndedByOther: {
		conclusion: "{leg} ends at {at}, because `{word}` names its room{ends}; late events may come for {limit}",
		rule: "A membership ends by an event that names its room and participant, though not its session, or its whole " +
			"room.",
		billing: "The end is exact. Where the PeerConnection is charged, it counts until its own end.",
		section: secEnds,
	},
	cdr.RuleLegEndedDetached: {
		conclusion: "{leg} is over by {at}, because its handle is gone and no earlier end was told; " +
			"late events may come for {limit}",
		rule: "A leg without an end of its own is over when its handle is detached. " +
			"Its last report, which comes with the end, says when.",
		billing: "Charging ends here, if its last report came with this or nothing was ever reported, " +
			"though the client may have been gone before; else at its last event. " +
			"The record says in which interval the true end lies.",
		section: secEnds,
	},
	cdr.RuleLegEndedWithSession: {
		conclusion: "{leg} is over by {at}, with its session, unless its own end is told within {limit}",
		rule: "A leg without an end of its own is over with its session. " +
			"Its last report, which comes with the end, says when.",
		billing: "Charging ends here, unless the leg's own end comes within the grace or its reports ended long before.",
		section: secEnds,
	},
	cdr.RuleCallWaitsForSIP: {
		conclusion: "{leg} waits up to {limit} for the word of SIP, because its PeerConnection is gone ({word})",
		rule:       "When the PeerConnection of a call goes, the plugin says BYE, and SIP's own hangup tells the end.",
		billing:    "Charging ends with SIP's hangup; where none comes, with the PeerConnection.",
		section:    secEnds,
	},
	cdr.RuleHandleClosed: {
		conclusion: "the handle is gone",
		rule:       "`detached` is the end of a handle; its id does not come again.",
		billing:    "None of its own.",
		section:    secEnds,
	},
	cdr.RuleSessionEndDestroyed: {
		conclusion: "the session ends, because Janus destroyed it; late events may come for {limit}",
		rule:       "A session ends when Janus says that it is destroyed.",
		billing:    "Nothing is charged for a session as such.",
		section:    secEnds,
	},
	cdr.RuleSessionEndTimeout: {
		conclusion: "the session ends, because Janus gave up waiting for its client; late events may come for {limit}",
		rule:       "A session ends when Janus' watchdog times it out.",
		billing: "Janus held the resources until now, so its legs count until now; the client may have gone earlier, and " +
			"the record says since when.",
		section: secCertain,
	},
	cdr.RuleSessionEndConnectionLost: {
		conclusion: "the session ends, because its connection is lost and all its handles are detached; late events may " +
			"come for {limit}",
		rule:    "A session whose connection is lost ends when all its handles are detached; Janus up to 1.3.1 says no more.",
		billing: "Legs end with their handles, with the cause TRANSPORT_GONE.",
		section: secEnds,
	},
	cdr.RuleSuperseded: {
		conclusion: "{leg} is over, because another one began at {at} in its place",
		rule: "A handle carries one call at a time and a session id one session: the next one shows that the one before is " +
			"over.",
		billing: "It ends at its last event, and the record says in which interval the true end lies.",
		section: secCertain,
	},
	cdr.RuleDuplicate: {
		conclusion: "nothing changes, because the same bytes came before",
		rule:       "An exact repetition is counted and changes nothing else.",
		billing:    "None: nothing is charged twice.",
		section:    secRepeats,
	},
	cdr.RuleLateInGrace: {
		conclusion: "it still counts, because it comes within the grace after the close",
		rule:       "What comes within the grace after a close is taken into the record.",
		billing:    "None: the end stays where it was told.",
		section:    secRepeats,
	},
	cdr.RuleLateEvent: {
		conclusion: "it changes nothing, because the records have gone out",
		rule:       "An event after the record went out is counted, and no record is changed.",
		billing:    "None: a record that was emitted is never changed.",
		section:    secRepeats,
	},
	cdr.RuleGraceOver: {
		conclusion: "{leg} is written down, because the {limit} for late events are over",
		rule:       "A record waits for late events, and is then written down.",
		billing:    "What was concluded before is now on the record.",
		section:    secDefending,
	},
	cdr.RuleGaveUpSilent: {
		conclusion: "{leg} is given up, because nothing came of it for {limit} while its server was alive",
		rule:       "What is silent for too long while its server lives is closed at its last event.",
		billing: "It ends at its last event: less than it may have lasted, never more. The record says in which interval " +
			"the true end lies.",
		section: secCertain,
	},
	cdr.RuleGaveUpEmitterSilent: {
		conclusion: "the session is given up with all that is open in it, because nothing came of the server for {limit}",
		rule:       "When a server is silent for too long, what is open on it is closed at its last event.",
		billing: "Legs end at their last events: less than they may have lasted, never more. The records say in which " +
			"interval the true end lies.",
		section: secCertain,
	},
	cdr.RulePartCut: {
		conclusion: "a part of {leg} ends at {at}, because {word}",
		rule:       "Long legs are reported in parts, by time, volume or at midnight, as the policy says.",
		billing:    "The parts tile the leg: their durations add up to it exactly.",
		section:    secParts,
	},
	cdr.RuleRecordEmitted: {
		conclusion: "{record}",
		rule:       "A record is emitted once and never changed.",
		billing:    "This is what a billing system reads.",
		section:    secCharged,
	},
	cdr.RuleLegWoken: {
		conclusion: "{leg}, which was reported with its end at {at}, is heard of again",
		rule:       "What nobody had told the end of is reported at its last evidence, and goes on when it is heard of.",
		billing:    "Its record is made again: the highest revision counts.",
		section:    secEnds,
	},
	cdr.RuleSessionForgotten: {
		conclusion: "the session is forgotten after {limit}: an event of it would open it anew",
		rule:       "A closed session is remembered for a while, so that late events open nothing.",
		billing:    "None.",
		section:    secRepeats,
	},
}
