package explain

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"januscdr/cdr"
	"januscdr/internal/spelling"
	"januscdr/janus"
)

// Bounds of a survey.
const (
	maxSessions = 1 << 20
	maxFound    = 1000
	maxPartly   = 1 << 16 // handles of which some terms hold, but not all
	maxOutcomes = 8
	maxNear     = 3
	maxEmitters = 20
)

// Find looks through one partition for the sessions that fit a query.
func Find(ctx context.Context, o Options, inputs Inputs, q Query) (*Survey, error) {
	s := &search{
		query: q, id: q.Session(), terms: q.terms(), partition: o.Source.Partition, survey: &Survey{Query: q},
		all: map[sessionRef]*sighting{}, found: map[sessionRef]*Found{}, partly: map[handleRef]uint{},
	}
	s.query.ID = strings.ToLower(q.ID)
	s.query.Emitter, _ = janus.EmitterName(q.Emitter)
	if err := follow(ctx, o, inputs, listener{before: s.input, conclusion: s.conclusion}); err != nil {
		return nil, err
	}
	return s.result(), nil
}

// search listens to a fold and looks for sessions.
type search struct {
	query     Query
	id        janus.SessionID // that the query names, or 0
	terms     []term
	partition int32
	parser    janus.Parser
	survey    *Survey
	all       map[sessionRef]*sighting
	found     map[sessionRef]*Found
	partly    map[handleRef]uint // terms that hold, as bits
}

type handleRef struct {
	sessionRef
	handle janus.HandleID
}

type sessionRef struct {
	emitter string
	session janus.SessionID
}

// sighting is what is noted of each session that has events.
type sighting struct {
	first  janus.Micros // timestamp of its first event
	events int
	order  int
}

// input looks at an event before it is folded.
func (s *search) input(in cdr.Input) {
	if in.Kind != cdr.KindEvent {
		return
	}
	s.survey.Events++
	e, err := s.parser.Parse(in.Value)
	if err != nil || e.Session == 0 {
		return
	}
	at := sessionRef{emitterOf(in, e), e.Session}
	if len(s.survey.Emitters) < maxEmitters && !slices.Contains(s.survey.Emitters, at.emitter) {
		s.survey.Emitters = append(s.survey.Emitters, strings.Clone(at.emitter))
	}
	if !s.ofEmitter(at.emitter) {
		return
	}
	s.count(at, e)
	if s.fits(at, e) {
		s.note(at, true)
	}
}

// fits tells whether an event is of the session that is named, and what is known of its handle meets all terms. A
// session that is found by the digits of a hash is found by its record.
func (s *search) fits(at sessionRef, e *janus.Event) bool {
	if s.query.ID != "" && (s.id == 0 || e.Session != s.id) {
		return false
	}
	if len(s.terms) == 0 {
		return true
	}
	bits := held(s.terms, e)
	if bits == 0 {
		return false
	}
	at.emitter = strings.Clone(at.emitter)
	ref := handleRef{at, e.Handle}
	bits |= s.partly[ref]
	if bits == 1<<len(s.terms)-1 {
		delete(s.partly, ref)
		return true
	}
	if len(s.partly) < maxPartly {
		s.partly[ref] = bits
	}
	return false
}

// ofEmitter tells whether the sessions of an emitter are looked for.
func (s *search) ofEmitter(name string) bool { return s.query.Emitter == "" || name == s.query.Emitter }

// count counts an event of a session.
func (s *search) count(at sessionRef, e *janus.Event) {
	a := s.all[at]
	switch {
	case a != nil:
		a.events++
	case len(s.all) < maxSessions:
		at.emitter = strings.Clone(at.emitter)
		s.all[at] = &sighting{first: e.Time, events: 1, order: len(s.all)}
	default:
		s.survey.More = true
	}
}

// note takes up a session that fits.
func (s *search) note(at sessionRef, exact bool) {
	f := s.found[at]
	if f == nil {
		if len(s.found) == maxFound {
			return
		}
		at.emitter = strings.Clone(at.emitter)
		f = &Found{Emitter: at.emitter, Session: at.session, Partition: s.partition}
		s.found[at] = f
	}
	f.exact = f.exact || exact
}

// conclusion looks at a record that was emitted.
func (s *search) conclusion(c cdr.Conclusion) {
	if c.Record == nil || !s.ofEmitter(c.Emitter) {
		return
	}
	at := sessionRef{c.Emitter, c.Session}
	fits, bySession := s.query.fitsRecord(s.terms, c.Record)
	if fits {
		s.note(at, bySession)
	}
	f := s.found[at]
	if f == nil || c.Record.RecordType != cdr.Leg || !c.Record.IsFinal {
		return
	}
	came := &f.others
	if fits {
		came = &f.Outcomes
	}
	if len(*came) < maxOutcomes {
		record := safe(c.Record)
		*came = append(*came, outcome(&record))
	}
}

// result is what was found. A session id that happens to begin a hash means the session.
func (s *search) result() *Survey {
	exact := false
	for at, f := range s.found {
		if a := s.all[at]; a != nil {
			f.First, f.Events, f.order = a.first, a.events, a.order
		}
		if len(f.Outcomes) == 0 {
			f.Outcomes = f.others
		}
		exact = exact || f.exact
	}
	found := &s.survey.Found
	for _, f := range s.found {
		if f.exact || !exact {
			*found = append(*found, *f)
		}
	}
	slices.SortFunc(*found, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.order, b.order), strings.Compare(a.Emitter, b.Emitter),
			cmp.Compare(a.Session, b.Session))
	})
	s.survey.Sessions = len(s.all)
	if len(*found) == 0 {
		s.survey.Near = near(s.query.ID, s.all)
	}
	return s.survey
}

// near are the session ids that somebody who wrote id may have meant: it was cut off, or a letter or two are wrong.
func near(id string, all map[sessionRef]*sighting) []string {
	if id == "" {
		return nil
	}
	type candidate struct {
		id   string
		away int
	}
	var some []candidate
	for r := range all {
		c := candidate{id: r.session.String()}
		if len(id) < 4 || !strings.HasPrefix(c.id, id) {
			if c.away = spelling.Distance(id, c.id); c.away > min(2, len(id)/3) {
				continue
			}
		}
		some = append(some, c)
	}
	slices.SortFunc(some, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.away, b.away), strings.Compare(a.id, b.id))
	})
	var ids []string
	for _, c := range some[:min(len(some), maxNear)] {
		ids = append(ids, c.id)
	}
	return ids
}
