package cdr_test

import (
	"strings"
	"testing"

	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
)

// tallies folds the events of a file, and returns what its heartbeats said, by emitter.
func tallies(t *testing.T, lines [][]byte) map[string][]cdr.Tally {
	t.Helper()
	all := map[string][]cdr.Tally{}
	fold, err := cdr.NewFold(cdr.DefaultPolicy(), cdr.Source{Whole: true})
	if err != nil {
		t.Fatal(err)
	}
	fold.OnTally(func(emitter string, tally cdr.Tally) { all[emitter] = append(all[emitter], tally) })
	var p janus.Parser
	var latest janus.Micros
	for i, line := range lines {
		e, err := p.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		latest = max(latest, e.Time)
		if _, err := fold.Apply(cdr.Input{Offset: int64(i), Append: latest, Value: line}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := fold.Flush(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestHeartbeatsCountExactlyWhatIsOpenByTheRecordings(t *testing.T) {
	beats := 0
	for _, name := range recordings.Names() {
		if !strings.HasPrefix(name, "1.4-") {
			continue
		}
		for emitter, all := range tallies(t, recordings.Events(name)) {
			var most cdr.Census
			for _, tally := range all {
				beats++
				if tally.Here != tally.Janus {
					t.Errorf("%s: %s at %v: %+v in Janus, %+v by the log", name, emitter, tally.At, tally.Janus, tally.Here)
				}
				most.Sessions = max(most.Sessions, tally.Here.Sessions)
				most.PeerConnections = max(most.PeerConnections, tally.Here.PeerConnections)
			}
			t.Logf("%s: %s: %d heartbeats, up to %d sessions and %d PeerConnections", name, emitter, len(all), most.Sessions, most.PeerConnections)
		}
	}
	if beats < 10 {
		t.Errorf("only %d heartbeats in the recordings of a Janus that has them", beats)
	}
}
