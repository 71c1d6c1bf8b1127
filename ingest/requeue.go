package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// What becomes of a parked original that is taken up again, besides the results of bodies.
const (
	RequeueCut     = "cut"     // it is not there as a whole, and stays parked
	RequeueForeign = "foreign" // another part of the program parked it, and would do so again
	RequeueStill   = "still"   // there is no event in it that can be understood, and it stays parked
)

// Requeue is a source that takes parked originals up again: each is received once more, as if its sender had sent it
// now, if at least one event in it can be understood by now.
type Requeue struct {
	Next func(context.Context) (Letter, error) // io.EOF at the end
	Done func(l Letter, what string, o Outcome)

	receiver *Receiver
}

// Name is the word for this source.
func (*Requeue) Name() string { return "requeue" }

// Check says all that is wrong with the options.
func (*Requeue) Check(Options) []error { return nil }

// Open begins.
func (q *Requeue) Open(r *Receiver) ([]any, error) {
	q.receiver = r
	return nil, nil
}

// Serve takes one original after the other until there are no more.
func (q *Requeue) Serve(ctx context.Context) error {
	select {
	case <-q.receiver.Ready():
	case <-ctx.Done():
		return nil
	}
	for {
		l, err := q.Next(ctx)
		switch {
		case errors.Is(err, io.EOF) || ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("read what is parked: %w", err)
		}
		if what := q.receiver.wouldDo(l); what != "" {
			q.Done(l, what, Outcome{})
			continue
		}
		for {
			o := q.receiver.Receive(ctx, Sender{Source: q.Name(), emitter: l.Emitter}, l.Encoding, l.Value)
			if o.Safe() {
				q.Done(l, string(o.Result), o)
				break
			}
			if !pause(ctx, retryPublish) {
				return nil
			}
		}
	}
}

// wouldDo tells why a parked original is left where it is; empty when there is an event in it.
func (r *Receiver) wouldDo(l Letter) string {
	switch {
	case !strings.HasPrefix(l.Source, "ingest/"): // which says nothing of the length
		return RequeueForeign
	case !l.Whole:
		return RequeueCut
	}
	plain := l.Value
	if l.Encoding != "" {
		var err error
		if plain, err = gunzip(l.Value, r.reader.limit); err != nil || l.Encoding != "gzip" {
			return RequeueStill
		}
	}
	sorter := r.sorters.Get().(*sorter)
	defer r.sorters.Put(sorter)
	if len(sorter.sort(Sender{emitter: l.Emitter}, l.Value, plain).Events) == 0 {
		return RequeueStill
	}
	return ""
}

var _ Source = (*Requeue)(nil)
