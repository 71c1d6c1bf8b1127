package ingest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// delivery is a batch on its way to Kafka: its records and what is known of them.
type delivery struct {
	records   []kgo.Record
	size      int64 // bytes in memory
	fromSpool bool

	mu      sync.Mutex
	handed  bool          // to the producer, at least once
	pending int           // handed over, and not yet decided
	failed  []*kgo.Record // not acknowledged at the last try
	unsent  []*kgo.Record // of the last try, behind all others: not even handed over
	err     error         // the first of the last try
	decided chan struct{} // closed when the fate of all records of a try is known
	onAcks  func(error)   // called then, for the publisher
	onDone  func(error)   // and after that, for whoever asked by OnDone
}

func (d *delivery) add(topic string, partition int32, key, value []byte, headers []kgo.RecordHeader) {
	d.records = append(d.records,
		kgo.Record{Topic: topic, Partition: partition, Key: key, Value: value, Headers: headers})
	d.size += int64(len(key) + len(value) + recordOverhead)
}

// underway is closed when the fate of the last try is known; nil when nothing is on its way.
func (d *delivery) underway() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending > 0 {
		return d.decided
	}
	return nil
}

// unacknowledged are the records to write. What a failed try left behind in a record is wiped.
func (d *delivery) unacknowledged() []*kgo.Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.handed {
		all := make([]*kgo.Record, len(d.records))
		for i := range d.records {
			all[i] = &d.records[i]
		}
		return all
	}
	again := make([]*kgo.Record, len(d.failed)+len(d.unsent))
	for i, r := range slices.Concat(d.failed, d.unsent) {
		again[i] = &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers}
	}
	return again
}

func (d *delivery) begin(records int, onAcks func(error)) (decided <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handed, d.pending, d.failed, d.unsent, d.err = true, records, nil, nil, nil
	d.decided, d.onAcks = make(chan struct{}), onAcks
	return d.decided
}

// acknowledge is the promise of each record: its fate is known. It runs on the producer's goroutine and must be quick.
func (d *delivery) acknowledge(r *kgo.Record, err error) {
	d.mu.Lock()
	if err != nil {
		d.failed = append(d.failed, r)
		if d.err == nil {
			d.err = fmt.Errorf("topic %s: %w", r.Topic, kafka.WithRemedy(err))
		}
	}
	d.decide(1)
}

// leave says that the rest of the records of a try is not handed over.
func (d *delivery) leave(rest []*kgo.Record) {
	d.mu.Lock()
	d.unsent = rest
	if d.err == nil {
		d.err = errUnacknowledged
	}
	d.decide(len(rest))
}

// decide says that the fate of so many records is known, and unlocks.
func (d *delivery) decide(records int) {
	d.pending -= records
	if d.pending > 0 {
		d.mu.Unlock()
		return
	}
	d.onAcks(d.err)
	close(d.decided)
	onDone, result := d.onDone, d.err
	d.onDone = nil
	d.mu.Unlock()
	if onDone != nil {
		onDone(result)
	}
}

func (d *delivery) result() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// whenDone calls f once the fate of all records that were handed over is known: at once, or later on the producer's
// goroutine.
func (d *delivery) whenDone(f func(error)) {
	d.mu.Lock()
	switch {
	case d.pending > 0:
		d.onDone = f
		d.mu.Unlock()
	case !d.handed:
		d.mu.Unlock()
		f(errNoRoom)
	default:
		result := d.err
		d.mu.Unlock()
		f(result)
	}
}
