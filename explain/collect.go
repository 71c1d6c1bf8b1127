package explain

import (
	"context"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// Tell makes the story of one session, of the inputs of its partition. All incarnations of the session id are in it.
func Tell(ctx context.Context, o Options, inputs Inputs, emitter string, session janus.SessionID) (*Story, error) {
	b, err := collect(ctx, o, inputs, emitter, session)
	if err != nil {
		return nil, err
	}
	return b.write(), nil
}

// collect folds the inputs and collects what concerns one session.
func collect(ctx context.Context, o Options, inputs Inputs, emitter string,
	session janus.SessionID) (*storyBuilder, error) {
	emitter, _ = janus.EmitterName(emitter)
	b := newStoryBuilder(o, emitter, session)
	err := follow(ctx, o, inputs, listener{
		before: b.before, conclusion: b.conclusion, after: b.after, parked: b.notes.park, end: b.atEnd,
	})
	if err != nil {
		return nil, err
	}
	b.flush(nil)
	return b, nil
}

// storyBuilder listens to a fold and collects what concerns one session: the events of the session, and what was
// concluded about it. They go into the timeline (group.go), into what is known of the session's parts (parts.go) and
// into what is worth noticing (notes.go). In the end write makes the Story of them (write.go).
type storyBuilder struct {
	options Options
	emitter string
	session janus.SessionID
	story   *Story
	parser  janus.Parser

	event    *janus.Event // of the input at hand, nil when it has none of this emitter; valid until the next input
	offset   int64        // of the input at hand
	ours     bool         // the event is of this session
	allRead  bool         // what is concluded from now on is the end of a file
	pending  []conclusion // by the input at hand
	lastTime janus.Micros // timestamp of the latest event of the session
	clock    janus.Micros // partition time when the last event of the session was folded

	timeline timeline
	parts    parts
	notes    notes
	kept     []*legState // that are told; nil: all
	calls    []*legState // of them, those that were asked for
}

func newStoryBuilder(o Options, emitter string, session janus.SessionID) *storyBuilder {
	return &storyBuilder{
		options: o, emitter: emitter, session: session,
		story: &Story{Emitter: clean(emitter), Session: session.String(), From: Origin{
			Name: clean(o.Name), Topic: o.Source.Topic, Partition: o.Source.Partition, First: -1,
		}},
		parts: parts{legOf: map[legKey]*legState{}},
		notes: notes{sessionID: []byte(session.String())},
	}
}

// conclusion is a conclusion of the fold that is kept.
type conclusion struct {
	cdr.Conclusion
	record *cdr.Record // of RuleRecordEmitted, as it may be shown
	atEnd  bool        // the file ended, and time went on as if
	closed bool        // the end of the session was told before
	merged bool        // it is told together with the one before
}

// about tells whether two conclusions are about the same part of the session.
func (c *conclusion) about(o *conclusion) bool {
	return c.Handle == o.Handle && c.LegKind == o.LegKind && c.LegIndex == o.LegIndex
}

// before is called with each input before it is folded.
func (b *storyBuilder) before(in cdr.Input) {
	b.event, b.offset, b.ours = nil, in.Offset, false
	if in.Kind != cdr.KindEvent && in.Kind != cdr.KindCopy {
		return
	}
	e, err := b.parser.Parse(in.Value)
	if err != nil || emitterOf(in, e) != b.emitter {
		return
	}
	b.event, b.ours = e, in.Kind == cdr.KindEvent && e.Session == b.session
}

// conclusion is called with what the fold concludes of the input at hand, or of time that passes before it.
func (b *storyBuilder) conclusion(c cdr.Conclusion) {
	if c.Session != b.session || c.Emitter != b.emitter {
		return
	}
	keep := conclusion{Conclusion: c, atEnd: b.allRead, closed: b.parts.sessionEnded()}
	keep.Word, keep.Record = strings.Clone(c.Word), nil
	if c.Record != nil {
		r := safe(c.Record)
		keep.record = &r
	}
	b.pending = append(b.pending, keep)
}

// after is called when an input was folded, with the partition time.
func (b *storyBuilder) after(_ cdr.Input, clock janus.Micros) {
	if !b.ours && len(b.pending) == 0 {
		return
	}
	b.flush(b.event)
	if b.ours {
		b.lastTime, b.clock = max(b.lastTime, b.event.Time), clock
	}
}

// atEnd is called when all inputs were folded.
func (b *storyBuilder) atEnd() { b.allRead = true }

// flush puts the conclusions at hand, and the event that they came with, into the story. Deadlines have passed before
// the event was folded, or, where something is silent, after it.
func (b *storyBuilder) flush(e *janus.Event) {
	pending := b.pending
	b.pending = nil
	told := e == nil || !b.ours
	for len(pending) > 0 {
		n := together(pending)
		group := pending[:n:n]
		pending = pending[n:]
		if group[0].Time == 0 {
			b.timePasses(group)
			continue
		}
		b.happens(e, group)
		told = true
	}
	if !told {
		b.happens(e, nil)
	}
}

// together is how many of the conclusions, from the first on, were drawn at once: from one event, or when one deadline
// had passed.
func together(list []conclusion) int {
	timed := list[0].Time == 0
	for i := range list {
		if (list[i].Time == 0) != timed || timed && list[i].Clock != list[0].Clock {
			return i
		}
	}
	return len(list)
}

// timePasses tells of a deadline.
func (b *storyBuilder) timePasses(group []conclusion) {
	kept := group[:0]
	for _, c := range group {
		if c.Rule == cdr.RuleSessionForgotten && c.atEnd {
			continue // the file ended; nobody waited
		}
		kept = append(kept, c)
	}
	if len(kept) == 0 {
		return
	}
	b.learn(nil, kept)
	b.timeline.addTime(b.lastTime+max(kept[0].Clock-b.clock, 0), kept)
}

// happens tells of an event, and what was concluded from it.
func (b *storyBuilder) happens(e *janus.Event, group []conclusion) {
	if e == nil {
		return
	}
	b.learn(e, group)
	if b.ours {
		b.notes.event(e)
	}
	plugin := ""
	if h := b.parts.handle(e.Handle); h != nil && b.ours {
		plugin = h.plugin
	}
	kind, text, d := describeEvent(e, b.options.Policy.For(b.emitter, plugin), plugin)
	entry := Entry{
		Time: e.Time, First: b.offset, Last: b.offset, Count: 1, Kind: kind, Text: text, digest: d, conclusions: group,
	}
	switch {
	case !b.ours:
		entry.Kind, entry.digest = KindElsewhere, nil
		if e.Session != 0 {
			entry.Text += " (an event of session " + e.Session.String() + ")"
		}
		if d != nil && text == "" {
			entry.Text = d.text()
		}
	case len(group) == 1 && group[0].Rule == cdr.RuleDuplicate:
		entry.digest, entry.handleID = &repetitions{}, e.Handle
	default:
		entry.handleID = e.Handle
	}
	b.stretch(e)
	b.timeline.add(entry)
}

// stretch moves the bounds of the story so that an event lies within them.
func (b *storyBuilder) stretch(e *janus.Event) {
	s := b.story
	if s.Begin == 0 {
		s.Begin = e.Time
	}
	if !b.ours {
		return
	}
	s.Events++
	s.Begin, s.End = min(s.Begin, e.Time), max(s.End, e.Time)
	if s.From.First < 0 {
		s.From.First = b.offset
	}
	s.From.Last = b.offset
}

// learn notes what an event and conclusions tell of the session.
func (b *storyBuilder) learn(e *janus.Event, group []conclusion) {
	if e != nil && b.ours && e.Handle != 0 {
		b.parts.event(e)
	}
	for i := range group {
		b.notes.conclusion(&group[i])
		b.parts.conclusion(&group[i])
		if e != nil && b.ours {
			b.parts.callOf(&group[i], e)
		}
	}
}
