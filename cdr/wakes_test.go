package cdr

import (
	"fmt"
	"slices"
	"testing"
)

// TestWhoWakesUpIsLookedAtWhenSilentAgain: a handle that slept while its entry in the queue of its emitter came up, or was
// taken out with others, has a new one when it wakes up. Else its silence would end nothing until the next restart.
func TestWhoWakesUpIsLookedAtWhenSilentAgain(t *testing.T) {
	g := newGreedy(t)
	g.say(8, 0, 1, `{"owner":"remote","jsep":{"type":"offer","sdp":"v=0"}}`)
	g.say(16, 6, 1, `{"connection":"webrtcup"}`)
	report := func(n int) {
		g.say(32, 3, 1, fmt.Sprintf(`{"mid":"0","mindex":0,"media":"audio","packets-received":%d,"bytes-received":%d}`, n, 100*n))
	}
	report(100)
	for range 26 * 60 { // the emitter is silent, and what was open is given up
		g.at += minute
		g.post(Input{Kind: KindTick})
	}
	k := g.p.index.sessions[sessionRef{0, 5}]
	if k == nil || !k.sleeps {
		t.Fatal("the session does not sleep")
	}
	for n := range 60 { // others live, for longer than a leg may be silent
		g.at += minute
		g.post(Input{Value: fmt.Appendf(nil, `{"emitter":"edge","type":1,"timestamp":%d,"session_id":%d,"event":{"name":"created"}}`, g.at, 100+n)})
	}
	report(200)
	report(300)
	if k.stub {
		t.Fatal("the session sleeps on")
	}
	e := k.handles.get(1)
	if e == nil || e.silence == 0 {
		t.Fatal("nothing is open on the handle")
	}
	if !slices.ContainsFunc(k.em.due, func(d deadline) bool { return d.ref == k.ref && d.handle == 1 && d.at == e.queued && d.at <= e.silence }) {
		t.Errorf("the silence of the handle at %v is in no queue, where it is said to be at %v", e.silence, e.queued)
	}
}
