package ingest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
	"golang.org/x/sync/semaphore"

	"januscdr/kafka"
)

// Publisher makes batches durable. It is what the receiver asks; KafkaPublisher is one.
type Publisher interface {
	// Publish returns nil once every event and every parked record of the batch is durable, and an error when that is not
	// known of all of them. It waits no longer than the context lives. Events of one batch, and of batches published one
	// after the other, keep their order in the log of their session. After an error the same batch may be published
	// again, by one goroutine at a time: only what is not durable is written again. To publish the same bytes twice is
	// harmless: the fold knows them by their hash.
	Publish(ctx context.Context, b *Batch) error

	// OnDone calls f once with the fate of a batch, when that can no longer change: nil when all of it is durable, by the
	// last Publish or after it. What was handed over when its context ended may still arrive. It is called at once, or
	// later from another goroutine, which f must not hold up. The batch is not published again after it. One that was
	// never handed over has an error.
	OnDone(b *Batch, f func(error))
}

// Errors of Publish, for those who count them. Any other error is what Kafka said.
var (
	errNoRoom         = errors.New("the buffer is full")
	errUnacknowledged = errors.New("kafka did not acknowledge in time")
)

// recordOverhead is what a record takes in memory besides its bytes, roughly.
const recordOverhead = 256

// maxAhead is how many bytes of one batch are on their way at a time, so that other senders need not wait for all of a
// large one.
const maxAhead = 2 << 20

// KafkaPublisher is the Publisher that writes to Kafka: one idempotent producer with acks of all replicas.
type KafkaPublisher struct {
	producer   *kafka.Producer
	contact    *kafka.Contact // watched, so that it also tells of an idle producer
	events     string
	dlq        string
	partitions int32
	inflight   *semaphore.Weighted // bytes on their way, so that a batch is handed over as a whole or not at all
	size       int64               // of inflight
	alive      *alive
	emitters   *emitters
	metrics    *publisherMetrics
	log        hclog.Logger
}

// NewKafkaPublisher makes the producer; it connects when it has something to write. Of the options it uses Kafka,
// Topics, Delivery, InflightMax, Log and Registerer, with their defaults.
func NewKafkaPublisher(o Options) (*KafkaPublisher, error) {
	o = o.withDefaults()
	if o.Kafka.Contact == nil {
		o.Kafka.Contact = new(kafka.Contact)
	}
	producer, err := kafka.NewProducer(func() (*kgo.Client, error) { return newClient(o) }, o.recheck, o.Log)
	if err != nil {
		return nil, err
	}
	return &KafkaPublisher{
		producer: producer, contact: o.Kafka.Contact, events: o.Topics.Events, dlq: o.Topics.DLQ,
		partitions: o.Topics.Partitions, inflight: semaphore.NewWeighted(o.InflightMax), size: o.InflightMax,
		alive: newAlive(), emitters: o.emitters, metrics: newPublisherMetrics(o.Registerer, o.Kafka.Contact), log: o.Log,
	}, nil
}

// recheck says whether topics that were deleted, or made again, may be written.
func (o Options) recheck(ctx context.Context) error {
	if o.Prepare == nil {
		return nil
	}
	return o.Prepare(ctx)
}

// newClient makes a client for a producer.
func newClient(o Options) (*kgo.Client, error) {
	var more []kgo.Opt
	if o.Registerer != nil {
		more = append(more, kgo.WithHooks(kprom.NewMetrics("januscdr_ingest_kafka", kprom.Registerer(o.Registerer))))
	}
	return kafka.NewClient(o.Kafka, append(more,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),          // each record names its partition
		kgo.RecordDeliveryTimeout(max(o.Delivery, time.Second)), // the shortest that franz-go takes
		kgo.ProduceRequestTimeout(min(max(o.Delivery, time.Second), 5*time.Second)),
		kgo.RequestTimeoutOverhead(3*time.Second), // a broker that hangs is left early enough to try another
		kgo.RetryBackoffFn(retryPause),            // senders wait: a leader that moved must be found soon
		kgo.MetadataMinAge(500*time.Millisecond),
		kgo.ProducerLinger(0),                 // a sender has one body in flight: to wait for more would only slow it down
		kgo.MaxBufferedRecords(math.MaxInt32), // inflight below is the bound: it takes whole batches
	)...)
}

// retryPause is the time before another try: 50 ms, doubled up to 1 s, with some jitter.
func retryPause(tries int) time.Duration {
	pause := min(50*time.Millisecond<<min(tries, 10), time.Second)
	return pause - time.Duration(rand.Int64N(int64(pause/5)))
}

// Publish is described at Publisher.
func (p *KafkaPublisher) Publish(ctx context.Context, b *Batch) error {
	if b.delivery == nil {
		b.delivery = p.route(b)
	}
	if decided := b.delivery.underway(); decided != nil { // since a try that was not waited for to its end
		select {
		case <-decided:
		case <-ctx.Done():
			return fmt.Errorf("write a batch: %w", errUnacknowledged)
		}
	}
	records := b.delivery.unacknowledged()
	if len(records) == 0 {
		return nil
	}
	size := min(b.delivery.size, p.size) // a batch larger than all the room goes alone
	if p.inflight.Acquire(ctx, size) != nil {
		return fmt.Errorf("hand over %d records: %w", len(records), errNoRoom)
	}
	started := time.Now()
	decided := b.delivery.begin(len(records), func(err error) { // also when we no longer wait for it
		p.inflight.Release(size)
		if err == nil {
			p.metrics.ack.Observe(time.Since(started).Seconds())
			p.acknowledged(b)
		}
	})
	p.handOver(ctx, b.delivery, records)
	select {
	case <-decided:
		if err := b.delivery.result(); err != nil {
			return fmt.Errorf("write %d records: %w", len(records), err)
		}
	case <-ctx.Done():
		return fmt.Errorf("write %d records: %w", len(records), errUnacknowledged)
	}
	return nil
}

// handOver gives records to the producer: of a large batch only so many that the records of others do not wait long
// behind them. What is not handed over before the context ends has failed.
func (p *KafkaPublisher) handOver(ctx context.Context, d *delivery, records []*kgo.Record) {
	if d.size <= maxAhead || d.fromSpool {
		for _, r := range records {
			p.producer.TryProduce(context.Background(), r, d.acknowledge)
		}
		return
	}
	ahead := semaphore.NewWeighted(maxAhead)
	for i, r := range records {
		size := min(int64(len(r.Key)+len(r.Value)+recordOverhead), maxAhead)
		if ahead.Acquire(ctx, size) != nil {
			d.leave(records[i:])
			return
		}
		p.producer.TryProduce(context.Background(), r, func(r *kgo.Record, err error) {
			ahead.Release(size)
			d.acknowledge(r, err)
		})
	}
}

// OnDone is described at Publisher.
func (p *KafkaPublisher) OnDone(b *Batch, f func(error)) {
	if b.delivery == nil {
		f(errNoRoom)
		return
	}
	b.delivery.whenDone(f)
}

// acknowledged counts what is safe now, and takes note of the emitters that live.
func (p *KafkaPublisher) acknowledged(b *Batch) {
	now := time.Now()
	for start := 0; start < len(b.Events); { // those of one emitter together
		emitter, sessions, end := b.Events[start].Emitter, int64(0), start
		var beat []byte
		for ; end < len(b.Events) && b.Events[end].Emitter == emitter; end++ {
			p.metrics.event(b.Events[end].Type)
			if b.Events[end].Begins {
				sessions++
			}
			if b.Events[end].Beat {
				beat = b.Events[end].Value
			}
		}
		if !b.delivery.fromSpool && !p.alive.saw(b.of, emitter, beat, now) { // what waited is no sign of life of now
			p.metrics.alive.WithLabelValues("no_room").Inc()
		}
		p.emitters.acknowledged(emitter, int64(end-start), sessions)
		start = end
	}
	for _, parked := range b.Parked {
		p.metrics.parked.WithLabelValues(string(parked.Code)).Inc()
	}
}

// Close gives what is on its way up to the given time, then fails the rest.
func (p *KafkaPublisher) Close(wait time.Duration) {
	if left := p.producer.Close(wait); left > 0 {
		p.log.Warn("records are left unacknowledged", "records", left)
	}
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
func (p *KafkaPublisher) route(b *Batch) *delivery {
	count := len(b.Events) + len(b.Parked)
	for _, e := range b.Events {
		if e.Everyone {
			count += int(p.partitions) - 1
		}
	}
	ofEvent := headersOfEvent(b.Emitter)
	d := &delivery{records: make([]kgo.Record, 0, count)}
	for _, e := range b.Events {
		p.routeEvent(d, e, ofEvent)
	}
	for _, parked := range b.Parked {
		for _, r := range parked.records(b.Emitter) {
			p.routeLetter(d, r)
		}
	}
	return d
}

// recordHeaders are those of the record of an event, and of its copies; shared, read only.
type recordHeaders struct{ own, copied []kgo.RecordHeader }

// headersOfEvent are the headers for an emitter's name that a rule assigned, or none.
func headersOfEvent(assigned string) recordHeaders {
	var h recordHeaders
	if assigned != "" {
		h.own = []kgo.RecordHeader{{Key: kafka.HeaderEmitter, Value: []byte(assigned)}}
	}
	h.copied = append([]kgo.RecordHeader{copyHeader}, h.own...)
	return h
}

// routeEvent adds the records of an event. Record.Timestamp is never set: time in the log is that of the brokers.
func (p *KafkaPublisher) routeEvent(d *delivery, e Event, headers recordHeaders) {
	own := p.partition(e.Key)
	d.add(p.events, own, e.Key, e.Value, headers.own)
	if !e.Everyone {
		return
	}
	for other := range p.partitions {
		if other != own {
			d.add(p.events, other, e.Key, e.Value, headers.copied)
		}
	}
}

// routeLetter adds a record of a dead letter. Its topic may have another number of partitions than ours; 0 is always
// there. What is parked is little, and is read by people.
func (p *KafkaPublisher) routeLetter(d *delivery, r letterRecord) {
	d.add(p.dlq, 0, r.key, r.value, r.headers)
}

var _ Publisher = (*KafkaPublisher)(nil)
