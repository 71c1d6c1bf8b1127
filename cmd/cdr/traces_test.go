package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"januscdr/internal/cli"
)

// jaegerVariable names a program of Jaeger.
const jaegerVariable = "JANUSCDR_TEST_JAEGER"

// Jaeger, configured as its page says, shows each call as a trace, under the id of its session.
func TestJaegerShowsEachCall(t *testing.T) {
	program := os.Getenv(jaegerVariable)
	if program == "" {
		t.Skip(jaegerVariable + " names no Jaeger")
	}
	s := recorded(t, "1.1-c_videoroom")
	receiver, query := freePort(t), freePort(t)
	config := strings.NewReplacer("127.0.0.1:4318", receiver, "127.0.0.1:16686", query, "127.0.0.1:16685", freePort(t)).
		Replace(blocks(t, "traces.md")["jaeger.yaml"])
	file := filepath.Join(t.TempDir(), "jaeger.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, program, "--config", file)
	// A receiver that is not there yet is waited for.
	if got := s.says("sink", "otlp", "--sink-otlp-url", "http://"+receiver+"/v1/traces", "--sink-otlp-file",
		"position.json", "--once"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	legs := map[string]map[string]bool{} // answered or not, by session and span
	for line := range strings.Lines(s.says("tail", "--from", "earliest", "--once", "--json").out) {
		var r struct {
			CDRID      string `json:"cdr_id"`
			SessionUID string `json:"session_uid"`
			RecordType string `json:"record_type"`
			Answer     *int64 `json:"answer_time"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if legs[r.SessionUID] == nil {
			legs[r.SessionUID] = map[string]bool{}
		}
		if r.RecordType == "LEG" {
			legs[r.SessionUID][r.CDRID[:16]] = r.Answer != nil
		}
	}
	for session, spans := range legs {
		got := shown(t, query, session, len(spans)+1)
		for _, span := range got {
			answered, known := spans[span.SpanID]
			switch root := span.SpanID == session[:16]; {
			case root && (span.Name != "SESSION" || len(span.References) > 0):
				t.Errorf("the root is %+v", span)
			case !root && (!known || answered != (len(span.Logs) > 0) || len(span.References) != 1 ||
				span.References[0].SpanID != session[:16]):
				t.Errorf("%+v is none of %v", span, spans)
			}
		}
	}
	if len(legs) < 2 {
		t.Errorf("%d sessions are few", len(legs))
	}
}

// jaegerSpan is a span in the words of Jaeger's interface.
type jaegerSpan struct {
	SpanID     string                    `json:"spanID"`
	Name       string                    `json:"operationName"`
	References []struct{ SpanID string } `json:"references"`
	Logs       []any                     `json:"logs"`
}

// shown waits until a trace has so many spans, and returns them.
func shown(t *testing.T, query, trace string, n int) []jaegerSpan {
	t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var got struct {
			Data []struct{ Spans []jaegerSpan }
		}
		answer, err := http.Get("http://" + query + "/api/traces/" + trace)
		if err == nil {
			err = json.NewDecoder(answer.Body).Decode(&got)
			answer.Body.Close()
		}
		if err == nil && len(got.Data) == 1 && len(got.Data[0].Spans) == n {
			return got.Data[0].Spans
		}
		if time.Now().After(limit) {
			t.Fatalf("trace %s is shown as %s, want %d spans: %v", trace, fmt.Sprint(got), n, err)
		}
	}
}
