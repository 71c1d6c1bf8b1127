package explain

import (
	"fmt"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// billing says what of a record is charged.
func billing(r *cdr.Record) string {
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
		text += fmt.Sprintf(", part %d; with the parts before it %s", r.RecordSequenceNumber, span(answeredFor(r)))
	}
	return text + "."
}

// certainty says what the confidence of a record comes from, and what the uncertainty means.
func certainty(r *cdr.Record) string {
	if r.Confidence == cdr.Exact {
		if r.AnswerTime == 0 {
			return "Start and end were told by Janus, to the microsecond."
		}
		return "Start, answer and end were told by Janus, to the microsecond."
	}
	var parts []string
	for _, about := range []func(*cdr.Record) string{
		startCertainty, clockCertainty, heldCertainty, endCertainty, answeredCertainty,
	} {
		if text := about(r); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " ")
}

func startCertainty(r *cdr.Record) string {
	switch {
	case !r.StartMissing:
		return ""
	case r.RecordType == cdr.SessionSummary:
		return "The creation of the session was not seen: it may be older."
	case r.AnswerBasis == cdr.AnswerFirstEvidence:
		return "Its answer was not seen: it counts from the first media that were reported, and may have begun earlier."
	case r.LegKind == cdr.PeerConnection && r.AnswerTime == 0:
		return "A step of its setup was not seen: it may have begun earlier, and may have been up."
	}
	return "What opens such a leg was not seen: it may have begun earlier."
}

func clockCertainty(r *cdr.Record) string {
	if !r.ClockSuspect {
		return ""
	}
	return "The clock of the server was set while it was open: durations may be wrong by that step."
}

// heldCertainty is about what may have ended before its end was told: Janus held it though its client may have been
// gone, or another one may have followed it unseen.
func heldCertainty(r *cdr.Record) string {
	early := r.EndTime - r.EndEarliestTime
	if r.EndTime == 0 || early <= 0 {
		return ""
	}
	switch r.EndBasis {
	case cdr.EndWebRTCHangup, cdr.EndSIPHangup, cdr.EndPluginEvent:
		return fmt.Sprintf("It counts until the end that was told at %s. What was seen from %s on may be another one's; "+
			"then it ended up to %s before.", clockTime(r.EndTime), clockTime(r.EndEarliestTime), span(early))
	}
	return fmt.Sprintf("It counts until %s, because Janus held it until then; the client gave its last sign at %s, "+
		"so it may have been gone up to %s before.", clockTime(r.EndTime), clockTime(r.EndEarliestTime), span(early))
}

// endCertainty is about an end that was not seen.
func endCertainty(r *cdr.Record) string {
	late := r.EndLatestTime - r.EndTime
	if r.EndTime == 0 || late <= 0 && !r.EndMissing {
		return ""
	}
	text := fmt.Sprintf("Its end was not seen. It counts until its last event at %s", clockTime(r.EndTime))
	if late > 0 {
		text += fmt.Sprintf("; the true end lies up to %s later, at %s at the latest", span(late),
			clockTime(r.EndLatestTime))
	}
	return text + "."
}

// answeredCertainty says between which bounds the answered time lies.
func answeredCertainty(r *cdr.Record) string {
	if r.AnswerTime == 0 || r.EndTime == 0 || r.EndEarliestTime == r.EndLatestTime {
		return ""
	}
	is := answeredFor(r)
	least := max(is-(r.EndTime-max(r.EndEarliestTime, r.AnswerTime)), 0)
	most := is + r.EndLatestTime - r.EndTime
	return fmt.Sprintf("Between %s and %s were answered; the record says %s.", span(least), span(most), span(is))
}
