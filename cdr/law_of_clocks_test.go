package cdr_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"januscdr/cdr"
	"januscdr/janus"
)

// The law of clocks: a server whose clock is set, at any moment and by any span, has the same legs as without; those that
// the step lies in are `clock_suspect` and not EXACT, and their spans are those without it; all others are what they were.
//
//	vanished  a leg has no record
//	made up   a record has no leg
//	free      a leg that was charged is not
//	wrong     a leg lasts longer or shorter than without the step, and says EXACT
//	off       it says ESTIMATED, and is off by more than the moment of the step can be known
//	sure      a leg that the step lies in says EXACT
//	timid     a leg that the step does not lie in was EXACT, and is not

// steps are what clocks are set by: a wrong time zone, a slow clock that NTP mends, a machine that slept or had no clock.
var steps = []janus.Micros{-hour, -20 * second, -3 * second, 20 * second, hour, 8 * 365 * 24 * hour}

func TestTheLawOfClocks(t *testing.T) {
	held := held{law: "clocks"}
	eachSource(t, func(t *testing.T, s source, some int) {
		for _, m := range modes {
			truth := fold(t, false, m.play(s.tape))
			for _, by := range steps {
				what := fmt.Sprintf("a %s of %s, %s", m.name, map[bool]string{true: "worlds", false: "recordings"}[s.kind == "worlds"], stepName(by))
				for _, at := range places(s.name+what, len(s.tape), some) {
					c := s.tape.jumping(at, by)
					held.note(what, clocks(t, c, m, truth), func(rule string) string {
						return c.story(fmt.Sprintf("%s, a %s, set by %v at event %d", s.name, m.name, time.Duration(by)*time.Microsecond, at), rule,
							func(c tape) []breach { return clocks(t, c, m, fold(t, false, m.play(c))) })
					})
				}
			}
		}
	})
	held.close(t)
}

// stepName is which kind of step it is: a small one back goes on where it was a moment ago.
func stepName(by janus.Micros) string {
	switch {
	case by > 0:
		return "forward"
	case by < -4*second:
		return "back"
	}
	return "back by 3 s"
}

type mode struct {
	name string
	file bool
	play func(tape) []cdr.Input
}

var modes = []mode{{"file", true, tape.file}, {"log", false, tape.log}}

func clocks(t testing.TB, c tape, m mode, truth []cdr.Record) []breach {
	got, noticed := foldNoticing(t, c.disturbed(), m.play)
	return judgeClocks(c, truth, got, m.file, noticed)
}

// foldNoticing folds a tape, and tells when steps of its clock were last noticed.
func foldNoticing(t testing.TB, c tape, play func(tape) []cdr.Input) ([]cdr.Record, janus.Micros) {
	f, err := cdr.NewFold(cdr.DefaultPolicy(), cdr.Source{Topic: "janus.events"})
	if err != nil {
		t.Fatal(err)
	}
	log := play(c)
	var noticed, now janus.Micros
	f.Trace(func(x cdr.Conclusion) {
		if x.Rule == cdr.RuleClockStepped {
			noticed = now
		}
	})
	var all []cdr.Record
	for i, in := range log {
		if n := i - (len(log) - len(c)); n >= 0 {
			now = c[n].real
		}
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
	return latest(append(all, step.Records...)), noticed
}

// log is the tape as a broker's log, which has a clock of its own: each event is appended 20 ms after it happened. Its
// servers have been heard for two minutes, on an idle partition.
func (t tape) log() []cdr.Input {
	var log []cdr.Input
	put := func(in cdr.Input) { in.Offset = int64(len(log)); log = append(log, in) }
	if len(t) == 0 {
		return nil
	}
	begin := t[0].real
	for i := range t {
		begin = min(begin, t[i].real)
	}
	begin -= 2 * minute
	known := map[string]bool{}
	for i := range t {
		if e := t[i].Emitter; !known[e] {
			known[e] = true
			put(cdr.Input{Append: begin + way, Value: fmt.Appendf(nil,
				`{"emitter":%q,"type":256,"subtype":1,"timestamp":%d,"event":{"status":"update","info":{"sessions":0,"handles":0,"peerconnections":0}}}`, e, begin)})
		}
	}
	for at := begin + 30*second; at < begin+2*minute; at += 30 * second {
		put(cdr.Input{Append: at, Kind: cdr.KindTick})
	}
	at := begin + 2*minute
	for i := range t {
		at = max(at, t[i].real+way)
		put(cdr.Input{Append: at, Value: t[i].value})
	}
	return log
}

// legOf is a leg by what no clock changes.
type legOf struct {
	place
	index int32
	life  int // of its session
	part  int32
}

func legsOf(records []cdr.Record) (order []legOf, legs map[legOf]*cdr.Record) {
	legs = map[legOf]*cdr.Record{}
	lives := map[string]map[cdr.ID]int{}
	for i := range records {
		r := &records[i]
		if r.RecordType != cdr.Leg {
			continue
		}
		id := r.Emitter + "/" + r.SessionID
		if lives[id] == nil {
			lives[id] = map[cdr.ID]int{}
		}
		if _, ok := lives[id][r.SessionUID]; !ok {
			lives[id][r.SessionUID] = len(lives[id])
		}
		l := legOf{placeOf(r), r.LegIndex, lives[id][r.SessionUID], r.RecordSequenceNumber}
		order = append(order, l)
		legs[l] = r
	}
	return order, legs
}

func (l legOf) String() string { return l.place.String() + " #" + strconv.Itoa(int(l.index)) }

// judgeClocks compares what is said of a tape whose clock was set with the truth. In a file the timestamps are all that
// there is of clocks, and nobody can know of the step but by reports. In a log, what comes behind a step back looks like what had
// waited, and waiting is no step: there, too, reports must show it, or an end before its start. What began before the step was
// noticed may well count as open over it.
func judgeClocks(c tape, truth, got []cdr.Record, isFile bool, noticed janus.Micros) (breaches []breach) {
	order, was := legsOf(truth)
	others, is := legsOf(got)
	j := c.theJump()
	handles := map[handleKey]bool{} // with a leg that the step lies in
	for i := range truth {
		if t := &truth[i]; t.RecordType == cdr.Leg && j.over(t) {
			handles[handleKey{t.SessionID, t.HandleID}] = true
		}
	}
	for _, l := range order {
		t, r := was[l], is[l]
		say := func(rule, form string, args ...any) {
			breaches = append(breaches, breach{rule, l.String(), fmt.Sprintf(form, args...) + j.against(t), t.Confidence == cdr.Exact})
		}
		if r == nil {
			say("vanished", "%s", lasts(t.Duration))
			continue
		}
		over := j.over(t)
		after := l.emitter == j.emitter && t.StartTime >= j.real && t.StartTime <= noticed
		witnessed := j.shown(t, isFile)
		beside := isFile && handles[handleKey{t.SessionID, t.HandleID}] // what carries it seems to have come up late
		off := max(r.Duration-t.Duration, t.Duration-r.Duration)
		switch {
		case charged(t) && !charged(r):
			say("free", "%s", lasts(t.Duration))
		case r.Confidence == cdr.Exact && off > int64(near):
			if !over || witnessed {
				say("wrong", "%s EXACT, is %s", lasts(r.Duration), lasts(t.Duration))
			}
		case off > int64(5*second) && witnessed:
			say("off", "%s %v, is %s", lasts(r.Duration), r.Confidence, lasts(t.Duration))
		case over && t.EndTime-j.real > near && t.Confidence == cdr.Exact && !r.ClockSuspect && witnessed:
			say("sure", "%s %v", lasts(r.Duration), r.Confidence)
		case !over && !after && !beside && !j.repeats(t) && t.Confidence == cdr.Exact && (r.Confidence != cdr.Exact || off != 0):
			say("timid", "%s %v, is %s EXACT", lasts(r.Duration), r.Confidence, lasts(t.Duration))
		}
	}
	for _, l := range others {
		if was[l] == nil {
			breaches = append(breaches, breach{"made up", l.String(), lasts(is[l].Duration), true})
		}
	}
	return breaches
}

// jump is how a clock was set.
type jump struct {
	emitter   string
	real      janus.Micros // when
	by        janus.Micros
	witnessed janus.Micros // when the reports of a PeerConnection show it; never is late
}

// shown tells whether anything shows the step while a leg lives.
func (j jump) shown(t *cdr.Record, isFile bool) bool {
	switch {
	case j.witnessed < t.EndTime:
		return true
	case j.by > 0:
		return !isFile
	}
	return t.EndTime+j.by < t.StartTime-2*second
}

// repeats tells whether what comes behind the step may as well be late of a leg: its end lies in the few seconds that the clock repeats,
// or it begins at the very moment of a step forward, and so before or behind it.
func (j jump) repeats(t *cdr.Record) bool {
	back := -j.by
	return t.Emitter == j.emitter && (back > 0 && back < 4*second && t.EndTime <= j.real && t.EndTime >= j.real-back || j.by > 0 && t.StartTime == j.real)
}

// over tells whether it lies in a leg.
func (j jump) over(t *cdr.Record) bool {
	return t.Emitter == j.emitter && t.StartTime < j.real && j.real <= t.EndTime
}

// against tells how a leg lies to it.
func (j jump) against(t *cdr.Record) string {
	return fmt.Sprintf("; from %s to %s of the step", lasts(int64(t.StartTime-j.real)), lasts(int64(t.EndTime-j.real)))
}

const never = janus.Micros(1 << 62)

// theJump finds how the clock of a tape was set, and when its reports show that: with the first one behind it, in its time, of a
// PeerConnection that had a rhythm of four and was not silent.
func (t tape) theJump() (j jump) {
	j.witnessed = never
	type rhythm struct {
		last, interval janus.Micros
		counted        int64
		n              int
	}
	before := map[handleKey]rhythm{}
	for i := range t {
		e := &t[i]
		if e.jump != 0 {
			j.emitter, j.real, j.by = e.Emitter, e.real, e.jump
		}
		key := handleKey{e.Emitter + "/" + e.Session.String(), e.Handle.String()}
		switch b := e.Body.(type) {
		case *janus.PeerConnectionHangup, *janus.HandleDetached:
			delete(before, key)
		case *janus.MediaReport:
			r := before[key]
			var counted int64
			for _, s := range b.Streams {
				counted += s.BytesReceived + s.BytesSent
			}
			since := e.real - r.last
			next := r.n == 0 || since > 100*millisecond // not another medium of the same one
			switch {
			case !next:
			case j.by == 0:
				before[key] = rhythm{e.real, since, counted, r.n + 1}
			case r.n >= 4 && e.Emitter == j.emitter && counted > r.counted && 10*since >= 9*r.interval:
				j.witnessed = min(j.witnessed, e.real)
			}
		}
	}
	return j
}
