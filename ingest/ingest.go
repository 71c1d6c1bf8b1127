// Package ingest is how events come in: it receives what the event handlers of Janus send and writes each event,
// unchanged, to the event log. One file per transport (http.go), one for the way out (publisher.go).
//
// It promises that nothing it answered for is ever lost: a sender gets its answer when every event of its body is
// acknowledged by Kafka or parked in the dead letter topic, and no answer at all otherwise, because Janus takes any
// answer, 500 included, as delivered. The order of one sender is kept. Everything it holds in memory is bounded. It
// touches the network: it listens for senders, and writes to Kafka through package kafka.
package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"

	"januscdr/kafka"
)

// What holds when an option is zero, and bounds that are no options.
const (
	defaultListen   = "127.0.0.1:8090"
	defaultPath     = "/events"
	defaultBody     = 32 << 20
	defaultEvent    = 1 << 20
	defaultDelivery = 8 * time.Second // Janus gives up at 10 s, and its clock began with the connection
	defaultInflight = 256 << 20
	maxConnections  = 1024
	maxHeader       = 64 << 10
	headerTimeout   = 5 * time.Second
	idleTimeout     = 2 * time.Minute // Janus opens a connection per request; this is for others
	stopTimeout     = 3 * time.Second // for bodies in flight when we are told to stop
	flushTimeout    = time.Second     // for what is still on its way to Kafka after that
)

// maxEventLimit is the largest event that our topics take: a record also has a key, at most as long, and headers.
const maxEventLimit = kafka.MaxMessageBytes - 128<<10

// Options say how events come in and where they go.
type Options struct {
	Kafka  kafka.Options
	Topics kafka.Topics // Events, DLQ and Partitions are used

	Listen      string        // host:port; port 0 takes a free one; 127.0.0.1:8090 when empty
	Path        string        // path of the URL that Janus posts to; /events when empty
	User        string        // of HTTP Basic authentication; empty: anybody may send
	Password    string        // of User
	Rules       []SenderRule  // names for senders; the first that fits counts
	TLS         *tls.Config   // nil: plain HTTP. A proxy in front must not do this: its 502 counts as delivered
	BodyLimit   int64         // bytes of a body as sent, and decompressed; 32 MiB when 0
	EventLimit  int64         // bytes of one event; 1 MiB when 0
	Delivery    time.Duration // from the head of a request to its answer, or to its end without one; 8 s when 0
	InflightMax int64         // bytes of bodies held at a time, and of records on their way to Kafka; 256 MiB when 0

	// Prepare is called when the port is open and before the first body is looked at: to wait for Kafka and to check
	// the topics. Senders are held meanwhile, because one that is refused tries for 3 s and then drops what it has. Nil:
	// all is prepared.
	Prepare func(ctx context.Context) error

	Log        hclog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: no metrics
}

func (o Options) withDefaults() Options {
	set := func(text *string, value string) {
		if *text == "" {
			*text = value
		}
	}
	set(&o.Listen, defaultListen)
	set(&o.Path, defaultPath)
	number := func(n *int64, value int64) {
		if *n == 0 {
			*n = value
		}
	}
	number(&o.BodyLimit, defaultBody)
	number(&o.EventLimit, defaultEvent)
	number(&o.InflightMax, max(defaultInflight, 2*o.BodyLimit))
	if o.Delivery == 0 {
		o.Delivery = defaultDelivery
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return o
}

// check says all that is wrong with the options at once.
func (o Options) check() error {
	var complaints []error
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Errorf(format, args...)) }
	if !strings.HasPrefix(o.Path, "/") {
		complain("path %q does not begin with a slash", o.Path)
	}
	if o.User == "" && o.Password != "" {
		complain("a password without a user: Janus sends both or none")
	}
	if o.User != "" && o.Password == "" {
		complain("user %q has no password: Janus sends both or none", o.User)
	}
	if o.EventLimit < 0 || o.EventLimit > maxEventLimit {
		complain("event limit of %d bytes is not possible: the topics take up to %d", o.EventLimit, maxEventLimit)
	}
	if o.BodyLimit < o.EventLimit {
		complain("body limit of %d bytes is below the event limit of %d", o.BodyLimit, o.EventLimit)
	}
	if o.InflightMax < 2*o.BodyLimit {
		complain("%d bytes in flight are not enough for one body of %d and its decompressed form", o.InflightMax, o.BodyLimit)
	}
	if o.Delivery < 0 || o.Delivery >= 10*time.Second {
		complain("delivery timeout of %v is not possible: Janus gives up at 10s", o.Delivery)
	}
	if o.Topics.Events == "" || o.Topics.DLQ == "" {
		complain("the names of the topics for events and for parked events are needed")
	}
	if o.Topics.Partitions < 1 {
		complain("%d partitions are not possible: say how many the event topic has", o.Topics.Partitions)
	}
	for i, rule := range o.Rules {
		if err := rule.check(o.User); err != nil {
			complain("sender rule %d: %w", i+1, err)
		}
	}
	return errors.Join(complaints...)
}

// Server receives events and writes them to Kafka. It is used once: Start, then Stop; or Run, which does both.
type Server struct {
	options   Options
	log       hclog.Logger
	publisher *KafkaPublisher
	metrics   *metrics
	http      *http.Server
	source    *httpSource
	listener  net.Listener
	served    chan error // what ended the serving, once
	stopAlive context.CancelFunc
	working   sync.WaitGroup
}

// New makes a server and its producer; nothing is connected or opened yet. The error names all options that are wrong.
// The topics must exist and be as they should be by the time of Start: see inspect.CheckTopics.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("make ingest: %w", err)
	}
	m := newMetrics(o.Registerer)
	publisher, err := NewKafkaPublisher(o, m)
	if err != nil {
		return nil, fmt.Errorf("make ingest: %w", err)
	}
	s := &Server{options: o, log: o.Log, publisher: publisher, metrics: m, served: make(chan error, 1)}
	s.source = newHTTPSource(o, publisher, m)
	return s, nil
}

// Start opens the port, prepares, and serves in the background. The error of a port that is in use says what to do.
// After an error nothing is left running. The context is for preparing only.
func (s *Server) Start(ctx context.Context) error {
	if err := s.listen(); err != nil {
		s.Close()
		return err
	}
	if s.options.Prepare != nil {
		if err := s.options.Prepare(ctx); err != nil {
			return errors.Join(err, s.Stop())
		}
	}
	s.source.admit()
	s.log.Info("ingest takes events", "address", s.Addr().String(), "path", s.options.Path,
		"authentication", s.options.User != "", "tls", s.options.TLS != nil)
	return nil
}

// listen opens the port and begins to serve; senders are held until they are admitted.
func (s *Server) listen() error {
	listener, err := net.Listen("tcp", s.options.Listen)
	if err != nil {
		return listenError(s.options.Listen, err)
	}
	s.listener = listener
	s.http = s.source.server(s.log)
	limited := netutil.LimitListener(listener, maxConnections)
	if s.options.TLS != nil {
		limited = tls.NewListener(limited, s.options.TLS)
	}
	s.working.Go(func() {
		if err := s.http.Serve(limited); !errors.Is(err, http.ErrServerClosed) {
			s.served <- fmt.Errorf("serve events on %s: %w", listener.Addr(), err)
		}
	})
	alive, cancel := context.WithCancel(context.Background())
	s.stopAlive = cancel
	s.working.Go(func() { s.publisher.keepAlive(alive) })
	return nil
}

// Trouble says why what came lately could not be made safe, or is empty. It forgets after half a minute: a server that
// is asked for nothing because it told of trouble would never know that it is over.
func (s *Server) Trouble() string { return s.publisher.trouble.now(time.Now()) }

// Addr is where the server listens; valid after Start.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Stop ends in order: no new connections, bodies in flight get up to 3 s for their answer, what is on its way to Kafka
// up to 1 s more. What is not answered by then never will be, and its sender tries again.
func (s *Server) Stop() error {
	s.log.Info("ingest stops")
	s.source.stop()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.log.Warn("connections did not end in time and are cut", "error", err)
		s.http.Close()
	}
	s.stopAlive()
	s.working.Wait()
	s.publisher.Close(flushTimeout)
	s.log.Info("ingest stopped")
	return nil
}

// Close frees what New made, of a server that is never started.
func (s *Server) Close() { s.publisher.Close(0) }

// Run serves until the context ends, then stops in order. It returns nil after an orderly stop.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return s.Stop()
	case err := <-s.served:
		return errors.Join(err, s.Stop())
	}
}
