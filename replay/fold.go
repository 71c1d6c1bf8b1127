package replay

import (
	"bytes"
	"maps"
	"slices"

	"januscdr/cdr"
)

// Fold folds a partition without Kafka: its states are kept in memory, which holds what is open and nothing else. It is
// used by one goroutine.
type Fold struct {
	partition *cdr.Partition
	states    memory
	waiting   int // inputs since the last step
}

// Bounds of a step: how much waits in memory before it becomes records. They have no influence on the records.
const (
	stepInputs = 1024
	stepBytes  = 1 << 20
)

// NewFold begins with nothing open.
func NewFold(policy cdr.Policy, source cdr.Source) (*Fold, error) {
	f := &Fold{states: memory{}}
	var err error
	f.partition, err = cdr.Open(policy, source, f.states)
	return f, err
}

// Apply folds one record of the log. Now and then it returns what came of the records up to it. An error means that the fold is broken; an input that cannot be understood is Parked.
func (f *Fold) Apply(in cdr.Input) (cdr.Step, error) {
	if err := f.partition.Apply(in); err != nil {
		return cdr.Step{}, err
	}
	if f.waiting++; f.waiting >= stepInputs || f.partition.Pending() >= stepBytes {
		return f.Step(), nil
	}
	return cdr.Step{}, nil
}

// Step returns what came of the inputs since the last one.
func (f *Fold) Step() cdr.Step {
	f.waiting = 0
	step := f.partition.Step()
	for _, c := range step.Changes {
		if c.Value == nil {
			delete(f.states, string(c.Key))
			continue
		}
		f.states[string(c.Key)] = c.Value
	}
	f.partition.Committed()
	step.Changes = nil // they are remembered, and nobody else needs them
	return step
}

// Flush acts as if a tick came after the longest limit, and returns what came of it: what was open closes at its last
// evidence.
func (f *Fold) Flush() (cdr.Step, error) {
	if err := f.partition.Flush(); err != nil {
		return cdr.Step{}, err
	}
	return f.Step(), nil
}

// OpenSessions is how many sessions are open.
func (f *Fold) OpenSessions() int { return f.partition.OpenSessions() }

// memory are states in a map.
type memory map[string][]byte

func (m memory) Get(key []byte) ([]byte, error) { return m[string(key)], nil }

func (m memory) Scan(prefix []byte, f func(key, value []byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !bytes.HasPrefix([]byte(key), prefix) {
			continue
		}
		if err := f([]byte(key), m[key]); err != nil {
			return err
		}
	}
	return nil
}
