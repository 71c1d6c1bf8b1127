package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"januscdr/internal/fixtures/broker"
	"januscdr/internal/fixtures/player"
	fixtures "januscdr/internal/fixtures/recordings"
	"januscdr/kafka/embedded"
)

// logged are the values of a topic, without signs of life, in the order of each partition.
func logged(t *testing.T, from *embedded.Broker, topic string) (all []string) {
	t.Helper()
	for _, r := range records(t, from, topic) {
		if len(r.Value) > 0 {
			all = append(all, string(r.Value))
		}
	}
	return all
}

func (p *program) stopped(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.end(t); err != nil {
		t.Fatalf("%v\n%s", err, p.said)
	}
}

func TestWhatWasCapturedIsReplayedToTheSameLog(t *testing.T) {
	first := broker.Start(t)
	file := filepath.Join(t.TempDir(), "capture.jsonl")
	p := start(t, first, "capture", file, "--create-topics", "--ingest-listen", "127.0.0.1:0", "--admin-listen", "")
	url := "http://" + p.address(t) + "/events"
	if err := player.Play(t.Context(), url, fixtures.Requests("1.1-a_echotest"), player.Options{}); err != nil {
		t.Fatal(err)
	}
	broken := []fixtures.Request{{Body: []byte("no json\r\n at all")}}
	if err := player.Play(t.Context(), url, broken, player.Options{}); err != nil {
		t.Fatal(err)
	}
	p.stopped(t)
	want, parked := logged(t, first, "janus.events"), logged(t, first, "janus.dlq")
	slices.Sort(want)

	again := start(t, first, "capture", file)
	if err := again.end(t); err == nil || !strings.Contains(again.said.String(), "not there yet") {
		t.Errorf("a file that is there is written to: %v\n%s", err, again.said)
	}

	check := func(name string, b *embedded.Broker) {
		t.Helper()
		got := logged(t, b, "janus.events")
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d events, want the %d of the first log", name, len(got), len(want))
		}
		if got := logged(t, b, "janus.dlq"); !slices.Equal(got, parked) || len(got) != 1 {
			t.Errorf("%s: parked %q, want %q", name, got, parked)
		}
	}
	second := broker.Start(t)
	r := start(t, second, "replay", file, "--create-topics")
	if err := r.end(t); err != nil {
		t.Fatalf("%v\n%s", err, r.said)
	}
	check("to Kafka", second)

	third := broker.Start(t)
	p = start(t, third, "--create-topics", "--ingest-listen", "127.0.0.1:0", "--admin-listen", "")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var wire bytes.Buffer
	z := gzip.NewWriter(&wire)
	z.Write(text)
	z.Close()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "a.jsonl.gz"), wire.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	r = start(t, third, "replay", folder, "--to", "http://"+p.address(t)+"/events", "--speed", "1000")
	if err := r.end(t); err != nil {
		t.Fatalf("%v\n%s", err, r.said)
	}
	p.stopped(t)
	check("to an ingest", third)
}

func TestACaptureThatIsRedactedHasNoAddressOfThoseThatCame(t *testing.T) {
	b := broker.Start(t)
	file := filepath.Join(t.TempDir(), "capture.jsonl")
	p := start(t, b, "capture", "--redact", file, "--create-topics", "--ingest-listen", "127.0.0.1:0",
		"--admin-listen", "")
	event := `{"emitter":"j","type":64,"timestamp":1790000000000000,"session_id":7,"handle_id":8,"event":{"plugin":"p",` +
		`"data":{"display":"Anna","ip":"203.0.113.9"}}}`
	if err := player.Play(t.Context(), "http://"+p.address(t)+"/events", []fixtures.Request{{Body: []byte(event)}},
		player.Options{}); err != nil {
		t.Fatal(err)
	}
	p.stopped(t)
	if got := logged(t, b, "janus.events"); len(got) != 1 || got[0] != event {
		t.Errorf("the log has %q", got)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var l captured
	if err := json.Unmarshal(text, &l); err != nil || l.N != 1 || l.Via != "http" || l.Path != "/events" {
		t.Errorf("captured %s, %v", text, err)
	}
	for _, person := range []string{"Anna", "203.0.113.9"} {
		if strings.Contains(string(text), person) {
			t.Errorf("%s is in the capture: %s", person, text)
		}
	}
}

func TestALineThatIsNoneIsNamedWithItsNumber(t *testing.T) {
	for name, scene := range map[string]struct {
		text  string
		event string
		sent  bool
	}{
		"an event":         {`{"type":1,"timestamp":5}`, `{"type":1,"timestamp":5}`, true},
		"an array":         {`[{"type":1}]`, `[{"type":1}]`, true},
		"a body":           {`{"t_ns":1,"n":1,"body":[{"type":1, "x":1}]}`, `[{"type":1, "x":1}]`, true},
		"what is no text":  {`{"t_ns":1,"n":1,"body_b64":"AAE="}`, "\x00\x01", true},
		"what was refused": {`{"t_ns":1,"n":1,"body":[],"accepted":false}`, `[]`, false},
		"an empty line":    {" ", "", true},
	} {
		r, sent, err := parseRecorded([]byte(scene.text))
		if err != nil || sent != scene.sent || string(r.body) != scene.event {
			t.Errorf("%s: %q, %v, %v", name, r.body, sent, err)
		}
	}
	if _, _, err := parseRecorded([]byte(`{"t_ns":`)); err == nil {
		t.Error("half a line is taken")
	}
}
