package explain

import (
	"cmp"
	"fmt"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// outcome is what came of a leg, in one sentence. The record is one that may be shown.
func outcome(r *cdr.Record) string {
	start := clockTime(r.StartTime)
	switch r.LegKind {
	case cdr.SIPCall:
		return sipOutcome(r)
	case cdr.RoomMembership:
		who := "the client"
		if r.ParticipantID != "" {
			who = "participant " + r.ParticipantID
		}
		return fmt.Sprintf("%s joined room %s at %s and stayed %s; %s", who+inBrackets(r.DisplayName), r.RoomID, start,
			span(janus.Micros(r.Duration)), howEnded(r))
	}
	what := whatLeg(r)
	if r.AnswerTime == 0 {
		return fmt.Sprintf("%s tried at %s, never up for %s; %s", what, start, span(janus.Micros(r.HoldingDuration)),
			howEnded(r))
	}
	return fmt.Sprintf("%s at %s, up after %s for %s; %s", what, start, span(janus.Micros(r.SetupDuration)),
		span(answeredFor(r)), howEnded(r))
}

// whatLeg says what a leg is that is neither a call nor a membership.
func whatLeg(r *cdr.Record) string {
	switch r.LegKind {
	case cdr.StreamView:
		return "viewing" + inRoom(" mountpoint ", r.RoomID)
	case cdr.Recording:
		if r.Role == cdr.Player {
			return "playing recording" + inRoom(" ", r.RoomID)
		}
		return "recording" + inRoom(" ", r.RoomID)
	}
	what := pluginName(r.Plugin) + " PeerConnection"
	switch r.Role {
	case cdr.Publisher, cdr.Subscriber:
		what += " as " + strings.ToLower(r.Role.String())
	case cdr.Caller:
		what += " of the caller"
	case cdr.Callee:
		what += " of the callee"
	}
	if r.LegKind == cdr.PeerConnection && r.Role != cdr.Viewer {
		what += inRoom(" in room ", r.RoomID)
	}
	return what + inBrackets(r.DisplayName)
}

// answeredFor is the answered time of the leg up to the end of the record.
func answeredFor(r *cdr.Record) janus.Micros { return janus.Micros(r.CumulativeDuration) }

// parties are the two sides of a SIP call, as people call them.
type parties struct {
	caller, called string
	local, remote  string // the client of Janus, and who it speaks with
}

func partiesOf(r *cdr.Record) parties {
	p := parties{local: "the client", remote: "the other side"}
	switch r.Direction {
	case cdr.Originating:
		p.local, p.remote = cmp.Or(sipUser(r.CallingParty), p.local), cmp.Or(r.CalledParty, p.remote)
		p.caller, p.called = p.local, p.remote
	case cdr.Terminating:
		p.local, p.remote = cmp.Or(sipUser(r.CalledParty), p.local), cmp.Or(r.CallingParty, p.remote)
		p.caller, p.called = p.remote+inBrackets(r.DisplayName), p.local
	default:
		p.caller, p.called = cmp.Or(r.CallingParty, "somebody"), cmp.Or(r.CalledParty, "somebody")
	}
	return p
}

func sipOutcome(r *cdr.Record) string {
	p := partiesOf(r)
	text := p.caller + " called " + p.called + " at " + clockTime(r.StartTime)
	switch {
	case r.AnswerTime == 0:
		text += ": " + p.whyUnanswered(r) + " after " + span(janus.Micros(r.HoldingDuration))
		if r.EndBasis == cdr.EndSIPHangup {
			return text
		}
		return text + "; " + howEnded(r)
	case r.EndBasis == cdr.EndSIPHangup:
		return text + answered(r) + p.whoHungUp(r) + inBrackets(r.Diagnostics)
	}
	return text + answered(r) + howEnded(r)
}

func answered(r *cdr.Record) string {
	return ", answered after " + span(janus.Micros(r.SetupDuration)) + ", spoke " + span(answeredFor(r)) + "; "
}

func (p *parties) whoHungUp(r *cdr.Record) string {
	switch r.DisconnectInitiator {
	case cdr.ByLocal:
		return p.local + " hung up"
	case cdr.ByRemote:
		return p.remote + " hung up"
	}
	return "ended by " + initiatorName(r.DisconnectInitiator)
}

func (p *parties) whyUnanswered(r *cdr.Record) string {
	why := "it failed"
	switch r.Disposition {
	case cdr.Busy:
		why = p.remote + " was busy"
	case cdr.Rejected:
		why = p.remote + " refused"
		if r.DisconnectInitiator == cdr.ByLocal {
			why = p.local + " refused"
		}
	case cdr.Cancelled:
		why = p.local + " gave up before an answer"
	case cdr.Missed:
		why = "missed"
	case cdr.NoAnswer:
		why = "no answer"
	}
	if r.SIPFinalCode == 0 {
		return why
	}
	return why + inBrackets(strings.TrimSpace(fmt.Sprintf("%d %s", r.SIPFinalCode, r.SIPReason)))
}

func inRoom(word, room string) string {
	if room == "" {
		return ""
	}
	return word + room
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// sipUser is the user of a SIP URI.
func sipUser(uri string) string {
	rest, ok := strings.CutPrefix(uri, "sips:")
	if !ok {
		rest, ok = strings.CutPrefix(uri, "sip:")
	}
	if name, _, at := strings.Cut(rest, "@"); ok && at && name != "" {
		return name
	}
	return uri
}

// howEnded says how a leg or session ended.
func howEnded(r *cdr.Record) string {
	switch r.EndBasis {
	case cdr.EndSIPHangup:
		return "SIP told the end" + inBrackets(r.Diagnostics)
	case cdr.EndWebRTCHangup:
		return "ended by hangup: " + hangupReason(r.Diagnostics)
	case cdr.EndPluginEvent:
		switch r.Diagnostics {
		case "leaving", "left", "leave":
			return "it left"
		case "kicked", "kicked_all":
			return "it was kicked out"
		case "destroyed":
			return "the room was destroyed"
		case "":
			return "the plugin ended it"
		}
		return "the plugin ended it: " + r.Diagnostics
	case cdr.EndHandleDetached, cdr.EndSessionDestroyed:
		what := "the handle was detached"
		if r.EndBasis == cdr.EndSessionDestroyed {
			what = "the session was destroyed"
		} else if r.RecordType == cdr.SessionSummary {
			what = "all handles were detached"
		}
		switch r.CauseForRecordClosing {
		case cdr.CauseTransportGone:
			return "its connection was lost and " + what
		case cdr.CauseEmitterShutdown:
			return "the server shut down and " + what
		}
		return what
	case cdr.EndSessionTimeout:
		return "the session timed out"
	case cdr.EndEmitterShutdown:
		return "no end was told: the server shut down"
	case cdr.EndEmitterRestart:
		return "no end was told: the server was started anew"
	case cdr.EndLastEvidence:
		switch r.CauseForRecordClosing {
		case cdr.CauseEmitterSilent:
			return "no end was told: nothing came of the server any more"
		case cdr.CauseTransportGone:
			return "no end was told: its connection was lost"
		}
		return "no end was told: nothing came of it any more"
	}
	return "it goes on" // a part
}

// initiatorName is who ended something.
func initiatorName(v cdr.Initiator) string {
	switch v {
	case cdr.ByLocal:
		return "the client"
	case cdr.ByRemote:
		return "the other side"
	case cdr.ByNetwork:
		return "the network"
	case cdr.ByServer:
		return "the server"
	case cdr.ByAdmin:
		return "an administrator"
	case cdr.ByTimer:
		return "a timer"
	}
	return "nobody knows whom"
}

// partReason is why a part was cut.
func partReason(v cdr.Cause) string {
	switch v {
	case cdr.CauseTimeLimit:
		return "the time for one part is over"
	case cdr.CauseVolumeLimit:
		return "it has carried the volume for one part"
	case cdr.CauseTariffTimeChange:
		return "a new day begins"
	}
	return v.String()
}
