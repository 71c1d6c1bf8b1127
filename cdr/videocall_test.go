package cdr_test

import (
	"fmt"
	"testing"

	"januscdr/cdr"
)

// videoCalls folds VideoCalls, each of two handles in sessions of their own, by what is said of them: a letter for an event and
// a digit for the call, capital letters for the caller. O and o are offers, C is `calling`; each comes a millisecond later.
func videoCalls(t *testing.T, whole bool, says ...string) map[string]cdr.Record {
	t.Helper()
	source := cdr.Source{Topic: "janus.events", Whole: whole}
	fold, err := cdr.NewFold(cdr.DefaultPolicy(), source)
	if err != nil {
		t.Fatal(err)
	}
	at, offset := int64(1_790_000_000_000_000), int64(0)
	records := map[string]cdr.Record{}
	take := func(step cdr.Step) {
		for _, r := range step.Records {
			if r.RecordType == cdr.Leg {
				records[r.HandleID] = r
			}
		}
	}
	say := func(typ int, session byte, body string) {
		at += 1000
		handle := ""
		if typ != 1 {
			handle = fmt.Sprintf(`,"handle_id":%d`, session)
		}
		e := fmt.Sprintf(`{"emitter":"edge","type":%d,"timestamp":%d,"session_id":%d%s,"event":%s}`, typ, at, session, handle, body)
		step, err := fold.Apply(cdr.Input{Offset: offset, Append: 0, Value: []byte(e)})
		if err != nil {
			t.Fatal(err)
		}
		take(step)
		take(fold.Step())
		offset++
		// Another process goes on from the states.
		if fold, err = cdr.OpenFold(cdr.DefaultPolicy(), source, fold.States()); err != nil {
			t.Fatal(err)
		}
	}
	for _, who := range "12AB" {
		say(1, byte(who), `{"name":"created"}`)
		say(2, byte(who), `{"name":"attached","plugin":"janus.plugin.videocall"}`)
		say(64, byte(who), fmt.Sprintf(`{"plugin":"janus.plugin.videocall","data":{"event":"registered","username":"user%c"}}`, who))
	}
	callers := map[byte]byte{'1': 'A', '2': 'B'}
	for _, word := range says {
		call := word[1]
		switch word[0] {
		case 'O':
			say(8, callers[call], `{"owner":"remote","jsep":{"type":"offer","sdp":""}}`)
		case 'o':
			say(8, call, `{"owner":"local","jsep":{"type":"offer","sdp":""}}`)
		case 'C':
			say(64, callers[call], `{"plugin":"janus.plugin.videocall","data":{"event":"calling"}}`)
		case '-':
			at += 60_000
		}
	}
	step, err := fold.Flush()
	if err != nil {
		t.Fatal(err)
	}
	take(step)
	return records
}

func TestTheSidesOfAVideoCallNameEachOtherWhereTheEventsAllowOneReading(t *testing.T) {
	for _, scene := range []struct {
		about string
		says  []string
		pairs map[byte]byte // from caller to callee
	}{
		{"one call", []string{"O1", "o1", "C1"}, map[byte]byte{'A': '1'}},
		{"two at once: one thread tells one after the other", []string{"O1", "O2", "o1", "C1", "o2", "C2"},
			map[byte]byte{'A': '1', 'B': '2'}},
		{"two at once, and a word was lost", []string{"O1", "O2", "o1", "o2", "C2"}, nil},
		{"the offer was lost", []string{"O1", "O2", "C1", "o2", "C2"}, map[byte]byte{'B': '2'}},
		{"too long apart", []string{"O1", "o1", "-1", "C1"}, nil},
		{"the offer of the caller was lost", []string{"o1", "C1"}, nil},
	} {
		records := videoCalls(t, true, scene.says...)
		want := map[byte]byte{}
		for a, b := range scene.pairs {
			want[a], want[b] = b, a
		}
		for handle, r := range records {
			var n byte
			fmt.Sscan(handle, &n)
			other, paired := want[n]
			switch {
			case !paired && (r.PeerParty != "" || r.PeerCDRID != cdr.ID{}):
				t.Errorf("%s: %c names %s", scene.about, n, r.PeerParty)
			case paired && (r.PeerParty != "user"+string(other) || r.PeerCDRID != records[fmt.Sprint(other)].CDRID):
				t.Errorf("%s: %c names %q, not %c", scene.about, n, r.PeerParty, other)
			}
		}
	}
}

// A partition has some of the sessions of a server: what it could tell would hang on which ones.
func TestTheSidesOfAVideoCallDoNotNameEachOtherWhereSessionsAreElsewhere(t *testing.T) {
	for _, r := range videoCalls(t, false, "O1", "o1", "C1") {
		if r.PeerParty != "" || r.PeerCDRID != (cdr.ID{}) {
			t.Errorf("handle %s names %s", r.HandleID, r.PeerParty)
		}
	}
}
