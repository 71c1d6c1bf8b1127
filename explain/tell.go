package explain

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// maxEntries bounds a story; what comes after it is counted.
const maxEntries = 5000

// Tell makes the story of one session, of the inputs of its partition. All incarnations of the session id are in it.
func Tell(ctx context.Context, o Options, inputs Inputs, emitter string, session janus.SessionID) (*Story, error) {
	emitter, _ = janus.EmitterName(emitter)
	t := &teller{
		o: o, emitter: emitter, id: session,
		story: &Story{Emitter: clean(emitter), Session: session.String(), From: Origin{Name: clean(o.Name), Topic: o.Source.Topic, Partition: o.Source.Partition, First: -1}},
		legs:  map[legRef]*legTale{}, notes: notes{text: []byte(session.String())},
	}
	err := follow(ctx, o, inputs, listener{before: t.before, after: t.after, conclusion: t.concluded, parked: t.notes.park, end: t.atEnd})
	if err != nil {
		return nil, err
	}
	t.flushPending(nil)
	return t.finish(), nil
}

// teller makes a story.
type teller struct {
	o       Options
	emitter string
	id      janus.SessionID
	story   *Story
	parser  janus.Parser

	event   *janus.Event // the one at hand, nil when it cannot be read; valid until the next input
	offset  int64
	mine    bool // it is of this session
	ended   bool // all inputs were read
	pending []conclusion

	handles []*handleTale
	legs    map[legRef]*legTale
	order   []*legTale
	bars    []*Bar // incarnations
	records []*cdr.Record
	notes   notes

	last      janus.Micros // timestamp of the last event of the session
	lastClock janus.Micros // and the partition time then
}

type handleTale struct {
	id       janus.HandleID
	plugin   string
	opaque   string
	attached bool
	start    janus.Micros
	end      janus.Micros
}

type legRef struct {
	handle janus.HandleID
	kind   cdr.LegKind
	index  int32
	since  int // incarnations before it: a session id may come again, with the same handle
}

type legTale struct {
	ref                      legRef
	start, answer, told, cut janus.Micros
	record                   *cdr.Record // the final one
}

func (t *teller) before(in cdr.Input) {
	t.event, t.offset, t.mine = nil, in.Offset, false
	if in.Kind != cdr.KindEvent && in.Kind != cdr.KindCopy {
		return
	}
	e, err := t.parser.Parse(in.Value)
	if err != nil || emitterOf(in, e) != t.emitter {
		return
	}
	t.event, t.mine = e, in.Kind == cdr.KindEvent && e.Session == t.id
}

func (t *teller) concluded(c cdr.Conclusion) {
	if c.Session != t.id || c.Emitter != t.emitter {
		return
	}
	keep := conclusion{Conclusion: c, ended: t.ended}
	keep.closed = len(t.bars) > 0 && t.bar().End != 0
	keep.Word, keep.Record = strings.Clone(c.Word), nil
	if c.Record != nil {
		r := safe(c.Record)
		keep.record = &r
	}
	t.pending = append(t.pending, keep)
}

func (t *teller) after(in cdr.Input, clock janus.Micros) {
	if !t.mine && len(t.pending) == 0 {
		return
	}
	t.flushPending(t.event)
	if t.mine {
		t.last, t.lastClock = max(t.last, t.event.Time), clock
	}
}

func (t *teller) atEnd() { t.ended = true }

// flushPending puts the conclusions at hand, and the event that they came with, into the story. Deadlines have passed
// before the event was folded, or, where something is silent, after it.
func (t *teller) flushPending(e *janus.Event) {
	pending := t.pending
	t.pending = nil
	told := e == nil || !t.mine
	for len(pending) > 0 {
		n := 1
		for n < len(pending) && (pending[n].Time == 0) == (pending[0].Time == 0) && (pending[0].Time != 0 || pending[n].Clock == pending[0].Clock) {
			n++
		}
		group := pending[:n:n]
		pending = pending[n:]
		if group[0].Time == 0 {
			t.passes(group)
			continue
		}
		t.happens(e, group)
		told = true
	}
	if !told {
		t.happens(e, nil)
	}
}

// passes tells of a deadline.
func (t *teller) passes(group []conclusion) {
	kept := group[:0]
	for _, c := range group {
		if c.Rule == cdr.RuleSessionForgotten && c.ended {
			continue // the file ended; nobody waited
		}
		kept = append(kept, c)
	}
	if len(kept) == 0 {
		return
	}
	if n := len(t.story.Timeline); n > 0 {
		if before := &t.story.Timeline[n-1]; before.Kind == KindTime && before.ends == kept[0].ended {
			t.learn(nil, kept)
			before.drawn, before.Last = append(before.drawn, kept...), kept[0].Offset
			return
		}
	}
	entry := Entry{
		ends: kept[0].ended,
		Time: t.last + max(kept[0].Clock-t.lastClock, 0), About: true, First: kept[0].Offset, Last: kept[0].Offset,
		Kind: KindTime, Text: "time passes", drawn: kept,
	}
	if n := len(t.story.Timeline); n > 0 {
		entry.Time = max(entry.Time, t.story.Timeline[n-1].Time)
	}
	if kept[0].ended {
		entry.Text = "the file ends, and time goes on as if"
	}
	t.learn(nil, kept)
	t.add(entry)
}

// happens tells of an event.
func (t *teller) happens(e *janus.Event, group []conclusion) {
	if e == nil {
		return
	}
	if t.mine {
		t.notes.event(e)
	}
	t.learn(e, group)
	plugin := ""
	h := t.handle(e.Handle)
	if h != nil && t.mine {
		plugin = h.plugin
	}
	kind, text, d := says(e, t.o.Policy.For(t.emitter, plugin), plugin)
	entry := Entry{Time: e.Time, First: t.offset, Last: t.offset, Count: 1, Kind: kind, Text: text, digest: d, drawn: group}
	switch {
	case !t.mine:
		entry.Kind, entry.digest = KindElsewhere, nil
		if e.Session != 0 {
			entry.Text += " (an event of session " + e.Session.String() + ")"
		}
		if d != nil && text == "" {
			entry.Text = d.text()
		}
	case len(group) == 1 && group[0].Rule == cdr.RuleDuplicate:
		entry.digest = &repeated{}
		entry.handleID = e.Handle
	default:
		entry.handleID = e.Handle
	}
	if t.story.Begin == 0 {
		t.story.Begin = e.Time
	}
	if t.mine {
		t.story.Events++
		t.story.Begin = min(t.story.Begin, e.Time)
		t.story.End = max(t.story.End, e.Time)
		if t.story.From.First < 0 {
			t.story.From.First = t.offset
		}
		t.story.From.Last = t.offset
	}
	t.add(entry)
}

// add puts an entry into the story, or into one before that tells the same kind of thing.
func (t *teller) add(e Entry) {
	entries := t.story.Timeline
	for i := len(entries) - 1; i >= 0 && e.digest != nil; i-- {
		before := &entries[i]
		if before.handleID == e.handleID && before.digest != nil && alike(before.drawn, e.drawn) && before.digest.join(e.digest) {
			before.Until, before.Last, before.Count = max(before.Until, e.Time), e.Last, before.Count+1
			return
		}
		// Only what other handles do in between may be told in another order, and only if nothing follows from it.
		if before.handleID == e.handleID || before.handleID == 0 || len(before.drawn) > 0 || len(entries)-i > 16 {
			break
		}
	}
	if len(entries) >= maxEntries {
		t.notes.beyond++
		return
	}
	t.story.Timeline = append(t.story.Timeline, e)
}

// alike tells whether the same follows from two events, and nothing of weight.
func alike(a, b []conclusion) bool {
	light := func(list []conclusion) (cdr.TraceRule, bool) {
		rule := cdr.RuleUnknown
		for _, c := range list {
			switch c.Rule {
			case cdr.RuleLateInGrace, cdr.RuleLateEvent, cdr.RuleDuplicate:
				rule = c.Rule
			default:
				return 0, false
			}
		}
		return rule, true
	}
	x, xok := light(a)
	y, yok := light(b)
	return xok && yok && x == y
}

// repeated are events that came again.
type repeated struct{ more int }

func (d *repeated) join(later digest) bool {
	_, ok := later.(*repeated)
	if ok {
		d.more++
	}
	return ok
}

func (d *repeated) text() string {
	if d.more == 0 {
		return "an event comes again, to the byte"
	}
	return fmt.Sprintf("%d events come again, to the byte", d.more+1)
}

// handle finds a handle; nil when there is none.
func (t *teller) handle(id janus.HandleID) *handleTale {
	for _, h := range t.handles {
		if h.id == id {
			return h
		}
	}
	return nil
}

func (t *teller) leg(c *conclusion) *legTale {
	ref := legRef{c.Handle, c.LegKind, c.LegIndex, len(t.bars)}
	l := t.legs[ref]
	if l == nil {
		l = &legTale{ref: ref}
		t.legs[ref] = l
		t.order = append(t.order, l)
	}
	return l
}

// learn notes what event and conclusions say of the session's parts.
func (t *teller) learn(e *janus.Event, group []conclusion) {
	if e != nil && t.mine && e.Handle != 0 {
		h := t.handle(e.Handle)
		if h == nil {
			h = &handleTale{id: e.Handle, start: e.Time}
			t.handles = append(t.handles, h)
		}
		if h.opaque == "" {
			h.opaque = clean(e.OpaqueID)
		}
		named := ""
		switch b := e.Body.(type) {
		case *janus.HandleAttached:
			named, h.attached = b.Plugin, true
		case *janus.HandleDetached:
			named = b.Plugin
		case *janus.PluginEvent:
			named = b.Plugin
		}
		if h.plugin == "" {
			h.plugin = strings.Clone(named)
		}
	}
	for i := range group {
		c := &group[i]
		t.notes.conclusion(c)
		switch c.Rule {
		case cdr.RuleSessionOpened, cdr.RuleSessionOpenedByFirstEvent:
			t.bars = append(t.bars, &Bar{Name: "session", Start: c.At, Open: true})
		case cdr.RuleSessionEndDestroyed, cdr.RuleSessionEndTimeout, cdr.RuleSessionEndConnectionLost:
			if b := t.bar(); b != nil {
				b.End = c.At
			}
		case cdr.RuleHandleClosed:
			if h := t.handle(c.Handle); h != nil {
				h.end = c.At
			}
		case cdr.RuleAnsweredSIP, cdr.RuleAnsweredWebRTCUp, cdr.RuleAnsweredJoined, cdr.RuleAnsweredStreamStarted, cdr.RuleAnsweredByEvidence:
			t.leg(c).answer = c.At
		case cdr.RuleLegEndedSIPHangup, cdr.RuleLegEndedHangup, cdr.RuleLegEndedByPlugin, cdr.RuleMembershipEndedByOther, cdr.RuleLegEndedDetached, cdr.RuleLegEndedWithSession:
			t.leg(c).told = c.At
		case cdr.RulePartCut:
			t.leg(c).cut = c.At
		case cdr.RuleRecordEmitted:
			r := c.record
			t.records = append(t.records, r)
			switch {
			case r.RecordType == cdr.SessionSummary:
				if b := t.bar(); b != nil {
					*b = barOf(r, "session")
				}
			case r.IsFinal:
				t.leg(c).record = r
			}
		default:
			if c.Rule >= cdr.RuleLegOpenedByOffer && c.Rule <= cdr.RuleLegStartMoved {
				t.leg(c).start = c.At
			}
		}
	}
}

// bar is the incarnation of the moment.
func (t *teller) bar() *Bar {
	if len(t.bars) == 0 {
		return nil
	}
	return t.bars[len(t.bars)-1]
}

func barOf(r *cdr.Record, name string) Bar {
	return Bar{Name: name, Start: r.StartTime, Answer: r.AnswerTime, End: r.EndTime, Earliest: r.EndEarliestTime, Latest: r.EndLatestTime}
}

// notes is what is worth noticing besides.
type notes struct {
	text       []byte // the session id, looked for in what could not be read
	duplicates int
	grace      int
	late       int
	lastLate   int64
	disorder   int
	furthest   janus.Micros
	newest     janus.Micros
	lost       janus.Micros // when its connection was lost, while it lived
	survived   bool         // the client did something long after that
	parked     []string
	beyond     int
}

func (n *notes) event(e *janus.Event) {
	if n.lost != 0 && e.Time > n.lost+1_000_000 {
		switch b := e.Body.(type) { // what only a client that is there again can have done
		case *janus.JSEP:
			n.survived = n.survived || b.FromClient
		case *janus.PeerConnectionHangup:
			n.survived = n.survived || b.Reason == "Janus API"
		case *janus.SessionDestroyed:
			n.survived = true
		}
	}
	if back := n.newest - e.Time; back > 0 {
		n.disorder++
		n.furthest = max(n.furthest, back)
	}
	n.newest = max(n.newest, e.Time)
}

func (n *notes) conclusion(c *conclusion) {
	switch c.Rule {
	case cdr.RuleConnectionLost:
		if !c.closed {
			n.lost = c.At
		}
	case cdr.RuleDuplicate:
		n.duplicates++
	case cdr.RuleLateEvent:
		n.late++
	case cdr.RuleLateInGrace:
		if n.lastLate != c.Offset+1 { // of session and leg one
			n.grace++
			n.lastLate = c.Offset + 1
		}
	}
}

func (n *notes) park(p cdr.Parked) {
	if len(n.parked) < 10 && bytes.Contains(p.Input.Value, n.text) {
		n.parked = append(n.parked, fmt.Sprintf("The input at offset %d names this session and could not be understood: %s.", p.Input.Offset, clean(p.Reason)))
	}
}

// subject is what a conclusion is about, in words, beside an entry of the handle at hand.
func (t *teller) subject(c conclusion) string {
	switch {
	case c.LegKind != cdr.LegKindUnknown:
		name := t.legName(c.Handle, c.LegKind, c.LegIndex)
		if c.Rule != cdr.RuleLegNotOpened && !strings.ContainsAny(name, "0123456789") {
			name = "the " + name
		}
		return name
	case c.Handle != 0:
		return "what is open on " + t.handleName(c.Handle)
	case c.Rule == cdr.RuleSuperseded:
		return "this session"
	}
	return "the session"
}

func (t *teller) handleName(id janus.HandleID) string {
	for i, h := range t.handles {
		if h.id == id {
			if len(t.handles) == 1 {
				return "the handle"
			}
			return fmt.Sprintf("handle %d", i+1)
		}
	}
	return "a handle"
}

// legNoun is a kind of leg in words.
func legNoun(kind cdr.LegKind) string {
	switch kind {
	case cdr.PeerConnection:
		return "PeerConnection"
	case cdr.SIPCall:
		return "SIP call"
	case cdr.RoomMembership:
		return "membership"
	case cdr.StreamView:
		return "view"
	case cdr.Recording:
		return "recording"
	}
	return "leg"
}

// legName names a leg as shortly as is clear within its session: PeerConnection, SIP call 2, membership of handle 3.
func (t *teller) legName(handle janus.HandleID, kind cdr.LegKind, index int32) string {
	name := legNoun(kind)
	several, elsewhere := false, false
	for _, l := range t.order {
		if l.ref.kind == kind {
			several = several || l.ref.handle == handle && l.ref.index != index
			elsewhere = elsewhere || l.ref.handle != handle
		}
	}
	if several {
		name += fmt.Sprintf(" %d", index+1)
	}
	if elsewhere {
		name += " of " + t.handleName(handle)
	}
	return name
}

// title names what a record is about.
func (t *teller) title(r *cdr.Record) string {
	if r.RecordType == cdr.SessionSummary {
		return "session"
	}
	for _, h := range t.handles {
		if h.id.String() == r.HandleID {
			return t.legName(h.id, r.LegKind, r.LegIndex)
		}
	}
	return legNoun(r.LegKind)
}

// finish puts the story together.
func (t *teller) finish() *Story {
	s := t.story
	used := map[cdr.TraceRule]bool{}
	for i := range s.Timeline {
		e := &s.Timeline[i]
		if e.digest != nil {
			e.Text = e.digest.text()
		}
		if e.handleID != 0 {
			e.Handle = t.handleName(e.handleID)
			if len(t.handles) == 1 {
				e.Handle = "handle"
			}
		}
		said := map[string]bool{}
		for j, c := range e.drawn {
			if h := t.handle(c.Handle); c.Rule == cdr.RuleHandleClosed || c.Rule == cdr.RuleHandleOpened && h != nil && h.attached {
				continue // the event itself says so
			}
			used[c.Rule] = true
			text := t.sentence(c)
			if j+1 < len(e.drawn) && c.Rule == cdr.RuleGraceOver {
				if next := e.drawn[j+1]; next.Rule == cdr.RuleRecordEmitted && next.Handle == c.Handle && next.LegKind == c.LegKind && next.LegIndex == c.LegIndex {
					used[next.Rule] = true
					text += ": record " + emitted(next.record)
					e.drawn[j+1].said = true
				}
			}
			if c.said {
				continue
			}
			if !said[text] {
				said[text] = true
				e.Because = append(e.Because, Conclusion{Rule: c.Rule.String(), Text: text})
			}
		}
	}
	for r := range cdr.TraceRules {
		if rule := cdr.TraceRule(r); used[rule] {
			x := ruleOf[rule]
			s.Rules = append(s.Rules, RuleUsed{Rule: rule.String(), Means: x.means, Money: x.money, Section: x.section})
		}
	}
	t.drawing()
	t.accounts()
	t.noticed()
	return s
}

// drawing collects what is drawn as bars.
func (t *teller) drawing() {
	s := t.story
	for i, b := range t.bars {
		if len(t.bars) > 1 {
			b.Name = fmt.Sprintf("session, life %d", i+1)
		}
		s.Sessions = append(s.Sessions, *b)
		s.Open = s.Open || b.Open
	}
	for i, h := range t.handles {
		view := Handle{ID: h.id.String(), Name: fmt.Sprintf("handle %d", i+1), Plugin: clean(h.plugin), OpaqueID: h.opaque,
			Bar: Bar{Name: pluginName(h.plugin), Start: h.start, End: h.end, Open: h.end == 0 && s.Open}}
		if h.end == 0 && len(t.bars) > 0 {
			view.Bar.End = t.bar().End
		}
		for _, l := range t.order {
			if l.ref.handle != h.id || l.start == 0 {
				continue
			}
			name := legNoun(l.ref.kind)
			if l.ref.index > 0 || t.legs[legRef{l.ref.handle, l.ref.kind, 1, l.ref.since}] != nil {
				name += fmt.Sprintf(" %d", l.ref.index+1)
			}
			bar := Bar{Name: name, Start: l.start, Answer: l.answer, End: l.told, Open: l.told == 0}
			if l.record != nil {
				bar = barOf(l.record, name)
				bar.Chargeable = l.record.Chargeable
			}
			bar.Kind = l.ref.kind.String()
			view.Legs = append(view.Legs, bar)
		}
		s.Handles = append(s.Handles, view)
	}
}

// accounts puts the records into words.
func (t *teller) accounts() {
	s := t.story
	for _, r := range t.records {
		title := t.title(r)
		a := Account{Title: title, RecordID: r.RecordID.String(), Confidence: r.Confidence.String(), Money: money(r), Sure: sure(r), Fields: fields(r)}
		if r.RecordType == cdr.SessionSummary {
			a.Text = fmt.Sprintf("%s, %d answered, up to %d at a time; %s", many(r.LegCount, "leg", "legs"), r.AnsweredLegCount, r.MaxConcurrentLegs, howEnded(r))
			s.Headline = t.headline(r)
		} else {
			a.Text = outcome(r)
			if r.RecordSequenceNumber > 0 && !r.IsFinal {
				a.Title = fmt.Sprintf("%s, part %d", title, r.RecordSequenceNumber)
			}
		}
		s.Records = append(s.Records, a)
	}
	legs := slices.Clone(t.order)
	slices.SortStableFunc(legs, func(a, b *legTale) int { return int(min(max(a.start-b.start, -1), 1)) })
	for _, l := range legs {
		name := t.legName(l.ref.handle, l.ref.kind, l.ref.index)
		switch {
		case l.record != nil:
			o := Outcome{Leg: name, Text: outcome(l.record), Chargeable: l.record.Chargeable, Confidence: l.record.Confidence.String()}
			if o.Chargeable {
				o.Charged = span(lasted(l.record))
			}
			s.Outcomes = append(s.Outcomes, o)
		case l.start != 0:
			text := name + " since " + clockTime(l.start)
			if l.answer != 0 {
				text += ", answered at " + clockTime(l.answer)
			}
			if l.told != 0 {
				text += ", until " + clockTime(l.told) + "; its record is to come, when late events are waited for no more"
			} else {
				text += "; it is open where the log ends"
			}
			s.Outcomes = append(s.Outcomes, Outcome{Leg: name, Text: text})
		}
	}
	if s.Headline == "" {
		s.Headline = fmt.Sprintf("%s: %s; the session is open where the log ends", dateTime(s.Begin), many(len(t.handles), "handle", "handles"))
	}
	hidden := func(d cdr.Disclosure) bool { return d != cdr.Emit }
	for _, h := range t.handles {
		terms := t.o.Policy.For(t.emitter, h.plugin)
		if hidden(terms.Address) || hidden(terms.DisplayName) {
			s.Personal = "Addresses or names are left out or hashed, because the policy says so for the records."
		}
	}
}

func (t *teller) headline(r *cdr.Record) string {
	text := dateTime(r.StartTime)
	if r.Transport != "" {
		text += ", over " + transport(r.Transport)
	}
	return fmt.Sprintf("%s: %s, %s, %d answered, in %s; %s", text, many(len(t.handles), "handle", "handles"), many(r.LegCount, "leg", "legs"),
		r.AnsweredLegCount, span(r.EndTime-r.StartTime), howEnded(r))
}

// noticed lists what a support engineer would want to be told.
func (t *teller) noticed() {
	s, n := t.story, &t.notes
	say := func(format string, args ...any) { s.Noticed = append(s.Noticed, fmt.Sprintf(format, args...)) }
	if len(t.bars) > 1 {
		say("The session id lived %d times; each life is a session of its own.", len(t.bars))
	}
	if s.Open && !t.o.Ends {
		say("The session is open where the log ends: records may still come.")
	}
	if n.survived {
		say("The connection was lost at %s and the session lived on: its client has claimed it over another one.", clockTime(n.lost))
	}
	if n.grace > 0 {
		say("%s after the close and %s still counted.", comes(n.grace), was(n.grace))
	}
	if n.late > 0 {
		say("%s after the records had gone out: counted, and nothing else.", comes(n.late))
	}
	if n.duplicates > 0 {
		say("%s to the byte: counted, and nothing else. Janus sends a request again when no answer came in time.", repeats(n.duplicates))
	}
	if n.disorder > 0 {
		say("%s out of order, by up to %s: threads of Janus overtake each other.", comes(n.disorder), span(n.furthest))
	}
	for _, h := range t.handles {
		if !h.attached {
			say("The attach of %s was not seen.", t.handleName(h.id))
		}
		if h.end == 0 && !s.Open {
			say("The detach of %s was not seen.", t.handleName(h.id))
		}
	}
	for _, r := range t.records {
		name := t.title(r)
		if !r.IsFinal {
			continue
		}
		if r.StartMissing && r.RecordType == cdr.SessionSummary {
			say("The creation of the session was not seen.")
		} else if r.StartMissing {
			say("What opens the %s was not seen.", name)
		}
		if r.EndMissing {
			say("The end of the %s was not seen.", name)
		}
		if r.InterimMissing == cdr.InterimYes {
			say("Statistics of the %s have a hole: three reports in a row or more are missing.", name)
		}
		if r.ClockSuspect {
			say("The clock of the server was set while the %s was open.", name)
		}
		if r.Truncated {
			say("Something was left out of the record of the %s, because a bound was reached.", name)
		}
		if r.LegKind == cdr.PeerConnection && r.AnswerTime != 0 {
			if len(r.Streams) == 0 {
				say("There are no statistics of the %s: what it carried is not known.", name)
			} else if slices.ContainsFunc(r.Streams, func(s cdr.Stream) bool { return !s.FinalSample }) {
				say("The last report of the %s is not from its end: it carried at least what the record says.", name)
			}
		}
	}
	s.Noticed = append(s.Noticed, n.parked...)
	if n.beyond > 0 {
		say("The story is cut: %s left out.", was2(n.beyond))
	}
}

func comes(n int) string {
	if n == 1 {
		return "1 event came"
	}
	return fmt.Sprintf("%d events came", n)
}

func repeats(n int) string {
	if n == 1 {
		return "1 event came again,"
	}
	return fmt.Sprintf("%d events came again,", n)
}

func was(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

func was2(n int) string { return many(n, "more entry", "more entries") + " " + was(n) }
