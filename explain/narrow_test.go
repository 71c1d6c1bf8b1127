package explain

import (
	"strings"
	"testing"

	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
)

// callsOf are the final records of the SIP calls of a recording, and how many legs it has.
func callsOf(t *testing.T, recording string) (calls []cdr.Record, legs int) {
	t.Helper()
	err := follow(t.Context(), options(recording), recorded(recordings.Events(recording)), listener{
		conclusion: func(c cdr.Conclusion) {
			if c.Record == nil || c.Record.RecordType != cdr.Leg || !c.Record.IsFinal {
				return
			}
			legs++
			if c.Record.LegKind == cdr.SIPCall {
				calls = append(calls, *c.Record)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	return calls, legs
}

func TestACallIsToldAndNotTheOthersOfItsSession(t *testing.T) {
	const recording = "1.1-f_sip"
	calls, legs := callsOf(t, recording)
	if len(calls) < 5 {
		t.Fatalf("%d calls", len(calls))
	}
	for _, call := range calls {
		for name, q := range map[string]Query{
			"Call-ID": {CallID: call.SIPCallID}, "record_id": {ID: call.RecordID.String()},
			"both": {CallID: call.SIPCallID, Outcome: call.Disposition.String()},
		} {
			s := tell(t, recording, q)
			var told []string
			for _, a := range s.Records {
				told = append(told, a.RecordID)
			}
			if len(told) < 1 || len(told) > 2 || !strings.Contains(strings.Join(told, " "), call.RecordID.String()) {
				t.Errorf("%s %s: records %v", name, call.SIPCallID, told)
			}
			if len(s.Outcomes) != len(told) || !strings.Contains(s.Left, "other legs of this session") ||
				!strings.Contains(s.Headline, " called ") {
				t.Errorf("%s %s: %s, outcomes %v, left %q", name, call.SIPCallID, s.Headline, s.Outcomes, s.Left)
			}
			const second = 1_000_000
			for _, e := range s.Timeline {
				if e.Kind != KindTime && (e.Time < call.StartTime-second || e.Time > call.EndTime+second) {
					t.Errorf("%s %s: at %s %s, which is not of the call", name, call.SIPCallID, clockTime(e.Time), e.Text)
				}
				for _, c := range e.Because {
					if strings.Contains(c.Text, "the session is") {
						t.Errorf("%s: of the session: %s", name, c.Text)
					}
				}
			}
			if s.From.First < call.FirstOffset-5 || s.From.Last > call.LastOffset+5 || s.Events < 5 {
				t.Errorf("%s: offsets %d to %d, %d events; those of the call are %d to %d", name, s.From.First, s.From.Last,
					s.Events, call.FirstOffset, call.LastOffset)
			}
		}
	}
	whole := tell(t, recording, Query{ID: calls[0].SessionID})
	if len(whole.Outcomes) != legs || whole.Left != "" {
		t.Errorf("the session has %d legs, %d are told: %s", legs, len(whole.Outcomes), whole.Left)
	}
}

// A call that goes on has no record yet: SIP says which one it is.
func TestACallThatGoesOnIsToldByItsCallID(t *testing.T) {
	const recording = "1.1-f_sip"
	calls, _ := callsOf(t, recording)
	second := calls[1]
	lines := recordings.Events(recording)[:second.LastOffset-3]
	o := options(recording)
	o.Ends = false
	survey, err := Find(t.Context(), o, recorded(lines), Query{CallID: second.SIPCallID})
	if err != nil {
		t.Fatal(err)
	}
	found, err := survey.One()
	if err != nil {
		t.Fatal(err)
	}
	s, err := TellOf(t.Context(), o, recorded(lines), found, survey.Query)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Outcomes) != 2 || !strings.Contains(s.Headline, "SIP call 2 since ") || s.Left == "" {
		t.Errorf("%s; %+v; %s", s.Headline, s.Outcomes, s.Left)
	}
}

func TestTermsMustAllHoldForOneLeg(t *testing.T) {
	for _, scene := range []struct {
		recording string
		q         Query
		sessions  int
	}{
		{"1.1-f_sip", Query{Party: "DAVE"}, 1},
		{"1.1-f_sip", Query{Party: "dave", Outcome: "BUSY"}, 1},
		{"1.1-f_sip", Query{Party: "carol", Outcome: "BUSY"}, 0},
		{"1.1-f_sip", Query{Plugin: "sip", OpaqueID: "sip-acct-77"}, 1},
		{"1.1-f_sip", Query{Plugin: "janus.plugin.sip"}, 1},
		{"1.1-f_sip", Query{Plugin: "videoroom", OpaqueID: "sip-acct-77"}, 0},
		{"1.1-f_sip", Query{ID: "5133196797721488", Outcome: "BUSY"}, 1},
		{"1.1-f_sip", Query{ID: "5133196797721488", Outcome: "MISSED"}, 0},
		{"1.1-c_videoroom", Query{Room: "7001"}, 4},
		{"1.1-c_videoroom", Query{Room: "7001", Party: "оля"}, 1},
		{"1.1-c_videoroom", Query{Room: "7002", Party: "оля"}, 0},
		{"1.1-c_videoroom", Query{Room: "7001", Plugin: "audiobridge"}, 0},
		{"1.1-c_videoroom", Query{Room: "7001", Emitter: "other"}, 0},
	} {
		survey, err := Find(t.Context(), options("events"), recorded(recordings.Events(scene.recording)), scene.q)
		if err != nil {
			t.Fatal(err)
		}
		if len(survey.Found) != scene.sessions {
			t.Errorf("%s: %d sessions fit, want %d", scene.q, len(survey.Found), scene.sessions)
		}
	}
	if got := (Query{Room: "7001", Party: "x", ID: "1"}).String(); got != `session id 1, room "7001" and party "x"` {
		t.Error(got)
	}
}
