package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	maxNanomsgConnections = 256
	dialAgain             = time.Second // between two tries to connect
	greetingTime          = 5 * time.Second
)

// Nanomsg receives what Janus' nanomsgevh publishes: messages of one event, or of an array of up to 100, of the pattern
// PUB/SUB over tcp or ipc. Janus listens, with mode "bind", and we connect to its address; or we listen, and Janus
// connects.
//
// A publisher drops what nobody is there to take, and what a subscriber does not take fast enough: while there is no
// connection, and while nothing is read because what was read is not safe. A spool keeps the second one short.
//
// What it needs of nanomsg's protocol is a greeting of 8 bytes and a length before each message, so it brings its own:
// the subscriptions of PUB/SUB are the subscriber's own affair.
type Nanomsg struct {
	Connect []string // addresses where a Janus listens: tcp://host:port or ipc:///path
	Listen  []string // addresses to listen on; of a path, what a process left there that is gone is removed

	receiver  *Receiver
	listeners []net.Listener
	crew      crew
}

// Name is the word for this source.
func (*Nanomsg) Name() string { return "nanomsg" }

// Check says all that is wrong with the options.
func (s *Nanomsg) Check(Options) (complaints []error) {
	if len(s.Connect)+len(s.Listen) == 0 {
		complaints = append(complaints, errors.New("an address to connect to or to listen on is needed"))
	}
	for _, address := range append(append([]string{}, s.Connect...), s.Listen...) {
		if _, _, err := spAddress(address); err != nil {
			complaints = append(complaints, err)
		}
	}
	return complaints
}

// spAddress reads an address as nanomsg writes it.
func spAddress(address string) (network, where string, err error) {
	scheme, where, _ := strings.Cut(address, "://")
	switch {
	case scheme == "tcp" && where != "":
		host, port, err := net.SplitHostPort(where)
		if err != nil || port == "" {
			return "", "", fmt.Errorf("address %q: write tcp://host:port", address)
		}
		if host == "*" { // all interfaces, to nanomsg
			where = ":" + port
		}
		return "tcp", where, nil
	case scheme == "ipc" && where != "":
		return "unix", where, nil
	}
	return "", "", fmt.Errorf("address %q: write tcp://host:port or ipc:///path", address)
}

// Open opens the ports to listen on.
func (s *Nanomsg) Open(r *Receiver) ([]any, error) {
	s.receiver = r
	for _, address := range s.Listen {
		network, where, err := spAddress(address)
		if err != nil {
			return nil, err
		}
		if network == "unix" {
			removeDeadSocket(where)
		}
		listener, err := net.Listen(network, where)
		if err != nil {
			s.close()
			return nil, listenError(address, "--ingest-nanomsg-listen", err)
		}
		s.listeners = append(s.listeners, listener)
	}
	return []any{"listens", s.Listen, "connects", s.Connect}, nil
}

// removeDeadSocket removes the socket of a process that is gone, as nanomsg does.
func removeDeadSocket(path string) {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return
	}
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return
	}
	_ = os.Remove(path) // else listening fails, and says so
}

func (s *Nanomsg) close() {
	for _, l := range s.listeners {
		l.Close()
	}
}

// Addrs is where it listens; valid after Open.
func (s *Nanomsg) Addrs() []net.Addr {
	var all []net.Addr
	for _, l := range s.listeners {
		all = append(all, l.Addr())
	}
	return all
}

// Serve takes messages until the context ends.
func (s *Nanomsg) Serve(ctx context.Context) error {
	defer s.close()
	select {
	case <-s.receiver.Ready():
	case <-ctx.Done():
		return nil
	}
	hand, cancel := inHand(ctx)
	defer cancel()
	failed := make(chan error, len(s.listeners))
	var working sync.WaitGroup
	for _, l := range s.listeners {
		limited := s.receiver.guard(l, maxNanomsgConnections, s.Name())
		working.Go(func() {
			failed <- acceptEach(ctx, limited, &s.crew, func(conn net.Conn) {
				_ = s.take(ctx, hand, conn, remote(conn.RemoteAddr().String()).String())
			})
		})
	}
	for _, address := range s.Connect {
		working.Go(func() { s.connect(ctx, hand, address) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.close()
	if err == nil {
		working.Wait()
	}
	s.crew.dismiss()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// connect connects to a Janus that listens, again and again, until the context ends.
func (s *Nanomsg) connect(ctx, hand context.Context, address string) {
	network, where, _ := spAddress(address) // checked
	dialer := net.Dialer{Timeout: greetingTime}
	for ctx.Err() == nil {
		conn, err := dialer.DialContext(ctx, network, where)
		if err == nil {
			err = s.take(ctx, hand, conn, where)
			conn.Close()
		}
		if ctx.Err() == nil {
			s.receiver.throttled.warn("no connection, and what janus publishes meanwhile is lost",
				Sender{Source: s.Name(), Path: address}, "address", address, "error", err)
		}
		pause(ctx, dialAgain)
	}
}

// take takes the messages of a connection until it ends.
func (s *Nanomsg) take(ctx, hand context.Context, conn net.Conn, where string) error {
	from := Sender{Source: s.Name(), Address: remote(conn.RemoteAddr().String())}
	ipc := conn.RemoteAddr().Network() == "unix"
	_ = conn.SetDeadline(time.Now().Add(greetingTime))
	if err := greet(conn); err != nil {
		s.receiver.throttled.warn("connection is none of a publisher of nanomsg", from, "error", err)
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	s.receiver.log.Info("connected", "sender", from.String(), "address", where, "source", from.Source)
	establish(conn)
	lane := newLane(hand, s.receiver)
	defer lane.close()
	lane.cut = func() { conn.Close() }
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now().Add(lastWords)) })()
	err := s.messages(hand, lane, from, conn, ipc)
	s.receiver.log.Info("disconnected", "sender", from.String(), "address", where, "source", from.Source, "reason", err)
	return err
}

// messages takes messages until the stream ends; the error is never nil.
func (s *Nanomsg) messages(hand context.Context, lane *lane, from Sender, in io.Reader, ipc bool) error {
	for {
		length, err := messageHead(in, ipc)
		if err != nil {
			return err
		}
		message := &exactly{in: in, left: length}
		err = lane.read(hand, from, message)
		if err == nil && message.left > 0 { // over all limits
			err = fmt.Errorf("%d bytes of a message are not read", message.left)
		}
		if err != nil {
			s.receiver.metrics.body(from.Source, fateAborted)
			s.receiver.throttled.warn("body did not come as a whole", from, "error", err)
			return err
		}
	}
}

// Protocols of nanomsg's scalability protocols, as the greeting says them.
const (
	protocolPub = 2 << 4
	protocolSub = 2<<4 | 1
)

// greet says that we subscribe, and wants to hear that the other side publishes.
func greet(conn io.ReadWriter) error {
	if _, err := conn.Write([]byte{0, 'S', 'P', 0, 0, protocolSub, 0, 0}); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	var said [8]byte
	if _, err := io.ReadFull(conn, said[:]); err != nil {
		return fmt.Errorf("read the greeting: %w", err)
	}
	if string(said[:4]) != "\x00SP\x00" {
		return fmt.Errorf("greeted with % x, which is none of nanomsg", said)
	}
	if p := binary.BigEndian.Uint16(said[4:]); p != protocolPub {
		return fmt.Errorf("the other side does not publish: it speaks protocol %d.%d", p>>4, p&15)
	}
	return nil
}

// messageHead reads the length of the message that follows.
func messageHead(in io.Reader, ipc bool) (int64, error) {
	var head [9]byte
	at := head[1:]
	if ipc { // one byte more, for messages that would lie in shared memory
		at = head[:]
	}
	if _, err := io.ReadFull(in, at); err != nil {
		return 0, err
	}
	if ipc && head[0] != 1 {
		return 0, fmt.Errorf("a message of kind %d, which nobody knows", head[0])
	}
	length := binary.BigEndian.Uint64(head[1:])
	if length > drainLimit {
		return 0, fmt.Errorf("a message of %d bytes is too long to be read to its end", length)
	}
	return int64(length), nil
}

// exactly reads so many bytes; a stream that ends before is cut off.
type exactly struct {
	in   io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.in.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if e.left > 0 && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

var _ Source = (*Nanomsg)(nil)
