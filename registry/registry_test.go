package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"januscdr/avro"
)

// A place is a registry: a real one where there is one, and the door to it, which tests can lock.
type place struct {
	*httptest.Server
	away  atomic.Bool
	asked atomic.Int64
	auth  atomic.Pointer[string]
}

func aPlace(t *testing.T) *place {
	t.Helper()
	text := os.Getenv("JANUSCDR_TEST_REGISTRY")
	if text == "" {
		fake := srfake.New()
		t.Cleanup(fake.Close)
		text = fake.URL()
	}
	to, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Header.Del("Authorization")
	}}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		user, password, _ := r.BasicAuth()
		switch want := p.auth.Load(); {
		case p.away.Load():
			http.Error(w, "not now", http.StatusServiceUnavailable)
		case want != nil && *want != user+":"+password:
			http.Error(w, "who are you?", http.StatusUnauthorized)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	p.Start()
	t.Cleanup(p.Close)
	return p
}

func (p *place) of(t *testing.T, o Options) *Registry {
	t.Helper()
	if o.Subject == "" {
		o.Subject = fmt.Sprintf("%s-%d-value", t.Name(), time.Now().UnixNano())
	}
	o.URLs = []string{p.URL}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.retry = 10 * time.Millisecond
	return r
}

// put registers another text under the subject, as another program would.
func put(t *testing.T, r *Registry, text string) int {
	t.Helper()
	id, err := r.client.RegisterSchema(t.Context(), r.subject, sr.Schema{Schema: text, Type: sr.TypeAvro}, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestTheSchemaIsRegisteredOnceAndGuarded(t *testing.T) {
	r := aPlace(t).of(t, Options{})
	ctx := t.Context()
	if _, err := r.Find(ctx); !errors.Is(err, ErrAbsent) {
		t.Fatalf("got %v", err)
	}
	if err := r.Fits(ctx); err != nil {
		t.Error(err)
	}
	first, added, err := r.Register(ctx)
	if err != nil || !added {
		t.Fatal(first, added, err)
	}
	again, added, err := r.Register(ctx)
	if err != nil || added || again != first {
		t.Errorf("again it is %v, %t, %v, at first %v", again, added, err, first)
	}
	if found, err := r.Find(ctx); err != nil || found != first {
		t.Errorf("found %v, %v", found, err)
	}
	if level, err := r.Level(ctx); err != nil || level != Level {
		t.Errorf("its compatibility is %q, %v", level, err)
	}
}

// A program with other words about the same fields registers nothing: it takes the id that is there, however the text
// was written that stands there, and whatever came after it.
func TestOtherDocumentationKeepsTheID(t *testing.T) {
	r := aPlace(t).of(t, Options{})
	id := put(t, r, avro.Schema()) // with documentation, as an operator may have done by hand
	grown := strings.Replace(avro.Reduced(), `"fields":[`,
		`"fields":[{"default":null,"name":"of_a_newer_program","type":["null","string"]},`, 1)
	if newer := put(t, r, grown); newer == id {
		t.Fatal("a new field has no id of its own")
	}
	s, added, err := r.Register(t.Context())
	if err != nil || added || int(s.ID) != id {
		t.Errorf("got %v, %t, %v, want id %d", s, added, err, id)
	}
}

// What the registry says to a schema that does not fit, asked of it before, or told by it when it is registered.
func TestASchemaThatDoesNotFitIsRefused(t *testing.T) {
	if os.Getenv("JANUSCDR_TEST_REGISTRY") != "" {
		p := aPlace(t)
		r := p.of(t, Options{})
		put(t, r, strings.Replace(avro.Reduced(), `"fields":[`, `"fields":[{"name":"wanted","type":"string"},`, 1))
		_, _, err := r.Register(t.Context())
		for _, refused := range []error{err, r.Fits(t.Context())} {
			if !errors.Is(refused, ErrIncompatible) {
				t.Errorf("got %v", refused)
			}
		}
		return
	}
	for name, answers := range map[string]map[string]string{
		"asked": {"compatibility": `200 {"is_compatible":false,"messages":["it lacks something"]}`},
		"registered": {"compatibility": `200 {"is_compatible":true}`,
			"subjects": `409 {"error_code":409,"message":"it lacks something"}`},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var status int
				body := `{"compatibility":"FULL_TRANSITIVE"}`
				switch first := strings.Split(r.URL.Path, "/")[1]; {
				case first == "subjects" && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "versions"):
					body = "[1]"
				case first == "subjects" && r.Method == http.MethodGet:
					body = `{"subject":"s","version":1,"id":1,"schema":"\"string\""}`
				case answers[first] != "":
					text, rest, _ := strings.Cut(answers[first], " ")
					if _, err := fmt.Sscan(text, &status); err != nil {
						t.Error(err)
					}
					w.WriteHeader(status)
					body = rest
				}
				_, _ = io.WriteString(w, body)
			}))
			defer server.Close()
			r, err := New(Options{URLs: []string{server.URL}, Subject: "s"})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := r.Register(t.Context()); !errors.Is(err, ErrIncompatible) ||
				!strings.Contains(err.Error(), "it lacks something") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestARegistryWantsToKnowWhoAsks(t *testing.T) {
	p := aPlace(t)
	want := "cdr:secret"
	p.auth.Store(&want)
	r := p.of(t, Options{User: "cdr", Password: "secret"})
	if _, _, err := r.Register(t.Context()); err != nil {
		t.Error(err)
	}
	r = p.of(t, Options{User: "cdr", Password: "guessed"})
	if _, _, err := r.Register(t.Context()); err == nil || errors.Is(err, ErrAway) ||
		strings.Contains(err.Error(), "guessed") {
		t.Errorf("got %v", err)
	}
}

func TestARegistryMayBeBehindTLS(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	to, err := url.Parse(fake.URL())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(to))
	defer server.Close()
	r, err := New(Options{URLs: []string{server.URL}, Subject: "s",
		TLS: server.Client().Transport.(*http.Transport).TLSClientConfig})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Register(t.Context()); err != nil {
		t.Error(err)
	}
	if r, err = New(Options{URLs: []string{server.URL}, Subject: "s", TLS: &tls.Config{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Find(t.Context()); !errors.Is(err, ErrAway) {
		t.Errorf("an unknown authority: got %v", err)
	}
}

// Once the id is known, a start needs no registry.
func TestAStartGoesOnWithTheIDItKnows(t *testing.T) {
	p := aPlace(t)
	r := p.of(t, Options{})
	file := filepath.Join(t.TempDir(), "state", "registry.json")
	ctx := t.Context()
	if _, err := r.Await(ctx, file, false); !errors.Is(err, ErrAbsent) {
		t.Fatalf("got %v", err)
	}
	id, err := r.Await(ctx, file, true)
	if err != nil {
		t.Fatal(err)
	}
	p.away.Store(true)
	if again, err := r.Await(ctx, file, false); err != nil || again != id {
		t.Errorf("got %d, %v, want %d", again, err, id)
	}
	other := p.of(t, Options{Subject: "another"})
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := other.Await(short, file, false); err == nil {
		t.Error("the id of one subject is taken for that of another")
	}
}

func TestAStartWaitsForARegistryThatItDoesNotKnow(t *testing.T) {
	p := aPlace(t)
	p.away.Store(true)
	r := p.of(t, Options{})
	got := make(chan error, 1)
	go func() {
		_, err := r.Await(t.Context(), filepath.Join(t.TempDir(), "registry.json"), true)
		got <- err
	}()
	for p.asked.Load() < 2 {
		select {
		case err := <-got:
			t.Fatalf("it did not wait: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	p.away.Store(false)
	if err := <-got; err != nil {
		t.Error(err)
	}
}
