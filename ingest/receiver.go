package ingest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Result is what a source answers for a body.
type Result string

// The results. Delivered and Parked mean that all of the body is safe; it need not come again, and would not be written
// again if it did so soon.
const (
	Delivered Result = "delivered" // all of its events are in the log, or in the spool on the way there
	Parked    Result = "parked"    // so are those that can be understood, and the rest is in the dead letter topic
	TryAgain  Result = "try_again" // not all of it is safe: the sender must send it again, unchanged
)

// Outcome is what became of a body.
type Outcome struct {
	Result Result
	Events int    // of the body, that are in the log; 0 when it must come again
	Parked int    // parts of the body, or the body, in the dead letter topic
	Reason string // of Parked the first Code; of TryAgain a word of a closed set: timeout, kafka, busy, …
}

// Safe tells whether the sender may forget the body.
func (o Outcome) Safe() bool { return o.Result != TryAgain }

// Receiver makes bodies safe, for sources of any kind. A body is sorted into events and what will never do, and handed
// to the publisher until all of it is safe or the delivery timeout is over. The bodies it holds are bounded, and a body
// that comes again is known. Its methods may be called by several goroutines; the order of one sender is kept if the
// source waits for each outcome before it gives the next body.
type Receiver struct {
	publisher Publisher
	rules     *rules
	reader    *reader
	seen      *retransmissions
	sorters   sync.Pool
	delivery  time.Duration
	minRate   int64
	rates     *rates
	admitted  chan struct{} // closed when bodies may be looked at
	stopping  chan struct{} // closed when we are told to stop
	failure   lastFailure
	tap       func(Sender, []byte)
	metrics   *receiverMetrics
	log       hclog.Logger
	throttled *throttledLog

	connections *guardMetrics
}

// retryPublish is the pause after Kafka refused a body, before it is asked again for the same sender.
const retryPublish = 100 * time.Millisecond

func newReceiver(o Options, p Publisher) *Receiver {
	m := newReceiverMetrics(o.Registerer, o.Sources)
	return &Receiver{
		publisher: p,
		rules:     newRules(o.Rules),
		reader: &reader{limit: o.BodyLimit, turns: newTurns(),
			budget: newBudget(o.InflightMax, 2*o.BodyLimit+1, o.anyKnown(), m.inflight)},
		seen:      newRetransmissions(),
		sorters:   sync.Pool{New: func() any { return &sorter{eventLimit: o.EventLimit, emitters: o.emitters} }},
		delivery:  o.Delivery,
		minRate:   o.MinRate,
		rates:     newRates(o.SenderRate),
		tap:       o.Tap,
		admitted:  make(chan struct{}),
		stopping:  make(chan struct{}),
		metrics:   m,
		log:       o.Log,
		throttled: newThrottledLog(o.Log),

		connections: newGuardMetrics(o.Registerer),
	}
}

// guard bounds the connections of a source's port.
func (r *Receiver) guard(l net.Listener, most int, source string) net.Listener {
	whose := func(a netip.Addr) party { return r.rules.party(Sender{Source: source, Address: a}) }
	return newGuard(l, most, whose, r.connections, source)
}

// Ready is closed when the topics are checked. A body that comes before is held until then.
func (r *Receiver) Ready() <-chan struct{} { return r.admitted }

// admit lets bodies through that were held until now.
func (r *Receiver) admit() { close(r.admitted) }

// stop lets bodies in hand have their outcome, without another try, and refuses what comes now.
func (r *Receiver) stop() { close(r.stopping) }

// Receive makes a body safe that the source holds as a whole. The bytes are kept, and must not change, until they are
// acknowledged, which can be after an outcome of TryAgain. The encoding is that of HTTP: gzip, or empty. It waits no
// longer than the delivery timeout, and than the context lives.
func (r *Receiver) Receive(ctx context.Context, from Sender, encoding string, body []byte) Outcome {
	return r.receive(ctx, from, encoding, &incoming{whole: body, length: int64(len(body))})
}

// ReceiveStream is Receive for a body that is still to be read. Its length is negative when it is not known. It reads
// nothing before there is memory for it, of which a body gets more when more of it has come, and not to the end of a
// body that it refuses. A read must end by itself in time: neither the context nor the delivery timeout ends it.
func (r *Receiver) ReceiveStream(
	ctx context.Context, from Sender, encoding string, body io.Reader, length int64,
) Outcome {
	in := &incoming{stream: body, length: length}
	if c, ok := body.(interface{ cut() }); ok {
		in.cut = c.cut
	}
	return r.receive(ctx, from, encoding, in)
}

func (r *Receiver) receive(ctx context.Context, from Sender, encoding string, in *incoming) Outcome {
	ctx, cancel := context.WithTimeout(ctx, r.delivery)
	defer cancel()
	if from.emitter == "" {
		from.emitter = r.rules.emitter(from)
	}
	if why := r.held(ctx); why != "" {
		return r.Refuse(from, why)
	}
	claim := r.reader.budget.open(r.rules.party(from), in.cut)
	defer claim.close()
	body, err := r.reader.read(ctx, from, encoding, in, claim)
	switch {
	case errors.Is(err, errBusy) || err != nil && claim.wasCut():
		claim.close()
		r.rest(ctx)
		return r.Refuse(from, RefusedBusy)
	case errors.Is(err, errSlow):
		return r.Refuse(from, RefusedSlow)
	case err != nil:
		r.metrics.body(from.Source, fateAborted)
		r.throttled.warn("body did not come as a whole", from, "error", err)
		return Outcome{Result: TryAgain, Reason: string(fateAborted)}
	}
	r.metrics.bytes.Add(float64(body.length))
	if r.tap != nil && body.parked == nil {
		r.tap(from, body.plain)
	}

	identity := requestIdentity{source: from.Source, address: from.Address, user: from.User, path: from.Path}
	for {
		pending, isNew := r.seen.begin(identity, body.hash)
		if isNew {
			return r.deliver(ctx, from, body, claim.of, func(o Outcome) { r.seen.end(identity, body.hash, pending, o) })
		}
		select {
		case <-pending.done:
			if pending.outcome.Safe() {
				r.metrics.body(from.Source, fateRepeated)
				r.log.Debug("body had come before", "sender", from.String(), "bytes", body.length)
				return pending.outcome
			}
			// The first one failed meanwhile: now this one is the first.
		case <-ctx.Done():
			return r.unacknowledged(from, errUnacknowledged)
		}
	}
}

// rest lets a body without room be left when its time is over: at once would burn the tries of its sender.
func (r *Receiver) rest(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-r.stopping:
	}
}

// pause waits, but not longer than the context lives, or when all is to stop.
func (r *Receiver) pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	r.rest(ctx)
}

// held waits until bodies are admitted; the refusal is empty then.
func (r *Receiver) held(ctx context.Context) Refusal {
	if r.stopped() {
		return RefusedStopping
	}
	select {
	case <-r.admitted:
		return ""
	case <-r.stopping:
		return RefusedStopping
	case <-ctx.Done():
		return RefusedStarting
	}
}

// deliver publishes a body until it is safe or time is over. The end is told when the fate of all records is known,
// which can be later.
func (r *Receiver) deliver(
	ctx context.Context, from Sender, body received, who party, end func(Outcome),
) Outcome {
	batch := &Batch{} // until it is sorted: the end is told even if that panics
	defer func() {
		r.publisher.OnDone(batch, func(err error) {
			if err != nil {
				end(Outcome{Result: TryAgain})
				return
			}
			end(batch.outcome())
		})
	}()
	if !r.rates.admit(ctx, who, int64(len(body.plain))) {
		return r.Refuse(from, RefusedRate)
	}
	if body.parked != nil {
		batch = &Batch{Emitter: from.emitter, Parked: []DeadLetter{*body.parked}}
	} else {
		done, err := r.reader.turns.take(ctx, who, int64(len(body.plain)))
		if err != nil {
			return r.Refuse(from, RefusedBusy)
		}
		sorter := r.sorters.Get().(*sorter)
		batch = sorter.sort(from, body.sent, body.plain)
		batch.encoded(body.encoding)
		r.sorters.Put(sorter)
		done()
	}
	batch.of = who
	for {
		err := r.publisher.Publish(ctx, batch)
		r.failure.note(err, time.Now())
		if err == nil {
			break
		}
		if !r.mayRetry(ctx) {
			return r.unacknowledged(from, err)
		}
	}
	r.metrics.body(from.Source, fateAcknowledged)
	for _, parked := range batch.Parked {
		r.throttled.warn("parked", from, "error", string(parked.Code), "reason", parked.Reason, "bytes", parked.Length)
	}
	if r.log.IsTrace() {
		r.log.Trace("body acknowledged", "sender", from.String(), "bytes", body.length, "events", len(batch.Events))
	}
	return batch.outcome()
}

// mayRetry pauses, and tells whether there is time for another try.
func (r *Receiver) mayRetry(ctx context.Context) bool {
	if ctx.Err() != nil || r.stopped() {
		return false
	}
	timer := time.NewTimer(retryPublish)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-r.stopping:
	}
	return false
}

func (r *Receiver) stopped() bool {
	select {
	case <-r.stopping:
		return true
	default:
		return false
	}
}

// Refuse counts a body that the source does not even look at, and logs why.
func (r *Receiver) Refuse(from Sender, why Refusal) Outcome {
	r.metrics.body(from.Source, fateRefused)
	r.metrics.refuse(from.Source, why)
	r.throttled.warn("body refused", from, "reason", string(why), "path", from.Path)
	return Outcome{Result: TryAgain, Reason: string(why)}
}

// unacknowledged counts a body that could not be made safe.
func (r *Receiver) unacknowledged(from Sender, err error) Outcome {
	why := RefusedKafka
	switch {
	case errors.Is(err, errNotSpooled):
		why = RefusedSpool
	case errors.Is(err, errNoRoom):
		why = RefusedBuffer
	case errors.Is(err, errUnacknowledged):
		why = RefusedTimeout
	}
	r.metrics.body(from.Source, fateUnacknowledged)
	r.metrics.refuse(from.Source, why)
	r.throttled.warn("body not safe, it must come again", from, "reason", string(why), "error", err)
	return Outcome{Result: TryAgain, Reason: string(why)}
}
