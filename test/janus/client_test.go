package janustest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A message is what Janus tells a client: the answer to a request, or something that happened.
type message struct {
	Janus       string `json:"janus"`
	Transaction string `json:"transaction"`
	Data        struct {
		ID uint64 `json:"id"`
	} `json:"data"`
	Sender     uint64 `json:"sender"`
	Reason     string `json:"reason"`
	PluginData struct {
		Data json.RawMessage `json:"data"`
	} `json:"plugindata"`
	JSEP  *description `json:"jsep"`
	Error struct {
		Reason string `json:"reason"`
	} `json:"error"`

	Info map[string]any `json:"info"` // of the Admin API

	seen time.Time // when it had come
}

// description is an offer or an answer.
type description struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

// A client is one session with Janus, as an application in a browser has.
type client struct {
	id      uint64
	created span

	silence func() // ends polling and keepalives
	silent  chan struct{}

	mu      sync.Mutex
	handles map[uint64]*handle
	early   map[uint64][]message // that came before their handle was known
}

// A handle is the attachment of a client to a plugin.
type handle struct {
	client *client
	id     uint64
	inbox  chan message
	read   []message // taken from the inbox while waiting for others
}

// newClient creates a session and keeps it alive until silence is called or the test ends.
func newClient(t *testing.T) *client {
	t.Helper()
	at := time.Now()
	m := request(t, "", map[string]any{"janus": "create"})
	ctx, cancel := context.WithCancel(t.Context())
	c := &client{id: m.Data.ID, created: span{at, m.seen}, silence: cancel, silent: make(chan struct{}),
		handles: map[uint64]*handle{}, early: map[uint64][]message{}}
	var work sync.WaitGroup
	work.Go(func() { c.poll(ctx) })
	work.Go(func() { c.keepAlive(ctx) })
	go func() {
		work.Wait()
		close(c.silent)
	}()
	t.Cleanup(func() {
		cancel()
		<-c.silent
	})
	return c
}

// poll asks for what has happened until the context ends or Janus does not know us any more.
func (c *client) poll(ctx context.Context) {
	for {
		m, err := do(ctx, http.MethodGet, fmt.Sprintf("/%d?maxev=1", c.id), nil)
		if err != nil || m.Janus == "error" || m.Janus == "timeout" {
			return
		}
		c.mu.Lock()
		if h := c.handles[m.Sender]; h != nil {
			h.inbox <- m
		} else {
			c.early[m.Sender] = append(c.early[m.Sender], m)
		}
		c.mu.Unlock()
	}
}

// keepAlive shows Janus often enough that we are there.
func (c *client) keepAlive(ctx context.Context) {
	tick := time.NewTicker(sessionTimeout / 6)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if m, err := do(ctx, http.MethodPost, fmt.Sprintf("/%d", c.id), keepalive()); err != nil || m.Janus == "error" {
			return
		}
	}
}

func keepalive() []byte { return []byte(`{"janus":"keepalive","transaction":"alive"}`) }

// vanish ends all signs of life, and returns when the last one was.
func (c *client) vanish(t *testing.T) span {
	t.Helper()
	c.silence()
	<-c.silent
	at := time.Now()
	m := request(t, fmt.Sprintf("/%d", c.id), map[string]any{"janus": "keepalive"})
	return span{at, m.seen}
}

// destroy ends the session, and returns when that was.
func (c *client) destroy(t *testing.T) span {
	t.Helper()
	at := time.Now()
	m := request(t, fmt.Sprintf("/%d", c.id), map[string]any{"janus": "destroy"})
	return span{at, m.seen}
}

// attach makes a handle of a plugin.
func (c *client) attach(t *testing.T, plugin, opaque string) *handle {
	t.Helper()
	m := request(t, fmt.Sprintf("/%d", c.id), map[string]any{"janus": "attach", "plugin": plugin, "opaque_id": opaque})
	h := &handle{client: c, id: m.Data.ID, inbox: make(chan message, 1000)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handles[h.id] = h
	for _, m := range c.early[h.id] {
		h.inbox <- m
	}
	return h
}

// send sends a message to the plugin and returns its answer and when Janus took it.
func (h *handle) send(t *testing.T, body map[string]any, jsep *description) (message, span) {
	t.Helper()
	r := map[string]any{"janus": "message", "body": body}
	if jsep != nil {
		r["jsep"] = jsep
	}
	at := time.Now()
	m := h.request(t, r)
	taken := span{at, m.seen}
	if m.Janus == "ack" { // the plugin answers later
		m = h.await(t, "event", m.Transaction)
	}
	var refused struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(m.PluginData.Data, &refused); err != nil || refused.Error != "" {
		t.Fatalf("send %v: %q, %v", body, refused.Error, err)
	}
	return m, taken
}

// hangUp ends the PeerConnection of the handle, and returns when that was.
func (h *handle) hangUp(t *testing.T) span {
	t.Helper()
	at := time.Now()
	h.request(t, map[string]any{"janus": "hangup"})
	return span{at, h.await(t, "hangup", "").seen.Add(slack)}
}

// released waits until Janus has let go of the PeerConnection that was hung up: it tells of the end before. An offer
// that comes in between is answered, and the PeerConnection never comes up.
func (h *handle) released(t *testing.T) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"janus": "handle_info", "transaction": "released", "admin_secret": adminSecret})
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("%s/%d/%d", adminAPI, h.client.id, h.id)
	for limit := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		m, err := do(t.Context(), http.MethodPost, path, b)
		if err != nil || m.Info == nil {
			t.Fatalf("ask for handle %d: %q, %v", h.id, m.Error.Reason, err)
		}
		if _, agent := m.Info["agent-created"]; !agent {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("Janus does not let go of the PeerConnection of handle %d: %v", h.id, m.Info)
		}
	}
}

// detach ends the handle, and returns when that was.
func (h *handle) detach(t *testing.T) span {
	t.Helper()
	at := time.Now()
	return span{at, h.request(t, map[string]any{"janus": "detach"}).seen.Add(slack)}
}

func (h *handle) request(t *testing.T, body map[string]any) message {
	t.Helper()
	return request(t, fmt.Sprintf("/%d/%d", h.client.id, h.id), body)
}

// await waits for something to happen on the handle, because of the transaction if one is given.
func (h *handle) await(t *testing.T, what, transaction string) message {
	t.Helper()
	wanted := func(m message) bool { return m.Janus == what && (transaction == "" || m.Transaction == transaction) }
	if i := slices.IndexFunc(h.read, wanted); i >= 0 {
		m := h.read[i]
		h.read = slices.Delete(h.read, i, i+1)
		return m
	}
	deadline := time.After(patience)
	for {
		select {
		case m := <-h.inbox:
			if wanted(m) {
				return m
			}
			h.read = append(h.read, m)
		case <-deadline:
			t.Fatalf("wait for %q on handle %d of session %d: nothing came in %v", what, h.id, h.client.id, patience)
		}
	}
}

// request posts a request and returns what Janus said.
func request(t *testing.T, path string, body map[string]any) message {
	t.Helper()
	body["transaction"] = fmt.Sprintf("%016x", rand.Uint64())
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	m, err := do(t.Context(), http.MethodPost, path, b)
	if err == nil && m.Janus == "error" {
		err = errors.New(m.Error.Reason)
	}
	if err != nil {
		t.Fatalf("request %s: %v", b, err)
	}
	return m
}

func do(ctx context.Context, method, path string, body []byte) (message, error) {
	if !strings.HasPrefix(path, "http") {
		path = janusAPI + path
	}
	r, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(body))
	if err != nil {
		return message{}, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return message{}, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return message{}, err
	}
	m := message{seen: time.Now()}
	if err := json.Unmarshal(b, &m); err != nil {
		return message{}, fmt.Errorf("read %q: %w", b, err)
	}
	return m, nil
}
