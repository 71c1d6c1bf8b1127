//go:build !race

package cdr

import (
	"fmt"
	"testing"
)

// TestMemoryOfAnEvent bounds how often the fold asks for memory, with all that is recorded: for an event, with the
// sessions and legs that it opens, the records and the states that are written each thousand events. A count is the
// same on each machine, but for the race detector, which asks for some of its own.
func TestMemoryOfAnEvent(t *testing.T) {
	log := allRecorded()
	round := 0
	allocs := testing.AllocsPerRun(3, func() {
		p, err := Open(DefaultPolicy(), Source{Topic: "janus.events"}, MemoryStates{})
		if err != nil {
			t.Fatal(err)
		}
		emitter := fmt.Sprint("edge-", round)
		for i, in := range log {
			in.Emitter = emitter
			if err := p.Apply(in); err != nil {
				t.Fatal(err)
			}
			if i%1000 == 999 {
				p.Step()
				p.Committed()
			}
		}
		round++
	})
	if per := allocs / float64(len(log)); per > most {
		t.Errorf("%.2f allocations an event, at most %.2f are wanted", per, most)
	} else {
		t.Logf("%.2f allocations an event of %d", per, len(log))
	}
}

// most is what was measured, and a tenth.
const most = 2.3

// TestMemoryOfAState: a state that is written takes one piece of memory, for its key and its value.
func TestMemoryOfAState(t *testing.T) {
	s := &session{emitter: "edge", id: 1, transport: "janus.transport.http", events: 1000, lastTime: 1 << 50}
	key, scratch := sessionKey(s.emitter, s.id), make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { _, scratch = change(scratch, key, s.fields) }); n > 2 {
		t.Errorf("%v allocations a state", n)
	}
}
