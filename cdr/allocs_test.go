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
	if n := testing.AllocsPerRun(100, func() { _, scratch = change(scratch, key, s.base(), s.fields) }); n > 2 {
		t.Errorf("%v allocations a state", n)
	}
}

// TestBytesOfAState bounds what is written of an open call: many moments, which lie close together.
func TestBytesOfAState(t *testing.T) {
	p := openCalls(t, 20)
	sessions, handles, before := 0, 0, 0
	for _, c := range p.Step().Changes {
		switch string(c.Key[:1]) {
		case sessionPrefix:
			sessions += len(c.Value)
		case handlePrefix:
			handles += len(c.Value)
		}
	}
	for _, k := range p.index.sessions {
		before += len(encode(nil, k.s.fields))
		for e := range k.handles.all() {
			before += len(encode(nil, e.h.fields))
		}
	}
	t.Logf("%d bytes a session and %d a handle, both together %d in version 2", sessions/20, handles/20, before/20)
	if got := sessions/20 + handles/20; got > mostBytes {
		t.Errorf("%d bytes, at most %d are wanted", got, mostBytes)
	}
}

// mostBytes is what was measured, and a twentieth.
const mostBytes = 480
