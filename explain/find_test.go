package explain

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
	"januscdr/internal/fixtures/script"
	"januscdr/janus"
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
		"4 sessions fit room \"7001\"; name one by its id, newest first:\n", "\n  1621078475626805 on janus-par-01, ",
		"\n      participant ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

// What came of the calls that were looked for is listed, and not what else there was in their sessions.
func TestOfCandidatesThoseLegsAreListedThatFit(t *testing.T) {
	lines := recordings.Events("1.1-f_sip")
	for _, b := range recordings.Events("1.1-f_sip") {
		lines = append(lines, bytes.ReplaceAll(b, []byte("janus-par-01"), []byte("other")))
	}
	got := complaint(t, lines, Query{Party: "alice", Outcome: "BUSY"})
	if strings.Count(got, " was busy (486 Busy Here)") != 2 || strings.Count(got, "\n      ") != 2 {
		t.Error(got)
	}
}

func TestAPartyIsFoundWhateverItIsInACall(t *testing.T) {
	q := Query{Party: "ALICE"}
	for _, r := range []cdr.Record{{CallingParty: "sip:alice@example.com"}, {CalledParty: "sip:alice@example.com"},
		{DisplayName: "Alice"}, {PeerParty: "alice"},
		{MasterAccount: "sip:alice@example.com", ReferredBy: "sip:bob@example.com"},
		{MasterAccount: "sip:bob@example.com", ReferredBy: "sip:alice@example.com"}} {
		if fits, _ := q.fitsRecord(q.terms(), &r); !fits {
			t.Errorf("alice is not found in %+v", r)
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
	if !strings.Contains(got, "name one by its id and --emitter, newest first:") || !strings.Contains(got, "on other, ") {
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
		{}, {ID: "abc"}, {ID: "12g4567"}, {ID: strings.Repeat("a", 33)}, {ID: "-1"}, {Emitter: "e"}, {ID: "abc", Room: "1"},
	} {
		if q.Check() == nil {
			t.Errorf("%+v passes", q)
		}
	}
	for _, q := range []Query{{ID: "1"}, {ID: "9223372036854775807"}, {ID: "abcdef"}, {Room: "x"},
		{ID: "123", Room: "1"}, {CallID: "x", OpaqueID: "y"}} {
		if err := q.Check(); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// sessions is a log in which each of some sessions is created, a second after the one before.
func sessions(ids ...uint64) *play {
	p := &play{policy: cdr.DefaultPolicy(), ends: true}
	for i, id := range ids {
		line := fmt.Sprintf(`{"emitter":"edge-1","type":1,"timestamp":%d,"session_id":%d,"event":{"name":"created"}}`,
			1790000000000000+1_000_000*i, id)
		p.inputs = append(p.inputs, cdr.Input{Offset: int64(i), Append: 1790000000000000, Value: []byte(line)})
	}
	return p
}

func (p *play) find(t *testing.T, q Query) *Survey {
	t.Helper()
	s, err := Find(t.Context(), p.options("events"), p.log, q)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnIdThatIsMistypedIsNearTheOneThatWasMeant(t *testing.T) {
	log := sessions(5133196797721488, 5133196797721999, 4711, 8800000000000000)
	for _, scene := range []struct{ what, typed, near string }{
		{"a digit is missing", "513319679772148", "5133196797721488"},
		{"a digit is too many", "51331967977214889", "5133196797721488"},
		{"two digits are swapped", "5133196797724188", "5133196797721488"},
		{"two digits are wrong", "5133196797721400", "5133196797721488"},
		{"the end is missing", "513319679772", "5133196797721488 5133196797721999"},
		{"a short one with a wrong digit", "4712", "4711"},
		{"a short one, of which half is wrong", "4799", ""},
		{"three digits are wrong", "5133196797721000", ""},
		{"nothing is like it", "1234567890123456", ""},
	} {
		s := log.find(t, Query{ID: scene.typed})
		if got := strings.Join(s.Near, " "); got != scene.near || len(s.Found) != 0 {
			t.Errorf("%s: %s is near %q, want %q; %d found", scene.what, scene.typed, got, scene.near, len(s.Found))
		}
	}
}

func TestNoMoreThanThreeAreNearTheBestFirst(t *testing.T) {
	s := sessions(55555551, 55555552, 55555553, 55555554, 55555566).find(t, Query{ID: "5555555"})
	if got := strings.Join(s.Near, " "); got != "55555551 55555552 55555553" {
		t.Error(got)
	}
	_, err := s.One()
	if err == nil || !strings.HasSuffix(err.Error(), "; did you mean 55555551 or 55555552 or 55555553?") {
		t.Error(err)
	}
}

// What is looked for by a word that clients choose is told as they may choose it.
func TestAWordOfAClientIsCleanedWhereItIsNotFound(t *testing.T) {
	for _, q := range []Query{{Room: "\x1b[2J"}, {OpaqueID: "\u202e"}, {CallID: "\x00", Emitter: "\x07"}} {
		_, err := sessions(1).find(t, q).One()
		if err == nil || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q", err)
		}
	}
}

func TestManyThatFitAreNotAllListed(t *testing.T) {
	p := &play{}
	var lines []string
	for i := range 30 {
		lines = append(lines, fmt.Sprintf("event session=%d handle=1 attached plugin=echotest opaque=team", i+1))
	}
	if err := p.read(script.New(nil), lines); err != nil {
		t.Fatal(err)
	}
	s := p.find(t, Query{OpaqueID: "team"})
	_, err := s.One()
	if len(s.Found) != 30 || err == nil || strings.Count(err.Error(), "\n") != maxListed+1 ||
		!strings.HasSuffix(err.Error(), "\n  and 10 more") {
		t.Errorf("%d found: %v", len(s.Found), err)
	}
	for i, f := range s.Found {
		if f.Session != janus.SessionID(i+1) || f.Events != 1 {
			t.Errorf("%+v stands at %d", f, i)
		}
	}
}

// A session id that is the beginning of a hash, too, means the session; without such a session it means the record.
func TestASessionIdIsPreferredToTheHashThatBeginsLikeIt(t *testing.T) {
	p := sessions(1)
	records := p.records(t)
	uid := records[0].SessionUID.String()
	digits := uid[:len(uid)-len(strings.TrimLeft(uid, "0123456789"))]
	for id := uint64(2); len(digits) < minPrefix; id++ { // one whose session_uid begins with enough digits
		p = sessions(id)
		records = p.records(t)
		uid = records[0].SessionUID.String()
		digits = uid[:len(uid)-len(strings.TrimLeft(uid, "0123456789"))]
	}
	meant, err := strconv.ParseUint(digits[:minPrefix], 10, 63)
	if err != nil {
		t.Fatal(err)
	}
	by := p.find(t, Query{ID: digits[:minPrefix]})
	if len(by.Found) != 1 {
		t.Fatalf("%+v", by.Found)
	}
	own, err := strconv.ParseUint(records[0].SessionID, 10, 63)
	if err != nil {
		t.Fatal(err)
	}
	both := sessions(own, meant).find(t, Query{ID: digits[:minPrefix]})
	if len(both.Found) != 1 || uint64(both.Found[0].Session) != meant {
		t.Errorf("%+v, want session %d", both.Found, meant)
	}
}

func TestTwoPartitionsAreOneSurvey(t *testing.T) {
	a, b := sessions(7, 8).find(t, Query{ID: "7"}), sessions(9).find(t, Query{ID: "7"})
	b.Join(a)
	found, err := b.One()
	if err != nil || found.Session != 7 || b.Sessions != 3 || b.Events != 3 {
		t.Errorf("%v, %v, %d sessions, %d events", found, err, b.Sessions, b.Events)
	}
}
