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
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/kafka"
	"januscdr/statestore"
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
	session  *kgo.GroupTransactSession
	kill     func() // ends the client at once
	tasks    map[int32]*task
	restores map[int32]*restoring
	restored map[int32]*task // wait for the client to know the partition
	running  sync.WaitGroup  // of restores
	owned    map[int32]bool  // what the group says we own
	ownedAt  time.Time
	since    time.Time // when the first record of the next transaction was folded
	commits  int
}

// restoring is a restore under way. A later assignment of the same partition makes it worthless.
type restoring struct {
	cancel context.CancelFunc
	tries  int
}

const (
	pollRecords   = 5000
	pollAtMost    = 5 * time.Second
	pollHandover  = 20 * time.Millisecond
	rebalanceTime = 20 * time.Second // at least; the group waits so long for a transaction to end
	orphanedAfter = 2 * time.Second
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
	w.tasks, w.restores, w.restored, w.owned = map[int32]*task{}, map[int32]*restoring{}, map[int32]*task{}, nil
	w.since, w.commits = time.Time{}, 0
	w.session, err = w.join()
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
	if _, _, err := w.session.Client().ProducerID(ctx); err != nil {
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
			w.session.AllowRebalance()
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
		w.session.Client().CloseAllowingRebalance()
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
		w.kill()
		<-closed
	}
	w.kill()
}

// join makes a client that is a member of the group.
func (w *worker) join() (*kgo.GroupTransactSession, error) {
	o := w.p.opts
	ctx, kill := context.WithCancel(context.Background())
	w.kill = kill
	opts, err := o.Kafka.ClientOpts()
	if err != nil {
		kill()
		return nil, fmt.Errorf("make client: %w", err)
	}
	assigned := func(_ context.Context, cl *kgo.Client, partitions map[string][]int32) {
		cl.PauseFetchPartitions(partitions) // until they are restored
		w.inbox.put(event{assigned: partitions[o.Topics.Events]})
	}
	revoked := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		w.inbox.joinsSoon()
		w.inbox.put(event{revoked: partitions[o.Topics.Events], taken: len(partitions) > 0})
	}
	lost := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		w.inbox.put(event{revoked: partitions[o.Topics.Events], taken: true})
	}
	session, err := kgo.NewGroupTransactSession(append(opts,
		kgo.WithContext(ctx),
		kgo.ConsumerGroup(o.Group),
		kgo.InstanceID(w.name),
		kgo.TransactionalID(w.name),
		kgo.TransactionTimeout(o.TransactionTimeout),
		kgo.ConsumeTopics(o.Topics.Events),
		kgo.Balancers(watchful{kgo.CooperativeStickyBalancer(), &w.inbox, w.synced}),
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(o.SessionTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, o.SessionTimeout/4)),
		kgo.RebalanceTimeout(max(rebalanceTime, o.SessionTimeout)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // out of range stops us, it never skips
		kgo.AdjustFetchOffsetsFn(w.placeholders),
		kgo.OnPartitionsAssigned(assigned),
		kgo.OnPartitionsRevoked(revoked),
		kgo.OnPartitionsLost(lost),
		kgo.OnPartitionsCallbackBlocked(func(context.Context, *kgo.Client) { w.inbox.hurry() }),
		kgo.FetchMaxBytes(32<<20),
		kgo.FetchMaxWait(500*time.Millisecond), // so long a task that is handed over may wait for a fetch without it
		kgo.MaxConcurrentFetches(3),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(50*time.Millisecond), // a flush follows; without a linger the first message would go alone
		kgo.MaxBufferedRecords(200_000),
		kgo.WithHooks(w),
	)...)
	if err != nil {
		kill()
		return nil, fmt.Errorf("make client: %w", err)
	}
	return session, nil
}

// turn polls once, folds what came, and commits when it is time.
func (w *worker) turn(ctx context.Context) error {
	fetches := w.poll(ctx)
	taken, err := w.hear(ctx)
	if err != nil {
		return err
	}
	if err := w.fetchErrors(ctx, fetches); err != nil {
		return err
	}
	if taken {
		// The session refuses its next commit after partitions were taken, also when there was no transaction. Ending
		// none clears that, and rewinds to what is committed: so what was polled just now comes again.
		if !w.since.IsZero() {
			return fmt.Errorf("%w: partitions were taken away in the middle of it", errUnknown)
		}
		if _, err := w.session.End(ctx, kgo.TryAbort); err != nil {
			return fmt.Errorf("%w: after partitions were taken away: %w", errUnknown, err)
		}
	} else if err := w.fold(fetches); err != nil {
		return err
	}
	now := time.Now()
	w.tick(ctx, now)
	if w.commitDue(now) && !w.inbox.joining(now) {
		if err := w.transact(ctx); err != nil {
			return err
		}
	}
	if w.since.IsZero() {
		w.orphans(now)
		w.session.AllowRebalance()
	}
	w.show()
	return nil
}

func (w *worker) commitDue(now time.Time) bool {
	return !w.since.IsZero() && (now.Sub(w.since) >= w.p.opts.CommitInterval || w.pending() >= w.p.opts.CommitBytes)
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
	switch {
	case w.commitDue(now): // and the client is joining
		until = now.Add(pollHandover)
	case !w.since.IsZero():
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
	if w.pending() >= w.p.opts.CommitBytes { // enough, until the client has joined
		<-ctx.Done()
		return nil
	}
	return w.session.PollRecords(ctx, pollRecords)
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

// hear does what the group and the restores have told. It reports whether partitions were taken from us.
func (w *worker) hear(ctx context.Context) (taken bool, err error) {
	events, failed := w.inbox.take()
	if failed != nil {
		return false, w.fenced(failed)
	}
	var closing error
	for _, e := range events {
		taken = taken || e.taken
		for _, partition := range e.revoked {
			w.log.Info("partition was taken from us", "partition", partition)
			closing = and(closing, w.drop(partition))
		}
		for _, partition := range e.assigned {
			closing = and(closing, w.drop(partition))
			w.start(ctx, partition, 1)
		}
		if e.owned != nil {
			w.own(e.owned)
		}
		if e.restored != nil {
			if err := w.arrived(ctx, e.partition, e.restored, e.of); err != nil {
				return taken, and(err, closing)
			}
		}
	}
	return taken, and(w.handOver(), closing)
}

// own notes what the group says we have. The group's callbacks follow, but not always: a session swallows a second
// revocation when no transaction ended in between.
func (w *worker) own(owned map[int32]bool) {
	w.owned, w.ownedAt = owned, time.Now()
	for partition := range w.p.place.partitions {
		switch {
		case !owned[partition]:
			if w.tasks[partition] == nil {
				w.p.board.drop(w.number, partition)
			}
		case w.tasks[partition] == nil:
			w.p.board.put(w.number, partition, func(s *PartitionStatus) { s.State = Restoring })
		}
	}
	w.p.board.join(w.number, true)
}

// orphans drops tasks whose revocation we were not told of.
func (w *worker) orphans(now time.Time) {
	if w.owned == nil || now.Sub(w.ownedAt) < orphanedAfter {
		return
	}
	for _, partition := range w.order() {
		if !w.owned[partition] {
			w.log.Info("partition was taken from us silently", "partition", partition)
			if err := w.drop(partition); err != nil {
				w.log.Warn("task was not closed in order", "partition", partition, "error", err)
			}
		}
	}
}

// start restores a partition beside us.
func (w *worker) start(ctx context.Context, partition int32, tries int) {
	ctx, cancel := context.WithCancel(ctx)
	r := &restoring{cancel: cancel, tries: tries}
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
	w.start(ctx, partition, of.tries+1)
	return nil
}

// handOver lets restored tasks begin to read: at their position, whatever the group thinks.
func (w *worker) handOver() error {
	if len(w.restored) == 0 {
		return nil
	}
	topic := w.p.opts.Topics.Events
	client := w.session.Client()
	known := client.CommittedOffsets()[topic]
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
		client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: t.next()}}})
		client.ResumeFetchPartitions(map[string][]int32{topic: {partition}})
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
			in := inputOf(r)
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

// fetchErrors decides what an error of reading means.
func (w *worker) fetchErrors(ctx context.Context, fetches kgo.Fetches) error {
	var failed error
	fetches.EachError(func(topic string, partition int32, err error) {
		var session *kgo.ErrGroupSession
		switch {
		case failed != nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		case errors.Is(err, kerr.OffsetOutOfRange):
			failed = w.gone(ctx, partition, err)
		case errors.Is(err, kerr.UnknownTopicID):
			failed = fmt.Errorf("read %s: %w: the topic was deleted and made again: give the changelog and the group new names, and delete the state directory: %w", topic, ErrAhead, err)
		case w.final(err) != nil:
			failed = w.final(err)
		case errors.As(err, &session):
			w.log.Warn("membership of the group is interrupted", "error", err) // the client joins again by itself
		default:
			failed = fmt.Errorf("%w: read %s partition %d: %w", errUnknown, topic, partition, err)
		}
	})
	return failed
}

// gone is the error of a position that the log does not have any more.
func (w *worker) gone(ctx context.Context, partition int32, err error) error {
	t := w.tasks[partition]
	if t == nil {
		return fmt.Errorf("%w: %w", errUnknown, err)
	}
	start, listed := w.logStart(ctx, w.p.opts.Topics.Events, partition)
	switch {
	case listed != nil:
		return fmt.Errorf("%w: %w: %w", errUnknown, err, listed)
	case start > t.next() && !w.p.opts.AcceptLoss:
		return w.outOfRange(partition, t.next(), start)
	}
	return fmt.Errorf("%w: %w", errUnknown, err) // the restore finds out what it is
}

// final is the error when trying again would not help, else nil.
func (w *worker) final(err error) error {
	for _, sentinel := range []error{ErrBroken, ErrAhead, ErrOutOfRange, ErrFenced, ErrTooLarge, ErrForeign, ErrVersion, statestore.ErrForeign, statestore.ErrFull} {
		if errors.Is(err, sentinel) {
			return err
		}
	}
	for _, refused := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed} {
		if errors.Is(err, refused) {
			return fmt.Errorf("kafka does not let us: grant read on the events and the group %s, write on the other topics, and write on the transactional ids that begin with %s-%s-: %w",
				w.p.opts.Group, w.p.opts.Group, w.p.opts.Instance, err)
		}
	}
	switch {
	case errors.Is(err, kerr.FencedInstanceID):
		return w.fenced(err)
	case errors.Is(err, kerr.InvalidTransactionTimeout):
		return fmt.Errorf("the brokers do not allow a transaction timeout of %v: lower it, or raise transaction.max.timeout.ms there: %w", w.p.opts.TransactionTimeout, err)
	case errors.Is(err, kerr.InvalidSessionTimeout):
		return fmt.Errorf("the brokers do not allow a session timeout of %v: see group.min.session.timeout.ms and group.max.session.timeout.ms there: %w", w.p.opts.SessionTimeout, err)
	}
	return nil
}

func (w *worker) fenced(why error) error {
	if errors.Is(why, ErrFenced) {
		return why
	}
	return fmt.Errorf("%w: %s is used by two processes: give each an instance name of its own: %w", ErrFenced, w.name, why)
}

// OnGroupManageError hears why the client was thrown out of the group, before it joins again. When another process has
// our name, it must not: the two would throw each other out for ever.
func (w *worker) OnGroupManageError(err error) {
	if !errors.Is(err, kerr.FencedInstanceID) {
		return
	}
	w.inbox.fail(err)
	w.inbox.kill()
}

// placeholders notes what the group has as offsets, and makes the client know each partition at once. Where it begins to
// read is said at the hand-over, by the position: until then the partition is paused. A client forgets offsets that are
// set for a partition of which the group has none.
func (w *worker) placeholders(_ context.Context, fetched map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	for _, partitions := range fetched {
		for partition, offset := range partitions {
			w.inbox.noteGroupOffset(partition, offset.EpochOffset().Offset)
			partitions[partition] = kgo.NewOffset().At(0).WithEpoch(-1)
		}
	}
	return fetched, nil
}

// synced hears of each assignment as the group says it.
func (w *worker) synced(assigned map[string][]int32) {
	owned := map[int32]bool{}
	for _, partition := range assigned[w.p.opts.Topics.Events] {
		owned[partition] = true
	}
	w.inbox.put(event{owned: owned})
}

// watchful is a balancer that tells when the client asks the group for an assignment, and what it gets.
type watchful struct {
	kgo.GroupBalancer
	inbox  *inbox
	synced func(map[string][]int32)
}

// JoinGroupMetadata writes down what we want.
func (b watchful) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	b.inbox.join(true)
	return b.GroupBalancer.JoinGroupMetadata(topics, current, generation)
}

// ParseSyncAssignment reads an assignment.
func (b watchful) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	assigned, err := b.GroupBalancer.ParseSyncAssignment(assignment)
	if err == nil {
		b.inbox.join(false)
		b.synced(assigned)
	}
	return assigned, err
}
