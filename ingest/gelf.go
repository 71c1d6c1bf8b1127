package ingest

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/go-faster/jx"
)

// Bounds of what GELF may do.
const (
	maxGELFConnections = 256
	maxDatagram        = 64 << 10
	maxChunks          = 128             // of a message, by the format
	maxOpenMessages    = 1024            // whose chunks have not all come
	maxOpenBytes       = 32 << 20        // of those chunks
	chunksTimeout      = 5 * time.Second // from the first chunk to the last, by the format
	chunkHead          = 12              // bytes: magic, message id, number, count
	udpBuffer          = 4 << 20         // of the kernel, if it lets us
)

// GELF receives what Janus' gelfevh sends: messages of GELF, of which each has one event in its member full_message. By
// TCP each ends with a zero byte; by UDP each is a datagram, or up to 128 chunks, plain or compressed by gzip or zlib.
// Other messages are taken whole, and parked if they are no event.
//
// Nothing is answered, and gelfevh connects once, when Janus starts: after a connection broke, its events are lost
// until Janus is started again. So a connection is kept whatever comes over it. By UDP whatever cannot be kept is lost
// silently, here or before; what is lost here is counted.
type GELF struct {
	TCP string // host:port to listen on; empty: not by TCP
	UDP string // the same for UDP

	receiver *Receiver
	listener net.Listener
	packets  *net.UDPConn
	crew     crew
}

// Name is the word for this source.
func (*GELF) Name() string { return "gelf" }

// Check says all that is wrong with the options.
func (g *GELF) Check(Options) (complaints []error) {
	if g.TCP == "" && g.UDP == "" {
		complaints = append(complaints, errors.New("an address to listen on is needed, for TCP or UDP"))
	}
	return complaints
}

// Open opens the ports.
func (g *GELF) Open(r *Receiver) (pairs []any, err error) {
	g.receiver = r
	if g.TCP != "" {
		if g.listener, err = net.Listen("tcp", g.TCP); err != nil {
			return nil, listenError(g.TCP, "--ingest-gelf-tcp", err)
		}
		pairs = append(pairs, "tcp", g.listener.Addr().String())
	}
	if g.UDP != "" {
		address, err := net.ResolveUDPAddr("udp", g.UDP)
		if err == nil {
			g.packets, err = net.ListenUDP("udp", address)
		}
		if err != nil {
			if g.listener != nil {
				g.listener.Close()
			}
			return nil, listenError(g.UDP, "--ingest-gelf-udp", err)
		}
		_ = g.packets.SetReadBuffer(udpBuffer) // as much as the system lets us
		pairs = append(pairs, "udp", g.packets.LocalAddr().String())
	}
	return pairs, nil
}

// TCPAddr is where it listens by TCP; valid after Open.
func (g *GELF) TCPAddr() net.Addr { return g.listener.Addr() }

// UDPAddr is where it listens by UDP; valid after Open.
func (g *GELF) UDPAddr() net.Addr { return g.packets.LocalAddr() }

// Serve takes messages until the context ends.
func (g *GELF) Serve(ctx context.Context) error {
	defer func() {
		if g.listener != nil {
			g.listener.Close()
		}
		if g.packets != nil {
			g.packets.Close()
		}
	}()
	select {
	case <-g.receiver.Ready():
	case <-ctx.Done():
		return nil
	}
	hand, cancel := inHand(ctx)
	defer cancel()
	var working sync.WaitGroup
	failed := make(chan error, 2)
	if g.listener != nil {
		working.Go(func() { failed <- g.accept(ctx, hand) })
	}
	if g.packets != nil {
		working.Go(func() { failed <- g.datagrams(ctx, hand) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	if g.listener != nil {
		g.listener.Close()
	}
	working.Wait()
	g.crew.dismiss()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// accept takes connections until the listener is closed.
func (g *GELF) accept(ctx, hand context.Context) error {
	limited := g.receiver.guard(g.listener, maxGELFConnections, g.Name())
	return acceptEach(ctx, limited, &g.crew, func(conn net.Conn) {
		from := Sender{Source: g.Name(), Address: remote(conn.RemoteAddr().String())}
		g.receiver.log.Info("connected", "sender", from.String(), "source", from.Source)
		lane := newLane(hand, g.receiver)
		defer lane.close()
		lane.cut = func() { conn.Close() }
		// What was sent before we stop is read, for a moment: whoever sends will not send it again.
		defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now().Add(lastWords)) })()
		err := g.stream(hand, lane, from, conn)
		if !errors.Is(err, io.EOF) && ctx.Err() == nil {
			g.receiver.throttled.warn("connection broke", from, "error", err)
		}
		g.receiver.log.Info("disconnected, and gelfevh does not connect again until janus is started anew",
			"sender", from.String(), "source", from.Source)
	})
}

// stream takes messages of a connection until it ends; the error is never nil.
func (g *GELF) stream(hand context.Context, lane *lane, from Sender, conn net.Conn) error {
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		message := &untilZero{in: in}
		begin, err := in.Peek(1)
		if err != nil {
			return err
		}
		if begin[0] == 0 { // between messages
			_, _ = in.Discard(1)
			continue
		}
		if err := lane.readAs(hand, from, message, eventOfGELF); err != nil {
			g.receiver.metrics.body(from.Source, fateAborted)
			return err
		}
		if _, err := io.Copy(io.Discard, message); err != nil { // of one over all limits
			return err
		}
		establish(conn)
	}
}

// untilZero reads up to a zero byte, which it takes and leaves out. A stream that ends before it is cut off.
type untilZero struct {
	in    *bufio.Reader
	ended bool
}

func (u *untilZero) Read(p []byte) (int, error) {
	if u.ended {
		return 0, io.EOF
	}
	if u.in.Buffered() == 0 {
		if _, err := u.in.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
	there, _ := u.in.Peek(min(u.in.Buffered(), len(p)))
	if i := bytes.IndexByte(there, 0); i >= 0 {
		u.ended = true
		n := copy(p, there[:i])
		_, _ = u.in.Discard(i + 1)
		return n, nil
	}
	n := copy(p, there)
	_, _ = u.in.Discard(n)
	return n, nil
}

// eventOfGELF is the event in a message, as its bytes stand there; a message without one is returned as it is.
func eventOfGELF(message []byte) []byte {
	d := jx.DecodeBytes(message)
	var event []byte
	err := d.ObjBytes(func(d *jx.Decoder, key []byte) error {
		if string(key) != "full_message" || d.Next() != jx.Object {
			return d.Skip()
		}
		raw, err := d.Raw()
		event = raw
		return err
	})
	if err != nil || event == nil {
		return message
	}
	return event
}

// datagrams takes datagrams until the context ends. Reading is never held up: what finds no room in the lane is lost.
func (g *GELF) datagrams(ctx, hand context.Context) error {
	lane := newLane(hand, g.receiver)
	defer lane.close()
	defer context.AfterFunc(ctx, func() { _ = g.packets.SetReadDeadline(time.Now()) })()
	open := newChunks()
	buffer := make([]byte, maxDatagram)
	for {
		n, peer, err := g.packets.ReadFromUDPAddrPort(buffer)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("read datagrams on %s: %w", g.packets.LocalAddr(), err)
		}
		from := Sender{Source: g.Name(), Address: peer.Addr().Unmap().WithZone("")}
		message, dropped := open.add(peer, buffer[:n], time.Now())
		if dropped > 0 {
			g.receiver.metrics.lose(g.Name(), dropped)
			g.receiver.throttled.warn("messages whose chunks did not all come are lost", from, "messages", dropped)
		}
		if message == nil {
			continue
		}
		if !lane.offer(from, g.unpacked(from, message)) {
			g.receiver.metrics.lose(g.Name(), 1)
			g.receiver.throttled.warn("message is lost: too many wait already", from, "bytes", len(message))
		}
	}
}

// unpacked is the event in a message of UDP. What cannot be decompressed stays as it is, and is parked as no JSON.
func (g *GELF) unpacked(from Sender, message []byte) []byte {
	limit := g.receiver.reader.limit
	var plain []byte
	var err error
	switch {
	case len(message) > 2 && message[0] == 0x1f && message[1] == 0x8b:
		guess := int64(binary.LittleEndian.Uint32(message[len(message)-4:]))
		plain, err = gunzip(message, min(guess, maxOpenBytes, limit))
	case len(message) > 2 && message[0]&0x0f == 8 && binary.BigEndian.Uint16(message)%31 == 0:
		plain, err = inflateZlib(message, min(maxOpenBytes, limit))
	default:
		plain = message
	}
	if err != nil {
		g.receiver.throttled.warn("message cannot be decompressed", from, "error", err)
		return message
	}
	return eventOfGELF(plain)
}

func inflateZlib(message []byte, limit int64) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err == nil && int64(len(plain)) > limit {
		err = errTooLong
	}
	return plain, err
}

// chunks are the messages whose chunks have not all come.
type chunks struct {
	open  map[chunkID]*chunked
	order []chunkID // the oldest first
	bytes int
}

// chunkID tells messages apart.
type chunkID struct {
	peer netip.AddrPort
	id   [8]byte
}

type chunked struct {
	since time.Time
	parts [][]byte
	left  int
	bytes int
}

func newChunks() *chunks { return &chunks{open: map[chunkID]*chunked{}} }

// add takes a datagram. It returns a message that is complete, in memory of its own, or nil, and how many were given
// up.
func (c *chunks) add(peer netip.AddrPort, datagram []byte, now time.Time) (message []byte, dropped int) {
	dropped = c.expire(now, len(datagram))
	if len(datagram) < 2 || datagram[0] != 0x1e || datagram[1] != 0x0f {
		return bytes.Clone(datagram), dropped
	}
	if len(datagram) < chunkHead {
		return nil, dropped + 1
	}
	number, count := int(datagram[10]), int(datagram[11])
	if count == 0 || count > maxChunks || number >= count {
		return nil, dropped + 1
	}
	id := chunkID{peer: peer, id: [8]byte(datagram[2:10])}
	m := c.open[id]
	if m == nil {
		m = &chunked{since: now, parts: make([][]byte, count), left: count}
		c.open[id] = m
		c.order = append(c.order, id)
	}
	if count != len(m.parts) {
		return nil, dropped // of another message with the same id: the first one goes on
	}
	if m.parts[number] != nil {
		return nil, dropped // once more
	}
	part := bytes.Clone(datagram[chunkHead:]) // an empty one too: gelfevh sends it when a message fills its chunks
	m.parts[number] = part
	m.left--
	m.bytes += len(part)
	c.bytes += len(part)
	if m.left > 0 {
		return nil, dropped
	}
	c.forget(id)
	return bytes.Join(m.parts, nil), dropped
}

// expire gives up what is too old, and the oldest as long as there is too little room for so many bytes more.
func (c *chunks) expire(now time.Time, more int) (dropped int) {
	for len(c.order) > 0 {
		oldest := c.order[0]
		m := c.open[oldest]
		switch {
		case m == nil: // complete meanwhile
			c.order = c.order[1:]
			continue
		case now.Sub(m.since) < chunksTimeout && len(c.open) < maxOpenMessages && c.bytes+more <= maxOpenBytes &&
			len(c.order) < 2*maxOpenMessages:
			return dropped
		}
		c.order = c.order[1:]
		c.forget(oldest)
		dropped++
	}
	return dropped
}

func (c *chunks) forget(id chunkID) {
	c.bytes -= c.open[id].bytes
	delete(c.open, id)
}

var _ Source = (*GELF)(nil)
