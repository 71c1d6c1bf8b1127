package cdr

import "januscdr/janus"

// Units of spans, in microseconds.
const (
	millisecond = janus.Micros(1000)
	second      = 1000 * millisecond
	minute      = 60 * second
	hour        = 60 * minute
)

// Policy is what the operator may decide about the fold. All spans are microseconds of partition time.
type Policy struct {
	Grace                       janus.Micros // how long a closed leg or session waits for late events
	LegSilence                  janus.Micros // a leg that had statistics is given up after this long without an event
	LegSilenceWithoutStatistics janus.Micros // any other leg, and a session without legs
	EmitterSilence              janus.Micros // an emitter of which nothing comes is given up after this long
	StubRetention               janus.Micros // how long a closed session is remembered
}

// DefaultPolicy is what design.md names.
func DefaultPolicy() Policy {
	return Policy{
		Grace:                       5 * second,
		LegSilence:                  hour,
		LegSilenceWithoutStatistics: 24 * hour,
		EmitterSilence:              hour,
		StubRetention:               10 * minute,
	}
}

// Bounds. What goes beyond is left out and the record says so (truncated).
const (
	maxText        = 512   // bytes of any string that is kept
	maxHandles     = 256   // handles of a session that are kept at a time
	maxOpenLegs    = 64    // legs of a session that are open or in their grace at a time
	maxClosedLegs  = 512   // legs whose ids a SESSION record lists
	maxStreams     = 64    // media and layers of one leg
	maxFeeds       = 64    // feeds of one leg
	maxSessionSize = 60000 // bytes of an encoded session, by estimate; see session.room
)

// maxStep is the most that the partition clock moves from one record to the next: so an outage of Kafka, or a jump of a
// broker's clock, is not mistaken for silence.
const maxStep = minute

// togetherSpan is how close a handle's `detached` must be to the end of its session to have been ended by it, and the
// end of a session to the loss of its connection.
const togetherSpan = second

// shutdownSpan is how long after an emitter's `shutdown` its ends are still the shutdown's.
const shutdownSpan = 2 * second

// stepBack is how far a handle's timestamps may go back before its emitter's clock is suspected. Events of one handle
// come from one thread; others were seen out of order by some 100 µs.
const stepBack = 2 * second
