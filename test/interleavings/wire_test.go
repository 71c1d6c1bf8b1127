package interleavings

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire is all connections of one process to the brokers.
type wire struct {
	rebalanceTimeout time.Duration // that joins ask for, whatever the client says: a stall need not be longer

	mu    sync.Mutex
	rules []*rule
	conns map[*conn]bool
	dead  bool
}

// rule is what happens to requests of a kind, or to their answers, until it is released.
type rule struct {
	wire   *wire
	key    kmsg.Key
	answer bool
	cut    bool                    // the connection, once
	when   func(kmsg.Request) bool // nil: always

	once    sync.Once
	reached chan struct{} // closed at the first that it holds
	goOn    chan struct{} // closed when it is released
}

func newWire() *wire { return &wire{conns: map[*conn]bool{}} }

// hold holds requests back. Those behind them on the same connection wait, too.
func (w *wire) hold(key kmsg.Key, when func(kmsg.Request) bool) *rule {
	return w.add(&rule{key: key, when: when})
}

// holdAnswers lets requests through, and holds back what the brokers say.
func (w *wire) holdAnswers(key kmsg.Key) *rule { return w.add(&rule{key: key, answer: true}) }

// cutAt cuts the connection at the next request, or at its answer when the brokers have done what it asks for.
func (w *wire) cutAt(key kmsg.Key, answer bool) *rule {
	return w.add(&rule{key: key, answer: answer, cut: true})
}

// passes is reached when the next request is answered; it holds nothing.
func (w *wire) passes(key kmsg.Key, when func(kmsg.Request) bool) *rule {
	r := w.add(&rule{key: key, answer: true, when: when})
	close(r.goOn)
	return r
}

func (w *wire) add(r *rule) *rule {
	r.wire, r.reached, r.goOn = w, make(chan struct{}), make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules = append(w.rules, r)
	return r
}

// release ends a rule.
func (r *rule) release() {
	r.wire.mu.Lock()
	defer r.wire.mu.Unlock()
	for i, other := range r.wire.rules {
		if other == r {
			r.wire.rules = append(r.wire.rules[:i:i], r.wire.rules[i+1:]...)
		}
	}
	select {
	case <-r.goOn:
	default:
		close(r.goOn)
	}
}

// of finds the rules for a request, or for its answer.
func (w *wire) of(req kmsg.Request, answer bool) (all []*rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.rules {
		if int16(r.key) == req.Key() && r.answer == answer && (r.when == nil || r.when(req)) {
			all = append(all, r)
		}
	}
	return all
}

var errCut = errors.New("the connection is cut")

// pass does what the rules say, and fails when the connection is to be cut.
func (w *wire) pass(req kmsg.Request, answer bool) error {
	for _, r := range w.of(req, answer) {
		r.once.Do(func() { close(r.reached) })
		if r.cut {
			r.release()
			return errCut
		}
		<-r.goOn
	}
	return nil
}

// kill ends a process for the brokers: nothing that it sends from now on arrives. What is held back already still does
// when it is released, as what a dead process has sent may.
func (w *wire) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
	for c := range w.conns {
		c.deaf()
	}
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	inner, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, wire: w, asked: map[int32]kmsg.Request{}, out: make(chan []byte, 1024), gone: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		inner.Close()
		return nil, errCut
	}
	w.conns[c] = true
	go c.send()
	return c, nil
}

// conn is one connection. Requests go out in their order, from a goroutine of its own: the client must not wait.
type conn struct {
	net.Conn
	wire *wire
	out  chan []byte
	gone chan struct{}
	once sync.Once

	mu    sync.Mutex
	asked map[int32]kmsg.Request
	mute  bool // the process is dead

	rest []byte // of the answer that is being read; used by the reader only
}

// parse reads a request as it stands on the wire: length, key, version, number, name of the client, and the body.
func parse(b []byte) (req kmsg.Request, number int32, body int) {
	key, version := int16(binary.BigEndian.Uint16(b[4:])), int16(binary.BigEndian.Uint16(b[6:]))
	number = int32(binary.BigEndian.Uint32(b[8:]))
	req = kmsg.RequestForKey(key)
	req.SetVersion(version)
	body = 14
	if n := int16(binary.BigEndian.Uint16(b[12:])); n > 0 {
		body += int(n)
	}
	if req.IsFlexible() && kmsg.Key(key) != kmsg.ApiVersions {
		body++ // no tags
	}
	if kmsg.Key(key) != kmsg.ApiVersions {
		_ = req.ReadFrom(b[body:])
	}
	return req, number, body
}

func (c *conn) Write(b []byte) (int, error) {
	held := bytes.Clone(b)
	req, number, body := parse(held)
	if join, ok := req.(*kmsg.JoinGroupRequest); ok && c.wire.rebalanceTimeout > 0 {
		join.RebalanceTimeoutMillis = int32(c.wire.rebalanceTimeout.Milliseconds())
		held = join.AppendTo(held[:body:body])
		copy(held, kbin.AppendInt32(nil, int32(len(held)-4)))
	}
	c.mu.Lock()
	c.asked[number] = req
	mute := c.mute
	c.mu.Unlock()
	if mute {
		return 0, errCut
	}
	select {
	case c.out <- held:
		return len(b), nil
	case <-c.gone:
		return 0, errCut
	}
}

// send sends what was written, one after the other.
func (c *conn) send() {
	for {
		select {
		case b := <-c.out:
			req, _, _ := parse(b)
			if c.wire.pass(req, false) != nil {
				c.close()
				return
			}
			if _, err := c.Conn.Write(b); err != nil {
				c.close()
				return
			}
		case <-c.gone:
			return
		}
	}
}

func (c *conn) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		var head [8]byte
		if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
			return 0, err
		}
		answer := make([]byte, 4+binary.BigEndian.Uint32(head[:]))
		copy(answer, head[:])
		if _, err := io.ReadFull(c.Conn, answer[8:]); err != nil {
			return 0, err
		}
		number := int32(binary.BigEndian.Uint32(head[4:]))
		c.mu.Lock()
		req := c.asked[number]
		delete(c.asked, number)
		c.mu.Unlock()
		if req == nil {
			continue
		}
		if err := c.wire.pass(req, true); err != nil {
			c.close()
			return 0, err
		}
		c.rest = answer
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// deaf lets nothing more in.
func (c *conn) deaf() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute = true
}

func (c *conn) close() {
	c.once.Do(func() { close(c.gone) })
	c.Conn.Close()
}

// Close ends the connection, unless something of it is held back and the process is dead: then the wire lives on.
func (c *conn) Close() error {
	c.mu.Lock()
	mute := c.mute
	c.mu.Unlock()
	if !mute {
		c.close()
		c.wire.mu.Lock()
		delete(c.wire.conns, c)
		c.wire.mu.Unlock()
	}
	return nil
}

// end closes what a dead process has left.
func (w *wire) end() {
	w.mu.Lock()
	rules := append([]*rule(nil), w.rules...)
	w.mu.Unlock()
	for _, r := range rules {
		r.release()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		c.close()
	}
}
