package cdr

import (
	"encoding/json"
	"slices"
	"testing"

	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
)

// killed are the recordings in which a Janus was ended while it had calls: their ends are missing, and nothing was lost.
var killed = []string{"1.1-h_restart", "1.1-o_two_emitters", "1.4-h_restart"}

// lostOf are what was posted and is not in the log: by session, how many events.
func lostOf(t *testing.T, name string) map[string]int {
	var parser janus.Parser
	known, lost := map[string]bool{}, map[string]int{}
	for _, line := range recordings.Events(name) {
		known[string(line)] = true
	}
	for _, r := range recordings.Requests(name) {
		raw, err := janus.Split(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, bytes := range raw {
			if known[string(bytes)] {
				continue
			}
			known[string(bytes)] = true
			e, err := parser.Parse(bytes)
			if err != nil {
				t.Fatal(err)
			}
			if e.Session != 0 {
				lost[e.Session.String()]++
			}
		}
	}
	return lost
}

// namesLoss tells whether a record says that something of it is missing.
func (r *Record) namesLoss() bool {
	return r.StartMissing || r.EndMissing || r.InterimMissing == InterimYes
}

func TestWhatJanusDroppedInAnOutageIsNamedPerSession(t *testing.T) {
	const name = "1.1-i_outage"
	log, lost := recorded(name), lostOf(t, name)
	var d diary
	if err := json.Unmarshal(recordings.Truth(name), &d); err != nil {
		t.Fatal(err)
	}
	whole := map[string]int{} // how much of its beginning and its end is in the log
	var parser janus.Parser
	for _, in := range log {
		e, err := parser.Parse(in.Value)
		if err != nil || e.Session == 0 {
			continue
		}
		whole[e.Session.String()] += 0
		switch e.Body.(type) {
		case *janus.SessionCreated, *janus.SessionDestroyed, *janus.SessionTimedOut:
			whole[e.Session.String()]++
		}
	}
	named, records := map[string]bool{}, map[string]bool{}
	for _, r := range mustRun(t, play{}, log).records {
		records[r.SessionID] = true
		named[r.SessionID] = named[r.SessionID] || r.namesLoss()
	}
	said, unseen := 0, 0
	for _, s := range d.Sessions {
		id := s.ID.String()
		seen, ok := whole[id]
		incomplete := lost[id] > 0 || seen < 2
		switch {
		case !ok: // of a session of which nothing came nobody knows here; a newer Janus counts it
			unseen++
			if records[id] {
				t.Errorf("session %s: nothing of it came, and it has a record", id)
			}
		case incomplete != named[id]:
			t.Errorf("session %s: %d events were dropped, %d of its beginning and end are there; a record says so: %t", id, lost[id], seen, named[id])
		case incomplete:
			said++
		}
	}
	t.Logf("%d of %d sessions are named as incomplete; of %d nothing came", said, len(d.Sessions), unseen)
	if said < 10 || unseen > 2 {
		t.Errorf("%d of %d sessions are named as incomplete; of %d nothing came", said, len(d.Sessions), unseen)
	}
}

func TestNoLossIsNamedWhereNothingWasLost(t *testing.T) {
	eachRecording(t, func(t *testing.T, name string, log []Input) {
		if slices.Contains(lossy, name) {
			return
		}
		for _, r := range mustRun(t, play{}, log).records {
			if r.StartMissing || r.InterimMissing == InterimYes || r.EndMissing && !slices.Contains(killed, name) {
				t.Errorf("session %s, handle %s: a %v from %d is said to be incomplete", r.SessionID, r.HandleID, r.LegKind, r.StartTime)
			}
			if b := r.EndBasis; r.EndMissing && b != EndEmitterRestart && b != EndEmitterShutdown {
				t.Errorf("session %s: its end is missing by %v, and its server was ended", r.SessionID, b)
			}
		}
	})
}
