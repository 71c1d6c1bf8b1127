//go:build synctests

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/cdr"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/statestore"
)

// Faults that take some lines. Nothing calls these functions but mutants, in place of what they are made after; see
// internal/fixtures/mutants/protocol.go. They are compiled with the tests, so that they keep up with the code.
var _ = []any{
	(*committer).positionsFirst, (*committer).storeFirst, (*committer).triesAgain, (*committer).parkedOutside,
	(*committer).recordsOutside, (*committer).goesOn, (*committer).offsetsOutside, (*committer).offsetsBeforeFlush,
	(*committer).anyMember, (*restorer).endOfWhatIsStable, (*restorer).trustsTheCheckpoint, (*progress).aMomentOnly,
	(*consumer).livesOn, (*consumer).atTheGroupsOffset, (*consumer).firesByItself, (*consumer).firesWhenAppended,
	(*rewriter).deletesFirst, anotherName, asTheClientIsCalled,
}

// positionsFirst commits the positions in a transaction of their own.
//
//mutant:positions-first
func (c *committer) positionsFirst(ctx context.Context, batch []*taskCommit, records []*kgo.Record) error {
	var positions, rest []*kgo.Record
	for _, r := range records {
		if slices.ContainsFunc(batch, func(tc *taskCommit) bool { return tc.position == r }) {
			positions = append(positions, r)
		} else {
			rest = append(rest, r)
		}
	}
	if err := c.transaction(ctx, batch, positions); err != nil {
		return err
	}
	return c.transaction(ctx, batch, rest)
}

// storeFirst tells the store before it is committed.
//
//mutant:store-first
func (c *committer) storeFirst(ctx context.Context, batch []*taskCommit, records []*kgo.Record) error {
	for _, tc := range batch {
		if err := tc.task.store.Remember(ofChanges(tc.step.Changes), tc.task.store.Checkpoint()); err != nil {
			return err
		}
	}
	return c.transaction(ctx, batch, records)
}

// triesAgain takes an unknown outcome for an aborted transaction, and writes it again.
//
//mutant:tries-again
func (c *committer) triesAgain(ctx context.Context, batch []*taskCommit, records []*kgo.Record) error {
	err := c.transaction(ctx, batch, records)
	if err == nil || !strings.Contains(err.Error(), "end transaction") {
		return err
	}
	again := make([]*kgo.Record, len(records))
	for i, r := range records {
		again[i] = &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers}
	}
	for _, tc := range batch {
		tc.position = again[slices.Index(records, tc.position)]
	}
	if err := c.client.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return err
	}
	return c.transaction(ctx, batch, again)
}

// parkedOutside writes parked events outside of the transaction.
//
//mutant:parked-outside
func (c *committer) parkedOutside(ctx context.Context, batch []*taskCommit, records []*kgo.Record) error {
	return c.outside(ctx, batch, records, c.topics.DLQ)
}

// recordsOutside writes records outside of the transaction.
//
//mutant:records-outside
func (c *committer) recordsOutside(ctx context.Context, batch []*taskCommit, records []*kgo.Record) error {
	return c.outside(ctx, batch, records, c.topics.CDR)
}

// outside writes the records of a topic with a client without transactions.
func (c *committer) outside(ctx context.Context, batch []*taskCommit, records []*kgo.Record, topic string) error {
	of := func(r *kgo.Record) bool { return r.Topic == topic }
	if slices.ContainsFunc(records, of) {
		client := c.client.(*kgo.Client)
		plain, err := kgo.NewClient(
			kgo.SeedBrokers(client.OptValue(kgo.SeedBrokers).([]string)...),
			kgo.Dialer(client.OptValue(kgo.Dialer).(func(context.Context, string, string) (net.Conn, error))),
			kgo.RecordPartitioner(kgo.ManualPartitioner()),
		)
		if err != nil {
			return err
		}
		defer plain.Close()
		for _, r := range records {
			if of(r) {
				plain.Produce(ctx, r, nil)
			}
		}
		_ = plain.Flush(ctx)
	}
	return c.transaction(ctx, batch, slices.DeleteFunc(slices.Clone(records), of))
}

// goesOn keeps the client after an unknown outcome.
//
//mutant:goes-on
func (c *committer) goesOn(ctx context.Context, tasks []*task) error {
	err := c.commit(ctx, tasks)
	if err == nil || !errors.Is(err, errUnknown) || strings.Contains(err.Error(), "begin") {
		return err
	}
	return c.client.EndTransaction(ctx, kgo.TryAbort)
}

// offsetsOutside commits the offsets for themselves.
//
//mutant:offsets-outside
func (c *committer) offsetsOutside(ctx context.Context, batch []*taskCommit) error {
	offsets := map[string]map[int32]kgo.EpochOffset{c.topics.Events: {}}
	for _, tc := range batch {
		offsets[c.topics.Events][tc.task.partition] = kgo.EpochOffset{Epoch: -1, Offset: tc.step.Next}
	}
	c.client.(*kgo.Client).CommitOffsetsSync(ctx, offsets, nil)
	return nil
}

// offsetsBeforeFlush writes the offsets before the messages are acknowledged.
//
//mutant:offsets-before-flush
func (c *committer) offsetsBeforeFlush(ctx context.Context, batch []*taskCommit) error {
	return and(c.fence(ctx, batch), c.client.Flush(ctx))
}

// anyMember tries again under the name that the group gave us since.
//
//mutant:any-member
func (c *committer) anyMember(ctx context.Context, batch []*taskCommit) error {
	err := c.fence(ctx, batch)
	for until := time.Now().Add(generationAtMost); errors.Is(err, kerr.UnknownMemberID) && time.Now().Before(until); {
		_, known := c.client.GroupMetadata()
		if err := c.generationAfter(ctx, known, until); err != nil {
			return err
		}
		for _, tc := range batch {
			tc.task.place = c.lineage.place(c.client)
		}
		err = c.fence(ctx, batch)
	}
	return err
}

// endOfWhatIsStable restores up to there, without a barrier.
//
//mutant:end-of-what-is-stable
func (r *restorer) endOfWhatIsStable(ctx context.Context, partition int32) (int64, error) {
	end, err := r.offsetOf(ctx, r.admin.ListCommittedOffsets, r.topics.State, partition)
	return end - 1, err
}

// trustsTheCheckpoint replays nothing where the store has one.
//
//mutant:trusts-the-checkpoint
func (r *restorer) trustsTheCheckpoint(
	ctx context.Context, partition int32, store *statestore.Store, barrier int64, turn *turn, log hclog.Logger,
) (logSpan, error) {
	if _, ok := readCheckpoint(store.Checkpoint()); !ok {
		return r.replay(ctx, partition, store, barrier, turn, log)
	}
	first, err := r.logStart(ctx, r.topics.State, partition)
	return logSpan{first: first, next: barrier + 1}, err
}

// aMomentOnly takes for the barrier that nothing comes for a moment.
//
//mutant:a-moment-only
func (p *progress) aMomentOnly(ctx context.Context, reader *kafka.Reader, at int64) ([]*kgo.Record, error) {
	moment, over := context.WithTimeout(ctx, time.Second)
	defer over()
	records, err := reader.Next(moment)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return []*kgo.Record{{Key: []byte(barrierKey), Offset: max(at, p.barrier)}}, nil
	}
	return records, err
}

// livesOn keeps the task of a partition that was taken and comes back.
//
//mutant:lives-on
func (c *consumer) livesOn(ctx context.Context, partition int32, at place, tries int) {
	t := c.tasks[partition]
	if t == nil {
		c.startRestore(ctx, partition, at, tries)
		return
	}
	t.place = at
	c.restored[partition] = t
	delete(c.tasks, partition)
}

// atTheGroupsOffset lets tasks begin to read where the group says.
//
//mutant:at-the-groups-offset
func (c *consumer) atTheGroupsOffset() error {
	restored := maps.Clone(c.restored)
	err := c.handOver()
	for partition := range restored {
		if group, ok := c.member.inbox.groupOffset(partition); ok && c.tasks[partition] != nil {
			c.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{c.topic: {partition: {Epoch: -1, Offset: group}}})
		}
	}
	return err
}

// firesByItself lets time pass in the fold without a tick in the log.
//
//mutant:fires-by-itself
func (c *consumer) firesByItself(ctx context.Context, now time.Time) {
	c.fire(now, func(t *task) (offset int64, wanted bool) {
		t.ticked = now
		return t.next(), true
	})
	c.appendTicks(ctx, now)
}

// firesWhenAppended lets time pass in the fold when a tick is appended, and once more when it is read.
//
//mutant:fires-when-appended
func (c *consumer) firesWhenAppended(ctx context.Context, now time.Time) {
	c.fire(now, func(t *task) (offset int64, wanted bool) { return max(t.next(), t.end), t.next() > 0 })
	c.appendTicks(ctx, now)
}

// fire folds ticks that are not in the log.
func (c *consumer) fire(now time.Time, choose func(*task) (offset int64, wanted bool)) {
	for _, t := range c.tasks {
		at, due := nextTick(t.due, t.seen, t.ticked)
		if !due || at.After(now) {
			continue
		}
		offset, wanted := choose(t)
		if !wanted {
			continue
		}
		tick := cdr.Input{Offset: offset, Kind: cdr.KindTick, Append: janus.Micros(now.UnixMicro())}
		if t.fold.Apply(tick) != nil {
			continue
		}
		t.dirty = true
		if c.since.IsZero() {
			c.since = now
		}
	}
}

// deletesFirst deletes the old changelog before the new one is committed.
//
//mutant:deletes-first
func (r *rewriter) deletesFirst(ctx context.Context, batch []*taskCommit, records []*kgo.Record) error {
	for _, tc := range batch {
		var old kadm.Offsets
		old.AddOffset(r.topics.State, tc.task.partition, tc.task.changelog.next, -1)
		_, _ = r.admin.DeleteRecords(ctx, old)
	}
	return r.transaction(ctx, batch, records)
}

var starts atomic.Int32

// anotherName is a transactional id that was never there.
//
//mutant:another-name
func anotherName(id string) kgo.Opt {
	return kgo.TransactionalID(fmt.Sprintf("%s-%d", id, starts.Add(1)))
}

// asTheClientIsCalled sends offsets under the transactional id of the client.
//
//mutant:as-the-client-is-called
func asTheClientIsCalled(
	ctx context.Context, client kmsg.Requestor, req *kmsg.TxnOffsetCommitRequest,
) (*kmsg.TxnOffsetCommitResponse, error) {
	req.TransactionalID, _ = client.(*kgo.Client).OptValue(kgo.TransactionalID).(string)
	return req.RequestWith(ctx, client)
}
