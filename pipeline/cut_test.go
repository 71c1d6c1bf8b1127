package pipeline

import (
	"context"
	"encoding/binary"
	"net"
	"sync/atomic"
)

// cutter dials connections that can be cut after a request of a kind has reached the broker, so that its answer is
// lost.
type cutter struct {
	key   int16        // api key of the request
	err   error        // what the client sees
	armed atomic.Int64 // how many answers are to be lost
	cuts  atomic.Int64 // how many were
}

func (c *cutter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, cutter: c}, nil
}

type cutConn struct {
	net.Conn
	cutter *cutter
	cut    atomic.Bool
}

// Write passes a request on. franz-go writes one request at a time: four bytes of length, then the key.
func (c *cutConn) Write(b []byte) (int, error) {
	if len(b) >= 6 && int16(binary.BigEndian.Uint16(b[4:])) == c.cutter.key && c.cutter.armed.Add(-1) >= 0 {
		c.cut.Store(true)
	}
	return c.Conn.Write(b)
}

// Read reads an answer, so the broker has done what was asked, and loses it.
func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.cut.Load() {
		c.cutter.cuts.Add(1)
		c.Conn.Close()
		return 0, c.cutter.err
	}
	return n, err
}
