package cdr

import (
	"fmt"
	"slices"
	"testing"

	"januscdr/janus"

	"pgregory.net/rapid"
)

// One event of a server is lost. How strict can a law about that be? Nobody can know of a thing that only one event
// tells (a participant's `joined`), nor that an end came earlier than the next event that ends it too (`detached` without
// the `hangup` before it). But this can be promised, and is checked here for legs that were answered, because they are
// what is charged:
//
//   - no leg is made up: each one overlaps one that is there without the loss, and none is there twice;
//   - no leg ends after the last event of its server;
//   - where a start, an answer or an end moves by more than a second, a flag of the record shows it, unless what was
//     lost is an end, and a later event told another one: then the last statistics are not final, if there were any;
//   - two answered calls do not become one that shows nothing. An attempt that came to nothing, before or behind a call
//     on the same handle, may become one with it when the `hangup` between them is lost: nothing tells a new offer from a
//     renegotiation but a second webrtcup.

// moved tells whether two moments are not one by the schema.
func moved(a, b janus.Micros) bool { return a-b > second || b-a > second }

// shows tells whether a record says that something is missing in it.
func shows(r *Record) bool {
	return r.StartMissing || r.EndMissing || r.Confidence != Exact || r.InterimMissing == InterimYes || notFinal(r)
}

// notFinal tells whether a stream has no final sample.
func notFinal(r *Record) bool {
	return slices.ContainsFunc(r.Streams, func(s Stream) bool { return !s.FinalSample })
}

// endings are the events that end something which a later event ends too.
var endings = []string{"hangup", "detached", "left", "leave", "leaving", "kicked", "stopped", "stopping", "destroyed", "disconnected"}

func TestALostEventDoublesNothingAndShows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawStage(t)
		i := rapid.IntRange(0, len(all)-1).Draw(t, "lost")
		lost := all[i]
		if lost.event == "created" && severalLives(all, lost) {
			return // an id that comes again: without its `created` the second life looks like the end of the first
		}
		rest := slices.Delete(slices.Clone(all), i, i+1)
		records := mustRun(t, play{}, posted(all, second)).records
		want := answeredLegs(records)
		got := answeredLegs(mustRun(t, play{}, posted(rest, second)).records)

		last := map[string]janus.Micros{} // a room is ended by others too
		for _, e := range rest {
			last[e.emitter] = max(last[e.emitter], e.at)
		}
		same := func(r *Record, in []*Record) (found []*Record) {
			for _, o := range in {
				if o.Emitter == r.Emitter && o.SessionID == r.SessionID && o.HandleID == r.HandleID && o.LegKind == r.LegKind &&
					(r.LegKind != RoomMembership || o.RoomID == r.RoomID && o.ParticipantID == r.ParticipantID) && o.StartTime < r.EndTime && r.StartTime < o.EndTime {
					found = append(found, o)
				}
			}
			return found
		}
		for _, r := range want {
			if n := len(same(r, got)); n > 1 && r.LegKind != RoomMembership {
				t.Fatalf("without %q of handle %d there are %d of %s", lost.event, lost.handle, n, name(r))
			}
		}
		for _, r := range got {
			before := same(r, want)
			switch {
			case len(before) == 0:
				if r.EndTime > r.StartTime && !shows(r) {
					t.Fatalf("without %q of handle %d there is a new %s", lost.event, lost.handle, name(r))
				}
				continue
			case len(before) > 1:
				if !shows(r) && r.LegKind != RoomMembership {
					t.Fatalf("without %q of handle %d, %d legs are one: %s", lost.event, lost.handle, len(before), name(r))
				}
				continue
			}
			o := before[0]
			if r.EndTime > last[r.Emitter] {
				t.Fatalf("without %q of handle %d, %s outlives the evidence", lost.event, lost.handle, name(r))
			}
			if !moved(o.StartTime, r.StartTime) && !moved(o.AnswerTime, r.AnswerTime) && !moved(o.EndTime, r.EndTime) || shows(r) {
				continue
			}
			switch {
			case slices.Contains(endings, lost.event) && !r.EndMissing && !moved(o.StartTime, r.StartTime) && !moved(o.AnswerTime, r.AnswerTime) && len(r.Streams) == 0:
			case r.LegKind == StreamView && lost.event == "webrtcup": // its own `started` answers it, later
			case lost.event == "hangup" && attemptBeside(records, o): // what came to nothing before it or behind it on its handle is one with it
			default:
				t.Fatalf("without %q of handle %d, %s was %s, and shows nothing", lost.event, lost.handle, name(r), name(o))
			}
		}
	})
}

func name(r *Record) string {
	return fmt.Sprintf("%v of handle %s (%s) from %d, answered %d, to %d (%v)", r.LegKind, r.HandleID, r.Plugin, r.StartTime-dawn, r.AnswerTime-dawn, r.EndTime-dawn, r.EndBasis)
}

// attemptBeside tells whether the handle of a leg had another PeerConnection that was not answered.
func attemptBeside(records []Record, o *Record) bool {
	return slices.ContainsFunc(records, func(r Record) bool {
		return r.SessionID == o.SessionID && r.HandleID == o.HandleID && r.LegKind == PeerConnection && r.AnswerTime == 0
	})
}

// answeredLegs are the final records of legs that were answered.
func answeredLegs(records []Record) (legs []*Record) {
	for i := range records {
		if r := &records[i]; r.RecordType == Leg && r.IsFinal && r.AnswerTime != 0 {
			legs = append(legs, r)
		}
	}
	return legs
}

// severalLives tells whether the id of a session was created more than once.
func severalLives(all []said, of said) bool {
	n := 0
	for _, e := range all {
		if e.event == "created" && e.session == of.session && e.emitter == of.emitter {
			n++
		}
	}
	return n > 1
}
