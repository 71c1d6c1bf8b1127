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
//
// The words of the code:
//
//   - Emitter: a Janus server, by the name that it gives itself or that ingest gave it (janus.EmitterName).
//   - Session, handle: as in Janus. An incarnation is one life of a session id, which a server may use again.
//   - Leg: what may be charged: a PeerConnection, a SIP call, a membership of a room, and, beside a PeerConnection of
//     Streaming or Record&Play and as long as it, a view or a recording.
//   - Start, answer, end: the moments of a leg, in the emitter's clock. Evidence is an event that proves media, a sign
//     of the client one that only a client that lives can have caused.
//   - Partition clock: time by the append times of the log, at most a minute from one record to the next. Graces,
//     emitters that are silent and stubs wait on it.
//   - Alive clock: of an emitter, the partition time in which it was heard. Sessions and legs that are silent wait on it.
//   - Closing, grace: when an end is known a leg or session waits for events that come late; then its record is final.
//   - Mark: the end of an emitter (shutdown, restart), noted in what was open, until that shows that it lives on.
//   - Superseded: ended because the next one began, when its own end was lost.
//   - Stub: what is left of a session after its SESSION record, so that late events do not open it again.
//   - Step: what came of the records since the last one; Changes are the new states in it.
//   - Window: the last records by their hashes, by which repetitions are told.
package cdr
