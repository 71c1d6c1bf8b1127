package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/kafka"
)

// endTimeout bounds each part of a transaction that waits for the brokers. It is longer than the transaction timeout by
// default: by then they have made up their mind.
const endTimeout = 15 * time.Second

// errUnknown says that nobody can tell whether a transaction was committed, or that it does not matter: the client and
// all tasks are to be dropped, and the changelog to be asked.
var errUnknown = errors.New("outcome of the transaction is not known")

// The headers of a record, besides those of package kafka.
const (
	HeaderRecordID   = "record_id"   // 32 hexadecimal digits
	HeaderRecordType = "record_type" // LEG, SESSION
	HeaderSchema     = "schema_fingerprint"
	HeaderVersion    = "program_version"
	HeaderPolicy     = "policy_fingerprint"
)

// share is what one task brings into a transaction.
type share struct {
	task     *task
	step     cdr.Step
	position *kgo.Record // of the changelog; it has an offset once it is acknowledged
}

// commit lets the world see what the tasks have folded, then remembers it. The order is the meaning:
//
//   - everything is encoded before the transaction begins, so that nothing in it waits for us;
//   - records, parked events and states go out, the position of each task as the last of its states;
//   - one that is not acknowledged spoils them all, since the client would commit the rest without it;
//   - then the offsets of every task, as a fence: the brokers refuse a transaction of a worker that has lost its
//     partitions (see fence);
//   - the store and the fold are told only when the brokers say that it is done. Any other answer may mean that it is
//     done, too, or that it will be: nothing goes on from there (errUnknown).
func (w *worker) commit(ctx context.Context) error {
	shares, records, err := w.gather()
	if err != nil {
		return err
	}
	if len(shares) == 0 {
		return nil
	}
	began := time.Now()
	if err := w.transaction(ctx, shares, records); err != nil {
		return err
	}
	w.p.metrics.seconds.Observe(time.Since(began).Seconds())
	return w.settled(shares)
}

// transaction writes messages and the offsets of the tasks, all or nothing. Only nil means that they are committed; an
// error that wraps errUnknown does not mean that they are not.
func (w *worker) transaction(ctx context.Context, shares []*share, records []*kgo.Record) error {
	began := time.Now()
	w.at(BeforeBegin)
	if err := w.client.BeginTransaction(); err != nil {
		return w.unsettled(began, fmt.Errorf("begin transaction: %w", err))
	}
	w.at(AfterBegin)

	promises := w.produce(ctx, records)
	w.at(AfterProduce)
	flush, cancel := context.WithTimeout(ctx, endTimeout)
	err := w.client.Flush(flush)
	cancel()
	if err == nil {
		err = promises.first()
	}
	if err != nil {
		return w.abort(ctx, began, err)
	}
	w.at(BeforeOffsets)

	// Only now: all that we wrote is acknowledged, so it lies before whatever the next owner writes.
	end, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if err := w.fence(end, shares); err != nil {
		return w.abort(ctx, began, err)
	}
	w.at(BeforeEnd)
	if err := w.client.EndTransaction(end, kgo.TryCommit); err != nil {
		w.p.metrics.commits.WithLabelValues(unknown).Inc()
		return w.unsettled(began, fmt.Errorf("end transaction: %w", err))
	}
	w.p.metrics.commits.WithLabelValues(committed).Inc()
	w.at(AfterEnd)
	return nil
}

// gather takes the steps of the tasks and writes down all that goes out, in its order.
func (w *worker) gather() (shares []*share, records []*kgo.Record, err error) {
	for _, partition := range w.order() {
		t := w.tasks[partition]
		if !t.dirty {
			continue
		}
		t.dirty = false
		step := t.fold.Step()
		if len(step.Changes) == 0 {
			continue
		}
		s := &share{task: t, step: step}
		shares = append(shares, s)
		for i := range step.Records {
			r, err := w.record(t.partition, &step.Records[i])
			if err != nil {
				return nil, nil, err
			}
			records = append(records, r)
		}
		for _, parked := range step.Parked {
			records = append(records, w.parked(t.partition, parked))
		}
		for _, change := range step.Changes {
			s.position = w.state(t.partition, change.Key, change.Value)
			records = append(records, s.position)
		}
	}
	return shares, records, nil
}

func (w *worker) state(partition int32, key, value []byte) *kgo.Record {
	return &kgo.Record{Topic: w.p.opts.Topics.State, Partition: partition, Key: key, Value: value}
}

func (w *worker) record(partition int32, r *cdr.Record) (*kgo.Record, error) {
	value, err := w.p.opts.Encode(r)
	if err != nil {
		return nil, fmt.Errorf("encode record %s of partition %d: %w: %w", r.RecordID, partition, ErrBroken, err)
	}
	names := w.p.opts.Headers
	return &kgo.Record{
		Topic: w.p.opts.Topics.CDR, Partition: partition, Key: []byte(r.SessionID), Value: value,
		Headers: []kgo.RecordHeader{
			{Key: HeaderRecordID, Value: []byte(r.RecordID.String())},
			{Key: HeaderRecordType, Value: []byte(r.RecordType.String())},
			{Key: HeaderSchema, Value: []byte(names.Schema)},
			{Key: HeaderVersion, Value: []byte(names.Version)},
			{Key: HeaderPolicy, Value: []byte(names.Policy)},
		},
	}, nil
}

func (w *worker) parked(partition int32, p cdr.Parked) *kgo.Record {
	headers := []kgo.RecordHeader{
		{Key: kafka.HeaderReason, Value: []byte(p.Reason)},
		{Key: kafka.HeaderSource, Value: []byte("cdr")},
		{Key: kafka.HeaderTopic, Value: []byte(w.p.opts.Topics.Events)},
		{Key: kafka.HeaderPartition, Value: strconv.AppendInt(nil, int64(partition), 10)},
		{Key: kafka.HeaderOffset, Value: strconv.AppendInt(nil, p.Input.Offset, 10)},
	}
	if p.Input.Emitter != "" {
		headers = append(headers, kgo.RecordHeader{Key: kafka.HeaderEmitter, Value: []byte(p.Input.Emitter)})
	}
	return &kgo.Record{
		Topic: w.p.opts.Topics.DLQ, Partition: partition % w.p.place.dlq,
		Key: p.Input.Key, Value: p.Input.Value, Headers: headers,
	}
}

// promises collects what the brokers answer to the messages of a transaction.
type promises struct {
	mu     sync.Mutex
	failed error
}

func (p *promises) first() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

func (w *worker) produce(ctx context.Context, records []*kgo.Record) *promises {
	p := &promises{}
	for _, record := range records {
		w.client.Produce(ctx, record, func(r *kgo.Record, err error) {
			if err == nil {
				return
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.failed == nil {
				p.failed = fmt.Errorf("write to %s partition %d: %w", r.Topic, r.Partition, err)
				if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
					p.failed = fmt.Errorf("%w: %w: it has %d bytes: raise max.message.bytes of the topic", ErrTooLarge, p.failed, len(r.Value))
				}
			}
		})
		w.at(Producing)
	}
	return p
}

// abort gives a transaction up whose messages did not all arrive. What was folded goes with it: the tasks are dropped.
func (w *worker) abort(ctx context.Context, began time.Time, why error) error {
	w.p.metrics.commits.WithLabelValues(aborted).Inc()
	w.at(BeforeAbort)
	end, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	// Only so that readers need not wait for the timeout; the next client would abort it, too.
	err := w.client.AbortBufferedRecords(end)
	if err == nil {
		err = w.client.EndTransaction(end, kgo.TryAbort)
	}
	if err != nil {
		w.log.Debug("transaction was not aborted in order", "error", err)
	}
	if errors.Is(why, ErrTooLarge) {
		return why // again and again
	}
	return w.unsettled(began, why)
}

// unsettled finds out whether a transaction failed because another process has our name. The brokers say the same of
// one that took longer than the transaction timeout: then it was our own fault, and we go on with a new client.
func (w *worker) unsettled(began time.Time, why error) error {
	if final := w.final(why); final != nil {
		return final
	}
	fenced := errors.Is(why, kerr.ProducerFenced) || errors.Is(why, kerr.InvalidProducerEpoch)
	// By both clocks: the monotonic one stands still while a machine sleeps.
	took := max(time.Since(began), time.Now().Round(0).Sub(began.Round(0)))
	if fenced && took < w.p.opts.TransactionTimeout {
		return w.fenced(why)
	}
	return fmt.Errorf("%w: %w", errUnknown, why)
}

// settled remembers what is committed: the store first, as the fold then forgets what the store has.
func (w *worker) settled(shares []*share) error {
	m, now := w.p.metrics, time.Now()
	for _, s := range shares {
		t := s.task
		at := checkpoint{next: s.position.Offset + 1, at: now}
		if err := t.store.Remember(ofChanges(s.step.Changes), at.bytes()); err != nil {
			return fmt.Errorf("partition %d is committed up to %d, but cannot be remembered: %w", t.partition, s.step.Next, err)
		}
		w.at(AfterRemember)
		t.fold.Committed()
		t.log.next, t.positionKey = at.next, s.position.Key
		t.due = t.fold.Due()
		m.emitted(s.step.Records)
		m.states.Add(float64(len(s.step.Changes)))
		counts := t.fold.Counts()
		m.folded(t.counted, counts)
		t.counted = counts
	}
	return nil
}
