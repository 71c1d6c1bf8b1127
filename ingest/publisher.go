package ingest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
	"golang.org/x/sync/semaphore"

	"januscdr/kafka"
)

// Publisher makes batches durable.
//
// Publish returns nil once every event, every copy and every parked record of the batch is acknowledged by Kafka, and
// an error when that is not known of all of them. It waits no longer than the context lives. Records of one batch, and
// of batches published one after the other, keep their order inside each partition. After an error the same batch may
// be published again: only what is not acknowledged is written again. What was handed over when the context ended may
// still arrive: Settled tells. Publishing the same bytes twice is harmless: the fold knows them by their hash.
type Publisher interface {
	Publish(ctx context.Context, b *Batch) error
}

// Errors of Publish, for those who count them. Any other error is what Kafka said.
var (
	errNoRoom         = errors.New("the buffer is full")
	errUnacknowledged = errors.New("kafka did not acknowledge in time")
)

// recordOverhead is what a record takes in memory besides its bytes, roughly.
const recordOverhead = 256

// KafkaPublisher is the Publisher that writes to Kafka: one idempotent producer with acks of all replicas.
type KafkaPublisher struct {
	client     *kgo.Client
	events     string
	dlq        string
	partitions int32
	room       *semaphore.Weighted // bytes on their way, so that a batch is handed over as a whole or not at all
	size       int64
	alive      *alive
	trouble    trouble
	metrics    *metrics
	log        hclog.Logger
}

// trouble is the last reason why a batch could not be made safe.
type trouble struct {
	mu    sync.Mutex
	why   string
	since time.Time
}

const troubleFor = 30 * time.Second // after that it is no news

func (t *trouble) note(err error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.why, t.since = "", now
	if err != nil {
		t.why = err.Error()
	}
}

func (t *trouble) now(now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.since) > troubleFor {
		return ""
	}
	return t.why
}

// NewKafkaPublisher makes the producer; it connects when it has something to write. The metrics may be shared;
// nil: counted in vain.
func NewKafkaPublisher(o Options, m *metrics) (*KafkaPublisher, error) {
	if m == nil {
		m = newMetrics(nil)
	}
	var more []kgo.Opt
	if o.Registerer != nil {
		more = append(more, kgo.WithHooks(kprom.NewMetrics("januscdr_ingest_kafka", kprom.Registerer(o.Registerer))))
	}
	client, err := kafka.NewClient(o.Kafka, append(more,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),          // each record names its partition: its own, or that of a copy
		kgo.RecordDeliveryTimeout(max(o.Delivery, time.Second)), // the shortest that franz-go takes
		kgo.ProduceRequestTimeout(min(max(o.Delivery, time.Second), 5*time.Second)),
		kgo.RequestTimeoutOverhead(3*time.Second), // a broker that hangs is left early enough to try another
		kgo.DialTimeout(3*time.Second),
		kgo.RetryBackoffFn(retryPause), // senders wait: a leader that moved must be found soon
		kgo.MetadataMinAge(500*time.Millisecond),
		kgo.ProducerLinger(0),                 // a sender has one body in flight: to wait for more would only slow it down
		kgo.MaxBufferedRecords(math.MaxInt32), // the room below is the bound: it takes whole batches
	)...)
	if err != nil {
		return nil, err
	}
	return &KafkaPublisher{
		client: client, events: o.Topics.Events, dlq: o.Topics.DLQ, partitions: o.Topics.Partitions,
		room: semaphore.NewWeighted(o.InflightMax), size: o.InflightMax,
		alive: newAlive(), metrics: m, log: o.Log,
	}, nil
}

// retryPause is the time before another try: 50 ms, doubled up to 1 s, with some jitter.
func retryPause(tries int) time.Duration {
	pause := min(50*time.Millisecond<<min(tries, 10), time.Second)
	return pause - time.Duration(rand.Int64N(int64(pause/5)))
}

// Publish is described at Publisher.
func (p *KafkaPublisher) Publish(ctx context.Context, b *Batch) error {
	err := p.publish(ctx, b)
	p.trouble.note(err, time.Now())
	return err
}

func (p *KafkaPublisher) publish(ctx context.Context, b *Batch) error {
	if b.way == nil {
		b.way = p.route(b)
	}
	records := b.way.unacknowledged()
	if len(records) == 0 {
		return nil
	}
	size := min(b.way.size, p.size) // a batch larger than all the room goes alone
	if p.room.Acquire(ctx, size) != nil {
		return fmt.Errorf("hand over %d records: %w", len(records), errNoRoom)
	}
	started := time.Now()
	settled := b.way.begin(len(records), func(err error) { // also when we no longer wait for it
		p.room.Release(size)
		if err == nil {
			p.metrics.ack.Observe(time.Since(started).Seconds())
			p.acknowledged(b)
		}
	})
	for _, r := range records {
		p.client.TryProduce(context.Background(), r, b.way.acknowledge)
	}
	select {
	case <-settled:
		if err := b.way.result(); err != nil {
			return fmt.Errorf("write %d records: %w", len(records), err)
		}
	case <-ctx.Done():
		return fmt.Errorf("write %d records: %w", len(records), errUnacknowledged)
	}
	return nil
}

// acknowledged counts what is safe now, and takes note of the emitters that live.
func (p *KafkaPublisher) acknowledged(b *Batch) {
	now := time.Now()
	last := ""
	for i, e := range b.Events {
		p.metrics.event(e.Type)
		if i == 0 || e.Emitter != last {
			p.alive.saw(e.Emitter, now)
			last = e.Emitter
		}
	}
	for _, parked := range b.Parked {
		p.metrics.parked.WithLabelValues(string(parked.Code)).Inc()
	}
}

// Close gives what is on its way up to the given time, then fails the rest.
func (p *KafkaPublisher) Close(wait time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := p.client.Flush(ctx); err != nil && p.client.BufferedProduceRecords() > 0 {
		p.log.Warn("records are left unacknowledged", "records", p.client.BufferedProduceRecords())
	}
	p.client.Close()
}

// partition is the event partition of a key.
func (p *KafkaPublisher) partition(key []byte) int32 {
	if len(key) == 0 {
		return 0
	}
	return kafka.PartitionOf(key, p.partitions)
}

var copyHeader = kgo.RecordHeader{Key: kafka.HeaderKind, Value: []byte(kafka.KindCopy)}

// route decides what is written where: each event to the partition of its key, and, when it concerns others, a copy to
// each other partition; what is parked to the dead letter topic.
func (p *KafkaPublisher) route(b *Batch) *way {
	count := len(b.Events) + len(b.Parked)
	for _, e := range b.Events {
		if e.Everyone {
			count += int(p.partitions) - 1
		}
	}
	var ofEvent []kgo.RecordHeader // shared, read only
	if b.Emitter != "" {
		ofEvent = []kgo.RecordHeader{{Key: kafka.HeaderEmitter, Value: []byte(b.Emitter)}}
	}
	ofCopy := append([]kgo.RecordHeader{copyHeader}, ofEvent...)

	// Record.Timestamp is never set: time in the log is that of the brokers.
	w := &way{records: make([]kgo.Record, 0, count)}
	add := func(topic string, partition int32, key, value []byte, headers []kgo.RecordHeader) {
		w.records = append(w.records, kgo.Record{Topic: topic, Partition: partition, Key: key, Value: value, Headers: headers})
		w.size += int64(len(key) + len(value) + recordOverhead)
	}
	for _, e := range b.Events {
		own := p.partition(e.Key)
		add(p.events, own, e.Key, e.Value, ofEvent)
		if !e.Everyone {
			continue
		}
		for other := range p.partitions {
			if other != own {
				add(p.events, other, e.Key, e.Value, ofCopy)
			}
		}
	}
	for _, parked := range b.Parked {
		// The dead letter topic may have another number of partitions than ours; 0 is always there. What is parked is
		// little, and is read by people.
		add(p.dlq, 0, parked.Key, parked.Value, parked.headers(b.Emitter))
	}
	return w
}

// way is a batch on its way: its records and what is known of them.
type way struct {
	records []kgo.Record
	size    int64 // bytes in memory

	mu      sync.Mutex
	handed  bool          // to the producer, at least once
	pending int           // handed over, and not yet decided
	failed  []*kgo.Record // not acknowledged at the last try
	err     error         // the first of the last try
	settled chan struct{} // closed when all of a try is decided
	known   func(error)   // called then, for the publisher
	then    func(error)   // and after that, for whoever asked by Settled
}

// unacknowledged are the records to write. What a failed try left behind in a record is wiped.
func (w *way) unacknowledged() []*kgo.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.handed {
		all := make([]*kgo.Record, len(w.records))
		for i := range w.records {
			all[i] = &w.records[i]
		}
		return all
	}
	again := make([]*kgo.Record, len(w.failed))
	for i, r := range w.failed {
		again[i] = &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers}
	}
	return again
}

func (w *way) begin(records int, known func(error)) (settled <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handed, w.pending, w.failed, w.err = true, records, nil, nil
	w.settled, w.known = make(chan struct{}), known
	return w.settled
}

// acknowledge is the promise of each record: its fate is known. It runs on the producer's goroutine and must be quick.
func (w *way) acknowledge(r *kgo.Record, err error) {
	w.mu.Lock()
	if err != nil {
		w.failed = append(w.failed, r)
		if w.err == nil {
			w.err = fmt.Errorf("topic %s: %w", r.Topic, err)
		}
	}
	w.pending--
	if w.pending > 0 {
		w.mu.Unlock()
		return
	}
	w.known(w.err)
	close(w.settled)
	then, result := w.then, w.err
	w.then = nil
	w.mu.Unlock()
	if then != nil {
		then(result)
	}
}

func (w *way) result() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Settled calls f once the fate of all records that were handed over is known, with nil when all are acknowledged: at
// once, or later from another goroutine. The batch must not be published again after it. A batch that was never handed
// over is settled, with an error.
func (b *Batch) Settled(f func(error)) {
	w := b.way
	if w == nil {
		f(errNoRoom)
		return
	}
	w.mu.Lock()
	switch {
	case w.pending > 0:
		w.then = f
		w.mu.Unlock()
	case !w.handed:
		w.mu.Unlock()
		f(errNoRoom)
	default:
		result := w.err
		w.mu.Unlock()
		f(result)
	}
}
