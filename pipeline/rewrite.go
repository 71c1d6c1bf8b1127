package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
)

// The embedded broker cannot compact the changelog: its compaction reads past open transactions and loses states. There
// the owner of a partition writes all living states once more, in a transaction like any other, and deletes what lies
// before. Who restores finds either the old ones or the new.

// rewriteShare is how many times the living states a changelog partition must hold for a rewrite to be worth it.
const rewriteShare = 4

// recordDeleter deletes what lies before offsets: a *kadm.Client.
type recordDeleter interface {
	DeleteRecords(context.Context, kadm.Offsets) (kadm.DeleteRecordsResponses, error)
}

// rewriteEnv is what a rewrite needs besides a committer.
type rewriteEnv struct {
	embedded bool  // there is no rewrite elsewhere
	after    int64 // records of a changelog partition, at least
	admin    recordDeleter
}

// rewriter makes changelog partitions short again, each in a transaction of its own.
type rewriter struct {
	rewriteEnv
	*committer
}

// rewrite makes the changelog of the tasks short again where it has grown long. They have been committed.
func (r *rewriter) rewrite(ctx context.Context, tasks []*task) error {
	if !r.embedded {
		return nil
	}
	for _, t := range tasks {
		if t.positionKey == nil || t.changelog.next-t.changelog.first < max(r.after, rewriteShare*t.liveStates) {
			continue
		}
		if err := r.rewriteOne(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (r *rewriter) rewriteOne(ctx context.Context, t *task) error {
	tc := &taskCommit{task: t, step: cdr.Step{Next: t.fold.Told(), Lags: true}, epoch: r.epoch(t)}
	var records []*kgo.Record
	err := t.store.Scan(nil, func(key, value []byte) error {
		record := r.state(t.partition, bytes.Clone(key), bytes.Clone(value))
		if bytes.Equal(key, t.positionKey) {
			tc.position = record
			return nil
		}
		records = append(records, record)
		return nil
	})
	if err != nil || tc.position == nil {
		return fmt.Errorf("rewrite changelog of partition %d: %w: the position is missing: %w", t.partition, ErrBroken, err)
	}
	records = append(records, tc.position) // the position last, as always
	//mutant:rewrite
	if err := r.transaction(ctx, []*taskCommit{tc}, records); err != nil {
		return err
	}
	if err := r.applyCommitted([]*taskCommit{tc}); err != nil {
		return err
	}
	t.liveStates = int64(len(records))
	before := t.changelog.first
	t.changelog.first = records[0].Offset
	var offsets kadm.Offsets
	offsets.AddOffset(r.topics.State, t.partition, t.changelog.first, -1)
	deleted, err := r.admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		r.log.Warn("changelog was rewritten, but its old part is still there", "partition", t.partition, "error", err)
		return nil
	}
	r.metrics.rewrites.Inc()
	r.log.Debug("changelog rewritten", "partition", strconv.Itoa(int(t.partition)),
		"states", t.liveStates, "deleted", t.changelog.first-before)
	return nil
}
