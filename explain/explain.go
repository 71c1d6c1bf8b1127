// Package explain tells what happened in one session, and why its records say what they say: for whoever has to answer
// the customer who asks about one call.
//
// It folds the log again with package cdr, listens to what the fold concludes (cdr.Partition.Trace), and puts events and
// conclusions into plain words. It promises that the records it shows are those that the fold makes of that log under
// that policy; that secrets in events (tokens, PINs, SDP, SIP messages but for their first line, passwords in SIP URIs)
// are never shown; and that text chosen by clients can steer neither a terminal nor a browser. It touches nothing: no
// disk, no network, no clock. The same log gives the same bytes.
//
// find.go finds the session that is asked for, tell.go makes the Story, says.go words the events, rules.go the
// conclusions, outcome.go the records; text.go and page.go write it down, draw.go draws it.
package explain

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"januscdr/cdr"
	"januscdr/janus"
)

// Options say what is folded, and how.
type Options struct {
	Policy cdr.Policy
	Source cdr.Source
	Name   string // of the file or topic, for people
	// Ends says that nothing follows the last input: what is open then is closed at its last evidence, as if time went
	// on. A log that goes on leaves it open.
	Ends bool
}

// Inputs calls f with each input of one partition, in the order of offsets, and returns f's first error. The input is
// valid during the call only. It can be asked for again, and then calls with the same.
type Inputs func(ctx context.Context, f func(cdr.Input) error) error

// stepInputs is after how many inputs what is open is written to memory and the records are forgotten. It has no
// influence on them.
const stepInputs = 1024

// listener is who follows a fold. Before is called with each input, After when it was folded. A nil function is not
// called.
type listener struct {
	before     func(cdr.Input)
	after      func(cdr.Input, janus.Micros) // with the partition time
	conclusion func(cdr.Conclusion)
	parked     func(cdr.Parked)
	end        func() // all inputs were folded; what follows is the end of a file
}

// follow folds all inputs.
func follow(ctx context.Context, o Options, inputs Inputs, l listener) error {
	states := memory{}
	p, err := cdr.Open(o.Policy, o.Source, states)
	if err != nil {
		return err
	}
	p.Trace(l.conclusion)
	step := func() {
		s := p.Step()
		for _, c := range s.Changes {
			states.set(c)
		}
		p.Committed()
		if l.parked != nil {
			for _, parked := range s.Parked {
				l.parked(parked)
			}
		}
	}
	n := 0
	err = inputs(ctx, func(in cdr.Input) error {
		if l.before != nil {
			l.before(in)
		}
		if err := p.Apply(in); err != nil {
			return fmt.Errorf("fold %s at offset %d: %w", o.Name, in.Offset, err)
		}
		if l.after != nil {
			l.after(in, p.Clock())
		}
		if n++; n%stepInputs == 0 {
			step()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if l.end != nil {
		l.end()
	}
	if o.Ends {
		if err := p.Flush(); err != nil {
			return fmt.Errorf("close what is open at the end of %s: %w", o.Name, err)
		}
	}
	step()
	return nil
}

// memory are the states of a fold, in a map.
type memory map[string][]byte

func (m memory) set(c cdr.Change) {
	if c.Value == nil {
		delete(m, string(c.Key))
		return
	}
	m[string(c.Key)] = c.Value
}

// Get is what was last remembered.
func (m memory) Get(key []byte) ([]byte, error) { return m[string(key)], nil }

// Scan visits the states with a prefix in key order.
func (m memory) Scan(prefix []byte, f func(key, value []byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if bytes.HasPrefix([]byte(key), prefix) {
			if err := f([]byte(key), m[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// emitterOf is the emitter that an event counts for, by the name under which it is known.
func emitterOf(in cdr.Input, e *janus.Event) string {
	name := in.Emitter
	if name == "" {
		name = e.Emitter
	}
	name, _ = cdr.EmitterName(name)
	return name
}
