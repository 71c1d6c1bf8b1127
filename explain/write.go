package explain

import (
	"cmp"
	"fmt"
	"slices"

	"januscdr/cdr"
)

// write makes the story of what was collected. Names of handles and legs depend on how many there are, so they are
// given only now.
func (b *storyBuilder) write() *Story {
	s := b.story
	s.Timeline = b.timeline.entries
	used := map[cdr.TraceRule]bool{}
	for i := range s.Timeline {
		b.writeEntry(&s.Timeline[i], used)
	}
	for r := range cdr.TraceRules {
		if r := cdr.TraceRule(r); used[r] {
			text := ruleTexts[r]
			s.Rules = append(s.Rules,
				RuleUsed{Rule: r.String(), Means: text.rule, Billing: text.billing, Section: text.section})
		}
	}
	b.writeBars()
	b.writeRecords()
	b.writeOutcomes()
	if b.kept != nil {
		s.Headline = b.callHeadline()
	}
	if s.Headline == "" {
		s.Headline = fmt.Sprintf("%s: %s; the session is open where the log ends",
			dateTime(s.Begin), many(len(b.parts.handles), "handle", "handles"))
	}
	s.Personal = b.leftOutByPolicy()
	s.Noticed = b.noticed()
	return s
}

// writeEntry words what was concluded at an entry, each sentence once, and notes by which rules.
func (b *storyBuilder) writeEntry(e *Entry, used map[cdr.TraceRule]bool) {
	if e.digest != nil {
		e.Text = e.digest.text()
	}
	if e.handleID != 0 {
		e.Handle = b.parts.handleName(e.handleID)
		if len(b.parts.handles) == 1 {
			e.Handle = "handle"
		}
	}
	written := map[string]bool{}
	for i := range e.conclusions {
		c := &e.conclusions[i]
		h := b.parts.handle(c.Handle)
		if c.Rule == cdr.RuleHandleClosed || c.Rule == cdr.RuleHandleOpened && h != nil && h.attached {
			continue // the event itself says so
		}
		used[c.Rule] = true
		text := b.parts.sentence(c)
		if c.Rule == cdr.RuleGraceOver && i+1 < len(e.conclusions) {
			if next := &e.conclusions[i+1]; next.Rule == cdr.RuleRecordEmitted && next.about(c) {
				text += ": record " + glance(next.record)
				used[next.Rule], next.merged = true, true
			}
		}
		if !c.merged && !written[text] {
			written[text] = true
			e.Because = append(e.Because, Conclusion{Rule: c.Rule.String(), Text: text})
		}
	}
}

// writeBars collects what is drawn as bars.
func (b *storyBuilder) writeBars() {
	s, p := b.story, &b.parts
	for i, life := range p.lives {
		if len(p.lives) > 1 {
			life.Name = fmt.Sprintf("session, life %d", i+1)
		}
		s.Sessions = append(s.Sessions, *life)
		s.Open = s.Open || life.Open
	}
	for i, h := range p.handles {
		view := Handle{
			ID: h.id.String(), Name: fmt.Sprintf("handle %d", i+1), Plugin: clean(h.plugin), OpaqueID: h.opaque,
			Bar: Bar{Name: pluginName(h.plugin), Start: h.start, End: h.end, Open: h.end == 0 && s.Open},
		}
		if h.end == 0 && len(p.lives) > 0 {
			view.Bar.End = p.life().End
		}
		for _, l := range p.legs {
			if l.handle == h.id && l.start != 0 && b.tells(l) {
				view.Legs = append(view.Legs, p.legBar(l))
			}
		}
		s.Handles = append(s.Handles, view)
	}
	if b.kept != nil {
		b.narrowBars()
	}
}

// tells tells whether a leg is told.
func (b *storyBuilder) tells(l *legState) bool { return b.kept == nil || slices.Contains(b.kept, l) }

// legBar is the time of a leg as a bar: that of its record, or what is known where it has none yet.
func (p *parts) legBar(l *legState) Bar {
	name := legNoun(l.kind)
	if l.index > 0 || p.legOf[legKey{l.handle, l.kind, 1, l.life}] != nil {
		name += fmt.Sprintf(" %d", l.index+1)
	}
	bar := Bar{Name: name, Start: l.start, Answer: l.answer, End: l.end, Open: l.end == 0}
	if l.record != nil {
		bar = barOf(l.record, name)
		bar.Chargeable = l.record.Chargeable
	}
	bar.Kind = l.kind.String()
	return bar
}

// writeRecords puts the records into words.
func (b *storyBuilder) writeRecords() {
	s := b.story
	for _, r := range b.parts.records {
		a := Account{
			Title: b.parts.recordName(r), RecordID: r.RecordID.String(), Confidence: r.Confidence.String(),
			Billing: billing(r), Certainty: certainty(r), Fields: fields(r),
		}
		if r.RecordType == cdr.SessionSummary {
			a.Text = fmt.Sprintf("%s, %d answered, up to %d at a time; %s",
				many(r.LegCount, "leg", "legs"), r.AnsweredLegCount, r.MaxConcurrentLegs, howEnded(r))
			s.Headline = b.headline(r)
		} else {
			a.Text = outcome(r)
			if r.RecordSequenceNumber > 0 && !r.IsFinal {
				a.Title = fmt.Sprintf("%s, part %d", a.Title, r.RecordSequenceNumber)
			}
		}
		s.Records = append(s.Records, a)
	}
}

// callHeadline says what came of the calls that were asked for. What carried a call is none by itself.
func (b *storyBuilder) callHeadline() string {
	calls := slices.DeleteFunc(slices.Clone(b.calls), func(l *legState) bool { return l.kind == cdr.PeerConnection })
	if len(calls) == 0 {
		calls = b.calls
	}
	l := calls[0]
	text := dateTime(l.start) + ": "
	if l.record != nil {
		text += outcome(l.record)
	} else {
		text += b.parts.legName(l.handle, l.kind, l.index) + l.soFar()
	}
	if n := len(calls) - 1; n > 0 {
		text += fmt.Sprintf("; and %d more", n)
	}
	return text
}

// headline says what came of a session, by its record.
func (b *storyBuilder) headline(r *cdr.Record) string {
	text := dateTime(r.StartTime)
	if r.Transport != "" {
		text += ", over " + transportName(r.Transport)
	}
	return fmt.Sprintf("%s: %s, %s, %d answered, in %s; %s", text,
		many(len(b.parts.handles), "handle", "handles"), many(r.LegCount, "leg", "legs"), r.AnsweredLegCount,
		span(r.EndTime-r.StartTime), howEnded(r))
}

// writeOutcomes says what came of each leg, in the order in which they began.
func (b *storyBuilder) writeOutcomes() {
	legs := slices.Clone(b.parts.legs)
	slices.SortStableFunc(legs, func(x, y *legState) int { return cmp.Compare(x.start, y.start) })
	for _, l := range legs {
		if !b.tells(l) {
			continue
		}
		name := b.parts.legName(l.handle, l.kind, l.index)
		switch {
		case l.record != nil:
			r := l.record
			o := Outcome{Leg: name, Text: outcome(r), Chargeable: r.Chargeable, Answered: r.AnswerTime != 0,
				Confidence: r.Confidence.String()}
			if o.Chargeable {
				o.Charged = span(answeredFor(r))
			}
			b.story.Outcomes = append(b.story.Outcomes, o)
		case l.start != 0:
			b.story.Outcomes = append(b.story.Outcomes, Outcome{Leg: name, Text: name + l.soFar()})
		}
	}
}

// soFar says what is known of a leg that has no record yet.
func (l *legState) soFar() string {
	text := " since " + clockTime(l.start)
	if l.answer != 0 {
		text += ", answered at " + clockTime(l.answer)
	}
	if l.end != 0 {
		text += ", until " + clockTime(l.end)
		if l.endBounded {
			text += " at the latest"
		}
		return text + "; its record is to come, when late events are waited for no more"
	}
	return text + "; it is open where the log ends"
}

// leftOutByPolicy says what the policy keeps out of the story, "" for nothing.
func (b *storyBuilder) leftOutByPolicy() string {
	for _, h := range b.parts.handles {
		terms := b.options.Policy.For(b.emitter, h.plugin)
		if terms.Address != cdr.Emit || terms.DisplayName != cdr.Emit {
			return "Addresses or names are left out or hashed, because the policy says so for the records."
		}
	}
	return ""
}
