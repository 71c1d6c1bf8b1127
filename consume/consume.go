// Package consume brings the records of janus.cdr to where others want them: a database, files, another topic. Each
// target is a package below.
//
// It promises that a target holds each record once, whatever is killed and when: the position in the topic lives in the
// target and moves in the same atomic act as the records, and every step says from which position it goes on, so that
// of two writers one is refused. Positions belong to one topic of one cluster; another one, or the same name made anew,
// is noticed before anything is written. Offsets of a consumer group are a copy for graphs and are never read.
//
// It touches Kafka, reading only, and what the target touches.
package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"januscdr/cdr"
)

// Origin is the topic that the records of a target come from.
type Origin struct {
	Cluster string `json:"cluster"`
	Topic   string `json:"topic"`
	TopicID string `json:"topic_id"` // a topic that was deleted and made again has another one
}

// differs says how another topic is not the one that a target was filled from; empty when it is.
func (o Origin) differs(now Origin) string {
	switch {
	case o.Cluster != now.Cluster:
		return fmt.Sprintf("it was filled from cluster %s, and we are connected to %s", o.Cluster, now.Cluster)
	case o.Topic != now.Topic:
		return fmt.Sprintf("it was filled from the topic %s, not %s", o.Topic, now.Topic)
	case o.TopicID != now.TopicID:
		return fmt.Sprintf("topic %s was deleted and made again since, and its offsets began anew", o.Topic)
	}
	return ""
}

// foreign is the error of a target that was filled from another topic than there is now.
func (o Origin) foreign(target string, now Origin) error {
	return fmt.Errorf("%s: %w: %s; if that is meant, go on with the topic as it is now, from its beginning, with "+
		"--accept-new-topic", target, ErrForeign, o.differs(now))
}

// Row is a record and where it stands.
type Row struct {
	Record    cdr.Record
	Value     []byte // the message as it is: Avro with its framing
	Partition int32
	Offset    int64
	Appended  time.Time // when it was written to the topic
	Policy    string    // fingerprint of the policy under which it was made; may be empty
}

// Batch is a step: some records and the position behind them. Records of one partition are in the order of their
// offsets.
type Batch struct {
	Origin Origin
	Rows   []Row
	Steps  map[int32]Step // by partition
}

// Step is how far a batch goes in a partition: it holds all records from one offset up to, without, another.
type Step struct{ From, To int64 }

// Fresh is the From of the first step in a partition of which the target holds nothing.
const Fresh = -1

// Latest is a position of a target that wants no record but those that come from now on.
const Latest = -2

// Target keeps records together with the position behind them. It is used by one goroutine.
type Target interface {
	// Positions returns what the target holds: the origin, and the next offset by partition; a zero origin when it holds
	// nothing. It connects if needed, makes the place fit for this program, and forgets what was not made durable.
	Positions(ctx context.Context) (Origin, map[int32]int64, error)

	// Write takes a batch. What it takes becomes durable together with the position behind it, or neither: at once or
	// later, at Flush at the latest. A batch of no rows and no steps says that time has passed. An error leaves open
	// whether the batch was taken; Positions tells.
	Write(ctx context.Context, b Batch) error

	// Flush makes durable what was taken.
	Flush(ctx context.Context) error

	// Close frees what the target uses. What was not flushed is forgotten.
	Close() error
}

// The errors that no waiting mends; everything else is tried again.
var (
	// ErrFenced says that another writer went on from the position that was ours.
	ErrFenced = errors.New("another writer was there first")
	// ErrForeign says that the target was filled from another topic.
	ErrForeign = errors.New("the target belongs to another topic")
	// ErrNewer says that a newer program has been at work on the target.
	ErrNewer = errors.New("the target was made by a newer program")
	// ErrLost says that the topic no longer has records that the target still needs.
	ErrLost = errors.New("records were deleted before they were read")
	// ErrUnreadable says that a record cannot be read by this program.
	ErrUnreadable = errors.New("a record cannot be read")
	// ErrRefused says that the target wants something else of us: a password, rights, another name.
	ErrRefused = errors.New("the target refuses us")
)

// final tells whether trying again is of no use.
func final(err error) bool {
	for _, kind := range []error{ErrFenced, ErrForeign, ErrNewer, ErrLost, ErrUnreadable, ErrRefused} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
