// Package cdr knows what the events of a Janus server mean: it folds them into sessions, handles and legs, and writes
// down what each came to as a Record.
//
// It promises to be a function of its input: the same log under the same policy gives the same records, whatever the
// batches, the crashes and the machine. So it touches nothing: no disk, no network, no clock, no randomness, and no map
// is iterated on the way to an output. Time is what the log says (see clock). What it remembers between records it
// reads through States and hands out as Changes; a Fold has both in memory. It imports janus and the standard library.
//
// The story of one event, in the order of the files: partition.go takes a record of the log, moves the clock
// (clock.go), knows duplicates (window.go) and finds the session; session.go routes the event to its handle and the
// handle's legs (handle.go, leg.go); peerconnection.go, media.go and one file for each plugin say what it means there;
// reach.go applies it to the sessions of others. When a deadline passes (deadlines.go), ends.go resolves how a leg or a
// session ended and emit.go writes the record. codec.go and state.go keep what is open.
package cdr
