package player

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"januscdr/internal/captures"
)

// backend records what it is sent.
type backend struct {
	mu          sync.Mutex
	bodies      [][]byte
	connections map[string]bool
	headers     []http.Header
	answer      func(n int, w http.ResponseWriter)
}

func (b *backend) start(t *testing.T) string {
	t.Helper()
	b.connections = map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read body: %v", err)
		}
		b.mu.Lock()
		b.bodies = append(b.bodies, body)
		b.connections[r.RemoteAddr] = true
		b.headers = append(b.headers, r.Header.Clone())
		n := len(b.bodies)
		b.mu.Unlock()
		if b.answer != nil {
			b.answer(n, w)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestARecordingIsPostedByteForByteOneConnectionForEachRequest(t *testing.T) {
	var b backend
	requests := captures.Requests("1.1-a_echotest")
	var last int
	err := Play(t.Context(), b.start(t), requests, Options{Progress: func(done, total int, at time.Duration) {
		if total != len(requests) || done != last+1 || at != requests[done-1].Time().Sub(requests[0].Time()) {
			t.Errorf("progress %d of %d at %v", done, total, at)
		}
		last = done
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.bodies) != len(requests) || len(b.connections) != len(requests) || last != len(requests) {
		t.Fatalf("got %d bodies on %d connections with %d steps of progress, want %d of each", len(b.bodies), len(b.connections), last, len(requests))
	}
	for i, r := range requests {
		if !bytes.Equal(b.bodies[i], r.Body) {
			t.Fatalf("body %d differs from the recorded one", i+1)
		}
	}
	if got := b.headers[0].Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	if got, there := b.headers[0]["User-Agent"]; there {
		t.Errorf("user agent %q, but Janus sends none", got)
	}
}

func TestARequestThatIsNotAnsweredIsSentAgainBeforeTheNext(t *testing.T) {
	b := backend{answer: func(n int, w http.ResponseWriter) {
		if n == 2 || n == 3 {
			panic(http.ErrAbortHandler)
		}
	}}
	var failed []int
	requests := captures.Requests("1.1-a_echotest")[:3]
	err := Play(t.Context(), b.start(t), requests, Options{Failed: func(_, try int, _ error) { failed = append(failed, try) }})
	if err != nil {
		t.Fatal(err)
	}
	want := []int{0, 1, 1, 1, 2}
	if len(b.bodies) != len(want) || len(failed) != 2 {
		t.Fatalf("got %d bodies and %d failed tries, want %d and 2", len(b.bodies), len(failed), len(want))
	}
	for i, n := range want {
		if !bytes.Equal(b.bodies[i], requests[n].Body) {
			t.Errorf("request %d was not recorded request %d", i+1, n+1)
		}
	}
}

func TestAnAnswerOtherThan200EndsThePlay(t *testing.T) {
	b := backend{answer: func(_ int, w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }}
	err := Play(t.Context(), b.start(t), captures.Requests("1.1-a_echotest"), Options{})
	if err == nil || !strings.Contains(err.Error(), "play request 1 of") || !strings.Contains(err.Error(), "404") {
		t.Fatalf("got %v", err)
	}
	if len(b.bodies) != 1 {
		t.Errorf("%d requests, want 1", len(b.bodies))
	}
}

func TestGzipCarriesTheSameBytes(t *testing.T) {
	for _, name := range []string{"1.1-a_echotest", "1.1-m_gzip"} {
		var b backend
		requests := captures.Requests(name)[:5]
		if err := Play(t.Context(), b.start(t), requests, Options{Gzip: true}); err != nil {
			t.Fatal(err)
		}
		for i, r := range requests {
			if b.headers[i].Get("Content-Encoding") != "gzip" {
				t.Fatalf("%s: request %d is not marked as gzip", name, i+1)
			}
			z, err := gzip.NewReader(bytes.NewReader(b.bodies[i]))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(z)
			if err != nil || !bytes.Equal(plain, r.Body) {
				t.Fatalf("%s: body %d differs after decompression (%v)", name, i+1, err)
			}
		}
	}
}

func TestPausesAreThoseOfTheRecordingDividedBySpeed(t *testing.T) {
	var b backend
	requests := []captures.Request{{At: 0, Body: []byte("[]")}, {At: int64(2 * time.Second), Body: []byte("[]")}}
	started := time.Now()
	if err := Play(t.Context(), b.start(t), requests, Options{Speed: 20}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took < 100*time.Millisecond || took > time.Second {
		t.Errorf("took %v, want 100ms and a little", took)
	}
}

func TestTheEndOfTheContextEndsAPause(t *testing.T) {
	var b backend
	ctx, cancel := context.WithCancel(t.Context())
	requests := []captures.Request{{At: 0, Body: []byte("[]")}, {At: int64(time.Hour), Body: []byte("[]")}}
	err := Play(ctx, b.start(t), requests, Options{Speed: 1, Progress: func(int, int, time.Duration) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the context's error", err)
	}
}
