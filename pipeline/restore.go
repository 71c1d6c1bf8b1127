package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/kafka"
	"januscdr/statestore"
)

// A restore makes a task out of a partition that was assigned. It walks the path of a start after a crash, and of any
// other:
//
//	take the partition's slot in this process                the task before may still be closing its store
//	open the store                                           broken: moved aside, it starts empty
//	append a barrier to the changelog                        all that earlier owners wrote lies before it, or is aborted
//	replay the changelog into the store                      from its checkpoint; from the start of the log where it has
//	    until a record at the barrier or beyond comes        none, or one that the log or its deletions do not reach
//	                                                         (replaystart.go)
//	claim the changelog                                      it is of our event log, and no other group works on it
//	open the fold on the store                               makes no sense: move the store aside, and once more
//	check that the event log has the position
//	prime the window of duplicates                           with the records before the position
//	hand the task over                                       the worker's: it reads on from the position
//
// It runs in a goroutine of its own, outside of any transaction: a member that waits inside one can wait for another
// that waits for it.

const (
	progressEvery = 5 * time.Second
	maxRestarts   = 3 // of one restore, because the log start moved
	asideAttempts = 2
)

// restorer makes tasks for one worker. Restores of several partitions may run at once.
type restorer struct {
	name    string // of the worker: it stands in its barriers
	group   string
	kafka   kafka.Options
	topics  kafka.Topics
	cluster clusterInfo

	policy       cdr.Policy
	acceptLoss   bool
	storeOptions func(partition int32) statestore.Options

	plain *kgo.Client // writes barriers and origins
	admin *kadm.Client

	slots map[int32]chan struct{} // of the process: who has that of a partition may open its store
	limit chan struct{}           // of the process: bounds restores at once
	waits time.Duration           // for an open transaction, at most; see hanging.go

	metrics *metrics
	board   workerBoard
	hooks   hooks
}

// restored is what a restore comes to.
type restored struct {
	task *task
	err  error
}

// restore makes the task of a partition. The error wraps the context's when that ended.
func (r *restorer) restore(ctx context.Context, partition int32, log hclog.Logger) (t *task, err error) {
	// One after the other: the task that this process had before may still be closing its store.
	slot, known := r.slots[partition]
	if !known {
		return nil, r.errPartitionsAdded(partition)
	}
	select {
	case slot <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	free := func() { <-slot }
	defer func() {
		if err != nil {
			free()
		}
	}()
	turn := &turn{limit: r.limit}
	if err := turn.take(ctx); err != nil {
		return nil, err
	}
	defer turn.give()

	for attempt := 1; ; attempt++ {
		store, err := r.openStore(partition, log)
		if err != nil {
			return nil, err
		}
		t, err := r.restoreInto(ctx, partition, store, turn, log)
		if err == nil {
			t.releaseSlot = free
			return t, nil
		}
		senseless := errors.Is(err, errStates) || errors.Is(err, statestore.ErrTorn) // wherever that was met first
		if !senseless || errors.Is(err, ErrVersion) || attempt == asideAttempts {
			return nil, and(err, store.Close())
		}
		// What the store has makes no sense. The changelog has the truth.
		aside, moved := store.Quarantine()
		if moved != nil {
			return nil, and(err, moved)
		}
		r.metrics.broken.Inc()
		log.Error("state store made no sense and is built anew from the changelog", "moved_to", aside, "error", err)
	}
}

// errStates marks errors of reading the states, as opposed to those of Kafka.
var errStates = errors.New("states cannot be read")

func (r *restorer) openStore(partition int32, log hclog.Logger) (*statestore.Store, error) {
	store, err := statestore.Open(r.storeOptions(partition))
	if err != nil {
		return nil, fmt.Errorf("restore partition %d: %w", partition, err)
	}
	if aside := store.MovedAside(); aside != "" {
		r.metrics.broken.Inc()
		log.Warn("state store could not be opened and is built anew from the changelog", "moved_to", aside)
	}
	return store, nil
}

func (r *restorer) restoreInto(
	ctx context.Context, partition int32, store *statestore.Store, turn *turn, log hclog.Logger,
) (*task, error) {
	began := time.Now()
	if err := r.sameChangelog(ctx, partition); err != nil {
		return nil, err
	}
	//mutant:barrier
	barrier, err := r.barrier(ctx, partition)
	if err != nil {
		return nil, err
	}
	r.hooks.at(AfterBarrier)
	//mutant:replay
	span, err := r.replay(ctx, partition, store, barrier, turn, log)
	if err != nil {
		return nil, err
	}
	if err := r.claim(ctx, partition, store, log); err != nil {
		return nil, err
	}
	fold, err := cdr.Open(r.policy, cdr.Source{Topic: r.topics.Events, Partition: partition}, store)
	switch {
	case errors.Is(err, cdr.ErrStateVersion):
		return nil, r.errOtherVersion(partition, err)
	case err != nil:
		return nil, fmt.Errorf("restore partition %d: %w: %w: %w", partition, ErrBroken, errStates, err)
	}
	t := &task{partition: partition, fold: fold, store: store, changelog: span}
	if err := r.checkStartOffset(ctx, t, log); err != nil {
		return nil, err
	}
	//mutant:recall
	if err := r.primeDedup(ctx, t); err != nil {
		return nil, err
	}
	r.hooks.at(AfterRestore)
	log.Info("task restored", "position", t.next(), "open_sessions", fold.OpenSessions(),
		"took", time.Since(began).Round(time.Millisecond))
	return t, nil
}

// sameChangelog is an error when the changelog is not the one that was there when we started. All that stood in it is
// gone, and to go on without would bring out records a second time.
func (r *restorer) sameChangelog(ctx context.Context, partition int32) error {
	topics, err := r.admin.ListTopics(ctx, r.topics.State)
	if err == nil {
		err = topics[r.topics.State].Err
	}
	const remedy = "stop the processors, give the changelog and the group new names (topics.state, group), delete the " +
		"state directory, and start again; sessions that were open will be reported from what comes"
	switch id := topics[r.topics.State].ID.String(); {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("restore partition %d: the changelog %s is not there any more: if it was deleted, %s: %w",
			partition, r.topics.State, remedy, err)
	case err != nil:
		return fmt.Errorf("restore partition %d: look at %s: %w", partition, r.topics.State, err)
	case id != r.cluster.stateID:
		return fmt.Errorf("restore partition %d: %w: the changelog %s was deleted and made again while we ran: %s",
			partition, ErrAhead, r.topics.State, remedy)
	}
	return nil
}

// barrier appends a mark to the changelog partition and returns its offset. Whoever had the partition before us lost it
// before we got it: all they wrote lies before the mark, or can only be aborted.
func (r *restorer) barrier(ctx context.Context, partition int32) (int64, error) {
	offset, err := r.appendPlain(ctx, &kgo.Record{
		Topic: r.topics.State, Partition: partition, Key: []byte(barrierKey),
		Value: []byte(r.name), // who took over, for those who look: see Barrier
	})
	if err != nil {
		return 0, fmt.Errorf("restore partition %d: append barrier to %s: %w", partition, r.topics.State, err)
	}
	return offset, nil
}

// replay tells the store what the changelog says from the store's checkpoint on, until a record at or beyond the
// barrier is delivered: if compaction took ours, there is a later one. It does not stop at an offset without a record:
// the last stable offset can lie before what is committed, and the mark of a transaction can vanish.
func (r *restorer) replay(
	ctx context.Context, partition int32, store *statestore.Store, barrier int64, turn *turn, log hclog.Logger,
) (logSpan, error) {
	for restart := 0; ; restart++ {
		span, err := r.replayFrom(ctx, partition, store, barrier, turn, log)
		if !errors.Is(err, kafka.ErrOutOfRange) || restart == maxRestarts {
			return span, err
		}
		log.Info("changelog was cut while it was read, starting over", "error", err)
	}
}

func (r *restorer) replayFrom(
	ctx context.Context, partition int32, store *statestore.Store, barrier int64, turn *turn, log hclog.Logger,
) (logSpan, error) {
	topic := r.topics.State
	first, err := r.logStart(ctx, topic, partition)
	if err != nil {
		return logSpan{}, err
	}
	from, kind, err := r.replayStart(ctx, partition, store, first, barrier, log)
	if err != nil {
		return logSpan{}, fmt.Errorf("restore partition %d: %w", partition, err)
	}

	reader, err := kafka.NewReader(r.kafka, topic, map[int32]kafka.Range{partition: {From: from, To: -1}},
		kgo.FetchMaxPartitionBytes(8<<20))
	if err != nil {
		return logSpan{}, fmt.Errorf("restore partition %d: %w", partition, err)
	}
	defer reader.Close()
	progress := r.progress(partition, from, barrier, turn, log)
	defer progress.done()
	epoch := int32(-1)
	for at := from; at <= barrier; {
		//mutant:read-changelog
		records, err := progress.next(ctx, reader, at)
		if err != nil {
			return logSpan{}, fmt.Errorf("restore partition %d: %w", partition, err)
		}
		last := records[len(records)-1]
		at, epoch = last.Offset+1, last.LeaderEpoch
		told := checkpoint{next: at, at: time.Now(), epoch: epoch}
		if err := store.Remember(ofRecords(records), told.bytes()); err != nil {
			return logSpan{}, fmt.Errorf("restore partition %d: %w", partition, err)
		}
		r.hooks.at(AfterReplay)
		progress.read(len(records), at)
	}
	r.metrics.restores.WithLabelValues(kind).Inc()
	return logSpan{first: first, next: barrier + 1, epoch: epoch}, nil
}

// checkStartOffset finds out where the task starts to read, and that it can.
func (r *restorer) checkStartOffset(ctx context.Context, t *task, log hclog.Logger) error {
	topic := r.topics.Events
	start, err := r.logStart(ctx, topic, t.partition)
	if err != nil {
		return err
	}
	end, err := r.offsetOf(ctx, r.admin.ListEndOffsets, topic, t.partition)
	if err != nil {
		return err
	}
	t.end = end
	next := t.fold.Next()
	switch {
	case t.fold.Told() > end:
		return fmt.Errorf("restore partition %d: %w: the position is %d, but %s ends at %d: "+
			"if the topic was deleted and made again, give the changelog and the group new names, and delete the state "+
			"directory",
			t.partition, ErrAhead, t.fold.Told(), topic, end)
	case next < 0 || next >= start:
		t.start = start
	case !r.acceptLoss:
		return r.errOutOfRange(t.partition, next, start)
	default:
		// The fold takes any later offset; its position is behind until then.
		t.start = start
		r.metrics.lost.Add(float64(start - next))
		log.Error("events were deleted before they were read, going on without them",
			"from", next, "to", start, "count", start-next)
	}
	return nil
}

func (r *restorer) errOutOfRange(partition int32, next, start int64) error {
	return fmt.Errorf("read partition %d of %s: %w: the position is %d and the log begins at %d, so %d events cannot "+
		"be had any more: bring the topic back from a copy, or accept the loss with --accept-loss; then keep events "+
		"longer (retention.ms, retention.bytes)",
		partition, r.topics.Events, ErrOutOfRange, next, start, start-next)
}

// primeDedup refills the window of duplicates with the records before the position.
func (r *restorer) primeDedup(ctx context.Context, t *task) error {
	next := t.fold.Next()
	if next < 0 {
		return nil
	}
	topic := r.topics.Events
	for restart := 0; ; restart++ {
		first, err := r.logStart(ctx, topic, t.partition)
		if err != nil {
			return err
		}
		from := max(first, next-cdr.WindowSize)
		if from >= next {
			return nil
		}
		err = r.primeDedupFrom(ctx, t, topic, kafka.Range{From: from, To: next})
		if !errors.Is(err, kafka.ErrOutOfRange) || restart == maxRestarts {
			return err
		}
	}
}

func (r *restorer) primeDedupFrom(ctx context.Context, t *task, topic string, span kafka.Range) error {
	reader, err := kafka.NewReader(r.kafka, topic, map[int32]kafka.Range{t.partition: span},
		kgo.FetchMaxPartitionBytes(8<<20))
	if err != nil {
		return fmt.Errorf("restore partition %d: %w", t.partition, err)
	}
	defer reader.Close()
	for {
		records, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("restore partition %d: recall events: %w", t.partition, err)
		}
		for _, r := range records {
			t.fold.PrimeWindow(Input(r))
		}
	}
}

func (r *restorer) logStart(ctx context.Context, topic string, partition int32) (int64, error) {
	return r.offsetOf(ctx, r.admin.ListStartOffsets, topic, partition)
}

func (r *restorer) offsetOf(
	ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), topic string, partition int32,
) (int64, error) {
	listed, err := list(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("restore partition %d: list offsets of %s: %w", partition, topic, err)
	}
	offset, ok := listed.Lookup(topic, partition)
	if !ok {
		return 0, fmt.Errorf("restore partition %d: list offsets of %s: the partition is not there", partition, topic)
	}
	if offset.Err != nil {
		return 0, fmt.Errorf("restore partition %d: list offsets of %s: %w", partition, topic, offset.Err)
	}
	return offset.Offset, nil
}

// progress tells how a restore goes on.
type progress struct {
	r         *restorer
	turn      *turn
	partition int32
	log       hclog.Logger
	from      int64
	barrier   int64
	records   int64
	began     time.Time
	logged    time.Time
}

func (r *restorer) progress(partition int32, from, barrier int64, turn *turn, log hclog.Logger) *progress {
	now := time.Now()
	p := &progress{r: r, turn: turn, partition: partition, log: log, from: from, barrier: barrier, began: now, logged: now}
	p.show(from)
	return p
}

func (p *progress) show(at int64) {
	ratio := float64(at-p.from) / float64(max(p.barrier+1-p.from, 1))
	p.r.board.change(p.partition, func(s *PartitionStatus) {
		s.State, s.Restored, s.ToRestore, s.progress = Restoring, p.records, p.barrier+1-p.from, new(min(ratio, 1))
	})
}

func (p *progress) read(n int, at int64) {
	p.records += int64(n)
	p.r.metrics.restored.Add(float64(n))
	p.show(at)
	if time.Since(p.logged) < progressEvery || at > p.barrier {
		return
	}
	p.logged = time.Now()
	took := time.Since(p.began)
	left := time.Duration(float64(took) * float64(p.barrier+1-at) / float64(max(at-p.from, 1)))
	p.log.Info("restoring", "records", p.records, "records_per_second", int64(float64(p.records)/took.Seconds()),
		"percent", 100*(at-p.from)/max(p.barrier+1-p.from, 1), "left", left.Round(time.Second))
}

func (p *progress) done() {
	p.r.board.change(p.partition, func(s *PartitionStatus) { s.progress = nil })
}
