package avro

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"januscdr/cdr"
)

func TestTheJSONOfALegAndOfASessionIsThatOfTheGoldenFiles(t *testing.T) {
	for file, r := range map[string]cdr.Record{"testdata/leg.json": aLeg(), "testdata/session.json": aSession()} {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := append(JSON(nil, &r), '\n'); !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s", file, got)
		}
	}
}

func TestJSONIsAppended(t *testing.T) {
	r := aLeg()
	if got, want := string(JSON([]byte("data: "), &r)), "data: "+string(JSON(nil, &r)); got != want {
		t.Error(got)
	}
}

func TestNothingIsEscapedThatJSONDoesNotAskFor(t *testing.T) {
	r := cdr.Record{RecordType: cdr.Leg, DisplayName: "<a&b>/\u2028é\t\"\\\x01"}
	if line := string(JSON(nil, &r)); !strings.Contains(line, `"display_name":"<a&b>/`+"\u2028é"+`\t\"\\\u0001"`) {
		t.Error(line)
	}
}

func TestJSONThatIsNoRecordSaysWhy(t *testing.T) {
	r := aLeg()
	good := string(JSON(nil, &r))
	for _, scene := range []struct{ name, line, says string }{
		{"nothing", "", "EOF"},
		{"an array", "[]", `"{" expected`},
		{"an unknown key", strings.Replace(good, "emitter", "sender", 1), `"sender" is no field`},
		{"a key twice", strings.Replace(good, `"session_id"`, `"emitter"`, 1), "emitter stands there twice"},
		{"a key is gone", strings.Replace(good, `"duration":61400000,`, "", 1), "duration is missing"},
		{"a number too large", strings.Replace(good, `"leg_index":0`, `"leg_index":2147483648`, 1), "leg_index: "},
		{"a fraction", strings.Replace(good, `"leg_index":0`, `"leg_index":0.5`, 1), ""},
		{"no such symbol", strings.Replace(good, `"LEG"`, `"LEGS"`, 1), `record_type: "LEGS" is none of UNKNOWN, LEG, SESSION, CONFERENCE`},
		{"null where none may be", strings.Replace(good, `"duration":61400000`, `"duration":null`, 1), "duration: "},
		{"two of them", good + good, "something follows"},
		{"cut off", good[:len(good)-1], "EOF"},
	} {
		_, err := ParseJSON([]byte(scene.line))
		if err == nil || !strings.Contains(err.Error(), scene.says) {
			t.Errorf("%s: got %v, want %q", scene.name, err, scene.says)
		}
	}
	if _, err := ParseJSON([]byte(strings.Replace(good, `"supersedes":null,`, "", 1) + "\n ")); err != nil {
		t.Errorf("a field that may be null may be missing, and white space may follow: %v", err)
	}
}
