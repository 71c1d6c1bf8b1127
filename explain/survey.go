package explain

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"januscdr/janus"
)

// Found is a session that fits a query.
type Found struct {
	Emitter   string
	Session   janus.SessionID
	Partition int32
	First     janus.Micros // timestamp of its first event
	Events    int
	Outcomes  []string // what came of the legs that fit, or else of all; maxOutcomes at most

	others []string // what came of legs that do not fit themselves, maxOutcomes at most
	exact  bool     // it is the session itself that fits, not the hash of something of it
	order  int      // among all sessions, by their first events
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

// maxListed is how many candidates are listed.
const maxListed = 20

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
	lines := []string{fmt.Sprintf("%d sessions fit %s; name one by its id%s, newest first:", len(s.Found), s.Query,
		s.hint())}
	newest := slices.Clone(s.Found)
	slices.Reverse(newest)
	for i, f := range newest {
		if i == maxListed {
			lines = append(lines, fmt.Sprintf("  and %d more", len(s.Found)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("  %s on %s, %s, %s", f.Session, clean(f.Emitter), dateTime(f.First),
			many(f.Events, "event", "events")))
		for _, text := range f.Outcomes {
			lines = append(lines, "      "+text)
		}
	}
	return Found{}, errors.New(strings.Join(lines, "\n"))
}

// hint says that an emitter must be named, where only that tells the candidates apart.
func (s *Survey) hint() string {
	for i, f := range s.Found {
		for _, g := range s.Found[:i] {
			if f.Session == g.Session {
				return " and --emitter"
			}
		}
	}
	return ""
}

// nothing says that no session was found, and what there is instead.
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
