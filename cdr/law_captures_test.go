package cdr

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
)

// recorded is a recording as a log: appended when it came, by the largest timestamp so far.
func recorded(name string) []Input {
	var parser janus.Parser
	var at janus.Micros
	var log []Input
	for i, b := range recordings.Events(name) {
		if e, err := parser.Parse(b); err == nil {
			at = max(at, e.Time)
		}
		log = append(log, Input{Offset: int64(i), Append: at, Value: b})
	}
	return log
}

// eachRecording runs a test for every recording.
func eachRecording(t *testing.T, f func(t *testing.T, name string, log []Input)) {
	for _, name := range recordings.Names() {
		t.Run(name, func(t *testing.T) { f(t, name, recorded(name)) })
	}
}

func mustRun(t interface {
	Helper()
	Fatal(...any)
}, how play, log []Input) outcome {
	t.Helper()
	out, err := how.run(log)
	if err == nil && !how.noFlush {
		err = checkTold(out, ofSessions(log))
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// chance is a source of chance that a test can repeat.
func chance(name string) *rand.Rand {
	var seed [32]byte
	copy(seed[:], name)
	return rand.New(rand.NewChaCha8(seed))
}

func TestEveryRecordingKeepsTheBooks(t *testing.T) {
	eachRecording(t, func(t *testing.T, _ string, log []Input) { mustRun(t, play{}, log) })
}

func TestARecordingCutElsewhereMakesTheSameRecords(t *testing.T) {
	eachRecording(t, func(t *testing.T, name string, log []Input) {
		want := mustRun(t, play{}, log)
		c := chance(name)
		for _, how := range []play{
			{commit: func(int) bool { return true }, evict: true},
			{commit: func(i int) bool { return i%7 == 0 }},
			{commit: func(int) bool { return c.IntN(10) == 0 }, evict: true, restart: func(int) bool { return c.IntN(40) == 0 }},
		} {
			got := mustRun(t, how, log)
			if d := difference(want.records, got.records); d != "" {
				t.Fatal(d)
			}
			if err := sameStates(want.states, got.states); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestARecordingWithRepetitionsMakesTheSameRecords(t *testing.T) {
	eachRecording(t, func(t *testing.T, name string, log []Input) {
		want := mustRun(t, play{}, log)
		c := chance(name)
		for range 3 {
			got := mustRun(t, play{}, repeated(log, c, 0.3))
			if d := difference(without(want.records, clearCopies), without(got.records, clearCopies)); d != "" {
				t.Fatal(d)
			}
		}
	})
}

// repeated is a log in which some records come again, somewhere behind the first time and in the moment of the record
// before.
func repeated(log []Input, c *rand.Rand, share float64) []Input {
	behind := make([][]Input, len(log))
	for i, in := range log {
		if in.Kind != KindTick && in.Kind != KindAlive && c.Float64() < share {
			at := i + c.IntN(min(len(log)-i, 1+c.IntN(200)))
			behind[at] = append(behind[at], in)
		}
	}
	var out []Input
	for i, in := range log {
		out = append(out, in)
		for _, again := range behind[i] {
			again.Append = in.Append
			out = append(out, again)
		}
	}
	return numbered(out)
}

// numbered gives the records of a log their offsets.
func numbered(log []Input) []Input {
	log = slices.Clone(log)
	for i := range log {
		log[i].Offset = int64(i)
	}
	return log
}

func TestEveryStateOfARecordingIsReadAsItWasWritten(t *testing.T) {
	eachRecording(t, func(t *testing.T, _ string, log []Input) {
		mustRun(t, play{each: func(p *Partition) {
			if err := allSameAgain(p); err != nil {
				t.Fatal(err)
			}
		}, commit: func(int) bool { return true }}, log)
	})
}

// allSameAgain tells whether the sessions that have changed, and their handles, are the same when they were written and
// read, in the form of today and in that of version 2.
func allSameAgain(p *Partition) error {
	for _, ref := range p.stepKeys {
		k := p.index.sessions[ref]
		if k == nil || k.s == nil {
			continue
		}
		s := *k.s
		s.chunks = nil // they are states of their own
		for _, b := range [][]byte{encodeState(nil, s.base(), s.fields), encode(nil, s.fields)} {
			again, err := readSession(sessionKey(s.emitter, s.id), b)
			if err != nil {
				return err
			}
			if d := unlike(&s, again); d != "" {
				return fmt.Errorf("session %v: %s", s.id, d)
			}
		}
		for _, e := range k.changed {
			if e.deleted {
				continue
			}
			for _, b := range [][]byte{encodeState(nil, e.h.base(), e.h.fields), encode(nil, e.h.fields)} {
				again, err := readHandle(nil, handleKey(s.emitter, s.id, e.id), b, e.id)
				if err != nil {
					return err
				}
				if d := unlike(e.h, again); d != "" {
					return fmt.Errorf("handle %v of session %v: %s", e.id, s.id, d)
				}
			}
		}
		for n, c := range k.s.chunks {
			var again legChunk
			if err := decode(encode(nil, c.fields), again.fields); err != nil {
				return err
			}
			if d := unlike(c.legs, again.legs); d != "" {
				return fmt.Errorf("closed legs %d of session %v: %s", n, s.id, d)
			}
		}
	}
	return nil
}
