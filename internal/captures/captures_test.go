package captures

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"slices"
	"testing"
)

func TestEveryRecordingHasEventsRequestsAndTruth(t *testing.T) {
	names := Names()
	if len(names) == 0 || !slices.IsSorted(names) {
		t.Fatalf("names are %v, want some, sorted", names)
	}
	for _, name := range names {
		if len(Events(name)) == 0 || len(Requests(name)) == 0 {
			t.Errorf("%s: %d events in %d requests", name, len(Events(name)), len(Requests(name)))
		}
		if !json.Valid(Truth(name)) {
			t.Errorf("%s: the truth is not JSON", name)
		}
	}
}

func TestTheEventsAreThoseOfTheAcceptedRequests(t *testing.T) {
	for _, name := range Names() {
		var sent [][]byte
		for i, r := range Requests(name) {
			if r.At == 0 || r.N != i+1 || (r.Via != "http" && r.Via != "ws") || !r.Accepted && r.Mode == "" {
				t.Fatalf("%s: request %d is %+v", name, i, r)
			}
			if !r.Accepted {
				continue
			}
			var events []json.RawMessage
			if err := json.Unmarshal(r.Body, &events); err != nil {
				events = []json.RawMessage{r.Body}
			}
			for _, e := range events {
				sent = append(sent, e)
			}
		}
		if got := Events(name); !slices.EqualFunc(sent, got, bytes.Equal) {
			t.Errorf("%s: %d events in accepted requests, %d events, or other bytes", name, len(sent), len(got))
		}
	}
}

func TestACompressedBodyIsTheBody(t *testing.T) {
	compressed := 0
	for _, name := range Names() {
		for _, r := range Requests(name) {
			if r.Encoding == "" {
				continue
			}
			compressed++
			reader, err := gzip.NewReader(bytes.NewReader(r.Raw))
			if err != nil {
				t.Fatalf("%s, request %d: %v", name, r.N, err)
			}
			plain, err := io.ReadAll(reader)
			if err != nil {
				t.Fatalf("%s, request %d: %v", name, r.N, err)
			}
			if !bytes.Equal(plain, r.Body) {
				t.Errorf("%s, request %d: unpacked %d bytes, body has %d, or other bytes", name, r.N, len(plain), len(r.Body))
			}
		}
	}
	if compressed == 0 {
		t.Error("no recording has a compressed body")
	}
}
