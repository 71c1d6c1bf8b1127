package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

const (
	pollRecords  = 5000
	pollAtMost   = 5 * time.Second
	pollHandover = 20 * time.Millisecond
	restoreTries = 10
)

// consumer is a worker while one client lives: the tasks of the partitions it was assigned, and what is folded in
// them and not committed. It belongs to the goroutine of the worker; nobody else touches its tasks. When the client
// goes, all of this goes.
type consumer struct {
	*worker
	client    *kgo.Client
	committer *committer
	rewriter  *rewriter

	tasks    map[int32]*task
	restores map[int32]*restoring
	restored map[int32]*task // wait for the client to know the partition
	running  sync.WaitGroup  // of restores
	since    time.Time       // when the first record of the next transaction was folded
	commits  int

	interrupted bool // membership of the group, and it was said
}

func newConsumer(w *worker, conn *connection) *consumer {
	committer := &committer{
		commitEnv: w.commitEnv, client: conn.client, lineage: conn.lineage, offsets: conn.offsets,
	}
	return &consumer{
		worker: w, client: conn.client, committer: committer,
		rewriter: &rewriter{rewriteEnv: w.rewriteEnv, committer: committer},
		tasks:    map[int32]*task{}, restores: map[int32]*restoring{}, restored: map[int32]*task{},
	}
}

// restoring is a restore under way. A later assignment of the same partition makes it worthless.
type restoring struct {
	cancel context.CancelFunc
	tries  int
	place  place // where we were in the group when we got the partition
}

// pollOnce polls once, folds what came, and commits when it is time.
func (c *consumer) pollOnce(ctx context.Context) error {
	fetches := c.poll(ctx)
	if err := c.handleEvents(ctx); err != nil {
		return err
	}
	if err := c.fetchErrors(ctx, fetches); err != nil {
		return err
	}
	if err := c.fold(fetches); err != nil {
		return err
	}
	now := time.Now()
	//mutant:tick
	c.appendTicks(ctx, now)
	if c.commitDue(now) && !c.held() {
		c.chooseLag(now)
		if err := c.commitThenRewrite(ctx); err != nil {
			return err
		}
	}
	if c.since.IsZero() {
		c.member.inbox.rebalanceDone()
		c.client.AllowRebalance()
	}
	c.showTasks()
	return nil
}

// commitDue tells whether what is folded goes out now: it is time, or enough, or the client waits to tell us of a
// move, or states have lagged for long enough.
func (c *consumer) commitDue(now time.Time) bool {
	if at, wanted := c.statesAt(); wanted && !now.Before(at) {
		return true
	}
	return !c.since.IsZero() &&
		(!now.Before(c.commitAt()) || c.enough() || c.member.inbox.rebalanceWaiting())
}

// held tells whether a commit waits until the group has said what is ours in the generation that begins: its offsets
// would have to, in the midst of a transaction. It goes out all the same, and may be refused, when it is too much to
// wait with, and when the client waits: it does so behind what the group says, or because the group did not.
func (c *consumer) held() bool {
	return !c.committer.lineage.place(c.client).settled && !c.enough() && !c.member.inbox.rebalanceWaiting()
}

// backlog is how many records that are in the log and not folded make a worker take its time to commit: nobody waits
// for the last of them, and a session that changes ten times between two commits is written once.
const backlog = 20_000

// commitAt is when what is folded goes out, if it is not too much before: later, while there is a backlog.
func (c *consumer) commitAt() time.Time {
	return c.since.Add(c.commitWait())
}

// commitWait is how long a transaction collects.
func (c *consumer) commitWait() time.Duration {
	if c.behind() > backlog {
		return max(c.commitInterval, c.commitBacklog)
	}
	return c.commitInterval
}

// behind is how many records lie in the log beyond what is folded, as far as the last fetches told.
func (c *consumer) behind() (records int64) {
	for _, t := range c.tasks {
		records += max(t.end-t.next(), 0)
	}
	return records
}

// commitThenRewrite commits what was folded. It is not interrupted by a stop.
func (c *consumer) commitThenRewrite(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	//mutant:commit-of-client
	if err := c.committer.commit(ctx, c.ordered()); err != nil {
		return err
	}
	c.since = time.Time{}
	c.commits++
	return c.rewriter.rewrite(ctx, c.ordered())
}

// finish commits the work in hand.
func (c *consumer) finish(ctx context.Context) error {
	if _, lag := c.statesAt(); c.since.IsZero() && !lag {
		return nil
	}
	for _, t := range c.tasks {
		t.lags = false
	}
	err := c.commitThenRewrite(ctx)
	if errors.Is(err, errUnknown) {
		c.log.Warn("last transaction may be missing, the next start will do it again", "error", err)
		return nil
	}
	return err
}

// releaseTasks drops everything that belongs to the client.
func (c *consumer) releaseTasks() error {
	for _, r := range c.restores {
		r.cancel()
	}
	c.running.Wait()
	events, _ := c.member.inbox.take()
	failed := closeRestored(events)
	for partition := range maps.Clone(c.tasks) {
		failed = and(failed, c.lose(partition))
	}
	for partition := range maps.Clone(c.restored) {
		failed = and(failed, c.lose(partition))
	}
	for partition := range c.partitions {
		c.board.lose(partition)
	}
	return failed
}

// closeRestored closes the tasks that wait to be taken up and will not be.
func closeRestored(events []event) (failed error) {
	for _, e := range events {
		if e.restored != nil && e.restored.task != nil {
			failed = and(failed, e.restored.task.close())
		}
	}
	return failed
}

// poll waits for records, and no longer than until something is to be done.
func (c *consumer) poll(ctx context.Context) kgo.Fetches {
	now := time.Now()
	until := now.Add(pollAtMost)
	if !c.since.IsZero() {
		until = c.commitAt()
	}
	if at, wanted := c.statesAt(); wanted {
		until = earlier(until, at)
	}
	if len(c.restored) > 0 {
		until = earlier(until, now.Add(pollHandover))
	}
	for _, t := range c.tasks {
		if at, wanted := nextTick(t.due, t.seen, t.ticked); wanted {
			until = earlier(until, at)
		}
	}
	if soon := now.Add(pollHandover); until.Before(soon) && c.held() {
		until = soon
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if !c.member.inbox.watch(cancel) {
		cancel() // something waits already
	}
	return c.client.PollRecords(ctx, pollRecords)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// handleEvents does what the group and the restores have told.
func (c *consumer) handleEvents(ctx context.Context) error {
	events, failed := c.member.inbox.take()
	if failed != nil {
		return and(c.classify.fenced(failed), closeRestored(events))
	}
	var closing error
	var owned map[int32]bool
	for i, e := range events {
		for _, partition := range e.revoked {
			c.log.Info("partition was taken from us", "partition", partition)
			//mutant:drop-revoked
			closing = and(closing, c.drop(partition))
		}
		if len(e.lost) > 0 {
			c.board.join(false) // until the group says anew what is ours
			c.log.Warn("partitions are lost until the group answers again", "partitions", fmt.Sprint(e.lost))
		}
		for _, partition := range e.lost {
			closing = and(closing, c.lose(partition))
		}
		for _, partition := range e.assigned {
			//mutant:drop-assigned
			closing = and(closing, c.drop(partition))
			//mutant:start-assigned
			c.startRestore(ctx, partition, e.place, 1)
		}
		if e.owned != nil {
			c.showOwned(e.owned)
			owned = e.owned
		}
		if e.restored != nil {
			if err := c.restoreDone(ctx, e.partition, e.restored, e.attempt); err != nil {
				return and(and(err, closing), closeRestored(events[i+1:]))
			}
		}
	}
	if owned != nil {
		closing = and(closing, c.renew(ctx, owned))
	}
	//mutant:hand-over
	return and(c.handOver(), closing)
}

// renew begins anew with what is ours, when the group may have had a generation without us: others may have worked
// there. The client tells nothing of partitions that it keeps.
func (c *consumer) renew(ctx context.Context, owned map[int32]bool) (failed error) {
	at := c.committer.lineage.place(c.client)
	if !at.settled {
		return nil // it will be said again, and until then nothing is committed
	}
	stale := map[int32]bool{}
	for _, held := range []map[int32]*task{c.tasks, c.restored} {
		for partition, t := range held {
			stale[partition] = stale[partition] || !t.place.leadsTo(at)
		}
	}
	for partition, r := range c.restores {
		stale[partition] = stale[partition] || !r.place.leadsTo(at)
	}
	for _, partition := range slices.Sorted(maps.Keys(stale)) {
		if !stale[partition] {
			continue
		}
		c.log.Warn("partition is restored: the group may have given it away in a generation of which we did not hear",
			"partition", partition)
		c.client.PauseFetchPartitions(map[string][]int32{c.topic: {partition}})
		failed = and(failed, c.drop(partition))
		if owned[partition] {
			c.startRestore(ctx, partition, at, 1)
		}
	}
	return failed
}

// showOwned shows what the group says we have, before its callbacks come.
func (c *consumer) showOwned(owned map[int32]bool) {
	for partition := range c.partitions {
		switch {
		case !owned[partition]:
			if c.tasks[partition] == nil {
				c.board.drop(partition)
			}
		case c.tasks[partition] == nil:
			c.board.put(partition, func(s *PartitionStatus) { s.State = Restoring })
		}
	}
	c.board.join(true)
	c.interrupted = false
}

// startRestore restores a partition in a goroutine of its own; restoreDone gets the outcome.
func (c *consumer) startRestore(ctx context.Context, partition int32, at place, tries int) {
	ctx, cancel := context.WithCancel(ctx)
	r := &restoring{cancel: cancel, tries: tries, place: at}
	c.restores[partition] = r
	c.board.put(partition, func(s *PartitionStatus) {
		*s = PartitionStatus{Partition: partition, Worker: c.board.worker, State: Restoring, Position: -1, Lag: -1,
			known: s.known}
	})
	log := c.log.With("partition", partition)
	c.running.Go(func() {
		if tries > 1 {
			select {
			case <-ctx.Done():
			case <-time.After(min(time.Duration(tries)*200*time.Millisecond, 2*time.Second)):
			}
		}
		t, err := c.restorer.restore(ctx, partition, log)
		c.member.inbox.put(event{partition: partition, restored: &restored{task: t, err: err}, attempt: r})
	})
}

// restoreDone takes the outcome of a restore.
func (c *consumer) restoreDone(ctx context.Context, partition int32, outcome *restored, attempt *restoring) error {
	if c.restores[partition] != attempt { // taken from us, or assigned anew, in the meantime
		attempt.cancel()
		if outcome.task != nil {
			return outcome.task.close()
		}
		return nil
	}
	attempt.cancel()
	delete(c.restores, partition)
	switch {
	case outcome.err == nil:
		outcome.task.place = attempt.place
		c.restored[partition] = outcome.task
		return nil
	case ctx.Err() != nil:
		return nil
	case c.classify.permanent(outcome.err) != nil:
		return c.classify.permanent(outcome.err)
	case errors.Is(outcome.err, errHanging): // another process would fare no better
		c.log.Error("a partition stands still, see docs/operations.md, hanging transaction", "partition", partition,
			"error", outcome.err)
		c.startRestore(ctx, partition, attempt.place, attempt.tries)
		return nil
	case attempt.tries >= restoreTries && !errors.Is(outcome.err, kafka.ErrOtherCluster):
		return outcome.err
	}
	c.log.Warn("restore failed, trying again", "partition", partition, "error", outcome.err)
	c.startRestore(ctx, partition, attempt.place, attempt.tries+1)
	return nil
}

// handOver lets restored tasks begin to read: at their position, whatever the group thinks.
func (c *consumer) handOver() error {
	if len(c.restored) == 0 {
		return nil
	}
	topic := c.topic
	known := c.client.CommittedOffsets()[topic]
	for partition, t := range c.restored {
		if _, ok := known[partition]; !ok {
			//mutant:says-that-it-waits
			c.waitsForOffset(t)
			continue // the client is still asking the group for its offset, and would forget ours
		}
		if group, ok := c.member.inbox.groupOffset(partition); ok && group != t.fold.Told() {
			if t.fold.Next() < 0 {
				return fmt.Errorf("start partition %d: %w: group %s has read %s up to %d, but %s knows nothing of it, and to "+
					"begin anew would bring out all records a second time: if that is wanted, delete the group "+
					"(kafka-consumer-groups --delete --group %s)",
					partition, ErrAhead, c.group, topic, group, c.commitEnv.topics.State, c.group)
			}
			c.metrics.mismatches.Inc()
			c.log.Warn("the group's offset is not the position, the position counts",
				"partition", partition, "group", group, "position", t.fold.Told())
		}
		c.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: t.next()}}})
		c.client.ResumeFetchPartitions(map[string][]int32{topic: {partition}})
		delete(c.restored, partition)
		t.seen, t.due = time.Now(), t.fold.Due()
		c.tasks[partition] = t
		c.log.Info("task started", "partition", partition, "position", t.next(), "open_sessions", t.fold.OpenSessions())
	}
	return nil
}

// waitsForOffset says that a restored task cannot begin, when that lasts: the client asks the group for an offset,
// and the group gives none while a transaction has one in hand. One that nobody ends keeps it so for ever.
func (c *consumer) waitsForOffset(t *task) {
	now := time.Now()
	if t.waits.IsZero() {
		t.waits, t.said = now, now
	}
	if now.Sub(t.said) < stuckAfter {
		return
	}
	t.said = now
	c.log.Warn("task waits for the group's offset: a transaction is open on it, or its coordinator does not answer; if "+
		"it lasts, see docs/operations.md, hanging transaction", "partition", t.partition, "group", c.group,
		"waited", now.Sub(t.waits).Round(time.Second))
}

// drop ends a task, or the restore of one: the partition is not ours any more.
func (c *consumer) drop(partition int32) error {
	c.board.drop(partition)
	return c.end(partition)
}

// lose ends a task, or the restore of one, where nobody has told us that the partition is another's by now: what was
// known of it last stays on show.
func (c *consumer) lose(partition int32) error {
	c.board.lose(partition)
	return c.end(partition)
}

func (c *consumer) end(partition int32) error {
	if r := c.restores[partition]; r != nil {
		r.cancel()
		delete(c.restores, partition)
	}
	var failed error
	for _, held := range []map[int32]*task{c.tasks, c.restored} {
		if t := held[partition]; t != nil {
			delete(held, partition)
			failed = and(failed, t.close())
		}
	}
	return failed
}

// fold applies what was read.
func (c *consumer) fold(fetches kgo.Fetches) error {
	now := time.Now()
	var failed error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		t := c.tasks[p.Partition]
		if t == nil || failed != nil {
			return // not restored yet: it will be read again from its position
		}
		if p.HighWatermark >= 0 {
			t.end = p.HighWatermark
		}
		if len(p.Records) == 0 {
			return
		}
		var read [len(kinds)]int
		for _, r := range p.Records {
			in := Input(r)
			if failed = t.apply(in); failed != nil {
				var panicked *panicked
				if errors.As(failed, &panicked) {
					c.log.Error("fold panicked", "partition", t.partition, "offset", in.Offset,
						"panic", panicked, "stack", string(panicked.stack))
				}
				return
			}
			read[in.Kind]++
			r.Recycle()
		}
		for kind, n := range read {
			if n > 0 {
				c.metrics.inputs.WithLabelValues(kinds[kind]).Add(float64(n))
			}
		}
		if t.dirty, t.seen, t.due = true, now, t.fold.Due(); t.unwritten.IsZero() {
			t.unwritten = now
		}
		if c.since.IsZero() {
			c.since = now
		}
	})
	return failed
}

// enough tells whether as much waits as a transaction should have: of records, or of states, which can wait for longer
// where the changelog lags.
func (c *consumer) enough() bool {
	records, states := 0, 0
	for _, t := range c.tasks {
		if t.dirty || !t.unwritten.IsZero() {
			waiting := t.fold.Waiting()
			records, states = records+t.fold.Pending()-waiting, states+waiting
		}
	}
	return records >= c.commitBytes || states >= c.waitingBytes() || !c.lagging() && records+states >= c.commitBytes
}

// lagging tells whether states may wait for longer than records.
func (c *consumer) lagging() bool { return c.lag() > c.commitWait() }

// ordered are the tasks, in the order of their partitions.
func (c *consumer) ordered() (tasks []*task) {
	for _, partition := range slices.Sorted(maps.Keys(c.tasks)) {
		tasks = append(tasks, c.tasks[partition])
	}
	return tasks
}

// showTasks writes down how the tasks are, as far as it is committed.
func (c *consumer) showTasks() {
	heard := c.board.board.heard()
	for partition, t := range c.tasks {
		if t.dirty {
			continue // what is folded is not true yet
		}
		next, open := t.next(), t.fold.OpenSessions()
		lag, said := max(t.end-next, 0), t.listen(time.Now())
		c.board.put(partition, func(s *PartitionStatus) {
			s.State, s.Position, s.Lag, s.OpenSessions = Running, next, lag, open
			s.known = known{at: heard, position: next, lag: lag, open: open, heard: said}
		})
	}
}
