package explain

import (
	"bytes"
	"fmt"
	"slices"

	"januscdr/cdr"
	"januscdr/janus"
)

// maxParked bounds how many inputs that could not be understood a story names.
const maxParked = 10

// notes is what is worth noticing of the events of a session, besides what was concluded from each.
type notes struct {
	sessionID  []byte // looked for in what could not be read
	duplicates int
	grace      int          // events that came within the grace
	lastGrace  int64        // offset of the last of them, plus 1
	late       int          // events that came after the records
	disorder   int          // events that are older than one before
	furthest   janus.Micros // and by how much at the most
	newest     janus.Micros // timestamp
	clockSet   bool         // the clock of the server was set
	lost       janus.Micros // when the incarnation of the moment lost its connection, while it lived
	claimed    janus.Micros // when one was lost whose client did something long after that
	parked     []string
}

// afterLoss is how long after the loss of a connection what the client does must come from another one, in
// microseconds: threads of Janus overtake each other by less.
const afterLoss = 1_000_000

// event notes an event of the session, after what was concluded from it.
func (n *notes) event(e *janus.Event) {
	if n.lost != 0 && e.Time > n.lost+afterLoss && clientIsThere(e) {
		n.claimed = n.lost
	}
	if back := n.newest - e.Time; back > 0 {
		n.disorder++
		n.furthest = max(n.furthest, back)
	}
	n.newest = max(n.newest, e.Time)
}

// clientIsThere tells whether only a client that has a connection can have led to an event.
func clientIsThere(e *janus.Event) bool {
	switch b := e.Body.(type) {
	case *janus.JSEP:
		return b.FromClient
	case *janus.PeerConnectionHangup:
		return b.Reason == "Janus API"
	case *janus.SessionDestroyed:
		return true
	}
	return false
}

// conclusion notes a conclusion about the session.
func (n *notes) conclusion(c *conclusion) {
	switch c.Rule {
	case cdr.RuleSessionOpened, cdr.RuleSessionOpenedByFirstEvent:
		n.lost = 0 // of the incarnation before
	case cdr.RuleClockStepped:
		n.clockSet = true
	case cdr.RuleConnectionLost:
		if !c.closed {
			n.lost = c.At
		}
	case cdr.RuleDuplicate:
		n.duplicates++
	case cdr.RuleLateEvent:
		n.late++
	case cdr.RuleLateInGrace:
		if n.lastGrace != c.Offset+1 { // of session and leg one
			n.grace++
			n.lastGrace = c.Offset + 1
		}
	}
}

// park notes an input that could not be understood, if it may be about the session.
func (n *notes) park(p cdr.Parked) {
	if len(n.parked) < maxParked && bytes.Contains(p.Input.Value, n.sessionID) {
		n.parked = append(n.parked, fmt.Sprintf(
			"The input at offset %d names this session and could not be understood: %s.", p.Input.Offset, clean(p.Reason)))
	}
}

// notices are sentences about what a support engineer would want to be told.
type notices []string

func (n *notices) say(format string, args ...any) { *n = append(*n, fmt.Sprintf(format, args...)) }

// noticed lists what is worth noticing in the story, which has its bars.
func (b *storyBuilder) noticed() notices {
	var n notices
	if lives := len(b.parts.lives); lives > 1 {
		n.say("The session id lived %d times; each life is a session of its own.", lives)
	}
	if b.story.Open && !b.options.Ends {
		n.say("The session is open where the log ends: records may still come.")
	}
	if b.kept == nil {
		n.ofEvents(&b.notes)
		n.ofHandles(&b.parts, b.story.Open)
	}
	for _, r := range b.parts.records {
		if r.IsFinal {
			n.ofRecord(r, b.parts.recordName(r))
		}
	}
	n = append(n, b.notes.parked...)
	if beyond := b.timeline.beyond; beyond > 0 {
		n.say("The story is cut: %s %s left out.", many(beyond, "more entry", "more entries"), was(beyond))
	}
	return n
}

// ofEvents tells how the events came.
func (n *notices) ofEvents(of *notes) {
	if of.claimed != 0 {
		n.say("The connection was lost at %s and the session lived on: its client has claimed it over another one.",
			clockTime(of.claimed))
	}
	if of.grace > 0 {
		n.say("%s came after the close and %s still counted.", many(of.grace, "event", "events"), was(of.grace))
	}
	if of.late > 0 {
		n.say("%s came after the records had gone out: counted, and nothing else.", many(of.late, "event", "events"))
	}
	if of.duplicates > 0 {
		n.say("%s came again, to the byte: counted, and nothing else. "+
			"Janus sends a request again when no answer came in time.", many(of.duplicates, "event", "events"))
	}
	if of.disorder > 0 {
		why := "threads of Janus overtake each other"
		if of.clockSet {
			why = "the clock of the server was set"
		}
		n.say("%s came out of order, by up to %s: %s.", many(of.disorder, "event", "events"), span(of.furthest), why)
	}
}

// ofHandles tells which handles have no beginning or no end.
func (n *notices) ofHandles(p *parts, open bool) {
	for _, h := range p.handles {
		if !h.attached {
			n.say("The attach of %s was not seen.", p.handleName(h.id))
		}
		if h.end == 0 && !open {
			n.say("The detach of %s was not seen.", p.handleName(h.id))
		}
	}
}

// ofRecord tells what a final record is not sure of.
func (n *notices) ofRecord(r *cdr.Record, name string) {
	switch {
	case r.StartMissing && r.RecordType == cdr.SessionSummary:
		n.say("The creation of the session was not seen.")
	case r.StartMissing && r.AnswerBasis == cdr.AnswerFirstEvidence:
		n.say("What answers the %s was not seen.", name)
	case r.StartMissing && r.LegKind == cdr.PeerConnection && r.AnswerTime == 0:
		n.say("A step of the setup of the %s was not seen.", name)
	case r.StartMissing:
		n.say("What opens the %s was not seen.", name)
	}
	if r.EndMissing {
		n.say("The end of the %s was not seen.", name)
	}
	if r.InterimMissing == cdr.InterimYes {
		n.say("Statistics of the %s have a hole: three reports in a row or more are missing.", name)
	}
	if r.ClockSuspect {
		n.say("The clock of the server was set while the %s was open.", name)
	}
	if r.Truncated {
		n.say("Something was left out of the record of the %s, because a bound was reached.", name)
	}
	if r.LegKind != cdr.PeerConnection || r.AnswerTime == 0 {
		return
	}
	switch {
	case len(r.Streams) == 0:
		n.say("There are no statistics of the %s: what it carried is not known.", name)
	case slices.ContainsFunc(r.Streams, func(s cdr.Stream) bool { return !s.FinalSample }):
		n.say("The last report of the %s is not from its end: it carried at least what the record says.", name)
	}
}

func was(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}
