package ingest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/go-hclog"
)

const (
	defaultWebSocketListen = "127.0.0.1:8092"
	maxWebSockets          = 256              // connections; Janus has one
	pingEvery              = 20 * time.Second // to a connection
	silentTooLong          = 60 * time.Second // a connection from which nothing came, no pong either, is dead
	lastWords              = 2 * time.Second  // for what is on its way when we say that we go
)

// WebSocket receives what Janus' wsevh sends: messages of one event, or of an array of up to 100, over one connection
// that Janus opens and keeps.
//
// Janus forgets a message when it has written it to the connection, and nothing is answered. What was read is therefore
// kept until it is safe. While it is not, nothing more is read, and Janus keeps its events in memory, without a bound;
// a spool keeps that short. When we stop we say so by a close, and read what was sent until Janus has confirmed it:
// what it has by then comes over its next connection, which it opens a second later.
type WebSocket struct {
	Listen      string      // host:port; port 0 takes a free one; 127.0.0.1:8092 when empty
	Path        string      // path of the URL that Janus connects to; /events when empty
	Subprotocol string      // that Janus must offer; empty: any or none
	TLS         *tls.Config // nil: plain

	receiver *Receiver
	paths    map[string]bool
	listener net.Listener
	upgrader websocket.Upgrader
	crew     crew // of connections
	leave    context.Context
	hand     context.Context
}

// Name is the word for this source.
func (*WebSocket) Name() string { return "websocket" }

func (s *WebSocket) listen() string { return cmp.Or(s.Listen, defaultWebSocketListen) }

func (s *WebSocket) path() string { return cmp.Or(s.Path, defaultPath) }

// Check says all that is wrong with the options.
func (s *WebSocket) Check(Options) (complaints []error) {
	if !strings.HasPrefix(s.path(), "/") {
		complaints = append(complaints, fmt.Errorf("path %q does not begin with a slash", s.Path))
	}
	return complaints
}

// Open opens the port.
func (s *WebSocket) Open(r *Receiver) ([]any, error) {
	listener, err := net.Listen("tcp", s.listen())
	if err != nil {
		return nil, listenError(s.listen(), "--ingest-websocket-listen", err)
	}
	s.listener, s.receiver = listener, r
	s.paths = r.rules.paths(s.path())
	s.upgrader = websocket.Upgrader{
		HandshakeTimeout: headerTimeout,
		ReadBufferSize:   16 << 10,
		CheckOrigin:      ownOrigin,
		Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
			http.Error(w, reason.Error(), status)
		},
	}
	return []any{"address", s.Addr().String(), "path", s.path(), "subprotocol", s.Subprotocol, "tls", s.TLS != nil}, nil
}

// Addr is where it listens; valid after Open.
func (s *WebSocket) Addr() net.Addr { return s.listener.Addr() }

// ownOrigin refuses the page of a browser, which could otherwise send to an address that only its machine reaches.
// Janus names the host that it connects to, without the port.
func ownOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return strings.EqualFold(u.Hostname(), strings.Trim(host, "[]"))
}

// Serve takes connections until the context ends.
func (s *WebSocket) Serve(ctx context.Context) error {
	defer s.listener.Close()
	select {
	case <-s.receiver.Ready():
	case <-ctx.Done():
		return nil
	}
	hand, cancel := inHand(ctx)
	defer cancel()
	s.leave, s.hand = ctx, hand
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           s,
		Protocols:         &protocols,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withGuarded,
		ErrorLog:          s.receiver.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	server.SetKeepAlivesEnabled(false)
	limited := s.receiver.guard(s.listener, maxWebSockets, s.Name())
	if s.TLS != nil {
		limited = tls.NewListener(limited, s.TLS)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(limited) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve events on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	server.Close() // not those that are connections of WebSocket by now
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve events on %s: %w", s.Addr(), err)
	}
	s.crew.dismiss()
	return nil
}

// ServeHTTP makes a request a connection of WebSocket, and takes what comes over it.
func (s *WebSocket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from := Sender{Source: s.Name(), Address: remote(r.RemoteAddr), Path: r.URL.Path, Certificate: certificateOf(r)}
	if !s.paths[r.URL.Path] {
		s.receiver.Refuse(from, RefusedPath)
		http.Error(w, "januscdr takes no events here", http.StatusNotFound)
		return
	}
	offered := websocket.Subprotocols(r)
	upgrader := s.upgrader
	switch {
	case s.Subprotocol != "":
		upgrader.Subprotocols = []string{s.Subprotocol}
		if !slices.Contains(offered, s.Subprotocol) && websocket.IsWebSocketUpgrade(r) {
			s.receiver.Refuse(from, RefusedCredentials)
			http.Error(w, "this subprotocol is not taken", http.StatusForbidden)
			return
		}
	case len(offered) > 0:
		upgrader.Subprotocols = offered[:1]
	}
	if !s.crew.join() {
		return
	}
	defer s.crew.leave()
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.receiver.throttled.warn("connection is no websocket", from, "error", err)
		return
	}
	if c := guardedOf(r.Context()); c != nil {
		establish(c)
	}
	s.take(conn, from)
}

// take reads messages until the connection ends, and waits until they are safe.
func (s *WebSocket) take(conn *websocket.Conn, from Sender) {
	defer conn.Close()
	log := s.receiver.log
	log.Info("connected", "sender", from.String(), "path", from.Path, "source", from.Source)
	lane := newLane(s.hand, s.receiver)
	defer lane.close()
	lane.cut = func() { conn.Close() }

	read, stopReading := context.WithCancel(s.hand)
	defer stopReading()
	defer context.AfterFunc(read, func() { conn.Close() })()
	defer context.AfterFunc(s.leave, func() {
		bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "ingest stops")
		_ = conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(lastWords))
		time.AfterFunc(lastWords, stopReading)
	})()
	var pinging sync.WaitGroup
	pinging.Go(func() { ping(read, conn) })
	defer pinging.Wait()
	defer stopReading()

	alive := func() { _ = conn.SetReadDeadline(time.Now().Add(silentTooLong)) }
	conn.SetPongHandler(func(string) error {
		alive()
		return nil
	})
	for {
		alive()
		_, message, err := conn.NextReader()
		if err != nil {
			log.Info("disconnected", "sender", from.String(), "path", from.Path, "source", from.Source, "reason", err)
			return
		}
		if err := lane.read(read, from, patient{message, alive}); err != nil {
			s.receiver.metrics.body(from.Source, fateAborted)
			s.receiver.throttled.warn("body did not come as a whole", from, "error", err)
			return
		}
	}
}

// patient is a stream that has a new deadline for each read.
type patient struct {
	io.Reader
	alive func()
}

func (p patient) Read(b []byte) (int, error) {
	p.alive()
	return p.Reader.Read(b)
}

// ping asks for a sign of life until the context ends.
func ping(ctx context.Context, conn *websocket.Conn) {
	every := time.NewTicker(pingEvery)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			if conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(headerTimeout)) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

var _ Source = (*WebSocket)(nil)

var _ http.Handler = (*WebSocket)(nil)
