package explain

import (
	"fmt"
	"slices"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// sentence puts a conclusion into words: the text of its rule, with what it is about filled in.
func (p *parts) sentence(c *conclusion) string {
	if text := unusual(c); text != "" {
		return text
	}
	at := ""
	if c.At != 0 {
		at = clockTime(c.At)
	}
	ends, whose := "", "its hangup"
	if c.LegKind != cdr.PeerConnection {
		whose = "the hangup of its PeerConnection"
	}
	if c.Rule == cdr.RuleMembershipEndedByOther && c.Word != "destroyed" {
		ends = " and participant"
	}
	subject, record := p.subject(c), ""
	if c.record != nil {
		record = "the record of " + subject + " goes out: record " + glance(c.record)
	}
	return strings.NewReplacer(
		"{leg}", subject, "{at}", at, "{limit}", span(c.Limit), "{word}", plainWord(c), "{ends}", ends, "{whose}", whose,
		"{record}", record,
	).Replace(ruleTexts[c.Rule].conclusion)
}

// unusual words a conclusion from which, for once, nothing follows, or something else than by its rule; else "".
func unusual(c *conclusion) string {
	switch {
	case c.Rule == cdr.RuleConnectionLost && c.closed:
		return "nothing follows from the end of the connection, because the session has ended before"
	case c.Rule == cdr.RuleEmitterMarked && c.closed:
		return "nothing follows from the end of the server, because the session has ended before"
	case c.Rule == cdr.RuleGaveUpEmitterSilent && c.atEnd:
		return "the session is closed with all that is open in it, because the file ends here; on a log that goes on, " +
			"it would wait " + span(c.Limit) + " for a sign of the server"
	}
	return ""
}

// plainWord is the word that decided, as people say it.
func plainWord(c *conclusion) string {
	switch c.Rule {
	case cdr.RuleEmitterMarked:
		if c.Word == cdr.EndEmitterRestart.String() {
			return "the server has started anew"
		}
		return "the server has stopped"
	case cdr.RuleByeSeen:
		return initiatorName(cdr.Initiator(slices.Index(cdr.Initiators, c.Word)))
	case cdr.RulePartCut:
		return partReason(cdr.Cause(slices.Index(cdr.Causes, c.Word)))
	}
	return clean(c.Word)
}

// glance is what a record says, at a glance.
func glance(r *cdr.Record) string {
	text := r.RecordID.String()[:8] + ", " + r.Disposition.String()
	if r.AnswerTime != 0 {
		text += ", " + span(janus.Micros(r.Duration))
	}
	if !r.IsFinal {
		text += fmt.Sprintf(", part %d", r.RecordSequenceNumber)
	}
	return text + ", " + r.Confidence.String()
}
