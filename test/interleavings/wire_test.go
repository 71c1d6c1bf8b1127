package interleavings

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
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
	lag    bool                    // the client loses the connection, once, and what it has sent arrives when released
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

// lag lets a client lose the connection at the next request, so that it asks again on another one. What it has sent is
// on its way still, and arrives when the rule is released.
func (w *wire) lag(key kmsg.Key, when func(kmsg.Request) bool) *rule {
	return w.add(&rule{key: key, when: when, lag: true})
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

// The client gives up what it has asked for on a connection that is cut, and asks again when it has lost one.
var (
	errCut        = errors.New("the connection is cut")
	errLost error = &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
)

// pass does what the rules say, and fails when the connection is to be cut.
func (w *wire) pass(c *conn, req kmsg.Request, answer bool) error {
	for _, r := range w.of(req, answer) {
		first := false
		r.once.Do(func() { first = true; close(r.reached) })
		if r.lag {
			if !first {
				continue
			}
			c.orphan()
		}
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
	c := &conn{
		Conn: inner, wire: w, asked: map[int32]kmsg.Request{}, out: make(chan []byte, 1024), in: make(chan []byte, 1024),
		left: make(chan struct{}), gone: make(chan struct{}),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		inner.Close()
		return nil, errCut
	}
	w.conns[c] = true
	go c.send()
	go c.receive()
	return c, nil
}

// conn is one connection. Requests and answers pass in their order, each on a goroutine of the connection: the client
// must not wait.
type conn struct {
	net.Conn
	wire *wire
	out  chan []byte
	in   chan []byte

	left chan struct{} // closed when the client has closed it
	gone chan struct{} // closed when it is closed
	once [2]sync.Once  // of these

	mu    sync.Mutex
	asked map[int32]kmsg.Request
	mute  bool // the process is dead, or has lost the connection
	lost  bool // the latter

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
	defer c.mu.Unlock()
	if c.lost {
		return 0, errLost
	}
	if c.mute {
		return 0, errCut
	}
	select {
	case c.out <- held: // it has room for more than a client asks at once
		c.asked[number] = req
		return len(b), nil
	case <-c.left:
		return 0, errCut
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
			if c.wire.pass(c, req, false) != nil {
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

// receive takes what the brokers say.
func (c *conn) receive() {
	defer c.close()
	for {
		var head [8]byte
		if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
			return
		}
		answer := make([]byte, 4+binary.BigEndian.Uint32(head[:]))
		copy(answer, head[:])
		if _, err := io.ReadFull(c.Conn, answer[8:]); err != nil {
			return
		}
		number := int32(binary.BigEndian.Uint32(head[4:]))
		c.mu.Lock()
		req := c.asked[number]
		delete(c.asked, number)
		c.mu.Unlock()
		if req != nil && c.wire.pass(c, req, true) != nil {
			return
		}
		select {
		case c.in <- answer:
		case <-c.left: // nobody listens
		case <-c.gone:
			return
		}
	}
}

func (c *conn) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		select {
		case c.rest = <-c.in:
		case <-c.left:
			return 0, c.gap()
		case <-c.gone:
			return 0, errCut
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// orphan takes a connection from the client, and lets it live on.
func (c *conn) orphan() {
	c.deaf()
	c.mu.Lock()
	c.lost = true
	c.mu.Unlock()
	c.once[1].Do(func() { close(c.left) })
}

// gap is why there is nothing more to read.
func (c *conn) gap() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		return errLost
	}
	return errCut
}

// deaf lets nothing more in.
func (c *conn) deaf() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute = true
}

func (c *conn) close() {
	c.once[0].Do(func() { close(c.gone) })
	c.Conn.Close()
}

// Close is the client's. What a dead process has sent goes on its way.
func (c *conn) Close() error {
	c.once[1].Do(func() { close(c.left) })
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mute {
		c.close()
	}
	return nil
}

// settled tells whether what a client has sent on connections that it lost is answered.
func (w *wire) settled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		select {
		case <-c.left:
			if c.busy() {
				return false
			}
		default:
		}
	}
	return true
}

// idle tells whether all that a dead process has sent is answered, or its connection is gone.
func (w *wire) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		if c.busy() {
			return false
		}
	}
	return true
}

func (c *conn) busy() bool {
	select {
	case <-c.gone:
		return false
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, req := range c.asked {
		if kmsg.Key(req.Key()) != kmsg.JoinGroup { // may wait for long
			return true
		}
	}
	return false
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
