package consume_test

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"januscdr/cdr"
	"januscdr/consume"
)

// A collector takes traces as OTLP over HTTP and keeps spans by their ids; some of its requests fail, done or not.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	spans  map[string]map[string]any // by trace and span
	answer func() (code int, body string, keep bool)
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{spans: map[string]map[string]any{}, answer: func() (int, string, bool) { return 200, "{}", true }}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var body struct {
			ResourceSpans []struct {
				ScopeSpans []struct {
					Spans []map[string]any `json:"spans"`
				} `json:"scopeSpans"`
			} `json:"resourceSpans"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			return // its sender was killed
		}
		code, text, keep := c.answer()
		for _, resource := range body.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, s := range scope.Spans {
					if keep {
						c.spans[s["traceId"].(string)+"/"+s["spanId"].(string)] = s
					}
				}
			}
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) task(t *testing.T, of *cluster) task {
	t.Helper()
	return task{Brokers: of.opts.Brokers, Topic: of.topic, Kind: "otlp",
		Place:   filepath.Join(t.TempDir(), "position.json"),
		Records: 50, URL: c.URL + "/v1/traces"}
}

// want are the spans that the records of a cluster come to.
func (c *cluster) spans() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]int{}
	for i := range c.records {
		r := &c.records[i]
		id := r.CDRID
		if r.RecordType == cdr.SessionSummary {
			id = r.SessionUID
		}
		if r.IsFinal {
			all[r.SessionUID.String()+"/"+id.String()[:16]] = 1
		}
	}
	return all
}

func TestEachCallIsATraceThoughItsSenderIsKilled(t *testing.T) {
	t.Parallel()
	of, c := newCluster(t), newCollector(t)
	c.answer = func() (int, string, bool) {
		if rand.IntN(10) == 0 {
			return http.StatusServiceUnavailable, "", rand.IntN(2) == 0
		}
		return 200, "{}", true
	}
	of.storm(c.task(t, of), kills(t, 8), nil)
	got := map[string]int{}
	for id, s := range c.spans {
		got[id]++
		parent, _ := s["parentSpanId"].(string)
		if root := s["name"] == "SESSION"; root != (parent == "") || !root && parent != id[:16] {
			t.Errorf("%s has the parent %q in trace %s", s["name"], parent, id)
		}
		if s["startTimeUnixNano"].(string) > s["endTimeUnixNano"].(string) || len(s["attributes"].([]any)) < 20 {
			t.Errorf("%v", s)
		}
	}
	same(t, got, of.spans())
}

func TestSpansThatAreRefusedEndTheSender(t *testing.T) {
	t.Parallel()
	of, c := newCluster(t), newCollector(t)
	of.produce(20)
	for body, code := range map[string]int{"who are you": http.StatusUnauthorized,
		`{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}`: http.StatusOK} {
		c.answer = func() (int, string, bool) { return code, body, false }
		k := c.task(t, of)
		k.Once = true
		if err := k.run(t); !errors.Is(err, consume.ErrRefused) || !strings.Contains(err.Error(), "401") &&
			!strings.Contains(err.Error(), "3 spans are rejected: too old") {
			t.Errorf("got %v", err)
		}
	}
}
