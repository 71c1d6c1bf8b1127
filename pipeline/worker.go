package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/kafka"
)

// worker is one goroutine with one client at a time, a member of the group under a name of its own. It owns the tasks of
// the partitions it was assigned; nobody else touches them.
type worker struct {
	p      *Processor
	number int
	name   string
	log    hclog.Logger
	inbox  inbox

	// Of one client: when that goes, all of this goes.
	client   *kgo.Client
	kill     func() // ends the client at once
	offsets  offsetsAPI
	tasks    map[int32]*task
	restores map[int32]*restoring
	restored map[int32]*task // wait for the client to know the partition
	running  sync.WaitGroup  // of restores
	since    time.Time       // when the first record of the next transaction was folded
	commits  int
}

// restoring is a restore under way. A later assignment of the same partition makes it worthless.
type restoring struct {
	cancel context.CancelFunc
	tries  int
	member string // who we were in the group when we got the partition
}

const (
	pollRecords   = 5000
	pollAtMost    = 5 * time.Second
	pollHandover  = 20 * time.Millisecond
	rebalanceTime = 20 * time.Second // at least; the group waits so long for a transaction to end
	maxBackoff    = 10 * time.Second
	restoreTries  = 10
	closeTimeout  = 2 * time.Second
)

func newWorker(p *Processor, number int) *worker {
	return &worker{p: p, number: number, name: p.opts.name(number), log: p.log.With("worker", number)}
}

// run works with one client after the other until the context ends. An error is final.
func (w *worker) run(ctx context.Context) error {
	backoff := 100 * time.Millisecond
	for {
		err := w.live(ctx)
		w.p.board.join(w.number, false)
		if fenced := w.inbox.fenced(); fenced != nil {
			return w.fenced(fenced)
		}
		if err == nil || !errors.Is(err, errUnknown) {
			return err
		}
		if ctx.Err() != nil {
			return nil // the next start finds out
		}
		w.log.Warn("dropping the client and all tasks, the changelog will tell what was committed", "error", err)
		if w.commits > 0 {
			backoff = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
		if err := kafka.WaitReady(ctx, w.p.side, w.log); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// live is the life of one client.
func (w *worker) live(ctx context.Context) (err error) {
	w.inbox.open()
	w.tasks, w.restores, w.restored = map[int32]*task{}, map[int32]*restoring{}, map[int32]*task{}
	w.since, w.commits = time.Time{}, 0
	w.client, err = w.join(ctx)
	if err != nil {
		return err
	}
	w.inbox.killsWith(w.kill)
	lifetime, end := context.WithCancel(ctx)
	defer func() {
		end()
		err = and(err, w.quit())
		w.hangUp()
	}()
	// Before anything else: it puts an end to the transaction that our predecessor left open, on which a restore would
	// wait.
	if _, _, err := w.client.ProducerID(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return w.unsettled(time.Now(), fmt.Errorf("initialise transactional id %s: %w", w.name, err))
	}
	w.at(AfterInit)
	for {
		if err := w.turn(lifetime); err != nil {
			return err
		}
		if ctx.Err() != nil {
			err := w.finish(ctx)
			w.client.AllowRebalance()
			w.p.settle()
			return err
		}
	}
}

// hangUp closes the client. As a static member it does not leave the group. A rebalance under way is waited for, but
// not for long: it may be waiting for others that hang up, too.
func (w *worker) hangUp() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		w.client.CloseAllowingRebalance()
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
		w.kill()
		<-closed
	}
	w.kill()
}

// turn polls once, folds what came, and commits when it is time.
func (w *worker) turn(ctx context.Context) error {
	fetches := w.poll(ctx)
	if err := w.hear(ctx); err != nil {
		return err
	}
	if err := w.fetchErrors(ctx, fetches); err != nil {
		return err
	}
	if err := w.fold(fetches); err != nil {
		return err
	}
	now := time.Now()
	w.tick(ctx, now)
	if w.commitDue(now) {
		if err := w.transact(ctx); err != nil {
			return err
		}
	}
	if w.since.IsZero() {
		w.inbox.letIn()
		w.client.AllowRebalance()
	}
	w.show()
	return nil
}

// commitDue tells whether what is folded goes out now: it is time, or enough, or the client waits to tell us of a move.
func (w *worker) commitDue(now time.Time) bool {
	return !w.since.IsZero() &&
		(now.Sub(w.since) >= w.p.opts.CommitInterval || w.pending() >= w.p.opts.CommitBytes || w.inbox.pressed())
}

// transact commits what was folded. It is not interrupted by a stop.
func (w *worker) transact(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if err := w.commit(ctx); err != nil {
		return err
	}
	w.since = time.Time{}
	w.commits++
	return w.rewrite(ctx)
}

// finish commits the work in hand.
func (w *worker) finish(ctx context.Context) error {
	if w.since.IsZero() {
		return nil
	}
	err := w.transact(ctx)
	if errors.Is(err, errUnknown) {
		w.log.Warn("last transaction may be missing, the next start will do it again", "error", err)
		return nil
	}
	return err
}

// quit drops everything that belongs to the client.
func (w *worker) quit() error {
	for _, r := range w.restores {
		r.cancel()
	}
	w.running.Wait()
	events, _ := w.inbox.take()
	var failed error
	for _, e := range events {
		if e.restored != nil && e.restored.task != nil {
			failed = and(failed, e.restored.task.close())
		}
	}
	for partition := range maps.Clone(w.tasks) {
		failed = and(failed, w.drop(partition))
	}
	for partition := range maps.Clone(w.restored) {
		failed = and(failed, w.drop(partition))
	}
	for partition := range w.p.place.partitions {
		w.p.board.drop(w.number, partition)
	}
	return failed
}

// poll waits for records, and no longer than until something is to be done.
func (w *worker) poll(ctx context.Context) kgo.Fetches {
	now := time.Now()
	until := now.Add(pollAtMost)
	if !w.since.IsZero() {
		until = w.since.Add(w.p.opts.CommitInterval)
	}
	if len(w.restored) > 0 {
		until = earlier(until, now.Add(pollHandover))
	}
	for _, t := range w.tasks {
		if at, wanted := nextTick(t.due, t.seen, t.ticked); wanted {
			until = earlier(until, at)
		}
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if !w.inbox.watch(cancel) {
		cancel() // something waits already
	}
	return w.client.PollRecords(ctx, pollRecords)
}

// and puts two errors into one line; either may be nil.
func and(first, second error) error {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return fmt.Errorf("%w; and then: %w", first, second)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// hear does what the group and the restores have told.
func (w *worker) hear(ctx context.Context) error {
	events, failed := w.inbox.take()
	if failed != nil {
		return w.fenced(failed)
	}
	var closing error
	for _, e := range events {
		for _, partition := range e.revoked {
			w.log.Info("partition was taken from us", "partition", partition)
			closing = and(closing, w.drop(partition))
		}
		for _, partition := range e.assigned {
			closing = and(closing, w.drop(partition))
			w.start(ctx, partition, e.member, 1)
		}
		if e.owned != nil {
			w.own(e.owned)
		}
		if e.restored != nil {
			if err := w.arrived(ctx, e.partition, e.restored, e.of); err != nil {
				return and(err, closing)
			}
		}
	}
	return and(w.handOver(), closing)
}

// start restores a partition beside us.
func (w *worker) start(ctx context.Context, partition int32, member string, tries int) {
	ctx, cancel := context.WithCancel(ctx)
	r := &restoring{cancel: cancel, tries: tries, member: member}
	w.restores[partition] = r
	w.p.board.put(w.number, partition, func(s *PartitionStatus) {
		*s = PartitionStatus{Partition: partition, Worker: w.number, State: Restoring, Position: -1, Lag: -1}
	})
	log := w.log.With("partition", partition)
	w.running.Go(func() {
		if tries > 1 {
			select {
			case <-ctx.Done():
			case <-time.After(min(time.Duration(tries)*200*time.Millisecond, 2*time.Second)):
			}
		}
		t, err := w.restore(ctx, partition, log)
		w.inbox.put(event{partition: partition, restored: &restored{task: t, err: err}, of: r})
	})
}

// arrived takes the outcome of a restore.
func (w *worker) arrived(ctx context.Context, partition int32, outcome *restored, of *restoring) error {
	if w.restores[partition] != of { // taken from us, or assigned anew, in the meantime
		of.cancel()
		if outcome.task != nil {
			return outcome.task.close()
		}
		return nil
	}
	of.cancel()
	delete(w.restores, partition)
	switch {
	case outcome.err == nil:
		outcome.task.member = of.member
		w.restored[partition] = outcome.task
		return nil
	case ctx.Err() != nil:
		return nil
	case w.final(outcome.err) != nil:
		return w.final(outcome.err)
	case of.tries >= restoreTries:
		return outcome.err
	}
	w.log.Warn("restore failed, trying again", "partition", partition, "error", outcome.err)
	w.start(ctx, partition, of.member, of.tries+1)
	return nil
}

// handOver lets restored tasks begin to read: at their position, whatever the group thinks.
func (w *worker) handOver() error {
	if len(w.restored) == 0 {
		return nil
	}
	topic := w.p.opts.Topics.Events
	known := w.client.CommittedOffsets()[topic]
	for partition, t := range w.restored {
		if _, ok := known[partition]; !ok {
			continue // the client is still asking the group for its offset, and would forget ours
		}
		if group, ok := w.inbox.groupOffset(partition); ok && group != t.fold.Next() {
			if t.fold.Next() < 0 {
				return fmt.Errorf("start partition %d: %w: group %s has read %s up to %d, but %s knows nothing of it, and to begin anew would bring out all records a second time: if that is wanted, delete the group (kafka-consumer-groups --delete --group %s)",
					partition, ErrAhead, w.p.opts.Group, topic, group, w.p.opts.Topics.State, w.p.opts.Group)
			}
			w.p.metrics.mismatches.Inc()
			w.log.Warn("the group's offset is not the position, the position counts", "partition", partition, "group", group, "position", t.fold.Next())
		}
		w.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: t.next()}}})
		w.client.ResumeFetchPartitions(map[string][]int32{topic: {partition}})
		delete(w.restored, partition)
		t.seen, t.due = time.Now(), t.fold.Due()
		w.tasks[partition] = t
		w.log.Info("task started", "partition", partition, "position", t.next(), "open_sessions", t.fold.OpenSessions())
	}
	return nil
}

// drop ends a task, or the restore of one.
func (w *worker) drop(partition int32) error {
	if r := w.restores[partition]; r != nil {
		r.cancel()
		delete(w.restores, partition)
	}
	w.p.board.drop(w.number, partition)
	w.p.metrics.forget(partition)
	var failed error
	for _, held := range []map[int32]*task{w.tasks, w.restored} {
		if t := held[partition]; t != nil {
			delete(held, partition)
			failed = and(failed, t.close())
		}
	}
	return failed
}

// fold applies what was read.
func (w *worker) fold(fetches kgo.Fetches) error {
	now := time.Now()
	var failed error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		t := w.tasks[p.Partition]
		if t == nil || failed != nil {
			return // not restored yet: it will be read again from its position
		}
		if p.HighWatermark >= 0 {
			t.end = p.HighWatermark
		}
		if len(p.Records) == 0 {
			return
		}
		var kinds [4]int
		for _, r := range p.Records {
			in := Input(r)
			if failed = t.apply(in); failed != nil {
				var panicked *panicked
				if errors.As(failed, &panicked) {
					w.log.Error("fold panicked", "partition", t.partition, "offset", in.Offset, "panic", panicked, "stack", string(panicked.stack))
				}
				return
			}
			kinds[in.Kind]++
		}
		for kind, n := range kinds {
			if n > 0 {
				w.p.metrics.inputs.WithLabelValues(kindNames[kind]).Add(float64(n))
			}
		}
		t.dirty, t.seen, t.due = true, now, t.fold.Due()
		if w.since.IsZero() {
			w.since = now
		}
	})
	return failed
}

var kindNames = [4]string{cdr.KindEvent: kafka.KindEvent, cdr.KindCopy: kafka.KindCopy, cdr.KindTick: kafka.KindTick, cdr.KindAlive: kafka.KindAlive}

// pending is about how many bytes the next transaction has.
func (w *worker) pending() (bytes int) {
	for _, t := range w.tasks {
		if t.dirty {
			bytes += t.fold.Pending()
		}
	}
	return bytes
}

// order is the partitions that have a task, in order.
func (w *worker) order() []int32 { return slices.Sorted(maps.Keys(w.tasks)) }

// show writes down how the tasks are, as far as it is committed.
func (w *worker) show() {
	for partition, t := range w.tasks {
		if t.dirty {
			continue // what is folded is not true yet
		}
		next, open := t.next(), t.fold.OpenSessions()
		lag := max(t.end-next, 0)
		w.p.board.put(w.number, partition, func(s *PartitionStatus) {
			s.State, s.Position, s.Lag, s.OpenSessions = Running, next, lag, open
		})
		label := strconv.Itoa(int(partition))
		w.p.metrics.lag.WithLabelValues(label).Set(float64(lag))
		w.p.metrics.position.WithLabelValues(label).Set(float64(next))
		w.p.metrics.open.WithLabelValues(label).Set(float64(open))
	}
}
