package cdr

import (
	"bytes"
	"fmt"
	"testing"

	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
)

// FuzzFold reads bytes as a script of inputs: events of all kinds on a few sessions and handles in any order and at any
// time, repetitions, copies, ticks, raw bytes, commits and restarts. Whatever comes, the fold does not fail, the books are
// right, and a partition that was cut and restarted says the same as one that was not.
func FuzzFold(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("a script that nobody wrote"))
	for seed := range 8 {
		c := chance(fmt.Sprint("fold", seed))
		script := make([]byte, 300)
		for i := range script {
			script[i] = byte(c.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 4000 {
			return
		}
		log, cuts, restarts := readScript(script)
		policy := DefaultPolicy()
		if len(script)%2 == 1 {
			policy.Partial = Partial{Every: 3 * second, Volume: 5000}
		}
		one := mustRun(t, play{policy: &policy}, log)
		other := mustRun(t, play{policy: &policy, evict: true, commit: func(i int) bool { return cuts[i] }, restart: func(i int) bool { return restarts[i] }}, log)
		if d := difference(one.records, other.records); d != "" {
			t.Fatal(d)
		}
		if err := sameStates(one.states, other.states); err != nil {
			t.Fatal(err)
		}
	})
}

// scriptEvents are what a script can say; %d is a small number.
var scriptEvents = []struct {
	typ, subtype int
	handle       bool
	body         string
}{
	{1, 0, false, `{"name":"created","transport":{"transport":"janus.transport.websockets","id":"%d"}}`},
	{1, 0, false, `{"name":"destroyed"}`},
	{1, 0, false, `{"name":"timeout"}`},
	{2, 0, true, `{"name":"attached","plugin":"janus.plugin.videoroom"}`},
	{2, 0, true, `{"name":"attached","plugin":"janus.plugin.sip"}`},
	{2, 0, true, `{"name":"attached","plugin":"janus.plugin.streaming"}`},
	{2, 0, true, `{"name":"detached"}`},
	{8, 0, true, `{"owner":"remote","jsep":{"type":"offer"}}`},
	{8, 0, true, `{"owner":"local","jsep":{"type":"offer"}}`},
	{8, 0, true, `{"owner":"remote","jsep":{"type":"answer"}}`},
	{16, 1, true, `{"ice":"gathering"}`},
	{16, 5, true, `{"dtls":"connected"}`},
	{16, 4, true, `{"candidates":{"remote":{"address":"203.0.113.%d"}}}`},
	{16, 6, true, `{"connection":"webrtcup"}`},
	{16, 6, true, `{"connection":"hangup","reason":"ICE failed"}`},
	{32, 1, true, `{"media":"audio","mid":"0","receiving":true}`},
	{32, 2, true, `{"media":"video","mid":"1","uplink":true,"lost":%d}`},
	{32, 3, true, `{"mid":"0","media":"audio","packets-received":%d00,"bytes-received":%d000,"rtt":%d,"jitter-local":3}`},
	{32, 3, true, `[{"mid":"1","media":"video","packets-sent":4294967%d00,"bytes-sent":%d},{"mid":"2","media":"data","bytes-sent":%d}]`},
	{64, 0, true, `{"plugin":"janus.plugin.videoroom","data":{"event":"joined","room":%d,"id":1}}`},
	{64, 0, true, `{"plugin":"janus.plugin.videoroom","data":{"event":"subscribing","room":%d,"streams":[{"feed_id":%d}]}}`},
	{64, 0, false, `{"plugin":"janus.plugin.videoroom","data":{"event":"leaving","room":%d,"id":1}}`},
	{64, 0, true, `{"plugin":"janus.plugin.videoroom","data":{"event":"destroyed","room":%d}}`},
	{64, 0, true, `{"plugin":"janus.plugin.textroom","data":{"event":"join","room":%d,"username":"u"}}`},
	{64, 0, true, `{"plugin":"janus.plugin.textroom","data":{"event":"leave","room":%d,"username":"u"}}`},
	{64, 0, true, `{"plugin":"janus.plugin.audiobridge","data":{"event":"joined","room":%d,"id":2}}`},
	{64, 0, true, `{"plugin":"janus.plugin.streaming","data":{"status":"starting","id":%d}}`},
	{64, 0, true, `{"plugin":"janus.plugin.streaming","data":{"status":"stopping","id":%d}}`},
	{64, 0, true, `{"plugin":"janus.plugin.recordplay","data":{"event":"recording","id":%d}}`},
	{64, 0, true, `{"plugin":"janus.plugin.recordplay","data":{"event":"stopped","id":%d}}`},
	{64, 0, true, `{"plugin":"janus.plugin.videocall","data":{"event":"hangup","reason":"User busy"}}`},
	{64, 0, true, `{"plugin":"janus.plugin.sip","data":{"event":"calling","call-id":"c%d"}}`},
	{64, 0, true, `{"plugin":"janus.plugin.sip","data":{"event":"incomingcall","call-id":"c%d"}}`},
	{64, 0, true, `{"plugin":"janus.plugin.sip","data":{"event":"accepted","call-id":"c%d"}}`},
	{64, 0, true, `{"plugin":"janus.plugin.sip","data":{"event":"missed_call","caller":"x"}}`},
	{64, 0, true, `{"plugin":"janus.plugin.sip","data":{"event":"hangup","call-id":"c%d","code":%d86}}`},
	{64, 0, true, `{"plugin":"janus.plugin.sip","data":{"event":"sip-in","sip":"BYE x"}}`},
	{128, 0, false, `{"transport":"janus.transport.websockets","id":"%d","data":{"event":"disconnected"}}`},
	{256, 1, false, `{"status":"started","info":{"reclaim-session-timeout":%d}}`},
	{256, 2, false, `{"status":"shutdown","signum":15}`},
}

// readScript makes a log of bytes, and says where steps are taken and where a new process goes on.
func readScript(script []byte) (log []Input, cuts, restarts map[int]bool) {
	cuts, restarts = map[int]bool{}, map[int]bool{}
	at, now := dawn, dawn
	next := func() int {
		if len(script) == 0 {
			return 0
		}
		b := script[0]
		script = script[1:]
		return int(b)
	}
	add := func(in Input) {
		in.Offset, in.Append = int64(len(log)), at
		log = append(log, in)
	}
	for len(script) > 0 {
		op := next()
		switch {
		case op < 200:
			e := scriptEvents[op%len(scriptEvents)]
			who, when := next(), next()
			now += []janus.Micros{0, 50, millisecond, second / 3, second, 7 * second, 40 * second, -3 * second}[when%8]
			at = max(at, now)
			b := fmt.Sprintf(`{"emitter":"edge-%d","type":%d,"subtype":%d,"timestamp":%d`, who>>7, e.typ, e.subtype, now)
			if e.typ != 128 && e.typ != 256 && (e.handle || e.typ == 1) {
				b += fmt.Sprintf(`,"session_id":%d`, 1+who>>4%3)
				if e.handle {
					b += fmt.Sprintf(`,"handle_id":%d`, 1+who%3)
				}
			}
			body := bytes.ReplaceAll([]byte(e.body), []byte("%d"), fmt.Append(nil, when>>3))
			in := Input{Value: append([]byte(b+`,"event":`), append(body, '}')...)}
			if when == 255 {
				in.Kind = KindCopy
			}
			add(in)
		case op < 215: // something comes again
			if len(log) > 0 {
				add(log[max(0, len(log)-1-next())])
			}
		case op < 230:
			at += janus.Micros(next()) * second / 4
			add(Input{Kind: KindTick})
		case op < 235:
			at += hour
			add(Input{Kind: KindTick})
		case op < 240:
			add(Input{Kind: KindAlive, Key: []byte("edge-0")})
		case op < 245:
			n := min(next(), len(script))
			add(Input{Value: script[:n], Kind: Kind(n % 2)})
			script = script[n:]
		case op < 252:
			cuts[len(log)-1] = true
		default:
			restarts[len(log)-1] = true
		}
	}
	return log, cuts, restarts
}

// FuzzState reads bytes as the state of a session, of an emitter and of a position. What is not refused can be written
// again and is then read as the same, and reading asks for memory no more often than there are bytes.
func FuzzState(f *testing.F) {
	f.Add([]byte{}, int64(0))
	f.Add([]byte{2, 2}, int64(1))
	for _, name := range recordings.Names()[:6] {
		p, err := Open(DefaultPolicy(), Source{}, MemoryStates{})
		if err != nil {
			f.Fatal(err)
		}
		log := recorded(name)
		for _, in := range log[:len(log)*2/3] {
			if err := p.Apply(in); err != nil {
				f.Fatal(err)
			}
		}
		for _, c := range p.Step().Changes[:2] {
			f.Add(c.Value, int64(1_700_000_000_000_000))
		}
		f.Add(encode(nil, p.pos.fields), int64(-1))
	}
	f.Fuzz(func(t *testing.T, b []byte, around int64) {
		base := janus.Micros(around)
		again := func(what string, fresh func() func(*codec)) {
			fields := fresh()
			if decode(b, fields) != nil {
				return
			}
			written := encode(nil, fields)
			other := fresh()
			if err := decode(written, other); err != nil {
				t.Fatalf("%s: what was read and written is not read again: %v", what, err)
			}
			if second := encode(nil, other); !bytes.Equal(written, second) {
				t.Fatalf("%s: %x and %x", what, written, second)
			}
			other = fresh()
			if err := decode(encodeState(nil, base, fields), other); err != nil {
				t.Fatalf("%s: what is written around %d is not read again: %v", what, base, err)
			}
			if third := encode(nil, other); !bytes.Equal(written, third) {
				t.Fatalf("%s: %x and, around %d, %x", what, written, base, third)
			}
		}
		again("session", func() func(*codec) { return (&session{}).fields })
		again("emitter", func() func(*codec) { return (&emitter{}).fields })
		again("position", func() func(*codec) { return (&position{}).fields })
		if n := testing.AllocsPerRun(1, func() { _ = decode(b, (&session{}).fields) }); n > float64(4*len(b)+20) {
			t.Errorf("%v allocations for %d bytes", n, len(b))
		}
	})
}
