//go:build synctests

package simulation

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// harm is what may happen to a request and its answer.
type harm int

const (
	unharmed    harm = iota
	cutBefore        // the connection is cut, and the broker never sees the request
	cutAfter         // the broker does what it is asked, and the connection is cut before the answer comes
	lateRequest      // the request is held up
	lateAnswer       // the answer is held up
	lostRequest      // the request vanishes, the connection stays
	lostAnswer       // the answer vanishes, the connection stays
	harms

	cutUnseen = harms     // the broker never sees the request, the client thinks that it did; in scenes only
	outlived  = harms + 1 // the client loses the connection and asks again, and the request arrives in the end; in scenes only
)

// errReset is what a connection ends with that is lost. The client asks again then, as it does not when it is cut.
var errReset error = &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

var harmNames = [...]string{"unharmed", "cut before", "cut after", "late request", "late answer", "lost request", "lost answer", "cut unseen", "outlived"}

func (h harm) String() string { return harmNames[h] }

// line is the wire between one process and the broker: all its connections. What happens on it is told to the log.
type line struct {
	world *world
	owner string

	mu     sync.Mutex
	rng    *rand.Rand
	conns  map[*conn]bool
	down   bool          // for good: the process is dead
	away   bool          // the broker cannot be reached
	frozen chan struct{} // closed when the process goes on; nil when it runs
	rate   float64       // how many requests are harmed
	armed  []armed
}

// armed is harm that waits for the nth request of a kind from now on.
type armed struct {
	key  kmsg.Key
	nth  int
	harm harm
	then func()          // called when it was answered, or cut; not under any lock
	when func() bool     // counts only if so; nil: always
	hold <-chan struct{} // the request is held up until this is closed
}

func newLine(w *world, owner string, seed uint64) *line {
	return &line{world: w, owner: owner, rng: rand.New(rand.NewPCG(seed, 1)), conns: map[*conn]bool{}}
}

var errCut = errors.New("the connection is cut")

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := l.wait(); err != nil {
		return nil, err
	}
	inner, err := l.world.network().DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down || l.away {
		inner.Close()
		return nil, errCut
	}
	c := &conn{Conn: inner, line: l, asked: map[int32]question{}}
	l.conns[c] = true
	return c, nil
}

// wait waits while the process is frozen.
func (l *line) wait() error {
	l.mu.Lock()
	down, frozen := l.down, l.frozen
	l.mu.Unlock()
	if down {
		return errCut
	}
	if frozen != nil {
		<-frozen
		return l.wait()
	}
	return nil
}

// refuse cuts all connections and makes no more, until it is told otherwise.
func (l *line) refuse(on bool) {
	l.mu.Lock()
	l.away = on
	l.mu.Unlock()
	if on {
		l.cut(false)
	}
}

// cut ends all connections; for good when the process is dead.
func (l *line) cut(forGood bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = l.down || forGood
	if forGood && l.frozen != nil {
		close(l.frozen)
		l.frozen = nil
	}
	for c := range l.conns {
		c.Conn.Close()
	}
	clear(l.conns)
}

func (l *line) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen == nil && !l.down {
		l.frozen = make(chan struct{})
	}
}

func (l *line) thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen != nil {
		close(l.frozen)
		l.frozen = nil
	}
}

func (l *line) weather(rate float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = rate
	if rate == 0 {
		l.armed = nil
	}
}

func (l *line) arm(a armed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = append(l.armed, a)
}

// fate decides what happens to a request, and how long it is held up if it is.
func (l *line) fate(key kmsg.Key) (h harm, delay time.Duration, then func(), hold <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delay = time.Duration(l.rng.Int64N(int64(4 * time.Second)))
	for i := range l.armed {
		a := &l.armed[i]
		if a.key != key || a.when != nil && !a.when() {
			continue
		}
		a.nth--
		if a.nth > 0 {
			continue
		}
		h, then, hold = a.harm, a.then, a.hold
		l.armed = append(l.armed[:i], l.armed[i+1:]...)
		break
	}
	if h == unharmed && l.rate > 0 && l.rng.Float64() < l.rate {
		h = harm(1 + l.rng.IntN(int(harms)-1))
		if l.rng.IntN(3) > 0 && (h == lostRequest || h == lostAnswer) { // each costs the timeout of a request
			h = cutAfter
		}
	}
	if h != unharmed {
		l.world.tell("%s: %v of %s", l.owner, h, key.Name())
		l.world.count("wire: " + h.String())
	}
	return h, delay, then, hold
}

// question is a request without an answer so far.
type question struct {
	key   kmsg.Key
	harm  harm
	delay time.Duration
	then  func()
}

// conn is one connection. franz-go writes one request at a time: four bytes of length, two of the key, two of the
// version, four of the number that the answer repeats.
type conn struct {
	net.Conn
	line *line

	mu    sync.Mutex
	asked map[int32]question

	unseen atomic.Bool // it was cut so
	lost   atomic.Bool // it was outlived

	rest []byte // of the answer that is being read; used by the reader only
}

func (c *conn) Write(b []byte) (int, error) {
	if err := c.line.wait(); err != nil {
		return 0, err
	}
	if len(b) < 12 {
		return 0, fmt.Errorf("a request of %d bytes", len(b))
	}
	key, number := kmsg.Key(binary.BigEndian.Uint16(b[4:])), int32(binary.BigEndian.Uint32(b[8:]))
	h, delay, then, hold := c.line.fate(key)
	switch h {
	case cutBefore:
		c.Close()
		if then != nil {
			then()
		}
		return 0, errCut
	case lateRequest:
		time.Sleep(delay)
	case lostRequest:
		return len(b), nil
	case outlived:
		go c.line.arrives(bytes.Clone(b), hold)
		c.lost.Store(true)
		c.Conn.Close()
		return len(b), nil
	case cutUnseen:
		c.unseen.Store(true)
		c.Close()
		then()
		return len(b), nil
	}
	c.mu.Lock()
	c.asked[number] = question{key, h, delay, then}
	c.mu.Unlock()
	if hold != nil { // the client writes to all its connections from one goroutine, and must not wait
		held := bytes.Clone(b)
		go func() {
			<-hold
			_, _ = c.Conn.Write(held) // it may have given up
		}()
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// arrives brings a request to the broker whose sender has lost the connection.
func (l *line) arrives(request []byte, hold <-chan struct{}) {
	<-hold
	late, err := l.world.network().DialContext(context.Background(), "tcp", brokerAt)
	if err != nil {
		l.world.fail("bring what is late: %v", err)
		return
	}
	defer late.Close()
	if _, err = late.Write(request); err == nil {
		_, err = io.ReadFull(late, make([]byte, 8))
	}
	l.world.tell("%s: what was late has arrived: %v", l.owner, err)
}

func (c *conn) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		var head [8]byte
		if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
			switch {
			case c.unseen.Load():
				err = errCut
			case c.lost.Load():
				err = errReset
			}
			return 0, err
		}
		answer := make([]byte, 4+binary.BigEndian.Uint32(head[:]))
		copy(answer, head[:])
		if _, err := io.ReadFull(c.Conn, answer[8:]); err != nil {
			return 0, err
		}
		number := int32(binary.BigEndian.Uint32(head[4:]))
		c.mu.Lock()
		q := c.asked[number]
		delete(c.asked, number)
		c.mu.Unlock()
		if err := c.line.wait(); err != nil {
			return 0, err
		}
		switch q.harm {
		case cutAfter:
			c.Close()
			if q.then != nil {
				q.then()
			}
			return 0, errCut
		case lateAnswer:
			time.Sleep(q.delay)
		case lostAnswer:
			continue
		}
		if q.then != nil && q.harm == unharmed {
			q.then()
		}
		c.rest = answer
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *conn) Close() error {
	c.line.mu.Lock()
	delete(c.line.conns, c)
	c.line.mu.Unlock()
	return c.Conn.Close()
}

// network is the virtual network of the bubble; a broker that starts anew gets a new one, so that no connection of the
// old one lives on.
func (w *world) network() *kfake.VirtualNetwork {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wires
}
