package cdr_test

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
)

// Three laws say what no disturbance of a log may do to money. The law of loss: what is said when events are missing is
// what was said before, or it is not EXACT. The law of time: records do not depend on ticks, nor on how long events waited
// before they were appended. The law of clocks: a clock that is set moves no span. Each is held against all recordings and
// against worlds that chance made; what breaks one is shrunk to a story.

const (
	millisecond = janus.Micros(1000)
	second      = 1000 * millisecond
	minute      = 60 * second
	hour        = 60 * minute
)

// heard is one event on a tape.
type heard struct {
	janus.Event
	value  []byte
	number int          // its place on the tape as it was recorded, from 0
	real   janus.Micros // when it happened, by a clock that is never set
	from   int          // where its timestamp stands in value
	digits int

	lost bool         // the disturbance: it does not come,
	jump janus.Micros // or from it on, its emitter's clock is another one
}

// tape is what servers said, in the order in which it came.
type tape []heard

// tapeOf reads events.
func tapeOf(values [][]byte) tape {
	var t tape
	for i, v := range values {
		var parser janus.Parser // a body is its parser's until the next event
		e, err := parser.Parse(v)
		if err != nil {
			continue
		}
		h := heard{Event: *e, value: v, number: i, real: e.Time}
		text := []byte(strconv.FormatInt(int64(e.Time), 10))
		for at := 0; ; {
			key := bytes.Index(v[at:], []byte(`"timestamp":`))
			if key < 0 {
				panic(fmt.Sprintf("event %d has no timestamp %s", i, text))
			}
			at += key + len(`"timestamp":`)
			for v[at] == ' ' {
				at++
			}
			if bytes.HasPrefix(v[at:], text) {
				h.from, h.digits = at, len(text)
				break
			}
		}
		t = append(t, h)
	}
	return t
}

// at is the event with another timestamp.
func (h *heard) at(t janus.Micros) heard {
	if t == h.Time {
		return *h
	}
	out := *h
	text := strconv.FormatInt(int64(t), 10)
	out.value = slices.Concat(h.value[:h.from], []byte(text), h.value[h.from+h.digits:])
	out.Time, out.digits = t, len(text)
	return out
}

// losing is a tape of which a run of events is lost.
func (t tape) losing(from, n int) tape {
	out := slices.Clone(t)
	for i := from; i < from+n; i++ {
		out[i].lost = true
	}
	return out
}

// jumping is a tape whose server's clock is set before one of its events.
func (t tape) jumping(from int, by janus.Micros) tape {
	out := slices.Clone(t)
	out[from].jump = by
	return out
}

// idling is a tape on which an hour passes wherever nothing happens for a second and no leg is open that is answered: so a
// wrong end costs an hour and not a second.
func (t tape) idling(truth []cdr.Record) tape {
	out := make(tape, len(t))
	var passed, latest janus.Micros
	for i := range t {
		from, to := latest, t[i].Time
		if i > 0 && to-from >= second && !slices.ContainsFunc(truth, func(r cdr.Record) bool {
			return r.RecordType == cdr.Leg && r.LegKind != cdr.RoomMembership && r.StartTime < to && r.EndTime > from
		}) {
			passed += hour
		}
		latest = max(latest, to)
		out[i] = t[i].at(to + passed)
		out[i].real = out[i].Time
	}
	return out
}

// disturbed is what comes of a tape.
func (t tape) disturbed() tape {
	shift := map[string]janus.Micros{}
	var out tape
	for i := range t {
		shift[t[i].Emitter] += t[i].jump
		if !t[i].lost {
			out = append(out, t[i].at(t[i].Time+shift[t[i].Emitter]))
		}
	}
	return out
}

// file is the tape as the log of a file, whose append times are made of the timestamps.
func (t tape) file() []cdr.Input {
	log := make([]cdr.Input, len(t))
	var at janus.Micros
	for i := range t {
		at = max(at, t[i].Time)
		log[i] = cdr.Input{Offset: int64(i), Append: at, Value: t[i].value}
	}
	return log
}

// fold makes the records of a log, of each part the highest revision.
func fold(t testing.TB, whole bool, log []cdr.Input) []cdr.Record {
	t.Helper()
	f, err := cdr.NewFold(cdr.DefaultPolicy(), cdr.Source{Topic: "janus.events", Whole: whole})
	if err != nil {
		t.Fatal(err)
	}
	var all []cdr.Record
	for _, in := range log {
		step, err := f.Apply(in)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, step.Records...)
	}
	all = append(all, f.Step().Records...)
	step, err := f.Flush()
	if err != nil {
		t.Fatal(err)
	}
	return latest(append(all, step.Records...))
}

// latest are the records that count: of each leg and part the highest revision.
func latest(all []cdr.Record) []cdr.Record {
	type part struct {
		id     cdr.ID
		number int32
	}
	best := map[part]int{}
	var out []cdr.Record
	for _, r := range all {
		p := part{r.CDRID, r.RecordSequenceNumber}
		if i, ok := best[p]; !ok {
			best[p] = len(out)
			out = append(out, r)
		} else if r.Revision > out[i].Revision {
			out[i] = r
		}
	}
	return out
}

// source is a tape with a name.
type source struct {
	name string
	kind string // where it comes from: a recording, or a world
	tape tape
}

// recorded are all recordings.
func recorded() (all []source) {
	for _, name := range recordings.Names() {
		all = append(all, source{name, name, tapeOf(recordings.Events(name))})
	}
	return all
}

// world is what chance made of a number.
func worldNumber(seed int) source {
	return source{fmt.Sprintf("world %d", seed), "worlds", tapeOf(cdr.World(seed))}
}

// charged tells whether a record is of a leg that is charged and was answered.
func charged(r *cdr.Record) bool { return r.RecordType == cdr.Leg && r.Chargeable && r.AnswerTime != 0 }

// place is where legs of one kind are.
type place struct {
	emitter, session, handle string
	kind                     cdr.LegKind
}

func placeOf(r *cdr.Record) place { return place{r.Emitter, r.SessionID, r.HandleID, r.LegKind} }

func (p place) String() string { return fmt.Sprintf("%s/%s %v", p.session, p.handle, p.kind) }

// overlap is how long two legs are at once; it is negative where one begins after the other's end.
func overlap(a, b *cdr.Record) janus.Micros {
	return min(closed(a), closed(b)) - max(a.StartTime, b.StartTime)
}

func closed(r *cdr.Record) janus.Micros { return cmp.Or(r.EndTime, r.RecordClosureTime) }

// breach is a law that a disturbance broke.
type breach struct {
	rule string // exact, free, interval, twice, timid, …
	leg  string
	what string

	sure bool // without the disturbance the leg is EXACT
}

func (b breach) String() string { return b.rule + ": " + b.leg + ": " + b.what }
