package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"januscdr/ingest"
	"januscdr/internal/fixtures/broker"
)

// lines are what a command said, by line, when it had ended well.
func (p *program) parkedLines(t *testing.T) (all []parkedLine) {
	t.Helper()
	for p.out.Scan() {
		var l parkedLine
		if err := json.Unmarshal(p.out.Bytes(), &l); err != nil {
			t.Fatalf("%v: %s", err, p.out.Bytes())
		}
		all = append(all, l)
	}
	if err := p.end(t); err != nil {
		t.Fatalf("%v\n%s", err, p.said)
	}
	return all
}

func TestWhatWasParkedIsTakenUpAgainOnceItCanBeUnderstood(t *testing.T) {
	b := broker.Start(t)
	long := strings.Repeat("x", 3<<19)
	event := fmt.Sprintf(`{"emitter":"j","type":2,"timestamp":1790000000000000,"session_id":7,"handle_id":8,`+
		`"event":{"name":"attached","plugin":%q}}`, long)
	bad := []byte("[" + strings.Repeat("no event ", 1<<18))
	p := start(t, b, "--ingest-listen", "127.0.0.1:0", "--admin-listen", "", "--create-topics")
	url := "http://" + p.address(t) + "/events"
	for _, body := range [][]byte{bad, []byte(event)} {
		answer, err := http.Post(url, "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	p.stopped(t)
	if got := records(t, b, "janus.events"); len(got) != 0 {
		t.Fatalf("%d events, want none", len(got))
	}

	folder := t.TempDir() + "/parked"
	all := start(t, b, "requeue", "--extract", folder).parkedLines(t)
	if len(all) != 2 {
		t.Fatalf("%+v, want 2 files", all)
	}
	for i, want := range [][]byte{bad, []byte(event)} {
		if got, err := os.ReadFile(all[i].File); err != nil || !bytes.Equal(got, want) {
			t.Errorf("file %d: %v, %d bytes, want %d", i, err, len(got), len(want))
		}
	}

	for _, limit := range []string{"1MiB", "1900KiB"} {
		all = start(t, b, "requeue", "--ingest-event-limit", limit).parkedLines(t)
		want := map[string]string{"1MiB": ingest.RequeueStill, "1900KiB": string(ingest.Delivered)}[limit]
		if len(all) != 2 || all[0].Outcome != ingest.RequeueStill || all[1].Outcome != want {
			t.Errorf("with a limit of %s: %+v", limit, all)
		}
	}
	if got := records(t, b, "janus.events"); len(got) != 1 || string(got[0].Value) != event {
		t.Errorf("%d events, want the one", len(got))
	}
	if all = start(t, b, "requeue", "--error", "gzip").parkedLines(t); len(all) > 0 {
		t.Errorf("of another kind: %+v", all)
	}
}
