package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"januscdr/internal/fixtures/broker"
	"januscdr/kafka/embedded"
)

// senders post events of one session each, one after the other, as Janus does: each again until it is answered.
type senders struct {
	url     atomic.Value
	counts  []atomic.Int64 // of events answered
	working sync.WaitGroup
	stop    context.CancelFunc
}

func startSenders(t *testing.T, n int, url string) *senders {
	s := &senders{counts: make([]atomic.Int64, n)}
	s.url.Store(url)
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for i := range n {
		s.working.Go(func() {
			for ctx.Err() == nil {
				answer, err := client.Post(s.url.Load().(string), "application/json", strings.NewReader(
					eventOf(i, s.counts[i].Load())))
				if err != nil {
					continue
				}
				answer.Body.Close()
				s.counts[i].Add(1)
			}
		})
	}
	return s
}

func eventOf(session int, n int64) string {
	return fmt.Sprintf(`{"emitter":"here","type":2,"timestamp":%d,"session_id":%d,"handle_id":7,`+
		`"event":{"name":"attached","plugin":"janus.plugin.echotest"}}`, 1_790_000_000_000_000+n, session+1)
}

// more waits until each sender has so many more answers.
func (s *senders) more(t *testing.T, n int64) {
	t.Helper()
	want := make([]int64, len(s.counts))
	for i := range s.counts {
		want[i] = s.counts[i].Load() + n
	}
	until(t, fmt.Sprint(n, " more answers"), func() bool {
		for i := range s.counts {
			if s.counts[i].Load() < want[i] {
				return false
			}
		}
		return true
	})
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit := time.Now().Add(patience)
	for !is() {
		if time.Now().After(limit) {
			t.Fatalf("still not: %s", what)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(t *testing.T, url string) (status int, said string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestEveryAnsweredEventIsInTheTopicThoughKafkaWasAwayAndIngestWasKilled(t *testing.T) {
	const sessions = 8
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(strings.Repeat("5c", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	own := broker.In(t, data)
	address, health := own.Addrs()[0], freeAddress(t)
	args := []string{"--create-topics", "--ingest-listen", "127.0.0.1:0", "--admin-listen", health,
		"--spool-dir", filepath.Join(t.TempDir(), "spool"), "--spool-key-file", keys, "--ingest-delivery-timeout", "2s"}
	p := start(t, own, args...)
	s := startSenders(t, sessions, "http://"+p.address(t)+"/events")
	s.more(t, 20) // directly
	_, said := get(t, "http://"+health+"/metrics")
	if !strings.Contains(said, "januscdr_ingest_spool_appended_total 0\n") {
		t.Error("with Kafka there, events went to the spool")
	}

	if err := own.Close(); err != nil {
		t.Fatal(err)
	}
	s.more(t, 20) // to the spool
	status, said := get(t, "http://"+health+"/readyz")
	var ready struct{ Details details }
	err := json.Unmarshal([]byte(said), &ready)
	if err != nil || status != http.StatusOK || ready.Details.Spool.Events == 0 {
		t.Errorf("it spools, and says %d %s (%v)", status, said, err)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.end(t) // it was killed
	p = startAt(t, address, args...)
	s.url.Store("http://" + p.address(t) + "/events")
	s.more(t, 20) // to the spool, by a process that never saw Kafka

	own, err = embedded.Start(embedded.Options{Dir: data, Listen: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Close() })
	var metrics string
	until(t, "the spool is empty, under load", func() bool {
		_, metrics = get(t, "http://"+health+"/metrics")
		return strings.Contains(metrics, "januscdr_ingest_spool_events 0\n")
	})
	s.more(t, 20)
	until(t, "events go to Kafka directly again", func() bool {
		_, before := get(t, "http://"+health+"/metrics")
		s.more(t, 5)
		_, after := get(t, "http://"+health+"/metrics")
		return lineOf(before, "januscdr_ingest_spool_appended_total") == lineOf(after, "januscdr_ingest_spool_appended_total")
	})
	s.stop()
	s.working.Wait()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.end(t); err != nil {
		t.Fatalf("%v\n%s", err, p.said)
	}

	next, twice := make([]int64, sessions), 0
	seen := map[string]bool{}
	for _, r := range records(t, own, "janus.events") {
		if len(r.Value) == 0 {
			continue // a sign of life
		}
		if seen[string(r.Value)] {
			twice++
			continue
		}
		seen[string(r.Value)] = true
		var e struct {
			Session int `json:"session_id"`
		}
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		i := e.Session - 1
		if want := eventOf(i, next[i]); want != string(r.Value) {
			t.Fatalf("session %d: event %s came, %s was next", e.Session, r.Value, want)
		}
		next[i]++
	}
	for i := range s.counts {
		if answered := s.counts[i].Load(); next[i] < answered {
			t.Errorf("session %d: %d events were answered, %d are in the topic", i+1, answered, next[i])
		}
	}
	// Twice comes what was in flight: one event of each sender when Kafka went, one when ingest was killed.
	if twice > 2*sessions {
		t.Errorf("%d events came twice, of %d senders", twice, sessions)
	}
	t.Logf("%d events, %d of them twice", len(seen), twice)
}

func lineOf(text, name string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, name+" ") {
			return line
		}
	}
	return ""
}
