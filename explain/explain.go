// Package explain tells what happened in one session, and why its records say what they say: for whoever has to
// answer a customer who asks about one call.
//
// It folds the log again with package cdr, listens to what the fold concludes (cdr.Partition.Trace), and puts events
// and conclusions into plain words. It promises that the records it shows are those that the fold makes of that log
// under that policy; that secrets in events (tokens, PINs, SDP, SIP messages but for their first line, passwords in SIP
// URIs) are never shown; and that text chosen by clients can steer neither a terminal nor a browser. It touches
// nothing: no disk, no network, no clock. The same log gives the same bytes.
//
// A story is made in this order:
//
//  1. Find looks for the session that a Query names, by id or by what its events and records say (query.go, find.go,
//     survey.go).
//  2. Tell folds its partition and collects its events and the conclusions about it (collect.go), groups them in a
//     timeline (group.go), and learns of its handles and legs (parts.go) and of what is worth noticing (notes.go).
//  3. All of it is put into words: events (describe.go, describe_plugin.go, digest.go), conclusions (rules.go,
//     sentence.go), records (outcome.go, billing.go, fields.go). The Story (story.go) has them all (write.go).
//  4. Text, JSON and Page write a Story down; a page has a drawing (draw.go).
//
// Every text that somebody outside chose goes through clean before it gets into a Story (safe.go).
package explain

import (
	"context"
	"fmt"

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
	fold, err := cdr.NewFold(o.Policy, o.Source)
	if err != nil {
		return err
	}
	fold.Trace(l.conclusion)
	take := func(step cdr.Step) {
		if l.parked == nil {
			return
		}
		for _, parked := range step.Parked {
			l.parked(parked)
		}
	}
	err = inputs(ctx, func(in cdr.Input) error {
		if l.before != nil {
			l.before(in)
		}
		step, err := fold.Apply(in)
		if err != nil {
			return fmt.Errorf("fold %s at offset %d: %w", o.Name, in.Offset, err)
		}
		if l.after != nil {
			l.after(in, fold.Clock())
		}
		take(step)
		return nil
	})
	if err != nil {
		return err
	}
	if l.end != nil {
		l.end()
	}
	take(fold.Step())
	if o.Ends {
		step, err := fold.Flush()
		if err != nil {
			return fmt.Errorf("close what is open at the end of %s: %w", o.Name, err)
		}
		take(step)
	}
	return nil
}

// emitterOf is the emitter that an event counts for, by the name under which it is known.
func emitterOf(in cdr.Input, e *janus.Event) string {
	name := in.Emitter
	if name == "" {
		name = e.Emitter
	}
	name, _ = janus.EmitterName(name)
	return name
}
