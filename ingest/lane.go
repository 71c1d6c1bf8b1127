package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/semaphore"
)

// What a lane holds.
const (
	laneQueue = 256       // bodies that wait in a lane
	laneBytes = 256 << 10 // of them, and of the group that is being made safe
	laneGroup = 128       // bodies that are made safe together
)

// laneLarge is the time that the rest of a body beyond laneBytes may take: it holds memory that others need.
const laneLarge = 30 * time.Second

// lane makes the bodies of one connection or queue safe, in their order. It is for transports that hand a body over
// once, as WebSocket does, or only after a reconnect, as queues do: there is nobody to tell that it must come again. So
// a body is kept until it is safe, however long that takes, and meanwhile nothing more is read. What waits is made safe
// together, so that a backlog costs one acknowledgement of Kafka for many bodies.
//
// Its bounds are laneQueue bodies and laneBytes; a body that is larger than laneBytes takes its memory from what all
// sources share.
type lane struct {
	receiver *Receiver
	queue    chan taken
	room     *semaphore.Weighted
	ended    chan struct{}
	cut      func() // ends the connection that is read from; nil where there is none
}

// taken is a body that was taken from a transport.
type taken struct {
	from   Sender
	body   []byte
	parked *DeadLetter   // it will never do, and this goes to the dead letter topic in its place
	done   func(Outcome) // called once, when it is safe or we have to leave it; nil: nobody asks
	room   int64         // of the lane
	claim  *claim        // of what all sources share; nil for a body that the lane has room for
}

// newLane makes a lane and begins to work on it. Bodies in hand are given up when the context ends; until then close
// waits for them.
func newLane(hand context.Context, r *Receiver) *lane {
	l := &lane{receiver: r, queue: make(chan taken, laneQueue), room: semaphore.NewWeighted(laneBytes),
		ended: make(chan struct{})}
	go l.work(hand)
	return l
}

// put takes a body that is at hand as a whole. It waits for room in the lane, and returns an error when the context
// ends before there is some: then the body is not taken.
func (l *lane) put(ctx context.Context, from Sender, body []byte, done func(Outcome)) error {
	t := taken{from: from, body: body, done: done, room: min(int64(len(body)), laneBytes)}
	if int64(len(body)) > l.receiver.reader.limit {
		t.parked = tooLarge(from, body, l.receiver.reader.limit)
		t.body, t.room = nil, min(int64(len(t.parked.Value)), laneBytes)
	}
	return l.add(ctx, t)
}

// offer is put for those who must not wait: false when there is no room.
func (l *lane) offer(from Sender, body []byte) bool {
	t := taken{from: from, body: body, room: min(int64(len(body)), laneBytes)}
	if !l.room.TryAcquire(t.room) {
		return false
	}
	select {
	case l.queue <- t:
		return true
	default:
		l.room.Release(t.room)
		return false
	}
}

// read takes a body to its end from a stream that is at its beginning. Beyond laneBytes it waits for memory. A body
// over the limit is parked with its beginning. An error is that of the stream, or that there was no memory; then the
// body is not taken.
func (l *lane) read(ctx context.Context, from Sender, in io.Reader) error {
	return l.readAs(ctx, from, in, func(body []byte) []byte { return body })
}

// readAs is read for a body that is a part of what comes: unwrap finds it there.
func (l *lane) readAs(ctx context.Context, from Sender, in io.Reader, unwrap func([]byte) []byte) error {
	limit := l.receiver.reader.limit
	small := min(laneBytes, limit)
	if rate := l.receiver.minRate; l.cut != nil && rate > 0 {
		in = &brisk{in: in, cut: l.cut, rate: rate}
	}
	body, err := io.ReadAll(io.LimitReader(in, small+1))
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	t := taken{from: from, body: body, room: min(int64(len(body)), laneBytes)}
	if int64(len(body)) > small {
		t.claim = l.receiver.reader.budget.open(l.receiver.rules.party(from), nil)
		if err := t.claim.take(ctx, limit); err != nil {
			t.claim.close()
			return err
		}
		if err := l.inTime(func() error { return l.more(&t, in, limit) }); err != nil {
			t.claim.close()
			return fmt.Errorf("read body: %w", err)
		}
	}
	if t.parked == nil {
		t.body = unwrap(t.body)
	}
	if err := l.add(ctx, t); err != nil {
		t.claim.close()
		return err
	}
	return nil
}

// inTime reads, and ends the connection when that takes too long.
func (l *lane) inTime(read func() error) error {
	if l.cut != nil {
		defer time.AfterFunc(laneLarge, l.cut).Stop()
	}
	return read()
}

// more reads the rest of a body, or what is to be parked of it.
func (l *lane) more(t *taken, in io.Reader, limit int64) error {
	rest, err := io.ReadAll(io.LimitReader(in, limit+1-int64(len(t.body))))
	if err != nil {
		return err
	}
	t.body = append(t.body, rest...)
	if int64(len(t.body)) <= limit {
		return nil
	}
	var b received
	err = l.receiver.reader.overLimit(in, t.from, &b, t.body, sha256.New())
	t.body, t.parked = nil, b.parked
	return err
}

func (l *lane) add(ctx context.Context, t taken) error {
	if err := l.room.Acquire(ctx, t.room); err != nil {
		return fmt.Errorf("wait for the bodies before: %w", err)
	}
	select {
	case l.queue <- t:
		return nil
	case <-ctx.Done():
		l.room.Release(t.room)
		return fmt.Errorf("wait for the bodies before: %w", ctx.Err())
	}
}

// close says that no more will come, and waits for what is there. Nothing is put after it.
func (l *lane) close() {
	close(l.queue)
	<-l.ended
}

// tooLarge is what is parked for a body over the limit that came as a whole.
func tooLarge(from Sender, body []byte, limit int64) *DeadLetter {
	why := fmt.Sprintf("body has %d bytes, at most %d are taken", len(body), limit)
	parked := park(CodeBodyLimit, why, from, nil, body)
	parked.Value = bytes.Clone(parked.Value[:min(len(parked.Value), maxHead)])
	return &parked
}

func (l *lane) work(hand context.Context) {
	defer close(l.ended)
	group := make([]taken, 0, laneGroup)
	for first := range l.queue {
		group = append(group[:0], first)
		for more := true; more && len(group) < laneGroup; {
			select {
			case t, ok := <-l.queue:
				if more = ok; ok {
					group = append(group, t)
				}
			default:
				more = false
			}
		}
		l.deliver(hand, group)
		clear(group)
	}
}

// deliver makes a group safe, one sender after the other. Within a sender the order is kept.
func (l *lane) deliver(hand context.Context, group []taken) {
	for begun := 0; begun < len(group); {
		end := begun + 1
		for end < len(group) && group[end].from == group[begun].from {
			end++
		}
		l.receiver.keep(hand, group[begun:end])
		begun = end
	}
	for i := range group {
		l.room.Release(group[i].room)
		group[i].claim.close()
	}
}

// kept is a body of a group while it is made safe.
type kept struct {
	hash    [sha256.Size]byte
	pending *pendingBody // of the body, or of the same one that came before
	isNew   bool
	own     *Batch // its part of the batch
}

// keep makes bodies of one sender safe, as Receive does, but together, and it does not give up before the context does.
// Each body is told its outcome.
func (r *Receiver) keep(hand context.Context, group []taken) {
	from := group[0].from
	from.emitter = r.rules.emitter(from)
	identity := requestIdentity{source: from.Source, address: from.Address, user: from.User, path: from.Path}
	batch := &Batch{Emitter: from.emitter, of: r.rules.party(from)}
	bodies := make([]kept, len(group))
	sorter := r.sorters.Get().(*sorter)
	for i, t := range group {
		k := &bodies[i]
		k.own = &Batch{Emitter: from.emitter}
		if t.parked != nil {
			k.hash = t.parked.SHA256
			r.metrics.bytes.Add(float64(t.parked.Length))
		} else {
			k.hash = sha256.Sum256(t.body)
			r.metrics.bytes.Add(float64(len(t.body)))
			if r.tap != nil {
				r.tap(from, t.body)
			}
		}
		if k.pending, k.isNew = r.seen.begin(identity, k.hash); !k.isNew {
			continue
		}
		if t.parked != nil {
			k.own.Parked = []DeadLetter{*t.parked}
		} else {
			k.own = sorter.sort(from, t.body, t.body)
		}
		batch.Events = append(batch.Events, k.own.Events...)
		batch.Parked = append(batch.Parked, k.own.Parked...)
	}
	r.sorters.Put(sorter)

	err := r.publishUntilSafe(hand, from, batch)
	r.publisher.OnDone(batch, func(err error) { // also when it is not waited for any more
		for _, k := range bodies {
			if !k.isNew {
				continue
			}
			o := k.own.outcome()
			if err != nil && o.Events+o.Parked > 0 {
				o = Outcome{Result: TryAgain}
			}
			r.seen.end(identity, k.hash, k.pending, o)
		}
	})
	for _, parked := range batch.Parked {
		if err == nil {
			r.throttled.warn("parked", from, "error", string(parked.Code), "reason", parked.Reason, "bytes", parked.Length)
		}
	}
	var again []taken
	for i, k := range bodies {
		if !k.isNew && !r.keptBefore(hand, k) && hand.Err() == nil {
			again = append(again, group[i]) // the one that it was joined to failed
			continue
		}
		o := r.kept(from, k, err, group[i].done == nil)
		if done := group[i].done; done != nil {
			done(o)
		}
	}
	if len(again) > 0 {
		r.keep(hand, again)
	}
}

// keptBefore waits until the fate of the same body that came before is known, and tells whether it is safe.
func (r *Receiver) keptBefore(hand context.Context, k kept) bool {
	select {
	case <-k.pending.done:
		return k.pending.outcome.Safe()
	case <-hand.Done():
		return false
	}
}

// kept is the outcome of a body whose group was published with an error, or without. A body whose sender cannot send it
// again is lost when it is not safe.
func (r *Receiver) kept(from Sender, k kept, err error, once bool) Outcome {
	switch {
	case k.isNew && err == nil:
		r.metrics.body(from.Source, fateAcknowledged)
		return k.own.outcome()
	case !k.isNew && k.pending.outcomeNow().Safe():
		r.metrics.body(from.Source, fateRepeated)
		return k.pending.outcome
	case err == nil:
		err = errUnacknowledged
	}
	o := r.unacknowledged(from, err)
	if once {
		r.metrics.body(from.Source, fateLost)
		r.log.Error("body is lost: its sender hands it over once, and it was not safe when we had to stop",
			"sender", from.String(), "error", err)
	}
	return o
}

// publishUntilSafe publishes the batch until it is safe or the context ends.
func (r *Receiver) publishUntilSafe(hand context.Context, from Sender, batch *Batch) error {
	for {
		ctx, cancel := context.WithTimeout(hand, r.delivery)
		err := r.publisher.Publish(ctx, batch)
		cancel()
		r.failure.note(err, time.Now())
		if err == nil || hand.Err() != nil {
			return err
		}
		r.throttled.warn("bodies are not safe yet, and nothing more is read of their sender", from, "error", err)
		if !pause(hand, retryPublish) {
			return err
		}
	}
}
