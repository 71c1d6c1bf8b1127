package cdr

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"januscdr/janus"
)

// States is what a Partition reads back of the Changes that it has handed out. The host keeps it: a store, or MemoryStates.
//
// A key is opaque to the host. Its first byte says what it is the state of: 'p' the position of the partition (the whole
// key), 'e' an emitter, 's' a session, 'h' a handle, 'l' some of the closed legs of a session; behind these come the
// emitter's name with its length before it, 8 bytes of a session's id, and 8 of a handle's or 4 of a number. No key is longer than MaxKey. Other keys may lie beside them as long as they begin with another byte.
//
// A Partition calls its States from within Open, Apply and Flush, on the goroutine that called these, never at the same
// time as itself, and never from within a Scan. It asks for a session or a handle once it has left its own memory, so Get has to be
// quick; it scans in Open only. An error of either makes the call fail, and the Partition is then of no more use: drop it
// and Open another one.
type States interface {
	// Get returns the Value of the last Change of a key whose Step was followed by Committed; nil when there was none, or
	// when it was a deletion. The Partition does not change the slice and keeps nothing of it when the call that asked
	// for it returns.
	Get(key []byte) ([]byte, error)
	// Scan calls f for each state whose key begins with prefix, in the order of the bytes of the keys, and returns f's
	// first error. The slices are valid during the call of f only.
	Scan(prefix []byte, f func(key, value []byte) error) error
}

// MaxKey is the most bytes that the key of a state has.
const MaxKey = 1 + 2 + janus.MaxEmitter + 8 + 8 // the kind, the length of the name, the name, the ids

// Change is a new value for the key of a state; a nil Value deletes it. Both slices belong to whoever got the Step: the
// Partition keeps nothing of them.
type Change struct{ Key, Value []byte }

// MemoryStates is a States in memory. The zero value can be read; make one to put into it. Its strings are the keys.
type MemoryStates map[string][]byte

// Put takes changes over, as a store does when their Step is durable. It keeps the values themselves.
func (m MemoryStates) Put(changes ...Change) {
	for _, c := range changes {
		if c.Value == nil {
			delete(m, string(c.Key))
		} else {
			m[string(c.Key)] = c.Value
		}
	}
}

// Get returns what was last put for the key.
func (m MemoryStates) Get(key []byte) ([]byte, error) { return m[string(key)], nil }

// Scan calls f for each state whose key begins with prefix, in key order.
func (m MemoryStates) Scan(prefix []byte, f func(key, value []byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !strings.HasPrefix(key, string(prefix)) {
			continue
		}
		if err := f([]byte(key), bytes.Clone(m[key])); err != nil {
			return err
		}
	}
	return nil
}
