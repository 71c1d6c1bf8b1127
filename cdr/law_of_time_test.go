package cdr_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"januscdr/cdr"
	"januscdr/janus"
)

// The law of time: the records do not depend on whether a processor was up while the calls happened (on ticks), nor on how
// long the events waited anywhere before they were appended, nor on how sessions are spread over partitions. What they tell
// of the log itself (offsets, partition, revisions, what came late) is another matter.

func TestTheLawOfTime(t *testing.T) {
	held := held{law: "time"}
	eachSource(t, func(t *testing.T, s source, _ int) {
		for _, w := range waitings[1:] {
			held.note(s.kind+" "+w.name, judgeTime(t, s.tape, w), func(rule string) string {
				return s.tape.story(s.name+" "+w.name, rule, func(c tape) []breach { return judgeTime(t, c, w) })
			})
		}
	})
	held.close(t)
}

// waiting is a way in which the events of a tape may come: the logs of the partitions, as they are appended.
type waiting struct {
	name string
	held bool // for longer than any grace
	logs func(tape) [][]cdr.Input
}

// waitings are the ways that must all give the same records.
var waitings = []waiting{
	{"without ticks", false, func(t tape) [][]cdr.Input { return one(t.appended(inTime, 0)) }},
	{"with a tick each second", false, func(t tape) [][]cdr.Input { return one(t.appended(inTime, second)) }},
	{"with a tick each half minute", false, func(t tape) [][]cdr.Input { return one(t.appended(inTime, 30*second)) }},
	{"appended at once after an outage", false, func(t tape) [][]cdr.Input { return one(t.appended(atOnce, 0)) }},
	{"the second half held for ten minutes", true, func(t tape) [][]cdr.Input { return one(t.appended(halfHeld(10*minute), minute)) }},
	{"the second half held for three hours", true, func(t tape) [][]cdr.Input { return one(t.appended(halfHeld(3*hour), minute)) }},
	{"over 3 partitions", false, func(t tape) [][]cdr.Input { return t.spread(3) }},
	{"over 12 partitions", false, func(t tape) [][]cdr.Input { return t.spread(12) }},
}

func one(log []cdr.Input) [][]cdr.Input { return [][]cdr.Input{log} }

// way is how long an event takes to the log at the least.
const way = 20 * millisecond

// inTime appends events when they happened, atOnce all together when the last one has, halfHeld the second half later.
func inTime(t tape, i int) janus.Micros { return t[i].real + way }

func atOnce(t tape, _ int) janus.Micros { return t[len(t)-1].real + 10*minute }

func halfHeld(by janus.Micros) func(tape, int) janus.Micros {
	return func(t tape, i int) janus.Micros {
		if i >= len(t)/2 {
			return t[i].real + way + by
		}
		return t[i].real + way
	}
}

// appended is the tape as one log, with ticks where nothing comes for so long; 0 for none.
func (t tape) appended(when func(tape, int) janus.Micros, tick janus.Micros) (log []cdr.Input) {
	var at janus.Micros
	put := func(in cdr.Input) { in.Offset = int64(len(log)); log = append(log, in) }
	for i := range t {
		next := max(at, when(t, i))
		for tick != 0 && at != 0 && at+tick < next {
			at += tick
			put(cdr.Input{Append: at, Kind: cdr.KindTick})
		}
		at = next
		put(cdr.Input{Append: at, Value: t[i].value})
	}
	return log
}

// spread is the tape over partitions, by session, with copies of what concerns others.
func (t tape) spread(n int) [][]cdr.Input {
	logs := make([][]cdr.Input, n)
	var at janus.Micros
	put := func(to int, in cdr.Input) {
		in.Append, in.Offset = at, int64(len(logs[to]))
		logs[to] = append(logs[to], in)
	}
	alive := map[string]janus.Micros{}
	for i := range t {
		e := &t[i]
		at = max(at, e.real+way)
		if at-alive[e.Emitter] >= 30*second {
			alive[e.Emitter] = at
			for to := range logs {
				put(to, cdr.Input{Kind: cdr.KindAlive, Key: []byte(e.Emitter)})
			}
		}
		own := int(uint64(e.Session) % uint64(n))
		for to := range logs {
			switch {
			case to == own:
				put(to, cdr.Input{Value: e.value})
			case e.Reach() == janus.ReachEveryone:
				put(to, cdr.Input{Kind: cdr.KindCopy, Value: e.value})
			}
		}
	}
	return logs
}

// ofTheLog are the fields that tell of the log: among them how many events came before the record was written.
var ofTheLog = []string{"EventCount", "SourcePartition", "FirstOffset", "LastOffset", "LineageOffset", "LocalRecordSequenceNumber", "RecordID",
	"Revision", "ChangeKind", "Supersedes", "LateCount"}

// ofTheGrace are the fields of how a leg ended. A grace is how long is waited for what comes late of it: what comes later changes nothing
// any more of an end that was told, and that may have been confirmed by another event within a second.
var ofTheGrace = []string{"EndTime", "EndEarliestTime", "EndLatestTime", "EndBasis", "Duration", "CumulativeDuration", "RecordClosureTime",
	"HoldingDuration", "CauseForRecordClosing", "DisconnectInitiator", "Diagnostics", "Confidence", "EndMissing",
	"LastReceivedTime", "Streams", "InterimMissing", "SIPFinalCode", "SIPReason"}

// together tells whether two records tell of one end, within what events that tell one lie apart.
func together(a, b *cdr.Record) bool { return max(a.EndTime-b.EndTime, b.EndTime-a.EndTime) <= second }

// givenUp tells whether a record was closed because nothing more was heard.
func givenUp(r *cdr.Record) bool {
	return r.EndBasis == cdr.EndLastEvidence && slices.Contains(
		[]cdr.Cause{cdr.CauseInactivity, cdr.CauseEmitterSilent, cdr.CauseUnsuccessfulCallAttempt}, r.CauseForRecordClosing)
}

// judgeTime compares what is said of a tape in one way to wait with what is said in the first one.
func judgeTime(t testing.TB, c tape, w waiting) (breaches []breach) {
	tell := func(w waiting) map[string]*cdr.Record {
		records := map[string]*cdr.Record{}
		for _, log := range w.logs(c) {
			got := fold(t, false, log)
			for i := range got {
				r := &got[i]
				records[fmt.Sprintf("%s/%s %v #%d part %d %v", r.SessionID, r.HandleID, r.LegKind, r.LegIndex, r.RecordSequenceNumber, r.CDRID)] = r
			}
		}
		return records
	}
	was, is := tell(waitings[0]), tell(w)
	for leg, a := range was {
		b := is[leg]
		if b == nil {
			breaches = append(breaches, breach{"vanished", leg, lasts(a.Duration), true})
			continue
		}
		x, y := reflect.ValueOf(*a), reflect.ValueOf(*b)
		for f := range x.NumField() {
			name := x.Type().Field(f).Name
			if name == "EndLatestTime" && givenUp(a) && givenUp(b) {
				continue // how long was waited for a sign is a matter of the log
			}
			if w.held && together(a, b) && slices.Contains(ofTheGrace, name) {
				continue
			}
			if !slices.Contains(ofTheLog, name) && !reflect.DeepEqual(x.Field(f).Interface(), y.Field(f).Interface()) {
				breaches = append(breaches, breach{name, leg, fmt.Sprintf("%v, is %v", y.Field(f).Interface(), x.Field(f).Interface()), true})
			}
		}
	}
	for leg, b := range is {
		if was[leg] == nil && charged(b) {
			breaches = append(breaches, breach{"made up", leg, lasts(b.Duration), true})
		}
	}
	return breaches
}
