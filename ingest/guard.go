package ingest

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// guard is a port with a bound on its connections. When there are as many, room is made for a new one: by ending the
// oldest connection of the stranger who has most, or of a known sender who has more than a third of all. So a sender
// finds a way in whoever else holds connections open. If there is nobody like that, the new one waits.
type guard struct {
	net.Listener
	most  int
	whose func(netip.Addr) party
	open  prometheus.Gauge
	ended prometheus.Counter // to make room

	mu      sync.Mutex
	all     int
	groups  map[party]*list.List // of *guarded, the oldest first
	left    chan struct{}        // one may have left, who was waited for
	arrived uint64
}

// guarded is a connection that counts.
type guarded struct {
	net.Conn
	guard *guard
	of    party
	place *list.Element // in the list of its party; nil when it has left
	age   uint64
	alive context.Context // ends with the connection, as far as we end it
	end   context.CancelFunc
}

func newGuard(l net.Listener, most int, whose func(netip.Addr) party, m *guardMetrics, source string) *guard {
	return &guard{Listener: l, most: most, whose: whose, groups: map[party]*list.List{}, left: make(chan struct{}, 1),
		open: m.open.WithLabelValues(source), ended: m.ended.WithLabelValues(source)}
}

// Accept returns the next connection when there is room for it.
func (g *guard) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		switch {
		case err == nil:
			return g.admit(conn), nil
		case (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)) && g.makeRoom():
			// there is a descriptor now
		default:
			return nil, err
		}
	}
}

func (g *guard) admit(conn net.Conn) net.Conn {
	ctx, cancel := context.WithCancel(context.Background())
	c := &guarded{Conn: conn, guard: g, of: g.whose(remote(conn.RemoteAddr().String())), alive: ctx, end: cancel}
	for !g.enter(c) {
		if !g.makeRoom() {
			<-g.left // of a port that is closed the connections end, too
		}
	}
	return c
}

// enter counts a connection, if there is room.
func (g *guard) enter(c *guarded) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= g.most {
		return false
	}
	g.arrived++
	c.age = g.arrived
	g.count(1)
	g.join(c, c.of)
	return true
}

func (g *guard) count(n int) {
	g.all += n
	g.open.Set(float64(g.all))
}

func (g *guard) join(c *guarded, of party) {
	group := g.groups[of]
	if group == nil {
		group = list.New()
		g.groups[of] = group
	}
	c.of, c.place = of, group.PushBack(c)
}

func (g *guard) leave(c *guarded) {
	group := g.groups[c.of]
	group.Remove(c.place)
	c.place = nil
	if group.Len() == 0 {
		delete(g.groups, c.of)
	}
}

// makeRoom ends a connection, and tells whether there was one to end.
func (g *guard) makeRoom() bool {
	c := g.payer()
	if c == nil {
		return false
	}
	g.ended.Inc()
	c.Close()
	return true
}

// payer is the connection that is ended first.
func (g *guard) payer() *guarded {
	g.mu.Lock()
	defer g.mu.Unlock()
	var payer *guarded
	var most int
	for of, group := range g.groups {
		oldest := group.Front().Value.(*guarded)
		switch {
		case of.known && group.Len() <= g.most/3:
			continue
		case payer != nil && payer.of.known != of.known:
			if of.known {
				continue
			}
		case payer != nil && (group.Len() < most || group.Len() == most && oldest.age > payer.age):
			continue
		}
		payer, most = oldest, group.Len()
	}
	return payer
}

// establish counts a connection that was used as it should be as that of a known sender, where senders stay connected:
// it does not make room for those who only connect.
func establish(conn net.Conn) {
	if c, ok := conn.(*guarded); ok {
		c.guard.mu.Lock()
		of := c.of
		c.guard.mu.Unlock()
		c.prove(party{"connected " + of.name, true})
	}
}

// prove counts a connection as that of a sender who has shown who it is.
func (c *guarded) prove(of party) {
	g := c.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.place == nil || c.of == of {
		return
	}
	g.leave(c)
	g.join(c, of)
}

// Close ends the connection.
func (c *guarded) Close() error {
	c.end()
	err := c.Conn.Close()
	g := c.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.place == nil {
		return err
	}
	g.leave(c)
	g.count(-1)
	select {
	case g.left <- struct{}{}:
	default:
	}
	return err
}

// CloseWrite ends our half; a server does so before it closes a connection of which something may still come.
func (c *guarded) CloseWrite() error {
	if tcp, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return tcp.CloseWrite()
	}
	return nil
}

type guardedKey struct{}

// withGuarded lets a handler know the connection of a request.
func withGuarded(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if c, ok := conn.(*guarded); ok {
		return context.WithValue(ctx, guardedKey{}, c)
	}
	return ctx
}

// guardedOf is the connection of a request; nil in a test without one.
func guardedOf(ctx context.Context) *guarded {
	c, _ := ctx.Value(guardedKey{}).(*guarded)
	return c
}
