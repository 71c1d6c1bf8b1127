package explain

import (
	"fmt"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// outcome is what came of a leg, in one sentence. The record is one that may be shown.
func outcome(r *cdr.Record) string {
	if r.LegKind == cdr.SIPCall {
		return sipOutcome(r)
	}
	start := clockTime(r.StartTime)
	var what string
	switch r.LegKind {
	case cdr.RoomMembership:
		who := "the client"
		if r.ParticipantID != "" {
			who = "participant " + r.ParticipantID
		}
		what = who + named(r.DisplayName) + " joined room " + r.RoomID + " at " + start + " and stayed " + span(janus.Micros(r.Duration))
		return what + "; " + howEnded(r)
	case cdr.StreamView:
		what = "viewing" + inRoom(" mountpoint ", r.RoomID)
	case cdr.Recording:
		what = "recording"
		if r.Role == cdr.Player {
			what = "playing recording"
		}
		what += inRoom(" ", r.RoomID)
	default:
		what = pluginName(r.Plugin) + " PeerConnection"
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
		what += named(r.DisplayName)
	}
	if r.AnswerTime == 0 {
		return fmt.Sprintf("%s tried at %s, never up for %s; %s", what, start, span(janus.Micros(r.HoldingDuration)), howEnded(r))
	}
	return fmt.Sprintf("%s at %s, up after %s for %s; %s", what, start, span(janus.Micros(r.SetupDuration)), span(lasted(r)), howEnded(r))
}

// lasted is the answered time of the leg up to the end of the record.
func lasted(r *cdr.Record) janus.Micros { return janus.Micros(r.CumulativeDuration) }

func sipOutcome(r *cdr.Record) string {
	caller, called := r.CallingParty, r.CalledParty
	local, remote := "the client", "the other side"
	switch r.Direction {
	case cdr.Originating:
		local, remote = orElse(user(caller), local), orElse(called, remote)
		caller, called = local, remote
	case cdr.Terminating:
		local, remote = orElse(user(called), local), orElse(caller, remote)
		caller, called = remote+named(r.DisplayName), local
	default:
		caller, called = orElse(caller, "somebody"), orElse(called, "somebody")
	}
	text := caller + " called " + called + " at " + clockTime(r.StartTime)
	if r.AnswerTime != 0 {
		text += ", answered after " + span(janus.Micros(r.SetupDuration)) + ", spoke " + span(lasted(r)) + "; "
		if r.EndBasis != cdr.EndSIPHangup {
			return text + howEnded(r)
		}
		switch r.DisconnectInitiator {
		case cdr.ByLocal:
			text += local + " hung up"
		case cdr.ByRemote:
			text += remote + " hung up"
		default:
			text += "ended by " + initiator(r.DisconnectInitiator)
		}
		return text + inBrackets(r.Diagnostics)
	}
	why := ""
	if r.SIPFinalCode != 0 {
		why = strings.TrimSpace(fmt.Sprintf("%d %s", r.SIPFinalCode, r.SIPReason))
	}
	switch r.Disposition {
	case cdr.Busy:
		text += ": " + remote + " was busy"
	case cdr.Rejected:
		who := remote
		if r.DisconnectInitiator == cdr.ByLocal {
			who = local
		}
		text += ": " + who + " refused"
	case cdr.Cancelled:
		text += ": " + local + " gave up before an answer"
	case cdr.Missed:
		text += ": missed"
	case cdr.NoAnswer:
		text += ": no answer"
	default:
		text += ": it failed"
	}
	text += inBrackets(why) + " after " + span(janus.Micros(r.HoldingDuration))
	if r.EndBasis != cdr.EndSIPHangup {
		text += "; " + howEnded(r)
	}
	return text
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func named(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
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

// user is the user of a SIP URI.
func user(uri string) string {
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

// initiator is who ended something.
func initiator(v cdr.Initiator) string {
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

// cause is why a part was cut.
func cause(v cdr.Cause) string {
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

// sure says what the confidence of a record comes from, and what the uncertainty means.
func sure(r *cdr.Record) string {
	if r.Confidence == cdr.Exact {
		if r.AnswerTime == 0 {
			return "Start and end were told by Janus, to the microsecond."
		}
		return "Start, answer and end were told by Janus, to the microsecond."
	}
	var parts []string
	if r.StartMissing {
		switch {
		case r.RecordType == cdr.SessionSummary:
			parts = append(parts, "The creation of the session was not seen: it may be older.")
		case r.AnswerBasis == cdr.AnswerFirstEvidence:
			parts = append(parts, "Its answer was not seen: it counts from the first media that were reported, and may have begun earlier.")
		default:
			parts = append(parts, "What opens such a leg was not seen: it may have begun earlier.")
		}
	}
	if r.ClockSuspect {
		parts = append(parts, "The clock of the server was set while it was open: durations may be wrong by that step.")
	}
	if early := r.EndTime - r.EndEarliestTime; r.EndTime != 0 && early > 0 {
		parts = append(parts, fmt.Sprintf("It counts until %s, because Janus held it until then; the client gave its last sign at %s, so it may have been gone up to %s before.",
			clockTime(r.EndTime), clockTime(r.EndEarliestTime), span(early)))
	}
	if late := r.EndLatestTime - r.EndTime; r.EndTime != 0 && (late > 0 || r.EndMissing) {
		text := fmt.Sprintf("Its end was not seen. It counts until its last event at %s", clockTime(r.EndTime))
		if late > 0 {
			text += fmt.Sprintf("; the true end lies up to %s later, at %s at the latest", span(late), clockTime(r.EndLatestTime))
		}
		parts = append(parts, text+".")
	}
	if r.AnswerTime != 0 && r.EndTime != 0 && r.EndEarliestTime != r.EndLatestTime {
		answered := lasted(r)
		least := max(answered-(r.EndTime-max(r.EndEarliestTime, r.AnswerTime)), 0)
		most := answered + r.EndLatestTime - r.EndTime
		parts = append(parts, fmt.Sprintf("Between %s and %s were answered; the record says %s.", span(least), span(most), span(answered)))
	}
	return strings.Join(parts, " ")
}

// money says what of a record is charged.
func money(r *cdr.Record) string {
	switch {
	case r.RecordType == cdr.SessionSummary:
		return "A summary: never charged, never added to its legs."
	case !r.Chargeable && r.Plugin == janus.PluginSIP:
		return "Not chargeable: by policy another leg of this handle carries these minutes, by default the SIP call."
	case !r.Chargeable:
		return "Not chargeable: by policy another leg of this handle carries these minutes, by default the PeerConnection."
	case r.AnswerTime == 0:
		return "Chargeable, but not answered: 0 s."
	}
	text := fmt.Sprintf("Chargeable: %s (duration %d µs)", span(janus.Micros(r.Duration)), r.Duration)
	if r.RecordSequenceNumber > 0 {
		text += fmt.Sprintf(", part %d; with the parts before it %s", r.RecordSequenceNumber, span(lasted(r)))
	}
	return text + "."
}
