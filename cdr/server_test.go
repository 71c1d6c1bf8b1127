package cdr

import (
	flags "flag"
	"fmt"
	"runtime"
	"testing"

	"januscdr/janus"
)

// An application server holds one session for all its users.

var serverHandles = flags.Int("server.handles", 2000, "handles of the session of an application server; 10000 is the full size")

// server is a log of sessions with handles, of which each has one SIP call after the other: all are in calls at once, and
// each event of all comes before the next one of any.
func server(sessions, handles, calls int) (log []Input, sum janus.Micros) {
	at := dawn
	say := func(s, h, typ int, more, body string) {
		at += 200
		v := fmt.Appendf(nil, `{"emitter":"edge","type":%d,"timestamp":%d,"session_id":%d%s`, typ, at, 100+s, more)
		if h > 0 {
			v = fmt.Appendf(v, `,"handle_id":%d,"opaque_id":"user-%d-%d"`, h, s, h)
		}
		log = append(log, Input{Offset: int64(len(log)), Append: at + 2*millisecond, Value: fmt.Appendf(v, `,"event":%s}`, body)})
	}
	each := func(f func(s, h int)) {
		for h := 1; h <= handles; h++ {
			for s := range sessions {
				f(s, h+s*handles)
			}
		}
	}
	plugin := func(data string) string { return `{"plugin":"janus.plugin.sip","data":{` + data + `}}` }
	for s := range sessions {
		say(s, 0, 1, "", `{"name":"created","transport":{"transport":"janus.transport.websockets","id":"77"}}`)
	}
	each(func(s, h int) {
		say(s, h, 2, "", `{"name":"attached","plugin":"janus.plugin.sip"}`)
		say(s, h, 64, "", plugin(fmt.Sprintf(`"event":"registered","identity":"sip:%d@example.org"`, h)))
	})
	began := make([]janus.Micros, sessions*handles+1)
	for call := range calls {
		id := func(h int) string { return fmt.Sprintf(`"call-id":"%d-%d"`, h, call) }
		each(func(s, h int) {
			say(s, h, 8, "", `{"owner":"remote","jsep":{"type":"offer"}}`)
			say(s, h, 64, "", plugin(`"event":"calling","callee":"sip:there@example.org",`+id(h)))
		})
		each(func(s, h int) {
			say(s, h, 64, "", plugin(`"event":"accepted","username":"sip:there@example.org",`+id(h)))
			began[h] = at
			say(s, h, 16, `,"subtype":6`, `{"connection":"webrtcup"}`)
		})
		for n := 1; n <= 3; n++ {
			each(func(s, h int) {
				say(s, h, 32, `,"subtype":3`, fmt.Sprintf(`{"mid":"0","media":"audio","codec":"opus","packets-received":%d,"packets-sent":%d,"bytes-received":%d,"bytes-sent":%d}`,
					250*n, 250*n, 40_000*n, 40_000*n))
			})
		}
		each(func(s, h int) {
			say(s, h, 32, `,"subtype":3`, `{"mid":"0","media":"audio","codec":"opus","packets-received":1000,"packets-sent":1000,"bytes-received":160000,"bytes-sent":160000}`)
			say(s, h, 64, "", plugin(`"event":"hangup","code":200,"reason":"Session Terminated",`+id(h)))
			sum += at - began[h]
			say(s, h, 16, `,"subtype":6`, `{"connection":"hangup","reason":"Close PC"}`)
		})
	}
	each(func(s, h int) { say(s, h, 2, "", `{"name":"detached","plugin":"janus.plugin.sip"}`) })
	for s := range sessions {
		say(s, 0, 1, "", `{"name":"destroyed"}`)
	}
	return log, sum
}

func TestAllCallsOfAnApplicationServerAreExact(t *testing.T) {
	n := *serverHandles
	log, want := server(1, n, 2)
	p, states, records, written := served(t, log)
	var sum janus.Micros
	legs := map[LegKind]int{}
	for i := range records {
		r := &records[i]
		legs[r.LegKind]++
		if r.Confidence != Exact || r.Disposition != Answered || r.RecordType == Leg && r.Truncated {
			t.Fatalf("%v of handle %s is %v and %v, truncated %t", r.LegKind, r.HandleID, r.Disposition, r.Confidence, r.Truncated)
		}
		if r.RecordType == Leg && r.Chargeable {
			sum += janus.Micros(r.Duration)
		}
	}
	last := &records[len(records)-1]
	if legs[SIPCall] != 2*n || legs[PeerConnection] != 2*n || last.RecordType != SessionSummary || last.LeftOutLegCount != 0 || int(last.LegCount) != 4*n {
		t.Errorf("there are %v, and the session has %d legs and leaves out %d", legs, last.LegCount, last.LeftOutLegCount)
	}
	if last.Truncated != (4*n > maxClosedLegs) || len(last.LegIDs) != min(4*n, maxClosedLegs) {
		t.Errorf("%d legs are listed, truncated %t", len(last.LegIDs), last.Truncated)
	}
	if sum != want {
		t.Errorf("calls last %d in all, want %d", sum, want)
	}
	few, _ := server(1, n/10, 2)
	_, _, _, less := served(t, few)
	t.Logf("%d events, %d records; bytes written for an event: %d, with a tenth of the handles %d", len(log), len(records), written/len(log), less/len(few))
	// Its moments lie further apart with more handles, and take some bytes more.
	if written*len(few)*4 > less*len(log)*5 {
		t.Error("what is written for an event grows with the handles of its session")
	}
	if n := len(p.index.sessions) + p.index.handles + p.index.cachedHandles; n > 1 {
		t.Errorf("%d sessions and handles are left in the index", n)
	}
	for key := range states {
		if key[:1] == handlePrefix || key[:1] == legsPrefix {
			t.Errorf("the state %q is left", key)
		}
	}
}

// served folds a log, with a step every 50 records, and counts the bytes that the steps write until the end begins.
func served(t *testing.T, log []Input) (p *Partition, states MemoryStates, records []Record, written int) {
	p, states = openedAt(t, 0, MemoryStates{})
	take := func() {
		step := p.Step()
		states.Put(step.Changes...)
		p.Committed()
		records = append(records, step.Records...)
		for _, c := range step.Changes {
			written += len(c.Key) + len(c.Value)
		}
	}
	for i, in := range log {
		if err := p.Apply(in); err != nil {
			t.Fatal(err)
		}
		if i%50 == 49 {
			take()
		}
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	take()
	return p, states, records, written
}

// openedAt is a partition of the states.
func openedAt(tb testing.TB, partition int32, states MemoryStates) (*Partition, MemoryStates) {
	tb.Helper()
	p, err := Open(DefaultPolicy(), Source{Topic: "janus.events", Partition: partition}, states)
	if err != nil {
		tb.Fatal(err)
	}
	return p, states
}

// held is what the fold holds of the heap, in bytes, after part of a log.
func held(b *testing.B, log []Input) float64 {
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := heap()
	p, states := openedAt(b, 0, MemoryStates{})
	for i := range log {
		if err := p.Apply(log[i]); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 || i == len(log)-1 {
			states.Put(p.Step().Changes...)
			p.Committed()
		}
	}
	after := heap()
	runtime.KeepAlive(p)
	runtime.KeepAlive(states)
	return after - before
}

// BenchmarkServer folds as many handles in one session and in ten; its operation is one event. Beside it stands what is held in
// memory of a handle while all are in calls.
func BenchmarkServer(b *testing.B) {
	for _, sessions := range []int{1, 10} {
		log, _ := server(sessions, 10_000/sessions, 1)
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			b.ReportAllocs()
			if b.N >= len(log) {
				bytes := held(b, log[:len(log)/2])
				b.ResetTimer()
				b.ReportMetric(bytes/10_000, "held-B/handle")
			}
			var p *Partition
			var states MemoryStates
			for i := 0; i < b.N; i++ {
				if i%len(log) == 0 {
					p, states = openedAt(b, 0, MemoryStates{})
				}
				if err := p.Apply(log[i%len(log)]); err != nil {
					b.Fatal(err)
				}
				if i%1000 == 999 {
					states.Put(p.Step().Changes...)
					p.Committed()
				}
			}
		})
	}
}
