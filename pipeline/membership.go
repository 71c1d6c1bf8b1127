package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// How a worker is a member of the group: what the group tells its client, and what the client tells the worker.

// join makes a client that is a member of the group.
func (w *worker) join(ctx context.Context) (*kgo.Client, error) {
	o := w.p.opts
	lives, kill := context.WithCancel(context.Background())
	w.kill = kill
	opts, err := o.Kafka.ClientOpts()
	if err == nil {
		if w.offsets, err = w.p.offsetsAPI(ctx); err != nil {
			err = w.unsettled(time.Now(), err) // the brokers may be away
		}
	}
	if err != nil {
		kill()
		return nil, fmt.Errorf("make client: %w", err)
	}
	assigned := func(_ context.Context, cl *kgo.Client, partitions map[string][]int32) {
		cl.PauseFetchPartitions(partitions) // until they are restored
		member, _ := cl.GroupMetadata()
		w.inbox.put(event{assigned: partitions[o.Topics.Events], member: member})
	}
	revoked := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		w.inbox.joinsSoon()
		w.inbox.put(event{revoked: partitions[o.Topics.Events]})
	}
	lost := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		w.inbox.put(event{revoked: partitions[o.Topics.Events]})
	}
	client, err := kgo.NewClient(append(append(opts, w.offsets.opts()...),
		kgo.WithContext(lives),
		kgo.DisableAutoCommit(), // offsets go with the transactions
		kgo.ConsumerGroup(o.Group),
		kgo.InstanceID(w.name),
		kgo.TransactionalID(w.name),
		kgo.TransactionTimeout(o.TransactionTimeout),
		kgo.ConsumeTopics(o.Topics.Events),
		kgo.Balancers(watchful{kgo.CooperativeStickyBalancer(), &w.inbox, w.synced}),
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(o.SessionTimeout),
		kgo.HeartbeatInterval(min(time.Second, o.SessionTimeout/4)), // by them members hear that partitions move
		kgo.RebalanceTimeout(max(rebalanceTime, o.SessionTimeout)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // out of range stops us, it never skips
		kgo.AdjustFetchOffsetsFn(w.placeholders),
		kgo.OnPartitionsAssigned(assigned),
		kgo.OnPartitionsRevoked(revoked),
		kgo.OnPartitionsLost(lost),
		kgo.OnPartitionsCallbackBlocked(func(context.Context, *kgo.Client) { w.inbox.press() }),
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
	return client, nil
}

// own shows what the group says we have, before its callbacks come.
func (w *worker) own(owned map[int32]bool) {
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
