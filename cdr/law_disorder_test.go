package cdr

import (
	"fmt"
	"slices"
	"testing"

	"januscdr/janus"

	"pgregory.net/rapid"
)

// overtaking is how far events of different threads of a Janus server were seen out of order.
const overtaking = janus.Micros(105)

// swappable tells whether two neighbours may come the other way round.
func swappable(a, b said) bool {
	if a.emitter == b.emitter && a.thread == b.thread {
		return false
	}
	if a.session == b.session && a.session != 0 && a.emitter == b.emitter {
		ordered := func(x, y said) bool { return x.causal && (x.handle == 0 || x.handle == y.handle) }
		if ordered(a, b) || ordered(b, a) {
			return false
		}
	}
	return b.at-a.at <= overtaking && a.thread != "core" && b.thread != "core"
}

// disordered swaps neighbours as the threads of a server do.
func disordered(all []said, swap func() bool) []said {
	out := slices.Clone(all)
	for i := 0; i+1 < len(out); i++ {
		if swappable(out[i], out[i+1]) && swap() {
			out[i], out[i+1] = out[i+1], out[i]
			i++
		}
	}
	return out
}

// byLeg are the final records by what they are about.
func byLeg(records []Record) map[string]Record {
	m := map[string]Record{}
	for _, r := range records {
		if r.IsFinal {
			m[fmt.Sprintf("%s session %s handle %s %v %d %v", r.Emitter, r.SessionID, r.HandleID, r.LegKind, r.LegIndex, r.CDRID)] = r
		}
	}
	return m
}

// TestEventsThatOvertakeEachOtherMoveNoMoment: where two events tell one end, as the `stopped` and the `hangup` of a
// recording, the first to come is taken. So an end may move by as much as one overtook the other, and its basis with it;
// nothing else changes.
func TestEventsThatOvertakeEachOtherMoveNoMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawStage(t)
		c := chance(rapid.StringN(1, 8, 32).Draw(t, "chance"))
		other := disordered(all, func() bool { return c.IntN(2) == 0 })
		want := byLeg(mustRun(t, play{}, posted(all, second)).records)
		got := byLeg(mustRun(t, play{}, posted(other, second)).records)
		for leg, a := range want {
			b, ok := got[leg]
			if !ok {
				t.Fatalf("%s is gone", leg)
			}
			settleDisorder(&a, &b)
			if d := difference([]Record{a}, []Record{b}); d != "" {
				t.Fatalf("%s: %s", leg, d)
			}
		}
		if len(want) != len(got) {
			t.Fatalf("%d records and %d", len(want), len(got))
		}
	})
}

// settleDisorder makes equal what disorder may change between two records of one thing.
func settleDisorder(a, b *Record) {
	near := func(x, y *janus.Micros) {
		if d := *x - *y; -2*overtaking <= d && d <= 2*overtaking {
			*x = *y
		}
	}
	nearSpan := func(x, y *int64) { near((*janus.Micros)(x), (*janus.Micros)(y)) }
	near(&a.RecordClosureTime, &b.RecordClosureTime)
	near(&a.EndTime, &b.EndTime)
	near(&a.EndEarliestTime, &b.EndEarliestTime)
	near(&a.EndLatestTime, &b.EndLatestTime)
	nearSpan(&a.Duration, &b.Duration)
	nearSpan(&a.CumulativeDuration, &b.CumulativeDuration)
	nearSpan(&a.HoldingDuration, &b.HoldingDuration)
	if a.LegKind != PeerConnection && a.EndTime == b.EndTime && !a.EndMissing && !b.EndMissing {
		a.EndBasis, a.CauseForRecordClosing, a.DisconnectInitiator, a.Diagnostics = b.EndBasis, b.CauseForRecordClosing, b.DisconnectInitiator, b.Diagnostics
	}
	for _, r := range []*Record{a, b} {
		clearCopies(r)
		r.LocalRecordSequenceNumber = 0
		r.EventCount, r.LateCount = 0, 0 // to which of two legs an event is counted, and whether it came late
	}
}

func TestRecordedEventsThatOvertakeEachOtherMoveNoMoment(t *testing.T) {
	eachRecording(t, func(t *testing.T, name string, log []Input) {
		all := parsed(log)
		want := byLeg(mustRun(t, play{}, log).records)
		for i := range 5 {
			c := chance(fmt.Sprint(name, i))
			got := byLeg(mustRun(t, play{}, posted(disordered(all, func() bool { return c.IntN(2) == 0 }), 0)).records)
			for leg, a := range want {
				b, ok := got[leg]
				if !ok {
					t.Fatalf("%s is gone", leg)
				}
				settleDisorder(&a, &b)
				if d := difference([]Record{a}, []Record{b}); d != "" {
					t.Fatalf("%s: %s", leg, d)
				}
			}
		}
	})
}

// parsed tells of a log what the disorder of a server needs to know: which of its threads said what.
func parsed(log []Input) []said {
	var parser janus.Parser
	var all []said
	for _, in := range log {
		e, err := parser.Parse(in.Value)
		if err != nil {
			continue
		}
		s := said{at: e.Time, emitter: e.Emitter, session: uint64(e.Session), handle: uint64(e.Handle), value: in.Value}
		switch e.Type {
		case janus.TypeCore:
			s.thread = "core"
		case janus.TypeSession, janus.TypeHandle:
			s.thread, s.causal = "session "+e.Session.String(), true
			if _, gone := e.Body.(*janus.HandleDetached); gone {
				s.thread = "loop " + e.Handle.String()
			}
		case janus.TypeWebRTC, janus.TypeMedia:
			s.thread = "loop " + e.Handle.String()
		case janus.TypeTransport:
			s.thread = "wire"
		default:
			s.thread = "requests " + e.Handle.String()
		}
		all = append(all, s)
	}
	return all
}
