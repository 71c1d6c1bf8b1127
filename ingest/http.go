package ingest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// httpSource receives what Janus' sampleevh posts: one event, or an array of up to 100, plain or gzipped; a new
// connection for each request, one request at a time.
//
// Janus takes any answer as delivered, whatever its status, and tries again only when there is none: 5 times by
// default, after 100 ms and then twice as long each time, and then the body is lost. So there are two ends: 200 when all
// of a body is safe, and a connection that is closed without an answer. And the time until that end is used up: to close
// at once would burn the tries of a sender in 3 s, to wait for Kafka as long as the sender waits gives it a minute.
type httpSource struct {
	senders   *senders
	reader    *reader
	seen      *retransmissions
	publisher Publisher
	sorters   sync.Pool
	delivery  time.Duration
	admitted  chan struct{} // closed when bodies may be looked at
	stopping  chan struct{} // closed when we are told to stop
	metrics   *metrics
	log       hclog.Logger
	quiet     *quiet
}

// retryPublish is the pause after Kafka refused a body, before it is asked again for the same sender.
const retryPublish = 100 * time.Millisecond

func newHTTPSource(o Options, p Publisher, m *metrics) *httpSource {
	return &httpSource{
		senders:   newSenders(o),
		reader:    &reader{limit: o.BodyLimit, budget: newBudget(o.InflightMax, m.inflight)},
		seen:      newRetransmissions(),
		publisher: p,
		sorters:   sync.Pool{New: func() any { return &sorter{eventLimit: o.EventLimit} }},
		delivery:  o.Delivery,
		admitted:  make(chan struct{}),
		stopping:  make(chan struct{}),
		metrics:   m,
		log:       o.Log,
		quiet:     newQuiet(o.Log),
	}
}

// server is the HTTP server of this source. It speaks HTTP/1.1 only: a stream of HTTP/2 cannot be left unanswered
// without leaving its neighbours unanswered.
func (s *httpSource) server(log hclog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           s,
		Protocols:         &protocols,
		ReadHeaderTimeout: min(headerTimeout, s.delivery),
		ReadTimeout:       s.delivery, // of head and body; a sender that takes longer gives up anyway
		WriteTimeout:      s.delivery + headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
}

// admit lets senders through that were held until now.
func (s *httpSource) admit() { close(s.admitted) }

// stop lets bodies in flight have their answer, and refuses what comes now.
func (s *httpSource) stop() { close(s.stopping) }

// ServeHTTP answers when the body is safe, and closes the connection when it is not.
func (s *httpSource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost { // no Janus, so an answer loses nothing
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "januscdr takes events by POST", http.StatusMethodNotAllowed)
		return
	}
	if s.receive(r) {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		return
	}
	hangUp(w)
}

// hangUp ends the connection before any byte of an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // does the same, less politely
	}
	conn.Close()
}

// receive makes a body safe and tells whether to answer.
func (s *httpSource) receive(r *http.Request) (answer bool) {
	ctx, cancel := context.WithTimeout(r.Context(), s.delivery)
	defer cancel()
	who, why := s.senders.of(r)
	if why == "" {
		why = s.held(ctx)
	}
	if why != "" {
		return s.refuse(who, why)
	}
	body, err := s.reader.read(ctx, r, who)
	defer func() { s.reader.budget.give(body.held) }()
	switch {
	case errors.Is(err, errBusy):
		return s.refuse(who, refusedBusy)
	case err != nil:
		s.metrics.bodies.WithLabelValues(string(outcomeAborted)).Inc()
		s.quiet.warn("body did not come as a whole", who, "error", err)
		return false
	}
	s.metrics.bytes.Add(float64(body.length))

	whose := sight{address: who.address, user: who.user, path: who.path}
	for {
		f, isNew := s.seen.begin(whose, body.hash)
		if isNew {
			return s.deliver(ctx, who, body, func(safe bool) { s.seen.end(whose, body.hash, f, safe) })
		}
		select {
		case <-f.done:
			if f.safe {
				s.metrics.bodies.WithLabelValues(string(outcomeRepeated)).Inc()
				s.log.Debug("body had come before", "sender", who.String(), "bytes", body.length)
				return true
			}
			// The first one failed meanwhile: now this one is the first.
		case <-ctx.Done():
			return s.unacknowledged(who, errUnacknowledged)
		}
	}
}

// held waits until senders are admitted; the refusal is empty then.
func (s *httpSource) held(ctx context.Context) refusal {
	if s.stopped() {
		return refusedStopping
	}
	select {
	case <-s.admitted:
		return ""
	case <-s.stopping:
		return refusedStopping
	case <-ctx.Done():
		return refusedStarting
	}
}

// deliver publishes a body until it is safe or time is over. The end is told when the fate of all records is known,
// which can be later.
func (s *httpSource) deliver(ctx context.Context, who sender, body posted, end func(safe bool)) (answer bool) {
	batch := &Batch{}
	defer func() { batch.Settled(func(err error) { end(err == nil) }) }()
	if body.parked != nil {
		batch = &Batch{Emitter: who.emitter, Parked: []Parked{*body.parked}}
	} else {
		sorter := s.sorters.Get().(*sorter)
		batch = sorter.sort(who, body.sent, body.plain)
		s.sorters.Put(sorter)
	}
	for {
		err := s.publisher.Publish(ctx, batch)
		if err == nil {
			break
		}
		if !s.mayRetry(ctx) {
			return s.unacknowledged(who, err)
		}
	}
	s.metrics.bodies.WithLabelValues(string(outcomeAcknowledged)).Inc()
	for _, parked := range batch.Parked {
		s.quiet.warn("parked", who, "error", string(parked.Code), "reason", parked.Reason, "bytes", parked.Length)
	}
	if s.log.IsTrace() {
		s.log.Trace("body acknowledged", "sender", who.String(), "bytes", body.length, "events", len(batch.Events))
	}
	return true
}

// mayRetry pauses, and tells whether there is time for another try.
func (s *httpSource) mayRetry(ctx context.Context) bool {
	if ctx.Err() != nil || s.stopped() {
		return false
	}
	timer := time.NewTimer(retryPublish)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.stopping:
	}
	return false
}

func (s *httpSource) stopped() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// refuse counts a body that was not looked at.
func (s *httpSource) refuse(who sender, why refusal) bool {
	s.metrics.bodies.WithLabelValues(string(outcomeRefused)).Inc()
	s.metrics.refused.WithLabelValues(string(why)).Inc()
	s.quiet.warn("body refused", who, "reason", string(why), "path", who.path)
	return false
}

// unacknowledged counts a body that could not be made safe.
func (s *httpSource) unacknowledged(who sender, err error) bool {
	why := refusedKafka
	switch {
	case errors.Is(err, errNoRoom):
		why = refusedBuffer
	case errors.Is(err, errUnacknowledged):
		why = refusedTimeout
	}
	s.metrics.bodies.WithLabelValues(string(outcomeUnacknowledged)).Inc()
	s.metrics.refused.WithLabelValues(string(why)).Inc()
	s.quiet.warn("body not safe, left without an answer", who, "reason", string(why), "error", err)
	return false
}

var _ http.Handler = (*httpSource)(nil)
