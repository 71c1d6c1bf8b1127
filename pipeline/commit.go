package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

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
	HeaderSchema     = kafka.HeaderSchema
	HeaderVersion    = "program_version"
	HeaderPolicy     = "policy_fingerprint"
)

// txnClient is what a commit asks of the transactional client of a member of the group: a *kgo.Client, or in tests the
// script of one. A produced record has its offset once its promise was kept.
type txnClient interface {
	ProducerID(context.Context) (id int64, epoch int16, err error)
	BeginTransaction() error
	Produce(context.Context, *kgo.Record, func(*kgo.Record, error))
	Flush(context.Context) error
	AbortBufferedRecords(context.Context) error
	EndTransaction(context.Context, kgo.TransactionEndTry) error

	PartitionLeader(topic string, partition int32) (leader, epoch int32, err error)
	GroupMetadata() (member string, generation int32)
	Request(context.Context, kmsg.Request) (kmsg.Response, error) // of offsets, see fence
}

// commitEnv is what a commit needs, whichever client writes it.
type commitEnv struct {
	name    string // transactional id, and instance id in the group
	group   string
	topics  kafka.Topics
	cluster clusterInfo
	encode  EncodeFunc
	headers HeaderNames

	log      hclog.Logger
	metrics  *metrics
	hooks    hooks
	classify classifier
}

// committer writes transactions with one client. After an error it is worthless, as are the tasks that it was given.
type committer struct {
	commitEnv
	client  txnClient
	lineage *lineage
	offsets offsetsAPI
	fences  bool // the brokers refuse offsets of a generation that is over
}

// taskCommit is what one task brings into a transaction.
type taskCommit struct {
	task     *task
	step     cdr.Step
	position *kgo.Record // of the changelog; it has an offset once it is acknowledged
	epoch    int32       // of the leader of the changelog partition, before anything is written
}

// commit lets the world see what the tasks have folded, then remembers it. The order is the meaning:
//
//	encode records, parked events and states of all tasks    so that nothing in the transaction waits for us; the
//	                                                         states of a task that lags not at all, nor the task where
//	                                                         it has nothing to tell
//	begin
//	produce them, the position of each task as its last state
//	flush; is one not acknowledged: abort                    since the client would commit the rest without it
//	offsets of exactly these tasks; refused: abort           the fence against a worker that has lost its partitions
//	end
//	    nil:        store.Remember, then fold.Committed      Kafka is the truth, the store never runs ahead of it
//	    all else:   errUnknown                               it may be done, too, or it will be: drop the client and all
//	                                                         tasks, the changelog tells what was committed
func (c *committer) commit(ctx context.Context, tasks []*task) error {
	batch, records, err := c.gather(tasks)
	if err != nil {
		return err
	}
	if len(batch) == 0 {
		return nil
	}
	began := time.Now()
	//mutant:commit-of-shares
	if err := c.transaction(ctx, batch, records); err != nil {
		return err
	}
	c.metrics.seconds.Observe(time.Since(began).Seconds())
	c.metrics.last.Store(time.Now().UnixNano())
	return c.applyCommitted(batch)
}

// transaction writes messages and the offsets of the tasks, all or nothing. Only nil means that they are committed; an
// error that wraps errUnknown does not mean that they are not.
func (c *committer) transaction(ctx context.Context, batch []*taskCommit, records []*kgo.Record) error {
	began := time.Now()
	c.hooks.at(BeforeBegin)
	if err := c.client.BeginTransaction(); err != nil {
		return c.classify.failure(began, fmt.Errorf("begin transaction: %w", err))
	}
	c.hooks.at(AfterBegin)

	results := c.produce(ctx, records)
	c.hooks.at(AfterProduce)
	flush, cancel := context.WithTimeout(ctx, endTimeout)
	//mutant:flush
	err := c.client.Flush(flush)
	cancel()
	if err == nil {
		//mutant:promises
		err = results.firstError()
	}
	if err != nil {
		return c.abort(ctx, began, err)
	}
	c.hooks.at(BeforeOffsets)

	// Only now: all that we wrote is acknowledged, so it lies before whatever the next owner writes.
	end, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	//mutant:fence
	if err := c.fence(end, batch); err != nil {
		return c.abort(ctx, began, err)
	}
	c.hooks.at(BeforeEnd)
	if err := c.client.EndTransaction(end, kgo.TryCommit); err != nil {
		c.metrics.commits.WithLabelValues(unknown).Inc()
		//mutant:end-unknown
		return c.classify.failure(began, fmt.Errorf("end transaction: %w", err))
	}
	c.metrics.commits.WithLabelValues(committed).Inc()
	c.hooks.at(AfterEnd)
	return nil
}

// gather takes the steps of the tasks and writes down all that goes out, in its order.
func (c *committer) gather(tasks []*task) (batch []*taskCommit, records []*kgo.Record, err error) {
	for _, t := range tasks {
		step := t.step()
		if len(step.Changes) == 0 {
			continue
		}
		tc := &taskCommit{task: t, step: step, epoch: c.epoch(t)}
		batch = append(batch, tc)
		for i := range step.Records {
			r, err := c.record(t.partition, &step.Records[i])
			if err != nil {
				return nil, nil, err
			}
			records = append(records, r)
		}
		for _, parked := range step.Parked {
			records = append(records, c.parked(t.partition, parked))
		}
		for _, change := range step.Changes {
			tc.position = c.state(t.partition, change.Key, change.Value)
			records = append(records, tc.position)
		}
	}
	return batch, records, nil
}

// epoch is that of the leader of a changelog partition, as far as we know. Asked before anything is written, it is not
// a later one than that of the leader who takes it: brokers do not say in answer to a message which one it has.
func (c *committer) epoch(t *task) int32 {
	_, epoch, err := c.client.PartitionLeader(c.topics.State, t.partition)
	if err != nil { // of a client that has written nothing so far, or the leader is away
		return t.changelog.epoch
	}
	return max(epoch, t.changelog.epoch)
}

func (c *committer) state(partition int32, key, value []byte) *kgo.Record {
	return &kgo.Record{Topic: c.topics.State, Partition: partition, Key: key, Value: value}
}

func (c *committer) record(partition int32, r *cdr.Record) (*kgo.Record, error) {
	value, err := c.encode(r)
	if err != nil {
		return nil, fmt.Errorf("encode record %s of partition %d: %w: %w", r.RecordID, partition, ErrBroken, err)
	}
	names := c.headers
	return &kgo.Record{
		Topic: c.topics.CDR, Partition: partition, Key: []byte(r.SessionID), Value: value,
		Headers: []kgo.RecordHeader{
			{Key: HeaderRecordID, Value: []byte(r.RecordID.String())},
			{Key: HeaderRecordType, Value: []byte(r.RecordType.String())},
			{Key: HeaderSchema, Value: []byte(names.Schema)},
			{Key: HeaderVersion, Value: []byte(names.Version)},
			{Key: HeaderPolicy, Value: []byte(names.Policy)},
		},
	}, nil
}

func (c *committer) parked(partition int32, p cdr.Parked) *kgo.Record {
	headers := []kgo.RecordHeader{
		{Key: kafka.HeaderReason, Value: []byte(p.Reason)},
		{Key: kafka.HeaderSource, Value: []byte("cdr")},
		{Key: kafka.HeaderTopic, Value: []byte(c.topics.Events)},
		{Key: kafka.HeaderPartition, Value: strconv.AppendInt(nil, int64(partition), 10)},
		{Key: kafka.HeaderOffset, Value: strconv.AppendInt(nil, p.Input.Offset, 10)},
	}
	if p.Input.Emitter != "" {
		headers = append(headers, kgo.RecordHeader{Key: kafka.HeaderEmitter, Value: []byte(p.Input.Emitter)})
	}
	return &kgo.Record{
		Topic: c.topics.DLQ, Partition: partition % c.cluster.dlq,
		Key: p.Input.Key, Value: p.Input.Value, Headers: headers,
	}
}

// produceResults collects what the brokers answer to the messages of a transaction.
type produceResults struct {
	mu     sync.Mutex
	failed error
}

func (p *produceResults) firstError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

func (c *committer) produce(ctx context.Context, records []*kgo.Record) *produceResults {
	p := &produceResults{}
	for _, record := range records {
		c.client.Produce(ctx, record, func(r *kgo.Record, err error) {
			if err == nil {
				return
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.failed == nil {
				p.failed = fmt.Errorf("write to %s partition %d: %w", r.Topic, r.Partition, kafka.WithRemedy(err))
				if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
					p.failed = fmt.Errorf("%w: %w: it has %d bytes: raise max.message.bytes of the topic",
						ErrTooLarge, p.failed, len(r.Value))
				}
			}
		})
		c.hooks.at(Producing)
	}
	return p
}

// abort gives a transaction up whose messages did not all arrive. What was folded goes with it: the tasks are dropped.
func (c *committer) abort(ctx context.Context, began time.Time, why error) error {
	c.metrics.commits.WithLabelValues(aborted).Inc()
	c.hooks.at(BeforeAbort)
	end, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	// Only so that readers need not wait for the timeout; the next client would abort it, too.
	err := c.client.AbortBufferedRecords(end)
	if err == nil {
		err = c.client.EndTransaction(end, kgo.TryAbort)
	}
	if err != nil {
		c.log.Debug("transaction was not aborted in order", "error", err)
	}
	//mutant:aborted
	return c.classify.failure(began, why)
}

// applyCommitted remembers what is committed: the store first, as the fold then forgets what the store has.
func (c *committer) applyCommitted(batch []*taskCommit) error {
	m, now := c.metrics, time.Now()
	for _, tc := range batch {
		t := tc.task
		//mutant:checkpoint-of-commit
		at := checkpoint{next: tc.position.Offset + 1, at: now, epoch: tc.epoch}
		if err := t.store.Remember(ofChanges(tc.step.Changes), at.bytes()); err != nil {
			return fmt.Errorf("partition %d is committed up to %d, but cannot be remembered: %w", t.partition, tc.step.Next, err)
		}
		c.hooks.at(AfterRemember)
		if !tc.step.Lags {
			t.fold.Committed()
			t.unwritten = time.Time{}
		}
		t.changelog.next, t.changelog.epoch, t.positionKey = at.next, at.epoch, tc.position.Key
		t.due = t.fold.Due()
		m.emitted(tc.step.Records)
		m.states.Add(float64(len(tc.step.Changes)))
		counts := t.fold.Counts()
		m.folded(t.counted, counts)
		t.counted = counts
	}
	return nil
}
