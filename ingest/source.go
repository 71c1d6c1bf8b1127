package ingest

import (
	"context"
	"time"
)

// stopTimeout is for bodies in hand when a source is told to stop.
const stopTimeout = 3 * time.Second

// Source is a way in: it takes bodies from a transport, asks the receiver what becomes of each, and answers in the way
// of the transport. What is safe, and when, is the receiver's to know. A source is used once, by one Server.
//
// Where a transport pushes, as HTTP does, a body may be given to the receiver at once: it is held until the topics are
// checked. A source that takes bodies by itself, as from a queue, waits for Receiver.Ready first.
type Source interface {
	// Name is a word for the source, the same for all of its kind: "http". It is the label of its metrics and, as
	// "ingest/http", the source of what it had parked.
	Name() string

	// Check says all that is wrong with the options of the source, and with those of the server where they do not fit
	// this source; the options of the server have their defaults.
	Check(o Options) []error

	// Open takes what the source needs, as a port, before any work begins, so that a mistake shows at once. The error
	// says what to do. After an error nothing is left open. The pairs are for the line of the log that says that events
	// are taken.
	Open(r *Receiver) (pairs []any, err error)

	// Serve follows an Open without error, on a goroutine of its own. It returns nil when no more can come, or after the
	// context has ended: from then on nothing new is taken, what is in hand has 3 s for its answer, and what Open took is
	// given back. The context may have ended before. An error ends the server.
	Serve(ctx context.Context) error
}

// inHand makes the context of bodies that were taken: it ends 3 s after that of their source.
func inHand(ctx context.Context) (context.Context, context.CancelFunc) {
	hand, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopTimeout, cancel) })
	return hand, func() {
		stop()
		cancel()
	}
}
