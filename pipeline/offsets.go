package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// The offsets of the group are a copy of the positions. They go with each transaction as its fence: the brokers take
// them only from a member of the group's present generation (KIP-447), so they refuse a transaction of a worker that
// has lost its partitions, whatever it is made of.
//
// We write them ourselves. The client's own way waits while the group looks for its next generation, which lasts as
// long as its slowest member takes: nobody's partitions would go on, also those that stay where they are. The brokers
// take offsets of the old generation until the new one begins, and from then on those of the new one. That is safe as
// long as nobody else can have had our partitions in between:
//
//   - a member that joins the next generation says what it has, and nobody else gets that before it was revoked from
//     us; while we are in a transaction no revocation is let in;
//   - a member that was thrown out comes back with another member id, so a task works for one member id only;
//   - a static member that missed a generation, and comes back with the same id, sees that one is missing: a task works
//     for one chain of generations only, and no offsets go out in a generation before the group has said what is ours
//     in it, see lineage;
//   - what was thrown out after its offsets were taken is caught by the barrier: all our messages are acknowledged
//     before the offsets go out, so they lie before the mark of the next owner, who waits until our transaction has
//     ended.

// offsetsAPI is how the cluster takes offsets into a transaction.
type offsetsAPI struct {
	// implicit: the brokers add the group to the transaction by themselves (KIP-890 part 2). Otherwise it is added first.
	implicit bool
}

const (
	transactionFeature  = "transaction.version" // of the cluster, finalized
	transactionImplicit = 2                     // from this level on
	offsetsExplicit     = 4                     // the last version of TxnOffsetCommit for clusters below it
)

// How long a transaction looks for the generation in which its offsets are taken, at most, and how often it tries while
// the group says that it is looking for one itself.
const (
	generationAtMost = 5 * time.Second
	refusedPause     = 20 * time.Millisecond
	unsettledPause   = 2 * time.Millisecond
)

// errUnsettled is for offsets that are not sent: the generation may be one that nobody will know of, and another one
// have its number.
var errUnsettled = errors.New("the group has not said yet what is ours in the generation that begins")

// askOffsetsAPI asks the cluster. It may have been upgraded since the last client.
func askOffsetsAPI(ctx context.Context, client kmsg.Requestor) (offsetsAPI, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "januscdr", "1"
	resp, err := req.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return offsetsAPI{}, fmt.Errorf("ask the brokers what they understand: %w", err)
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == transactionFeature && f.MaxVersionLevel >= transactionImplicit {
			return offsetsAPI{implicit: true}, nil
		}
	}
	return offsetsAPI{}, nil
}

// opts keep the client to the same way, in all that it writes in a transaction.
func (a offsetsAPI) opts(session time.Duration) []kgo.Opt {
	if a.implicit {
		return nil
	}
	versions := kversion.Tip()
	versions.SetMaxKeyVersion(kmsg.TxnOffsetCommit.Int16(), offsetsExplicit)
	return []kgo.Opt{
		kgo.MaxVersions(versions),
		//mutant:asked-once
		kgo.RetryTimeoutFn(func(key int16) time.Duration { return retryFor(kmsg.Key(key), session) }),
	}
}

// retryFor is for how long a client asks again when it has lost the connection: as it does by itself, but for the end
// of a transaction, which it asks for once. Below the level at which each end begins a new epoch, nothing tells an end
// that is late, and was asked for again, from that of the next transaction: it would commit what that one has by then,
// without its offsets, the fence. So the end is unknown, and the next client has a new epoch, which refuses what is
// late.
func retryFor(key kmsg.Key, session time.Duration) time.Duration {
	switch key {
	case kmsg.EndTxn:
		return 1 // zero is for ever
	case kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat:
		return session
	}
	return 30 * time.Second
}

// fence writes the offsets of the tasks into the transaction. They are exactly those of the tasks in it: also of those
// that only time has moved, of which the client knows nothing, and none that was read but not folded.
func (c *committer) fence(ctx context.Context, batch []*taskCommit) error {
	id, epoch, err := c.client.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	if !c.offsets.implicit {
		if err := c.addGroup(ctx, id, epoch); err != nil {
			return err
		}
	}
	//mutant:fence-tried
	if err := c.tryFence(ctx, id, epoch, batch); err != nil {
		return err
	}
	for until := time.Now().Add(generationAtMost); ; {
		at := c.lineage.place(c.client)
		if err := ours(batch, at); err != nil {
			return err
		}
		var refused, wait error
		//mutant:unsettled
		if !at.settled {
			refused = errUnsettled
		} else {
			refused = c.writeOffsets(ctx, id, epoch, at.member, at.generation, batch)
		}
		switch {
		case time.Now().After(until):
			return refused
		case errors.Is(refused, errUnsettled):
			wait = pause(ctx, unsettledPause)
		case errors.Is(refused, kerr.IllegalGeneration):
			// The next generation has begun, and its answer is on the way to us.
			//mutant:refused-generation
			wait = c.generationAfter(ctx, at.generation, until)
		//mutant:refused-rebalance
		case errors.Is(refused, kerr.RebalanceInProgress): // Apache Kafka takes them meanwhile, others may not
			wait = pause(ctx, refusedPause)
		default:
			return refused
		}
		if wait != nil {
			return fmt.Errorf("%w: %w", refused, wait)
		}
	}
}

// tryFence sees once, in the first transaction of a client, that the brokers look at the generation at all: some that
// speak the protocol took offsets of any member in any generation. What they take here goes with an abort.
func (c *committer) tryFence(ctx context.Context, id int64, epoch int16, batch []*taskCommit) error {
	at := c.lineage.place(c.client)
	if c.fences || at.generation <= 1 || !at.settled {
		return nil // the one before the first is none that a broker must know
	}
	err := c.writeOffsets(ctx, id, epoch, at.member, at.generation-1, batch)
	if err == nil {
		return fmt.Errorf("write offsets of group %s: %w: generation %d is over and its offsets are taken in %d: "+
			"use Apache Kafka 2.5 or later, or a version of these brokers that refuses them",
			c.group, ErrNoFence, at.generation-1, at.generation)
	}
	c.fences = errors.Is(err, kerr.IllegalGeneration)
	return nil // any other answer is that of a moment
}

// ours is nil when nobody else can have had the partitions of the tasks since they were given to us.
func ours(batch []*taskCommit, now place) error {
	for _, tc := range batch {
		given := tc.task.place
		//mutant:who-we-are
		if given.member != now.member {
			return fmt.Errorf("partition %d was given to %s, but the group knows us as %q now",
				tc.task.partition, given.member, now.member)
		}
		//mutant:which-chain
		if given.chain != now.chain {
			return fmt.Errorf("partition %d was given to us in generation %d, but the group is in generation %d now, "+
				"and had one in between without us", tc.task.partition, given.generation, now.generation)
		}
	}
	return nil
}

// pause waits a while, or until the context ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// generationAfter waits until the client knows of another generation.
func (c *committer) generationAfter(ctx context.Context, known int32, until time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for {
		if _, now := c.client.GroupMetadata(); now != known {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
}

// addGroup adds the group to the transaction.
func (c *committer) addGroup(ctx context.Context, id int64, epoch int16) error {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = c.name, id, epoch, c.group
	resp, err := req.RequestWith(ctx, c.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("add group %s to the transaction: %w", c.group, err)
	}
	return nil
}

func (c *committer) writeOffsets(
	ctx context.Context, id int64, epoch int16, member string, generation int32, batch []*taskCommit,
) error {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = c.name, id, epoch
	req.Group, req.MemberID, req.Generation, req.InstanceID = c.group, member, generation, &c.name
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = c.topics.Events, c.cluster.eventsID
	for _, tc := range batch {
		partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		partition.Partition, partition.Offset, partition.LeaderEpoch = tc.task.partition, tc.step.Next, -1
		topic.Partitions = append(topic.Partitions, partition)
	}
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{topic}
	//mutant:send-offsets
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return fmt.Errorf("write offsets of group %s: %w", c.group, err)
	}
	answered := 0
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("write offsets of group %s: partition %d: %w", c.group, p.Partition, err)
			}
			answered++
		}
	}
	if answered != len(batch) {
		return fmt.Errorf("write offsets of group %s: the brokers answered for %d partitions of %d",
			c.group, answered, len(batch))
	}
	return nil
}
