package janus

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"januscdr/internal/fixtures/recordings"
)

// FuzzParse holds Parse against encoding/json: both take the same bytes as an event, and read the same envelope. What a
// body tells does not depend on where in the event it stands.
func FuzzParse(f *testing.F) {
	var p Parser
	seen := make(map[string]bool)
	for _, name := range recordings.Names() {
		for _, raw := range recordings.Events(name) {
			if e, err := p.Parse(raw); err == nil && len(raw) < 4096 && !seen[fact(e)] {
				seen[fact(e)] = true
				f.Add(raw)
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		want, body, ok := envelopeByEncodingJSON(raw)
		var p, again Parser
		e, err := p.Parse(raw)
		if ok != (err == nil) {
			t.Fatalf("encoding/json: an event is %v; Parse: %v\n%q", ok, err, raw)
		}
		if err != nil {
			if at := err.(*Error).Offset; at < 0 || at > len(raw) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error out of place: %q", err)
			}
			return
		}
		got := *e
		got.Body = nil
		if got != want {
			t.Fatalf("Parse         %+v\nencoding/json %+v\n%q", got, want, raw)
		}
		if body == nil {
			return
		}
		rest, err := json.Marshal(map[string]any{"type": want.Type, "subtype": want.Subtype, "timestamp": want.Time})
		if err != nil {
			t.Fatal(err)
		}
		turned, err := again.Parse([]byte(`{"event":` + string(body) + "," + string(rest[1:])))
		if err != nil {
			t.Fatalf("with the body in front: %v\n%q", err, raw)
		}
		if !reflect.DeepEqual(flat(e.Body), flat(turned.Body)) {
			t.Fatalf("%+v, with the body in front %+v\n%q", e.Body, turned.Body, raw)
		}
	})
}

// FuzzSplit holds Split against encoding/json: both take the same bytes as a body, and see the same events in it.
func FuzzSplit(f *testing.F) {
	for _, name := range recordings.Names() {
		for _, r := range recordings.Requests(name) {
			if len(r.Body) < 2048 {
				f.Add(r.Body)
				break
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := Split(body)
		text := bytes.TrimPrefix(body, byteOrderMark)
		var elements []json.RawMessage
		switch trimmed := bytes.Trim(text, " \t\r\n"); {
		case !json.Valid(text) || trimmed[0] != '[' && trimmed[0] != '{':
			if err == nil {
				isDamaged(t, text, events)
			}
			return
		case trimmed[0] == '{':
			elements = []json.RawMessage{trimmed}
		default:
			if err := json.Unmarshal(text, &elements); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			t.Fatalf("%v: %q", err, body)
		}
		if len(events) != len(elements) {
			t.Fatalf("%d events of %d: %q", len(events), len(elements), body)
		}
		for i, e := range events {
			if !bytes.Equal(e, elements[i]) {
				t.Fatalf("event %d is %q, want %q", i, e, elements[i])
			}
		}
	})
}

// isDamaged wants events to be the elements of an array that is not JSON: all of it but white space and commas between
// them, at least one of them JSON.
func isDamaged(t *testing.T, body []byte, events [][]byte) {
	t.Helper()
	rest := bytes.Trim(body, " \t\r\n")
	if len(rest) < 2 || rest[0] != '[' || rest[len(rest)-1] != ']' {
		t.Fatalf("split what is no array into %q: %q", events, body)
	}
	rest, valid := rest[1:len(rest)-1], false
	for i, e := range events {
		rest = bytes.TrimLeft(rest, " \t\r\n")
		if !bytes.HasPrefix(rest, e) {
			t.Fatalf("event %d is %q, and there stands %q", i, e, rest)
		}
		valid = valid || json.Valid(e)
		rest = bytes.TrimLeft(rest[len(e):], " \t\r\n")
		if i < len(events)-1 {
			if len(rest) == 0 || rest[0] != ',' {
				t.Fatalf("no comma behind event %d: %q", i, rest)
			}
			rest = rest[1:]
		}
	}
	if len(rest) > 0 || !valid {
		t.Fatalf("%q is left, one is JSON: %v: %q", rest, valid, body)
	}
}

// FuzzDamagedElement damages one event of an array: the others stay what they are.
func FuzzDamagedElement(f *testing.F) {
	var events [][]byte
	for _, name := range recordings.Names() {
		for _, e := range recordings.Events(name) {
			if len(e) < 2048 {
				events = append(events, e)
			}
		}
	}
	f.Add(uint(0), uint(1), uint(0), uint(0), []byte("x"))
	f.Add(uint(70), uint(2), uint(100), uint(1), []byte("\x00"))
	f.Add(uint(700), uint(0), uint(80), uint(1), []byte{})
	f.Add(uint(0), uint(50), uint(0), uint(28), []byte("]"))
	f.Add(uint(7000), uint(1), uint(200), uint(40), []byte(`NaN`))
	f.Fuzz(func(t *testing.T, which, at, from, cut uint, insert []byte) {
		several := make([][]byte, 5)
		for i := range several {
			several[i] = events[(which+uint(i)*17)%uint(len(events))]
		}
		at %= uint(len(several))
		bad := several[at]
		from %= uint(len(bad))
		to := min(from+cut%uint(len(bad)), uint(len(bad)))
		several[at] = slices.Concat(bad[:from], insert, bad[to:])
		got, err := Split(slices.Concat([]byte("["), bytes.Join(several, []byte(",")), []byte("]")))
		if err != nil {
			t.Fatalf("%v\n%q", err, several[at])
		}
		for i, e := range several {
			if uint(i) != at && !slices.ContainsFunc(got, func(other []byte) bool { return bytes.Equal(e, other) }) {
				t.Fatalf("event %d is lost when %d is %q", i, at, several[at])
			}
		}
	})
}
