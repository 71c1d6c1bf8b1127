package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/kafka"
)

// member is how a worker is in the group: it makes the clients, and hears what the group tells them. What it hears goes
// to its inbox.
type member struct {
	name  string // instance id in the group, and transactional id
	group string
	topic string // the event log
	kafka kafka.Options

	transactionTimeout time.Duration
	sessionTimeout     time.Duration

	plain    *kgo.Client
	classify classifier
	inbox    inbox
	more     func() []kgo.Opt // of each client
}

const (
	rebalanceTime = 20 * time.Second // beyond the session timeout; the group waits so long for a transaction to end
	closeTimeout  = 2 * time.Second
)

// connection is a client that is a member of the group.
type connection struct {
	client  *kgo.Client
	lineage *lineage
	offsets offsetsAPI
	kill    func() // ends the client at once
}

// close closes the client. As a static member it does not leave the group. A rebalance under way is waited for, but
// not for long: it may be waiting for others that close, too.
func (c *connection) close() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c.client.CloseAllowingRebalance()
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
		c.kill()
		<-closed
	}
	c.kill()
}

// join makes a client that is a member of the group.
func (m *member) join(ctx context.Context) (*connection, error) {
	opts, err := m.kafka.ClientOpts()
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	offsets, err := askOffsetsAPI(ctx, m.plain)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", m.classify.failure(time.Now(), err)) // the brokers may be away
	}
	lives, kill := context.WithCancel(context.Background())
	lineage := &lineage{}
	assigned := func(_ context.Context, cl *kgo.Client, partitions map[string][]int32) {
		cl.PauseFetchPartitions(partitions) // until they are restored
		m.inbox.put(event{assigned: partitions[m.topic], place: lineage.place(cl)})
	}
	revoked := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		m.inbox.joinsSoon()
		m.inbox.put(event{revoked: partitions[m.topic]})
	}
	lost := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		m.inbox.put(event{lost: partitions[m.topic]})
	}
	// A member that says nothing is thrown out, as another by its id, before the group goes on without it.
	//mutant:time-to-join
	timeToJoin := m.sessionTimeout + rebalanceTime
	client, err := kgo.NewClient(append(append(append(opts, offsets.opts(m.sessionTimeout)...), m.more()...),
		kgo.WithContext(lives),
		kgo.DisableAutoCommit(), // offsets go with the transactions
		kgo.ConsumerGroup(m.group),
		kgo.InstanceID(m.name),
		//mutant:transactional-id
		kgo.TransactionalID(m.name),
		kgo.TransactionTimeout(m.transactionTimeout),
		kgo.ConsumeTopics(m.topic),
		kgo.Balancers(notifyingBalancer{kgo.CooperativeStickyBalancer(), m.name, &m.inbox, lineage, m.assignmentSynced}),
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(m.sessionTimeout),
		kgo.HeartbeatInterval(min(time.Second, m.sessionTimeout/4)), // by them members hear that partitions move
		kgo.RebalanceTimeout(timeToJoin),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // out of range stops us, it never skips
		kgo.AdjustFetchOffsetsFn(m.placeholderOffsets),
		kgo.OnPartitionsAssigned(assigned),
		kgo.OnPartitionsRevoked(revoked),
		kgo.OnPartitionsLost(lost),
		kgo.OnPartitionsCallbackBlocked(func(context.Context, *kgo.Client) { m.inbox.requestRebalance() }),
		// In memory events are five to ten times as large, and a client holds what it has fetched twice.
		kgo.FetchMaxBytes(8<<20),
		kgo.FetchMaxPartitionBytes(512<<10),
		kgo.WithPools(fetchPool),
		kgo.FetchMaxWait(500*time.Millisecond), // so long a task that is handed over may wait for a fetch without it
		kgo.MaxConcurrentFetches(3),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(50*time.Millisecond), // a flush follows; without a linger the first message would go alone
		kgo.MaxBufferedRecords(200_000),
		kgo.WithHooks(m),
	)...)
	if err != nil {
		kill()
		return nil, fmt.Errorf("make client: %w", err)
	}
	m.inbox.setKill(kill)
	return &connection{client: client, lineage: lineage, offsets: offsets, kill: kill}, nil
}

// OnGroupManageError hears why the client was thrown out of the group, before it joins again. When another process has
// our name, it must not: the two would throw each other out for ever.
func (m *member) OnGroupManageError(err error) {
	if !errors.Is(err, kerr.FencedInstanceID) {
		return
	}
	m.inbox.fail(err)
	m.inbox.kill()
}

// groupOffsets are offsets by topic and partition.
type groupOffsets = map[string]map[int32]kgo.Offset

// placeholderOffsets notes what the group has as offsets, and makes the client know each partition at once. Where it
// begins to read is said at the hand-over, by the position: until then the partition is paused. A client forgets
// offsets that are set for a partition of which the group has none.
func (m *member) placeholderOffsets(_ context.Context, fetched groupOffsets) (groupOffsets, error) {
	for _, partitions := range fetched {
		for partition, offset := range partitions {
			m.inbox.noteGroupOffset(partition, offset.EpochOffset().Offset)
			partitions[partition] = kgo.NewOffset().At(0).WithEpoch(-1)
		}
	}
	return fetched, nil
}

// assignmentSynced hears of each assignment as the group says it.
func (m *member) assignmentSynced(assigned map[string][]int32) {
	owned := map[int32]bool{}
	for _, partition := range assigned[m.topic] {
		owned[partition] = true
	}
	m.inbox.put(event{owned: owned})
}

// notifyingBalancer is a balancer that tells when the client asks the group for an assignment, and what it gets.
type notifyingBalancer struct {
	kgo.GroupBalancer
	name    string
	inbox   *inbox
	lineage *lineage
	synced  func(map[string][]int32)
}

// JoinGroupMetadata writes down what we want.
func (b notifyingBalancer) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	b.inbox.join(true)
	return b.lineage.joins(generation, func(generation int32) []byte {
		return b.GroupBalancer.JoinGroupMetadata(topics, current, generation)
	})
}

// MemberBalancer makes what balances the group, where we lead it.
func (b notifyingBalancer) MemberBalancer(
	members []kmsg.JoinGroupResponseMember,
) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	by, ok := b.GroupBalancer.(kgo.ConsumerBalancerBalance)
	if !ok {
		return b.GroupBalancer.MemberBalancer(members)
	}
	of, err := kgo.NewConsumerBalancer(vouching{by, b.lineage, b.name}, members)
	return of, of.MemberTopics(), err
}

// ParseSyncAssignment reads an assignment.
func (b notifyingBalancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	assigned, err := b.GroupBalancer.ParseSyncAssignment(assignment)
	if err != nil {
		return nil, err
	}
	by, err := b.lineage.vouchedBy(assignment)
	if err != nil {
		return nil, err
	}
	b.lineage.assigned(by)
	b.inbox.join(false)
	b.synced(assigned)
	return assigned, nil
}
