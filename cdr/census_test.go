package cdr_test

import (
	"fmt"
	"slices"
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

func TestAHandleWhoseBeginningWasLostIsCountedWhenItHasEnded(t *testing.T) {
	lines := recordings.Events("1.4-b_abnormal_ends")
	count := func(lines [][]byte) (unseen int64) {
		fold, err := cdr.NewFold(cdr.DefaultPolicy(), cdr.Source{Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range lines {
			if _, err := fold.Apply(cdr.Input{Offset: int64(i), Append: janus.Micros(i), Value: line}); err != nil {
				t.Fatal(err)
			}
		}
		for _, h := range fold.Heard() {
			unseen += h.Unseen
		}
		return unseen
	}
	if n := count(lines); n != 0 {
		t.Errorf("%d handles of a whole recording have no beginning", n)
	}
	var p janus.Parser
	lost := int64(0)
	kept := slices.DeleteFunc(slices.Clone(lines), func(line []byte) bool {
		e, err := p.Parse(line)
		if err != nil || lost == 2 {
			return false
		}
		_, attached := e.Body.(*janus.HandleAttached)
		if attached {
			lost++
		}
		return attached
	})
	if n := count(kept); n != lost {
		t.Errorf("%d handles have no beginning, want %d", n, lost)
	}
}

func TestTheNewestEventOfAnEmitterTellsItsClockOfNowOnly(t *testing.T) {
	fold, err := cdr.NewFold(cdr.DefaultPolicy(), cdr.Source{})
	if err != nil {
		t.Fatal(err)
	}
	at, offset := janus.Micros(1_790_000_000_000_000), int64(0)
	behind := func() janus.Micros {
		for _, h := range fold.Heard() {
			return h.Behind
		}
		return 0
	}
	apply := func(kind cdr.Kind, value string) {
		if _, err := fold.Apply(cdr.Input{Offset: offset, Append: at, Kind: kind, Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
		offset++
	}
	for n := range 5 {
		apply(cdr.KindEvent, fmt.Sprintf(`{"emitter":"a","type":1,"timestamp":%d,"session_id":%d,"event":{"name":"created"}}`, at-3_000_000, n+1))
		at += 1_000_000
	}
	if got := behind(); got != 3_000_000 {
		t.Errorf("%v behind, want 3 s", got)
	}
	for range 10 {
		at += 20_000_000
		apply(cdr.KindTick, "")
	}
	if got := behind(); got != 0 {
		t.Errorf("%v behind, by an event of minutes ago", got)
	}
}
