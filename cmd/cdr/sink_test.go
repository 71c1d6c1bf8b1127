package main

import (
	"database/sql"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	_ "modernc.org/sqlite"

	"januscdr/config"
	"januscdr/internal/cli"
)

func TestRecordsComeIntoADatabaseWhileTheProcessorMakesThem(t *testing.T) {
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	health := free.Addr().String()
	free.Close()
	s.happens("1.1-a_echotest")
	processor := s.start("run", "--admin-listen", "")
	first := s.says("tail", "--from", "earliest", "--json", "--count", "1")
	if first.code != cli.OK {
		t.Fatalf("%+v", first)
	}
	sink := s.start("sink", "sqlite", "--sink-sqlite-file", "calls.sqlite", "--sink-group", "graphs", "--sink-batch-delay",
		"20ms", "--admin-listen", health)
	sink.waitFor(t, "the target has what the topic had at the start")
	if got := s.says("healthcheck", "--ready", "--admin-listen", health); got != (said{}) {
		t.Errorf("healthcheck: %+v", got)
	}
	sink.stop(syscall.SIGTERM)
	<-sink.done
	if sink.code != cli.OK {
		t.Errorf("SIGTERM ended it with %d:\n%s", sink.code, sink.err)
	}
	processor.stop(syscall.SIGTERM)
	<-processor.done
	if got := s.says("sink", "sqlite", "--sink-sqlite-file", "calls.sqlite", "--once"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	all := s.says("tail", "--from", "earliest", "--once", "--json")
	db, err := sql.Open("sqlite", "calls.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow("SELECT COUNT(*) FROM cdr").Scan(&n); err != nil || n == 0 || n != strings.Count(all.out, "\n") {
		t.Errorf("%d records, %v, want those of\n%s", n, err, all.out)
	}
}

func TestASinkWithoutADatabaseSaysWhichSettingIsMissing(t *testing.T) {
	s := newSite(t)
	if got := s.says("sink", "postgres"); got.code != cli.Usage || !strings.Contains(got.err, "sink.postgres.url_file") {
		t.Errorf("%+v", got)
	}
	if got := s.says(
		"sink",
		"postgres",
		"--sink-postgres-url",
		"postgres://x:secret@127.0.0.1:1/?nonsense=%",
	); got.code == cli.OK ||
		strings.Contains(got.err, "secret") {
		t.Errorf("%+v", got)
	}
	if got := s.says("sink", "sqlite", "--sink-sqlite-file", "/nowhere/at/all", "--once"); got.code != cli.Failed ||
		!strings.Contains(got.err, "/nowhere/at/all") {
		t.Errorf("%+v", got)
	}
	if got := s.says("sink", "sqlite", "--sink-group", "januscdr"); got.code != cli.Usage ||
		!strings.Contains(got.err, "group of the processors") {
		t.Errorf("%+v", got)
	}
}

func TestWhatASinkIsToldReachesIt(t *testing.T) {
	c, err := config.Load(
		config.Sources{
			Flags: map[string]string{
				"topics.cdr":         "records",
				"sink.batch_records": "7",
				"sink.batch_delay":   "3s",
				"sink.group":         "graphs",
			},
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	o := sinkOptions(c, sinkFlags{once: true, newTopic: true, acceptLoss: true}, "sqlite")
	if o.Topic != "records" || o.BatchRecords != 7 || o.BatchDelay.Seconds() != 3 || o.Group != "graphs" || !o.Once ||
		!o.NewTopic ||
		!o.AcceptLoss ||
		o.Name != "sqlite" {
		t.Errorf("got %+v", o)
	}
}

func TestFinishedCallsAreSentAsTraces(t *testing.T) {
	s := recorded(t, "1.1-f_sip")
	var mu sync.Mutex
	spans := 0
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		spans += strings.Count(string(b), `"spanId"`)
	}))
	defer server.Close()
	if got := s.says("sink", "otlp"); got.code != cli.Usage || !strings.Contains(got.err, "sink.otlp.url") {
		t.Errorf("%+v", got)
	}
	for range 2 { // the second time there is nothing new
		if got := s.says("sink", "otlp", "--once", "--sink-otlp-url", server.URL+"/v1/traces"); got.code != cli.OK {
			t.Fatalf("%+v", got)
		}
	}
	want := strings.Count(s.says("tail", "--from", "earliest", "--once", "--json").out, `"is_final":true`)
	if spans != want || want == 0 {
		t.Errorf("%d spans of %d records", spans, want)
	}
}
