package cdr

import (
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
			for _, ref := range p.stepKeys {
				if k := p.index.sessions[ref]; k != nil && k.s != nil {
					if err := sameAgain(k.s); err != nil {
						t.Fatal(err)
					}
				}
			}
		}, commit: func(int) bool { return true }}, drawLog(t))
	})
}
