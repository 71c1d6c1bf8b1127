package cdr_test

import (
	"testing"

	"januscdr/cdr"
	"januscdr/janus"
)

func TestADifferenceThatStaysIsALoss(t *testing.T) {
	for _, scene := range []struct {
		name  string
		diffs []int64 // sessions in the log less those in Janus, one heartbeat after the other
		want  int64
		since int // the heartbeat, from 1
		equal int // the last one before that showed none; 0: there was none
	}{
		{"nothing is lost", []int64{0, 0, 0, 0}, 0, 0, 0},
		{"between the count and the event", []int64{0, 1, 0, -1, 0, 1, 1, 0}, 0, 0, 0},
		{"not sure yet", []int64{0, 1, 1}, 0, 0, 0},
		{"an end was lost", []int64{0, 1, 1, 1}, 1, 2, 1},
		{"and another, which is not sure yet", []int64{0, 1, 1, 1, 2, 2}, 1, 2, 1},
		{"two ends were, and calls come and go", []int64{0, 2, 3, 2, 4, 2}, 2, 2, 1},
		{"a beginning was lost", []int64{0, 0, -1, -1, -2, -1}, -1, 3, 2},
		{"from the first heartbeat on", []int64{-3, -3, -3}, -3, 1, 0},
		{"an end, then two beginnings", []int64{1, 1, 1, -1, -1, -1}, -1, 4, 0},
		{"what was lost came after all", []int64{0, 2, 2, 2, 2, 0}, 0, 0, 0},
	} {
		t.Run(scene.name, func(t *testing.T) {
			var b cdr.Balance
			at := func(beat int) janus.Micros { return janus.Micros(beat) * 15_000_000 }
			for i, diff := range scene.diffs {
				b.Reconcile(at(i+1), cdr.Census{Sessions: 10 + diff, Handles: 7}, cdr.Census{Sessions: 10, Handles: 7})
			}
			g := b.Sessions
			if g.Surplus != scene.want {
				t.Fatalf("surplus %d, want %d", g.Surplus, scene.want)
			}
			if scene.want != 0 && (g.Since != at(scene.since) || g.Equal != at(scene.equal)) {
				t.Errorf("since %v, equal at %v, want %v and %v", g.Since, g.Equal, at(scene.since), at(scene.equal))
			}
			if b.Handles.Surplus != 0 || b.PeerConnections.Surplus != 0 || b.Even() != (scene.want == 0) {
				t.Errorf("%+v", b)
			}
		})
	}
}

func TestOnlyTalliesOfTheSameHeartbeatAreAddedUp(t *testing.T) {
	tally := func(at janus.Micros, here int64) cdr.Tally {
		return cdr.Tally{At: at, Janus: cdr.Census{Sessions: 9}, Here: cdr.Census{Sessions: here}}
	}
	for _, scene := range []struct {
		name       string
		partitions [][]cdr.Tally
		at         janus.Micros // 0: none
		sum        int64
	}{
		{"no partition", nil, 0, 0},
		{"one", [][]cdr.Tally{{tally(1, 4), tally(2, 5)}}, 2, 5},
		{"the newest that all have", [][]cdr.Tally{{tally(1, 4), tally(2, 5), tally(3, 1)}, {tally(2, 3), tally(1, 2)}}, 2, 8},
		{"none that all have", [][]cdr.Tally{{tally(1, 4)}, {tally(2, 3)}}, 0, 0},
		{"one has none yet", [][]cdr.Tally{{tally(1, 4)}, nil}, 0, 0},
	} {
		sum, ok := cdr.SumTallies(scene.partitions)
		if ok != (scene.at != 0) || ok && (sum.At != scene.at || sum.Here.Sessions != scene.sum || sum.Janus.Sessions != 9) {
			t.Errorf("%s: %+v, %t", scene.name, sum, ok)
		}
	}
}
