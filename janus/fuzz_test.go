package janus

import (
	"bytes"
	"encoding/json"
	"reflect"
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
				t.Fatalf("split what is no body into %q: %q", events, body)
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
