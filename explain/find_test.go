package explain

import (
	"bytes"
	"strings"
	"testing"

	"januscdr/internal/fixtures/recordings"
)

func TestASessionIsFoundByWhateverOneHasOfIt(t *testing.T) {
	const recording, session = "1.1-f_sip", "5133196797721488"
	s := tell(t, recording, Query{ID: session})
	field := func(a Account, name string) string {
		for _, f := range a.Fields {
			if f.Name == name {
				return f.Value
			}
		}
		return ""
	}
	call := s.Records[0]
	for name, q := range map[string]Query{
		"record_id": {ID: call.RecordID}, "the beginning of it": {ID: call.RecordID[:8]},
		"in capitals": {ID: strings.ToUpper(call.RecordID[:8])},
		"cdr_id":      {ID: field(call, "cdr_id")}, "session_uid": {ID: field(call, "session_uid")},
		"Call-ID": {CallID: field(call, "sip_call_id")}, "opaque id": {OpaqueID: "sip-acct-77"},
		"session id and emitter": {ID: session, Emitter: "janus-par-01"},
	} {
		if got := tell(t, recording, q); got.Session != session {
			t.Errorf("%s: %s", name, got.Session)
		}
	}
}

func complaint(t *testing.T, lines [][]byte, q Query) string {
	t.Helper()
	survey, err := Find(t.Context(), options("events"), recorded(lines), q)
	if err != nil {
		t.Fatal(err)
	}
	_, err = survey.One()
	if err == nil {
		t.Fatalf("%+v fits one session", q)
	}
	return err.Error()
}

func TestASessionThatIsNotThereSaysWhichIs(t *testing.T) {
	lines := recordings.Events("1.1-f_sip")
	const among, meant = " among 1 session in 149 events", "; did you mean 5133196797721488?"
	for _, scene := range []struct {
		q    Query
		want string
	}{
		{Query{ID: "513319679772148"}, "id 513319679772148" + among + meant},
		{Query{ID: "5133196797721489"}, "id 5133196797721489" + among + meant},
		{Query{ID: "5133"}, "session id 5133" + among + meant},
		{Query{ID: "deadbeef"}, "id deadbeef" + among},
		{Query{Room: "7001"}, `room "7001"` + among},
		{Query{OpaqueID: "none", Emitter: "other"},
			`opaque id "none" on emitter "other": it has no sessions; there are sessions of janus-par-01`},
	} {
		if got := complaint(t, lines, scene.q); got != "no session fits "+scene.want {
			t.Errorf("%+v: %s", scene.q, got)
		}
	}
	if got := complaint(t, nil, Query{ID: "123456"}); got != "no session fits id 123456: there are no events" {
		t.Error(got)
	}
}

func TestSeveralThatFitAreListedWithWhatCameOfThem(t *testing.T) {
	got := complaint(t, recordings.Events("1.1-c_videoroom"), Query{Room: "7001"})
	for _, want := range []string{
		"4 sessions fit room \"7001\"; name one by its id:\n", "\n  1621078475626805 on janus-par-01, ",
		"\n      participant ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

func TestTheSameSessionIdOnTwoServersNeedsTheServer(t *testing.T) {
	lines := recordings.Events("1.1-a_echotest")
	twice := append([][]byte{}, lines...)
	for _, b := range lines {
		twice = append(twice, bytes.ReplaceAll(b, []byte("janus-par-01"), []byte("other")))
	}
	session := firstSession(t, lines)
	got := complaint(t, twice, Query{ID: session})
	if !strings.Contains(got, "name one by its id and --emitter") || !strings.Contains(got, "on other, ") {
		t.Error(got)
	}
	s := tellLines(t, "events", twice, Query{ID: session, Emitter: "other"})
	if s.Emitter != "other" || len(s.Records) == 0 {
		t.Errorf("%s: %d records", s.Emitter, len(s.Records))
	}
}

func TestAServerWithAVeryLongNameIsFoundAndItsStoryTold(t *testing.T) {
	lines := recordings.Events("1.1-a_echotest")
	session, long := firstSession(t, lines), strings.Repeat("edge-", 200)
	for i := range lines {
		lines[i] = bytes.ReplaceAll(lines[i], []byte("janus-par-01"), []byte(long))
	}
	s := tellLines(t, "events", lines, Query{ID: session, Emitter: long})
	if len(s.Emitter) > 512 || !strings.HasPrefix(s.Emitter, "edge-edge-") {
		t.Errorf("it is known as %q", s.Emitter)
	}
	concluded := false
	for _, e := range s.Timeline {
		concluded = concluded || len(e.Because) > 0
	}
	if !concluded || len(s.Records) == 0 {
		t.Errorf("%d records, conclusions: %v", len(s.Records), concluded)
	}
}

func TestAQueryThatMakesNoSenseIsRefused(t *testing.T) {
	for _, q := range []Query{
		{}, {ID: "abc"}, {ID: "12g4567"}, {ID: strings.Repeat("a", 33)}, {ID: "123", Room: "1"},
		{CallID: "x", OpaqueID: "y"}, {ID: "-1"},
	} {
		if q.Check() == nil {
			t.Errorf("%+v passes", q)
		}
	}
	for _, q := range []Query{{ID: "1"}, {ID: "9223372036854775807"}, {ID: "abcdef"}, {Room: "x"}} {
		if err := q.Check(); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
