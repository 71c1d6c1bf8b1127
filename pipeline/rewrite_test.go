package pipeline

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// deleter notes what is to be deleted.
type deleter struct {
	script *script
	before map[int32]int64
	err    error
}

func (d *deleter) DeleteRecords(_ context.Context, offsets kadm.Offsets) (kadm.DeleteRecordsResponses, error) {
	if d.script.open {
		d.script.t.Error("records are deleted in a transaction")
	}
	d.before = map[int32]int64{}
	offsets.Each(func(o kadm.Offset) { d.before[o.Partition] = o.At })
	return nil, d.err
}

// newRewriter is a rewriter over tasks that were committed once.
func newRewriter(t *testing.T) (*desk, *deleter, *rewriter) {
	t.Helper()
	d := newDesk(t)
	if err := d.commit(t); err != nil {
		t.Fatal(err)
	}
	d.script.asked, d.script.produced, d.script.fence = nil, nil, nil
	deleter := &deleter{script: d.script}
	return d, deleter, &rewriter{committer: d.committer, rewriteEnv: rewriteEnv{embedded: true, after: 1, admin: deleter}}
}

func TestARewriteWritesAllThatLivesWithThePositionLastAndDeletesWhatLiesBefore(t *testing.T) {
	t.Parallel()
	d, deleter, r := newRewriter(t)
	task := d.tasks[1]
	living := map[string][]byte{}
	if err := task.store.Scan(nil, func(key, value []byte) error {
		living[string(key)] = bytes.Clone(value)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.rewrite(t.Context(), d.tasks[1:]); err != nil {
		t.Fatal(err)
	}
	d.wantAsked(t, "begin", "produce state", "flush", "offsets in generation 3", "commit")
	if d.script.fence[5] != 5 || len(d.script.fence) != 1 {
		t.Errorf("the offsets in it are %v", d.script.fence)
	}
	var last *kgo.Record
	for _, record := range d.script.produced {
		if !bytes.Equal(living[string(record.Key)], record.Value) {
			t.Errorf("%q is written as %q, want %q", record.Key, record.Value, living[string(record.Key)])
		}
		last = record
	}
	if len(d.script.produced) != len(living) || string(last.Key) != "p" {
		t.Errorf("%d records of %d states, the last one %q", len(d.script.produced), len(living), last.Key)
	}
	if len(deleter.before) != 1 || deleter.before[5] != d.script.produced[0].Offset {
		t.Errorf("what lies before %v is deleted, want %d", deleter.before, d.script.produced[0].Offset)
	}
	if at, _ := readCheckpoint(task.store.Checkpoint()); at.next != last.Offset+1 || task.changelog.next != at.next {
		t.Errorf("the store is told up to %d, want %d", at.next, last.Offset+1)
	}
}

func TestNothingIsDeletedBehindARewriteThatIsNotKnownToBeCommitted(t *testing.T) {
	t.Parallel()
	for _, answer := range []error{context.DeadlineExceeded, kerr.UnknownServerError, kerr.ProducerFenced} {
		d, deleter, r := newRewriter(t)
		checkpoint := d.tasks[0].store.Checkpoint()
		d.script.end = answer
		if err := r.rewrite(t.Context(), d.tasks); err == nil {
			t.Errorf("%v: it is taken for committed", answer)
		}
		if deleter.before != nil || !bytes.Equal(checkpoint, d.tasks[0].store.Checkpoint()) {
			t.Errorf("%v: what lies before %v is deleted, or the store was told", answer, deleter.before)
		}
	}
}

func TestAChangelogIsRewrittenOnlyWhereItIsLongEnoughAndNeverOutsideOfAnEmbeddedBroker(t *testing.T) {
	t.Parallel()
	d, _, r := newRewriter(t)
	for _, env := range []rewriteEnv{{embedded: false, after: 1}, {embedded: true, after: 1 << 40}} {
		r.rewriteEnv = env
		if err := r.rewrite(t.Context(), d.tasks); err != nil {
			t.Fatal(err)
		}
	}
	d.wantAsked(t)
}

func TestARewriteWhoseOldPartCannotBeDeletedIsStillOne(t *testing.T) {
	t.Parallel()
	d, deleter, r := newRewriter(t)
	deleter.err = errors.New("not now")
	if err := r.rewrite(t.Context(), d.tasks[:1]); err != nil {
		t.Fatal(err)
	}
	if first := d.tasks[0].changelog.first; first != d.script.produced[0].Offset {
		t.Errorf("the changelog begins at %d, want %d", first, d.script.produced[0].Offset)
	}
}
