// Package ingest is how events come in: it receives what the event handlers of Janus send and writes each event,
// unchanged, to the event log. One file per source, which knows its transport (http.go); one for what they all ask and
// which knows none (receiver.go); one for the way out (publisher.go).
//
// It promises that nothing is ever lost that it called safe: a body is when every event of it is acknowledged by Kafka
// or parked in the dead letter topic, or fsynced in the spool on the way to there (spooled.go), and else its sender is
// made to send it again. The order of one sender is kept. Everything it holds in memory is bounded. It touches the
// network and what its sources touch, and the directory of the spool: it listens for senders, and writes to Kafka
// through package kafka.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"januscdr/kafka"
	"januscdr/spool"
)

// What holds when an option is zero, and bounds that are no options.
const (
	defaultBody     = 32 << 20
	defaultEvent    = 1 << 20
	defaultDelivery = 8 * time.Second // Janus gives up at 10 s, and its clock began with the connection
	defaultInflight = 256 << 20
	flushTimeout    = time.Second // for what is still on its way to Kafka when all sources have stopped
)

// maxEventLimit is the largest event that our topics take: a record also has a key, at most as long, and headers.
const maxEventLimit = kafka.MaxMessageBytes - 128<<10

// Options say how events come in and where they go.
type Options struct {
	Kafka  kafka.Options
	Topics kafka.Topics // Events, DLQ and Partitions are used

	Sources     []Source      // where bodies come from; one at least
	Rules       []SenderRule  // names for senders; the first that fits counts
	BodyLimit   int64         // bytes of a body as sent, and decompressed; 32 MiB when 0
	EventLimit  int64         // bytes of one event; 1 MiB when 0
	MinRate     int64         // bytes a second, below which a body is left after 3 s, and a stream after 30 s; 0: none
	SenderRate  int64         // bytes a second of one sender, decompressed, on the average; 0: any
	Delivery    time.Duration // from the beginning of a body to its outcome; 8 s when 0
	InflightMax int64         // bytes of bodies held at a time, and of records on their way to Kafka; 256 MiB when 0

	// Spool is where events wait that Kafka does not take; nil: they are left with the sender. With a spool bodies are
	// taken before Kafka was ever there, and Prepare is called beside.
	Spool *spool.Options

	// Prepare is called when the sources are open and before the first body is looked at: to wait for Kafka and to
	// check the topics. Senders are held meanwhile, because one that is refused tries for 3 s and then drops what it
	// has. Nil: all is prepared. It is called again, beside, when topics were deleted or made again while we run.
	Prepare func(ctx context.Context) error

	// Tap sees each body that came as a whole, decompressed, before it is known what becomes of it. It is called from many
	// goroutines, must be quick, and must not change the bytes; it may keep them. Nil: nobody looks.
	Tap func(from Sender, body []byte)

	Log        hclog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: no metrics

	emitters *emitters // that the receiver and the publisher know together
}

func (o Options) withDefaults() Options {
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
	if o.emitters == nil {
		o.emitters = newEmitters(o.Log)
	}
	return o
}

// anyKnown tells whether there is a way to tell senders from strangers.
func (o Options) anyKnown() bool {
	return len(o.Rules) > 0 || slices.ContainsFunc(o.Sources, func(s Source) bool {
		k, ok := s.(interface{ knows() bool })
		return ok && k.knows()
	})
}

// check says all that is wrong with the options at once.
func (o Options) check() error {
	var complaints []error
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Errorf(format, args...)) }
	if len(o.Sources) == 0 {
		complain("a source is needed")
	}
	if o.EventLimit < 0 || o.EventLimit > maxEventLimit {
		complain("event limit of %d bytes is not possible: the topics take up to %d", o.EventLimit, maxEventLimit)
	}
	if o.BodyLimit < o.EventLimit {
		complain("body limit of %d bytes is below the event limit of %d", o.BodyLimit, o.EventLimit)
	}
	if o.InflightMax < 2*o.BodyLimit {
		complain("%d bytes in flight are not enough for one body of %d and its decompressed form",
			o.InflightMax, o.BodyLimit)
	}
	if o.MinRate < 0 {
		complain("a minimum rate of %d bytes a second is not possible", o.MinRate)
	}
	if o.SenderRate < 0 {
		complain("a rate of %d bytes a second is not possible", o.SenderRate)
	}
	if o.Delivery < 0 {
		complain("delivery timeout of %v is not possible", o.Delivery)
	}
	if o.Topics.Events == "" || o.Topics.DLQ == "" {
		complain("the names of the topics for events and for parked events are needed")
	}
	if o.Topics.Partitions < 1 {
		complain("%d partitions are not possible: say how many the event topic has", o.Topics.Partitions)
	}
	for i, rule := range o.Rules {
		if err := rule.check(); err != nil {
			complain("sender rule %d: %w", i+1, err)
		}
	}
	for _, source := range o.Sources {
		for _, err := range source.Check(o) {
			complain("%s: %w", source.Name(), err)
		}
	}
	return errors.Join(complaints...)
}

// Server receives events and writes them to Kafka. It is used once: Start, then Stop; or Run, which does both.
type Server struct {
	options   Options
	log       hclog.Logger
	publisher *KafkaPublisher
	spooled   *spooledPublisher // nil: without a spool
	receiver  *Receiver
	ended     chan error // what ended the work of the sources, once: an error, or nil when all are at their end
	left      atomic.Int32
	stopTake  context.CancelFunc
	taking    sync.WaitGroup // the sources
	stopAlive context.CancelFunc
	working   sync.WaitGroup

	stopForward context.CancelFunc
}

// New makes a server and its producer; nothing is connected or opened yet. The error names all options that are wrong.
// The topics must exist and be as they should be by the time of Start: see inspect.CheckTopics.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("make ingest: %w", err)
	}
	publisher, err := NewKafkaPublisher(o)
	if err != nil {
		return nil, fmt.Errorf("make ingest: %w", err)
	}
	s := &Server{options: o, log: o.Log, publisher: publisher, ended: make(chan error, len(o.Sources)+1)}
	newEmitterMetrics(o.Registerer, o.emitters)
	if o.Spool == nil {
		s.receiver = newReceiver(o, publisher)
		return s, nil
	}
	s.spooled = newSpooledPublisher(publisher, o)
	s.receiver = newReceiver(o, s.spooled)
	newSpoolMetrics(o.Registerer, s.Spool)
	return s, nil
}

// Start opens the sources, prepares, and serves in the background. After an error nothing is left running. The context
// is for preparing only.
func (s *Server) Start(ctx context.Context) error {
	pairs, err := s.open()
	if err != nil {
		return errors.Join(err, s.Stop())
	}
	if s.spooled != nil {
		s.prepareBeside()
	} else if s.options.Prepare != nil {
		if err := s.options.Prepare(ctx); err != nil {
			return errors.Join(err, s.Stop())
		}
	}
	s.receiver.admit()
	for i, source := range s.options.Sources {
		s.log.Info("ingest takes events", append(pairs[i], "source", source.Name())...)
	}
	return nil
}

// prepareBeside waits for Kafka while bodies go to the spool, then forwards what is there. A Kafka that is there gets a
// moment, so that the first bodies need no disk.
func (s *Server) prepareBeside() {
	ctx, stop := context.WithCancel(context.Background())
	s.stopForward = stop
	s.working.Go(func() {
		if s.options.Prepare != nil {
			if err := s.options.Prepare(ctx); err != nil {
				if ctx.Err() == nil {
					s.ended <- err
				}
				return
			}
		}
		close(s.spooled.prepared)
		s.spooled.forward(ctx)
	})
	moment, cancel := context.WithTimeout(ctx, s.spooled.patience)
	defer cancel()
	select {
	case <-s.spooled.prepared:
	case <-moment.Done():
	}
}

// open opens the spool and the sources, and lets each begin as soon as it is open; bodies are held until they are
// admitted.
func (s *Server) open() (pairs [][]any, err error) {
	alive, stopAlive := context.WithCancel(context.Background())
	s.stopAlive = stopAlive
	s.stopTake = func() {}
	s.stopForward = func() {}
	if s.spooled != nil {
		if err := s.spooled.open(); err != nil {
			return nil, err
		}
	}
	s.working.Go(func() { s.publisher.keepAlive(alive) })
	s.working.Go(func() { s.options.emitters.watch(alive) })
	s.working.Go(func() { s.publisher.contact.Watch(alive, s.publisher.producer, s.log) })
	take, stopTake := context.WithCancel(context.Background())
	s.stopTake = stopTake
	s.left.Store(int32(len(s.options.Sources)))
	for _, source := range s.options.Sources {
		p, err := source.Open(s.receiver)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, p)
		s.taking.Go(func() {
			err := source.Serve(take)
			if s.left.Add(-1) == 0 || err != nil {
				s.ended <- err
			}
		})
	}
	return pairs, nil
}

// LastFailure says why what came lately could not be made safe, or is empty. It forgets after half a minute: a server
// that is asked for nothing because it told of a failure would never know that it is over.
func (s *Server) LastFailure() string { return s.receiver.failure.now(time.Now()) }

// Trouble is why the topics cannot be written since they were deleted, or made again; empty: they can.
func (s *Server) Trouble() string {
	if err := s.publisher.producer.Trouble(); err != nil {
		return err.Error()
	}
	return ""
}

// Spool tells how the spool is; false when there is none, or none yet.
func (s *Server) Spool() (spool.Stats, bool) {
	if s.spooled == nil {
		return spool.Stats{}, false
	}
	return s.spooled.stats()
}

// Stop ends in order: nothing new is taken, bodies in hand get up to 3 s for their answer, what is on its way to Kafka
// up to 1 s more. What is not answered by then never will be, and its sender tries again. What waits in the spool stays
// there.
func (s *Server) Stop() error {
	s.log.Info("ingest stops")
	s.receiver.stop()
	s.stopTake()
	s.taking.Wait()
	s.stopAlive()
	s.stopForward()
	s.working.Wait()
	s.publisher.Close(flushTimeout)
	var err error
	if s.spooled != nil {
		err = s.spooled.close()
	}
	s.log.Info("ingest stopped")
	return err
}

// Close frees what New made, of a server that is never started.
func (s *Server) Close() { s.publisher.Close(0) }

// Run serves until the context ends or all sources are at their end, then stops in order. It returns nil after that,
// and what a source failed with.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return s.Stop()
	case err := <-s.ended:
		return errors.Join(err, s.Stop())
	}
}
