package cdr

import (
	"fmt"
	"time"

	"januscdr/janus"
)

// Kind says what an input record is, by its header januscdr-kind.
type Kind uint8

// The kinds of input records.
const (
	KindEvent Kind = iota // an event of Janus; the default
	KindCopy              // a copy of an event that concerns sessions of other partitions too
	KindTick              // time passes: appended by the owner of an idle partition
	KindAlive             // an emitter's events come: appended by ingest; Key is the emitter
)

// Input is one record of a partition of the event log.
type Input struct {
	Offset int64
	Append janus.Micros // append time of the broker
	Kind   Kind
	Key    []byte
	Value  []byte
}

// Change is a new value for a state key; a nil Value deletes it.
type Change struct{ Key, Value []byte }

// Parked is an input record that could not be understood, to be parked.
type Parked struct {
	Input  Input
	Reason string
}

// Step is what a partition wants the world to see since the step before: all of it in one transaction, or nothing.
type Step struct {
	Records []Record
	Parked  []Parked
	Changes []Change // states in key order, and the position as the last one; nil when nothing moved
	Next    int64    // the next input offset to process
}

// States is where a partition finds the states of earlier steps. It promises to return what was last remembered for a
// key, nil when there is none, and not to change what it returned.
type States interface {
	Get(key []byte) ([]byte, error)
	// Scan calls f for each state whose key begins with prefix, in key order. The slices are valid during the call only.
	Scan(prefix []byte, f func(key, value []byte) error) error
}

// Source names the partition, for the lineage in the records.
type Source struct {
	Topic     string
	Partition int32
}

// Due is when a partition next wants to be looked at.
type Due struct {
	Open     bool          // something is open: an idle partition needs ticks
	Deadline bool          // In is meaningful
	In       time.Duration // partition time from the last record to the next deadline
}

var _ = fmt.Sprint
