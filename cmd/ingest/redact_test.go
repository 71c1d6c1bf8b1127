package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"januscdr/internal/fixtures/recordings"
)

func TestWhatTellsOfPersonsIsReplacedConsistently(t *testing.T) {
	r, err := newRedaction()
	if err != nil {
		t.Fatal(err)
	}
	sent := `[ {"type":64,"event":{"data":{"display":"Ännchen","username":"sip:anna@example.com","ip":"203.0.113.7",` +
		`"sdp":"v=0\r\nc=IN IP4 203.0.113.7\r\na=ice-pwd:geheim123\r\n` +
		`a=candidate:1 1 udp 1 2001:db8:1::7 5000 typ host\r\n",` +
		`"again":["203.0.113.7","0.0.0.0","call of anna.b@mail.example.org or sips:bob@192.0.2.1;transport=tls"]}}},` +
		"\n" + `{"x":"Ännchen","display":"Ännchen","n":1.50e3,"sip":"tel:+4312345","pin":"1234","time":"10:20:30"}]`
	got := string(r.body([]byte(sent)))
	if !json.Valid([]byte(got)) {
		t.Fatalf("no JSON any more: %s", got)
	}
	for _, person := range []string{`"display":"Ä`, "anna", "203.0.113.7", "geheim", "2001:db8:1::7", "bob",
		"192.0.2.1", "4312345", `"1234"`} {
		if strings.Contains(got, person) {
			t.Errorf("%s is still there: %s", person, got)
		}
	}
	for _, kept := range []string{"[ {", "},\n{", "1.50e3", "0.0.0.0", `"type":64`, `v=0\r\n`, "typ host",
		`"x":"Ännchen"`} {
		if !strings.Contains(got, kept) {
			t.Errorf("%s is not there any more: %s", kept, got)
		}
	}
	if n := strings.Count(got, r.stand("name", "Ännchen")); n != 2 {
		t.Errorf("a name has its stand-in %d times, want 2: %s", n, got)
	}
	if n := strings.Count(got, r.address("203.0.113.7")); n != 3 {
		t.Errorf("an address has its stand-in %d times, want 3: %s", n, got)
	}
	if got := string(r.body([]byte("anna hello"))); strings.Contains(got, "anna") {
		t.Errorf("what is no JSON is left: %s", got)
	}
	other, _ := newRedaction()
	if string(other.body([]byte(sent))) == got {
		t.Error("another capture has the same stand-ins")
	}
}

func TestRecordedEventsStayEventsWhenTheyAreRedacted(t *testing.T) {
	r, err := newRedaction()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range recordings.Names()[:3] {
		for _, event := range recordings.Events(name) {
			got := r.body(event)
			var was, is map[string]any
			if json.Unmarshal(event, &was) != nil || json.Unmarshal(got, &is) != nil {
				t.Fatalf("%s became %s", event, got)
			}
			for _, member := range []string{"type", "timestamp", "session_id", "handle_id", "emitter"} {
				if was[member] != is[member] {
					t.Errorf("%s of %s became %v", member, event, is[member])
				}
			}
		}
	}
}

// Whatever is JSON stays JSON, with the same members.
func FuzzRedaction(f *testing.F) {
	f.Add([]byte(`{"display":"x","a":["10.1.1.1","\"sip:a@b"],"\u0061":"\\"}`))
	r, err := newRedaction()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := r.body(body)
		if !json.Valid(got) {
			t.Fatalf("%q became %q", body, got)
		}
		var was, is any
		if json.Unmarshal(body, &was) == nil {
			if err := json.Unmarshal(got, &is); err != nil || !sameShape(was, is) {
				t.Fatalf("%q became %q", body, got)
			}
		}
	})
}

func sameShape(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		if !ok || len(m) != len(a) {
			return false
		}
		for name := range a {
			if other, ok := m[name]; !ok || !sameShape(a[name], other) {
				return false
			}
		}
		return true
	case []any:
		l, ok := b.([]any)
		if !ok || len(l) != len(a) {
			return false
		}
		for i := range a {
			if !sameShape(a[i], l[i]) {
				return false
			}
		}
		return true
	case string:
		_, ok := b.(string)
		return ok
	}
	return a == b
}

// harmless are members of what plugins tell that name nobody, or only by a URI, which is replaced wherever it stands.
const harmless = "call-id code feed helper id identity master_id private_id reason reason_header reason_header_cause " +
	"reason_header_protocol room setup sip streams type"

func TestWhatAPluginTellsOfPersonsHasAStandIn(t *testing.T) {
	page, err := os.ReadFile("../../janus/EVENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	member, aside := regexp.MustCompile(`[a-z][a-z_-]+`), regexp.MustCompile(`\(.*?\)`)
	seen := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || strings.HasPrefix(cells[1], "-") || strings.TrimSpace(cells[1]) == "Plugin" {
			continue
		}
		for _, m := range member.FindAllString(aside.ReplaceAllString(cells[3], ""), -1) {
			seen++
			if named[m] == "" && !slices.Contains(strings.Fields(harmless), m) {
				t.Errorf("may %s of %s name a person? Say so in named, or here", m, cells[2])
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d members were found", seen)
	}
}
