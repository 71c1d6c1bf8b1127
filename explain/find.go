package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"januscdr/cdr"
	"januscdr/internal/spelling"
	"januscdr/janus"
)

// Query says which session is meant.
type Query struct {
	// ID is a session id in decimal, or the first digits of a record_id, cdr_id or session_uid, minPrefix at least.
	ID string
	// Emitter is the server, where several have a session with the same id.
	Emitter string
	// OpaqueID, CallID and Room are looked for in events and records where ID is empty.
	OpaqueID, CallID, Room string
}

// minPrefix is how many digits of an id are needed to look for it.
const minPrefix = 6

// Check tells what is wrong with the query.
func (q Query) Check() error {
	by := 0
	for _, s := range []string{q.ID, q.OpaqueID, q.CallID, q.Room} {
		if s != "" {
			by++
		}
	}
	switch {
	case by == 0:
		return errors.New("say which session: its id, the beginning of a record_id, cdr_id or session_uid, or --opaque-id, --call-id or --room")
	case by > 1:
		return errors.New("say in one way which session is meant: its id, --opaque-id, --call-id or --room")
	case q.ID == "" || q.session() != 0:
		return nil
	case len(q.ID) < minPrefix:
		return fmt.Errorf("%q is no session id, and of a record_id, cdr_id or session_uid at least %d digits are needed", q.ID, minPrefix)
	case len(q.ID) > 32 || strings.Trim(strings.ToLower(q.ID), "0123456789abcdef") != "":
		return fmt.Errorf("%q is neither a session id (a decimal number) nor the beginning of a record_id, cdr_id or session_uid (up to 32 hexadecimal digits)", q.ID)
	}
	return nil
}

// Session is the session id that the query names, 0 when it names none.
func (q Query) Session() janus.SessionID { return q.session() }

func (q Query) session() janus.SessionID {
	n, err := strconv.ParseUint(q.ID, 10, 63)
	if err != nil {
		return 0
	}
	return janus.SessionID(n)
}

// Found is a session that fits a query.
type Found struct {
	Emitter   string
	Session   janus.SessionID
	Partition int32
	First     janus.Micros // timestamp of its first event
	Events    int
	Why       string   // what of it fits
	Says      []string // what came of it, one line a leg

	exact bool
	order int
}

// Survey is what was found in a log.
type Survey struct {
	Query    Query
	Found    []Found  // in the order of their first events
	Sessions int      // how many there are
	More     bool     // there are even more: counting stopped
	Near     []string // ids of sessions that are written alike, when nothing was found
	Events   int64    // that were read
	Emitters []string // that have sessions, some of them
}

// Bounds of a survey.
const (
	maxSessions = 1 << 20
	maxFound    = 1000
	maxSays     = 8
	maxNear     = 3
	maxEmitters = 20
)

type ref struct {
	emitter string
	session janus.SessionID
}

type seen struct {
	first  janus.Micros
	events int
	order  int
}

// Find looks through one partition for the sessions that fit a query.
func Find(ctx context.Context, o Options, inputs Inputs, q Query) (*Survey, error) {
	s := &Survey{Query: q}
	q.ID = strings.ToLower(q.ID)
	q.Emitter, _ = janus.EmitterName(q.Emitter)
	id := q.session()
	var parser janus.Parser
	all, found := map[ref]*seen{}, map[ref]*Found{}
	fits := func(r ref, why string, exact bool) *Found {
		f := found[r]
		if f == nil && len(found) < maxFound {
			f = &Found{Emitter: strings.Clone(r.emitter), Session: r.session, Partition: o.Source.Partition, Why: why}
			found[ref{f.Emitter, f.Session}] = f
		}
		if f != nil && exact {
			f.exact = true
		}
		return f
	}
	err := follow(ctx, o, inputs, listener{
		before: func(in cdr.Input) {
			if in.Kind != cdr.KindEvent {
				return
			}
			s.Events++
			e, err := parser.Parse(in.Value)
			if err != nil || e.Session == 0 {
				return
			}
			r := ref{emitterOf(in, e), e.Session}
			if len(s.Emitters) < maxEmitters && !slices.Contains(s.Emitters, r.emitter) {
				s.Emitters = append(s.Emitters, strings.Clone(r.emitter))
			}
			if q.Emitter != "" && r.emitter != q.Emitter {
				return
			}
			a := all[r]
			switch {
			case a != nil:
				a.events++
			case len(all) < maxSessions:
				all[ref{strings.Clone(r.emitter), r.session}] = &seen{first: e.Time, events: 1, order: len(all)}
			default:
				s.More = true
			}
			b, _ := e.Body.(*janus.PluginEvent)
			switch {
			case id != 0 && e.Session == id:
				fits(r, "session id "+e.Session.String(), true)
			case q.OpaqueID != "" && e.OpaqueID == q.OpaqueID:
				fits(r, "opaque id "+clean(q.OpaqueID), true)
			case b == nil:
			case q.CallID != "" && b.CallID == q.CallID:
				fits(r, "Call-ID "+clean(q.CallID), true)
			case q.Room != "" && b.Room.Text == q.Room:
				fits(r, "room "+clean(q.Room), true)
			}
		},
		conclusion: func(c cdr.Conclusion) {
			if c.Record == nil || q.Emitter != "" && c.Emitter != q.Emitter {
				return
			}
			r := ref{c.Emitter, c.Session}
			if why := q.fitsRecord(c.Record); why != "" {
				fits(r, why, q.ID == "")
			}
			if f := found[r]; f != nil && c.Record.RecordType == cdr.Leg && c.Record.IsFinal && len(f.Says) < maxSays {
				record := safe(c.Record)
				f.Says = append(f.Says, outcome(&record))
			}
		},
	})
	if err != nil {
		return nil, err
	}
	s.Sessions = len(all)
	exact := false
	for r, f := range found {
		if a := all[r]; a != nil {
			f.First, f.Events, f.order = a.first, a.events, a.order
		}
		exact = exact || f.exact
	}
	for _, f := range found {
		if f.exact || !exact { // a session id that happens to begin a hash means the session
			s.Found = append(s.Found, *f)
		}
	}
	slices.SortFunc(s.Found, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.order, b.order), strings.Compare(a.Emitter, b.Emitter), cmp.Compare(a.Session, b.Session))
	})
	if len(s.Found) == 0 {
		s.Near = near(q.ID, all)
	}
	return s, nil
}

// fitsRecord tells by which of its fields a record fits, "" when it does not.
func (q Query) fitsRecord(r *cdr.Record) string {
	switch {
	case q.ID != "" && len(q.ID) >= minPrefix:
		for _, id := range []struct {
			name  string
			value cdr.ID
		}{{"record_id", r.RecordID}, {"cdr_id", r.CDRID}, {"session_uid", r.SessionUID}} {
			if strings.HasPrefix(id.value.String(), q.ID) {
				return id.name + " " + id.value.String()
			}
		}
	case q.CallID != "" && r.SIPCallID == q.CallID:
		return "Call-ID " + clean(q.CallID)
	case q.Room != "" && r.RoomID == q.Room:
		return "room " + clean(q.Room)
	case q.OpaqueID != "" && r.OpaqueID == q.OpaqueID:
		return "opaque id " + clean(q.OpaqueID)
	}
	return ""
}

// Join adds what was found in another partition.
func (s *Survey) Join(other *Survey) {
	s.Found = append(s.Found, other.Found...)
	s.Sessions += other.Sessions
	s.Events += other.Events
	s.More = s.More || other.More
	s.Near = append(s.Near, other.Near...)
	s.Emitters = append(s.Emitters, other.Emitters...)
	slices.SortStableFunc(s.Found, func(a, b Found) int { return cmp.Compare(a.First, b.First) })
}

// One is the session that is meant; an error says that there is none, or several, and what to do.
func (s *Survey) One() (Found, error) {
	switch len(s.Found) {
	case 1:
		return s.Found[0], nil
	case 0:
		return Found{}, errors.New(s.nothing())
	}
	lines := []string{fmt.Sprintf("%d sessions fit %s; name one by its id%s:", len(s.Found), s.Query, s.emitters())}
	for i, f := range s.Found {
		if i == maxListed {
			lines = append(lines, fmt.Sprintf("  and %d more", len(s.Found)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("  %s on %s, %s, %s", f.Session, clean(f.Emitter), dateTime(f.First), many(f.Events, "event", "events")))
		for _, says := range f.Says {
			lines = append(lines, "      "+says)
		}
	}
	return Found{}, errors.New(strings.Join(lines, "\n"))
}

// maxListed is how many candidates are listed.
const maxListed = 20

// emitters is the hint that an emitter must be named, where only that tells the candidates apart.
func (s *Survey) emitters() string {
	for i, f := range s.Found {
		for _, g := range s.Found[:i] {
			if f.Session == g.Session {
				return " and --emitter"
			}
		}
	}
	return ""
}

func (s *Survey) nothing() string {
	text := "no session fits " + s.Query.String()
	if s.Query.Emitter != "" {
		text += " on emitter " + strconv.Quote(clean(s.Query.Emitter))
	}
	switch {
	case s.Sessions == 0 && s.Events == 0:
		return text + ": there are no events"
	case s.Sessions == 0 && len(s.Emitters) > 0:
		slices.Sort(s.Emitters)
		names := slices.Compact(s.Emitters)
		for i := range names {
			names[i] = clean(names[i])
		}
		return text + ": it has no sessions; there are sessions of " + list(names)
	case s.Sessions == 0:
		return fmt.Sprintf("%s: %s, none of a session", text, many(s.Events, "event", "events"))
	}
	count := many(s.Sessions, "session", "sessions")
	if s.More {
		count = "more than " + count
	}
	text += fmt.Sprintf(" among %s in %s", count, many(s.Events, "event", "events"))
	if len(s.Near) > 0 {
		slices.Sort(s.Near)
		near := slices.Compact(s.Near)
		text += "; did you mean " + strings.Join(near[:min(len(near), maxNear)], " or ") + "?"
	}
	return text
}

// String says what is looked for.
func (q Query) String() string {
	switch {
	case q.OpaqueID != "":
		return "opaque id " + strconv.Quote(clean(q.OpaqueID))
	case q.CallID != "":
		return "Call-ID " + strconv.Quote(clean(q.CallID))
	case q.Room != "":
		return "room " + strconv.Quote(clean(q.Room))
	case q.session() != 0 && len(q.ID) < minPrefix:
		return "session id " + q.ID
	}
	return "id " + clean(q.ID)
}

// near are the session ids that somebody who wrote id may have meant: it was cut off, or a letter or two are wrong.
func near(id string, all map[ref]*seen) []string {
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
