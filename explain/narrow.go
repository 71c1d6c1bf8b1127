package explain

import (
	"context"
	"fmt"
	"slices"

	"januscdr/cdr"
	"januscdr/janus"
)

// TellOf is Tell of what a query is about: where it names calls, by a Call-ID, a party, an outcome or the hash of a
// record, only these are told, with the PeerConnections that carried them. Where they are all that there is, or none of
// them is known, it is the whole session.
func TellOf(ctx context.Context, o Options, inputs Inputs, found Found, q Query) (*Story, error) {
	b, err := collect(ctx, o, inputs, found.Emitter, found.Session)
	if err != nil {
		return nil, err
	}
	b.narrow(q)
	return b.write(), nil
}

// narrow leaves out of the story what is not about the calls of a query.
func (b *storyBuilder) narrow(q Query) {
	if !q.ofCalls() && (q.ID == "" || q.Session() == b.session) {
		return
	}
	p := &b.parts
	terms := q.terms()
	var calls []*legState
	for _, l := range p.legs {
		fits := l.record == nil && q.CallID != "" && l.call == q.CallID
		if l.record != nil {
			fits, _ = q.fitsRecord(terms, l.record)
		}
		if fits {
			calls = append(calls, l)
		}
	}
	if len(calls) == 0 || len(calls) == len(p.legs) {
		return
	}
	kept := slices.Clone(calls)
	for _, l := range p.legs {
		if l.kind == cdr.PeerConnection && !slices.Contains(kept, l) &&
			slices.ContainsFunc(calls, func(c *legState) bool { return c.handle == l.handle && c.overlaps(l) }) {
			kept = append(kept, l)
		}
	}
	if len(kept) == len(p.legs) {
		return
	}
	b.kept, b.calls = kept, calls
	b.story.Left = fmt.Sprintf("Left out: %s of this session. cdr explain %s tells all of it.",
		many(len(p.legs)-len(kept), "other leg", "other legs"), b.session)
	p.records = slices.DeleteFunc(p.records, func(r *cdr.Record) bool {
		return !slices.ContainsFunc(kept, func(l *legState) bool { return l.isOf(r) })
	})
	b.narrowTimeline(calls)
}

// narrowTimeline keeps the entries of the handles of the calls while these were up, and what was concluded about them.
func (b *storyBuilder) narrowTimeline(calls []*legState) {
	var entries []Entry
	for _, e := range b.timeline.entries {
		e.conclusions = slices.DeleteFunc(slices.Clone(e.conclusions), func(c conclusion) bool {
			if c.LegKind == cdr.LegKindUnknown {
				return e.Kind == KindTime // of the session
			}
			return !b.keeps(&c)
		})
		about := slices.ContainsFunc(e.conclusions, func(c conclusion) bool { return c.LegKind != cdr.LegKindUnknown })
		during := slices.ContainsFunc(calls, func(l *legState) bool {
			from, to := l.span()
			return e.handleID == l.handle && e.Time <= to && max(e.Time, e.Until) >= from
		})
		if about || during && e.Kind != KindTime {
			entries = append(entries, e)
		}
	}
	b.timeline.entries = entries
	if len(entries) == 0 {
		return
	}
	s := b.story
	s.Begin, s.End, s.Events = entries[0].Time, entries[0].Time, 0
	s.From.First = entries[0].First
	for _, e := range entries {
		if e.Kind != KindTime {
			s.End, s.Events, s.From.Last = max(s.End, e.Time, e.Until), s.Events+e.Count, e.Last
		}
	}
}

// keeps tells whether a conclusion is about what is told.
func (b *storyBuilder) keeps(c *conclusion) bool {
	return slices.ContainsFunc(b.kept, func(l *legState) bool {
		return l.handle == c.Handle && l.kind == c.LegKind && l.index == c.LegIndex
	})
}

// narrowBars leaves out of the picture what is not told.
func (b *storyBuilder) narrowBars() {
	s := b.story
	s.Handles = slices.DeleteFunc(s.Handles, func(h Handle) bool { return len(h.Legs) == 0 })
	clip := func(bar *Bar) {
		bar.Start = max(bar.Start, s.Begin)
		if bar.End != 0 {
			bar.End = max(min(bar.End, s.End), bar.Start)
		}
		bar.Earliest, bar.Latest = 0, 0
	}
	for i := range s.Sessions {
		clip(&s.Sessions[i])
	}
	for i := range s.Handles {
		clip(&s.Handles[i].Bar)
	}
}

// span is from when to when a leg was there, as far as it is known; an end that is not known is the latest moment.
func (l *legState) span() (from, to janus.Micros) {
	from, to = l.start, l.end
	if l.record != nil {
		from, to = l.record.StartTime, endOf(l.record)
	}
	if to == 0 {
		to = 1<<63 - 1
	}
	return from, to
}

func (l *legState) overlaps(other *legState) bool {
	from, to := l.span()
	otherFrom, otherTo := other.span()
	return from <= otherTo && otherFrom <= to
}

// isOf tells whether a record is one of the leg.
func (l *legState) isOf(r *cdr.Record) bool {
	return r.RecordType == cdr.Leg && r.HandleID == l.handle.String() && r.LegKind == l.kind && r.LegIndex == l.index &&
		(l.record == nil || l.record.SessionUID == r.SessionUID)
}

func endOf(r *cdr.Record) janus.Micros {
	if r.EndTime != 0 {
		return r.EndTime
	}
	return r.RecordClosureTime
}
