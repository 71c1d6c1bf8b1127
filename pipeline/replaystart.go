package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"

	"januscdr/kafka"
	"januscdr/statestore"
)

// replayStart is from which offset on a store is to be told the changelog, and what the restore is called then. A store
// that cannot be gone on with is emptied: one that has missed something, or knows what the changelog does not.
func (r *restorer) replayStart(
	ctx context.Context, partition int32, store *statestore.Store, first, barrier int64, log hclog.Logger,
) (from int64, kind string, err error) {
	c, ok := readCheckpoint(store.Checkpoint())
	if !ok {
		has, err := hasStates(store)
		if err != nil || !has {
			return first, "cold", err
		}
		// States of a first write that was cut off, or those of another version: what the changelog has deleted and
		// forgotten since would come back to life.
		log.Info("state store has no checkpoint that we know and starts empty")
		return first, "cold", store.Reset()
	}
	if c.next > barrier {
		return 0, "", fmt.Errorf("%w: the state store knows %s up to offset %d, but the log ends at %d: if the topic was "+
			"emptied on purpose, delete the state directory %s and the topics, and start anew",
			ErrAhead, r.topics.State, c.next, barrier, r.storeOptions(partition).Dir)
	}
	if c.next < first {
		log.Info("state store is older than the changelog and starts empty", "checkpoint", c.next, "log_start", first)
		//mutant:older-than-the-changelog
		err = store.Reset()
		return first, "cold", err
	}
	if age := time.Since(c.at); tooOld(age) {
		log.Info("state store is older than deletions are kept and starts empty", "age", age.Round(time.Minute))
		return first, "cold", store.Reset()
	}
	gone, err := r.regrown(ctx, partition, c)
	if err != nil {
		return 0, "", err
	}
	//mutant:regrown
	if gone != "" && !r.sameThere(ctx, partition, c, store) {
		r.metrics.regrown.Inc()
		log.Error("kafka has lost the end of the changelog, and it has grown again since: the state store knows what is not "+
			"there any more and starts empty; records may be missing, or come twice (docs/operations.md, disasters)",
			"topic", r.topics.State, "checkpoint", c.next, "why", gone)
		return first, "cold", store.Reset()
	}
	return c.next, "warm", nil
}

// regrown says what has become of the changelog that a checkpoint is of, when it is not the one that is there now;
// empty when it is, or nobody can tell. An election of a leader that lacks records (unclean.leader.election.enable)
// cuts the log, and what is written then gets the offsets of what is gone. Each leader has an epoch, which each record
// carries: where that of the checkpoint ends in the present log is the end of what the two have in common.
//
// The barrier is written by now, so the leader that answers is one that has been told of.
func (r *restorer) regrown(ctx context.Context, partition int32, c checkpoint) (gone string, err error) {
	if c.epoch < 0 {
		return "", nil
	}
	topic := r.topics.State
	var ask kadm.OffsetForLeaderEpochRequest
	ask.Add(topic, partition, c.epoch)
	answer, err := r.admin.OffsetForLeaderEpoch(ctx, ask)
	if err != nil {
		return "", fmt.Errorf("ask where epoch %d of %s ends: %w", c.epoch, topic, err)
	}
	end, ok := answer[topic][partition]
	switch {
	case !ok:
		return "", fmt.Errorf("ask where epoch %d of %s ends: there is no answer", c.epoch, topic)
	case end.Err != nil:
		return "", fmt.Errorf("ask where epoch %d of %s ends: %w", c.epoch, topic, end.Err)
	case end.LeaderEpoch < c.epoch:
		return fmt.Sprintf("its leader knows nothing of epoch %d, in which the checkpoint was written", c.epoch), nil
	case end.EndOffset < c.next:
		return fmt.Sprintf("epoch %d, in which the checkpoint was written, ends at offset %d", c.epoch, end.EndOffset), nil
	}
	return "", nil
}

// sameThere is a second look at a changelog of which regrown says that it was cut: a client hears late of a leader that
// comes back with another epoch, so its checkpoints can have one that is too low. What the store has at a position is a
// function of the event log. So when the last record that it was told is a position, and the changelog still has it
// there, the two agree, whatever has been.
func (r *restorer) sameThere(ctx context.Context, partition int32, c checkpoint, store *statestore.Store) bool {
	ctx, cancel := context.WithTimeout(ctx, stuckAfter)
	defer cancel()
	last := kafka.Range{From: c.next - 1, To: c.next}
	reader, err := kafka.NewReader(r.kafka, r.topics.State, map[int32]kafka.Range{partition: last})
	if err != nil {
		return false
	}
	defer reader.Close()
	records, err := reader.Next(ctx)
	if err != nil || len(records) != 1 || !isPosition(records[0].Key) {
		return false
	}
	has, err := store.Get(records[0].Key)
	return err == nil && bytes.Equal(has, records[0].Value)
}

// hasStates tells whether a store has a state.
func hasStates(store *statestore.Store) (bool, error) {
	one := errors.New("one is enough")
	err := store.Scan(nil, func([]byte, []byte) error { return one })
	if errors.Is(err, one) {
		return true, nil
	}
	return store.Checkpoint() != nil, err
}
