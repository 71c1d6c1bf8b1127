package traffic

import (
	"testing"

	"januscdr/janus"
)

func TestCopiesAreEventsOfTheirOwnSessions(t *testing.T) {
	var p janus.Parser
	sessions := map[janus.SessionID]int{}
	n := 0
	for e := range Copies([]string{"1.1-a_echotest"}, 3, 2) {
		event, err := p.Parse(e.Value)
		if err != nil {
			t.Fatalf("%v in %s", err, e.Value)
		}
		if event.Session.String() != e.Session {
			t.Fatalf("session %v in the event, %s beside it", event.Session, e.Session)
		}
		sessions[event.Session]++
		n++
	}
	if len(sessions) != 4*3*2 {
		t.Errorf("%d sessions in %d events, want 24: 4 sessions, 3 copies, 2 rounds", len(sessions), n)
	}
}
