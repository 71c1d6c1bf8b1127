package cdr

import (
	"slices"
	"testing"

	"januscdr/janus"

	"pgregory.net/rapid"
)

func TestEverySessionEndsInOneSessionRecordAfterItsLegs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { mustRun(t, play{policy: drawPolicy(t)}, drawLog(t)) })
}

// drawPolicy is the default policy, or one that reports long legs in parts.
func drawPolicy(t *rapid.T) *Policy {
	p := DefaultPolicy()
	if rapid.Bool().Draw(t, "parts") {
		p.Partial.Every = rapid.SampledFrom([]janus.Micros{second, 3 * second}).Draw(t, "every")
		p.Partial.Volume = rapid.SampledFrom([]int64{0, 3000}).Draw(t, "volume")
	}
	return &p
}

func TestALogCutElsewhereMakesTheSameRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log, policy := drawLog(t), drawPolicy(t)
		want := mustRun(t, play{policy: policy}, log)
		c := chance(rapid.StringN(1, 8, 32).Draw(t, "chance"))
		commits, restarts := rapid.IntRange(1, 20).Draw(t, "commits"), rapid.IntRange(5, 200).Draw(t, "restarts")
		how := play{policy: policy, evict: true, commit: func(int) bool { return c.IntN(commits) == 0 }, restart: func(int) bool { return c.IntN(restarts) == 0 }}
		got := mustRun(t, how, log)
		if d := difference(want.records, got.records); d != "" {
			t.Fatal(d)
		}
		if err := sameStates(want.states, got.states); err != nil {
			t.Fatal(err)
		}
	})
}

func TestARepetitionChangesNothingButCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log, policy := drawLog(t), drawPolicy(t)
		want := mustRun(t, play{policy: policy}, log)
		c := chance(rapid.StringN(1, 8, 32).Draw(t, "chance"))
		got := mustRun(t, play{policy: policy}, repeated(log, c, rapid.Float64Range(0, 1).Draw(t, "share")))
		if d := difference(without(want.records, clearCopies), without(got.records, clearCopies)); d != "" {
			t.Fatal(d)
		}
	})
}

func TestEveryStateIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mustRun(t, play{policy: drawPolicy(t), each: func(p *Partition) {
			if err := allSameAgain(p); err != nil {
				t.Fatal(err)
			}
		}, commit: func(int) bool { return true }}, drawLog(t))
	})
}

// TestAnOldRepetitionOpensNothing: what comes again after more than the window, as here after a restart that forgot the
// window, is not known as a repetition. It opens no leg and moves no moment all the same, and volumes stay.
func TestAnOldRepetitionOpensNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawStage(t)
		if slices.ContainsFunc(all, func(e said) bool { return e.event == "created" && severalLives(all, e) }) {
			return // an id that comes again: an old end of its first life is taken for one of the second
		}
		log := posted(all, second)
		what := rapid.IntRange(0, len(log)-1).Draw(t, "what")
		where := rapid.IntRange(what, len(log)-1).Draw(t, "where")
		if log[what].Kind != KindEvent {
			return
		}
		in := log[what]
		in.Append = log[where].Append
		again := numbered(slices.Insert(slices.Clone(log), where+1, in))
		want := byLeg(mustRun(t, play{}, log).records)
		got := byLeg(mustRun(t, play{forget: true, restart: func(i int) bool { return i == where }}, again).records)
		for leg, a := range want {
			b, ok := got[leg]
			if !ok {
				t.Fatalf("%s is gone", leg)
			}
			for _, r := range []*Record{&a, &b} {
				clearCopies(r)
				r.EventCount, r.LateCount, r.LocalRecordSequenceNumber = 0, 0, 0
				r.ClockSuspect, r.Confidence = false, 0 // it looks like a clock that was set back
				if r.EndBasis == EndLastEvidence {
					r.EndLatestTime = 0 // and like life
				}
				for i := range r.Streams {
					r.Streams[i].Samples, r.Streams[i].SlowLinks = 0, 0
				}
			}
			if d := difference([]Record{a}, []Record{b}); d != "" {
				t.Fatalf("%s: %s", leg, d)
			}
		}
		if len(want) != len(got) {
			t.Fatalf("%d records and %d", len(want), len(got))
		}
	})
}
