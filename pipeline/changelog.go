package pipeline

import (
	"bytes"
	"encoding/binary"
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
)

// A partition of the changelog holds what belongs to one task. What a key is of is told by its first byte:
//
//	p  position   cdr       how far the fold has come: the last record of each transaction
//	e  emitter    cdr
//	s  session    cdr
//	h  handle     cdr
//	l  legs       cdr       closed ones, for the record of their session
//	b  barrier    pipeline  left by each worker that takes the partition over, up to which it restores
//	o  origin     pipeline  the event log that the position is of, and the group
//
// A state store has all of them but barriers. In its database the letter 's' stands before each, and the letter 'm'
// alone is the key of its checkpoint.
const (
	positionKind = 'p'
	barrierKey   = "b"
	originKey    = "o"
)

// isBarrier tells a barrier from what belongs to the fold.
func isBarrier(key []byte) bool { return string(key) == barrierKey }

// isPosition tells the record that says how far the fold has come.
func isPosition(key []byte) bool { return len(key) > 0 && key[0] == positionKind }

// Barrier tells whether a record of the changelog is the barrier of a restore, and whose: the transactional id of the
// worker that was given the partition, GROUP-INSTANCE-NUMBER.
func Barrier(r *kgo.Record) (worker string, ok bool) {
	return string(r.Value), isBarrier(r.Key)
}

// Position tells whether a record of the changelog says how far the fold has come, and how far: the offset of the event
// log up to which its records are out. The states may lag behind that.
func Position(r *kgo.Record) (told int64, ok bool, err error) {
	if !isPosition(r.Key) || r.Value == nil {
		return 0, false, nil
	}
	_, told, err = cdr.PositionOf(r.Value)
	return told, true, err
}

// checkpoint is what the state store keeps for us: up to where in the changelog it is told, in which of its histories,
// and since when.
type checkpoint struct {
	next int64 // offset in the changelog partition from which on to replay
	at   time.Time
	// epoch of a leader of the partition that had all of it: not a later one than that of the record before next, and
	// mostly that. -1 when it is not known. See regrown.
	epoch int32
}

const (
	checkpointVersion = 2
	checkpointNoEpoch = 1 // the version before, which had none
)

func (c checkpoint) bytes() []byte {
	b := binary.AppendUvarint([]byte{checkpointVersion}, uint64(c.next))
	b = binary.AppendVarint(b, c.at.UnixMilli())
	return binary.AppendVarint(b, int64(c.epoch))
}

// readCheckpoint returns false for what is none of ours: then everything is to be replayed.
func readCheckpoint(b []byte) (checkpoint, bool) {
	if len(b) == 0 || b[0] != checkpointVersion && b[0] != checkpointNoEpoch {
		return checkpoint{}, false
	}
	next, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return checkpoint{}, false
	}
	at, m := binary.Varint(b[1+n:])
	if m <= 0 {
		return checkpoint{}, false
	}
	c := checkpoint{next: int64(next), at: time.UnixMilli(at), epoch: -1}
	if b[0] == checkpointNoEpoch {
		return c, true
	}
	epoch, m := binary.Varint(b[1+n+m:])
	if m <= 0 || int64(int32(epoch)) != epoch {
		return checkpoint{}, false
	}
	c.epoch = int32(epoch)
	return c, true
}

// maxCheckpointAge is half of how long the changelog keeps deletions: an older store could miss one and bring a closed
// session back to life.
const maxCheckpointAge = 84 * time.Hour

// clockSlack is by how much a clock may have gone back since a checkpoint was written: one from further in the future
// was written by a wrong clock, and its age is not known.
const clockSlack = time.Hour

// tooOld tells whether the changelog may have forgotten deletions since a checkpoint of that age.
func tooOld(age time.Duration) bool {
	//mutant:checkpoint-of-the-future
	return age > maxCheckpointAge || age < -clockSlack
}

// ofChanges are the changes of a step as the store takes them.
func ofChanges(changes []cdr.Change) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		for _, c := range changes {
			if !yield(c.Key, c.Value) {
				return
			}
		}
	}
}

// ofRecords are the changes in records of the changelog.
func ofRecords(records []*kgo.Record) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		for _, r := range records {
			if isBarrier(r.Key) {
				continue
			}
			// The store keeps the value, and that is a part of the whole batch that was fetched. A clone of an empty one
			// is not nil.
			//mutant:deletions-replayed
			if !yield(r.Key, bytes.Clone(r.Value)) {
				return
			}
		}
	}
}
