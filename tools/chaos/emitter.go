package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"januscdr/internal/fixtures/player"
	"januscdr/internal/fixtures/procs"
	"januscdr/internal/fixtures/recordings"
	"januscdr/internal/fixtures/traffic"
	"januscdr/janus"
)

const (
	maxBody = 100             // events; Janus groups so many
	arrears = 5 * time.Second // of events that are sent at once after an outage: Janus queues them
	givenUp = 6               // tries after which the player gives a body up
)

// emitter is a Janus server.
type emitter struct {
	number   int
	url      string
	rate     float64 // events a second
	copies   int
	shutdown bool // it says so when it ends; else it just falls silent
	ledger   *ledger
	chance   *rand.Rand
}

func (e *emitter) name() string { return fmt.Sprintf("chaos-%d", e.number) }

// run sends until it is told to stop, then what it says last. It never gives a body up: who does loses events, and that
// is not what is tried here. An error means that ingest gave an answer that loses events.
func (e *emitter) run(ctx context.Context, stopped *atomic.Bool) error {
	recordings := recordings.Names()
	e.chance.Shuffle(len(recordings), func(i, j int) { recordings[i], recordings[j] = recordings[j], recordings[i] })
	next, end := iter.Pull(traffic.Janus(e.name(), recordings, e.copies))
	defer end()

	var parser janus.Parser
	sent, last := 0, traffic.Begin
	due := time.Now()
	for !stopped.Load() {
		// Half of the bodies are small, as on a quiet server.
		size := 1 + e.chance.IntN(maxBody)
		if e.chance.IntN(2) == 0 {
			size = 1 + e.chance.IntN(8)
		}
		var events []traffic.Event
		for range size {
			event, _ := next()
			last = max(last, event.At)
			events = append(events, event)
		}
		if err := e.deliver(ctx, &parser, sent, events); err != nil {
			return err
		}
		sent += size
		due = due.Add(time.Duration(float64(size) / e.rate * float64(time.Second)))
		if now := time.Now(); now.Sub(due) > arrears {
			due = now.Add(-arrears)
		}
		if !procs.Sleep(ctx, time.Until(due)) {
			return ctx.Err()
		}
	}
	if e.shutdown {
		return e.deliver(ctx, &parser, sent, []traffic.Event{traffic.Shutdown(e.name(), last+1)})
	}
	return nil
}

// deliver posts one body as often as it takes.
func (e *emitter) deliver(ctx context.Context, parser *janus.Parser, index int, events []traffic.Event) error {
	entries, err := e.ledger.sends(e.number, index, parser, events)
	if err != nil {
		return fmt.Errorf("send as %s: %w", e.name(), err)
	}
	request := []recordings.Request{{Body: body(events)}}
	for {
		tries := 0
		err := player.Play(ctx, e.url, request, player.Options{Gzip: len(events)%2 == 0, Failed: func(int, int, error) {
			tries++
			e.ledger.repeat()
		}})
		switch {
		case err == nil:
			e.ledger.answers(entries)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case tries < givenUp:
			return fmt.Errorf("send as %s: Janus would take this for delivered: %w", e.name(), err)
		}
	}
}

// body is what Janus makes of a group: an array, or a single event as an object of its own.
func body(events []traffic.Event) []byte {
	if len(events) == 1 {
		return slices.Clone(events[0].Value)
	}
	var b bytes.Buffer
	for i, e := range events {
		b.WriteByte("[,"[min(i, 1)])
		b.Write(e.Value)
	}
	b.WriteByte(']')
	return b.Bytes()
}
