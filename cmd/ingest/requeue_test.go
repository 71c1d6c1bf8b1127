package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/ingest"
	"januscdr/internal/fixtures/broker"
	"januscdr/kafka"
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

// parkedOf posts a body, which ingest must answer.
func parkedOf(t *testing.T, url string, body []byte, encoding string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Body.Close(); answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
}

func TestWhatIsTakenUpAgainKeepsItsNameAndItsEncodingAndWhatIsNotWholeStays(t *testing.T) {
	b := broker.Start(t)
	event := func(handle int) string {
		return fmt.Sprintf(`{"emitter":"j","type":2,"timestamp":1790000000000000,"session_id":7,"handle_id":%d,`+
			`"event":{"name":"attached","plugin":"%s"}}`, handle, strings.Repeat("x", 20<<10))
	}
	var plain []string
	for handle := range 100 {
		plain = append(plain, event(handle+1))
	}
	whole := []byte("[" + strings.Join(plain, ",") + "]")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(whole); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	rules := filepath.Join(t.TempDir(), "ingest.yaml")
	if err := os.WriteFile(rules, []byte("ingest: {senders: [{address: 127.0.0.1, emitter: fra}]}"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, b, "--config", rules, "--ingest-listen", "127.0.0.1:0", "--admin-listen", "", "--create-topics",
		"--ingest-body-limit", "1MiB")
	url := "http://" + p.address(t) + "/events"
	parkedOf(t, url, zipped.Bytes(), "gzip")
	parkedOf(t, url, whole, "") // of which the beginning is kept, with events in it
	p.stopped(t)
	processor := &kgo.Record{Topic: "janus.dlq", Value: []byte(event(1)), Headers: []kgo.RecordHeader{
		{Key: kafka.HeaderSource, Value: []byte("cdr")}, {Key: kafka.HeaderReason, Value: []byte("a processor parked it")}}}
	client := broker.Client(t, kafka.Options{Brokers: b.Addrs()})
	if err := client.ProduceSync(t.Context(), processor).FirstErr(); err != nil {
		t.Fatal(err)
	}

	got := map[string]string{}
	for _, l := range start(t, b, "requeue").parkedLines(t) {
		got[fmt.Sprint(l.Bytes)] = fmt.Sprintf("%s of %q with %d events", l.Outcome, l.Error, l.Events)
	}
	want := map[string]string{
		fmt.Sprint(zipped.Len()): `delivered of "body_limit" with 100 events`,
		fmt.Sprint(len(whole)):   `cut of "body_limit" with 0 events`,
		"0":                      `foreign of "" with 0 events`,
	}
	if !maps.Equal(got, want) {
		t.Errorf("by their lengths: %v, want %v", got, want)
	}
	events := records(t, b, "janus.events")
	for _, r := range events {
		if name, _ := kafka.Header(r, kafka.HeaderEmitter); string(name) != "fra" {
			t.Fatalf("the rule's name of the sender is %q now", name)
		}
	}
	if len(events) != len(plain) {
		t.Errorf("%d events, want %d", len(events), len(plain))
	}
}
