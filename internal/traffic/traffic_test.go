package traffic

import (
	"bytes"
	"testing"

	"januscdr/internal/captures"
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

func TestAnEmitterSaysAllRecordingsUnderItsNameAndOnItsClock(t *testing.T) {
	var p janus.Parser
	recordings := captures.Names()
	n, want := 0, 0
	for _, name := range recordings {
		for _, line := range captures.Events(name) {
			want++
			if _, ok := number(line, `"session_id":`); ok {
				want++ // two copies
			}
		}
	}
	for e := range Janus("storm-7", recordings, 2) {
		if n++; n > want {
			break
		}
		event, err := p.Parse(e.Value)
		if err != nil {
			t.Fatalf("%v in %s", err, e.Value)
		}
		if event.Emitter != "storm-7" || int64(event.Time) != e.At || e.At < Begin {
			t.Fatalf("emitter %q at %d in the event, timestamp %d beside it", event.Emitter, event.Time, e.At)
		}
		if e.Session != "" && event.Session.String() != e.Session {
			t.Fatalf("session %v in the event, %s beside it", event.Session, e.Session)
		}
	}
	if n <= want {
		t.Fatalf("%d events, but it should have no end", n)
	}
	if e := Shutdown("storm-7", Begin); !bytes.Contains(e.Value, []byte(`"timestamp":1800000000000000,`)) {
		t.Errorf("shutdown without its time: %s", e.Value)
	} else if _, err := p.Parse(e.Value); err != nil {
		t.Error(err)
	}
}
