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
