package cdr

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"januscdr/janus"
)

// A client can open, name and repeat as much as it likes, and whoever can post events can invent them. What is kept of a
// session has a bound all the same, and the records say where something was left out.

// greedy is one session that is asked for much.
type greedy struct {
	*testing.T
	p       *Partition
	states  MemoryStates
	at      janus.Micros
	offset  int64
	records []Record
	largest int // bytes of a state
}

func newGreedy(t *testing.T) *greedy {
	g := &greedy{T: t, states: MemoryStates{}, at: dawn}
	p, err := Open(DefaultPolicy(), Source{Topic: "janus.events"}, g.states)
	if err != nil {
		t.Fatal(err)
	}
	g.p = p
	g.say(1, 0, 0, `{"name":"created","transport":{"transport":"janus.transport.websockets","id":"77"}}`)
	return g
}

// say is an event a millisecond after the one before.
func (g *greedy) say(typ, subtype, handle int, body string) {
	g.at += millisecond
	b := fmt.Sprintf(`{"emitter":"edge","type":%d,"timestamp":%d,"session_id":5`, typ, g.at)
	if subtype != 0 {
		b += fmt.Sprintf(`,"subtype":%d`, subtype)
	}
	if handle != 0 {
		b += fmt.Sprintf(`,"handle_id":%d`, handle)
	}
	g.post(Input{Value: []byte(b + `,"event":` + body + `}`)})
}

func (g *greedy) tells(handle int, plugin, data string) {
	g.say(64, 0, handle, fmt.Sprintf(`{"plugin":"janus.plugin.%s","data":{%s}}`, plugin, data))
}

func (g *greedy) post(in Input) {
	in.Offset, in.Append = g.offset, g.at
	g.offset++
	if err := g.p.Apply(in); err != nil {
		g.Fatal(err)
	}
	if g.offset%64 == 0 {
		g.commit()
	}
}

func (g *greedy) commit() {
	step := g.p.Step()
	g.records = append(g.records, step.Records...)
	g.states.Put(step.Changes...)
	g.p.Committed()
	for _, c := range step.Changes {
		g.largest = max(g.largest, len(c.Value))
		if c.Value == nil {
			continue
		}
		again := c.Value
		switch string(c.Key[:1]) {
		case sessionPrefix:
			s, err := readSession(c.Key, c.Value)
			if err != nil {
				g.Fatal(err)
			}
			again = encodeState(nil, s.base(), s.fields)
		case handlePrefix:
			_, _, id, err := splitHandleKey(c.Key)
			if err != nil {
				g.Fatal(err)
			}
			h, err := readHandle(nil, c.Key, c.Value, id)
			if err != nil {
				g.Fatal(err)
			}
			again = encodeState(nil, h.base(), h.fields)
		}
		if !bytes.Equal(again, c.Value) {
			g.Fatalf("state %q of %d bytes is not read as it was written", c.Key, len(c.Value))
		}
	}
}

// end ends the session and gives its summary. All books must be right, and no state may have been too large.
func (g *greedy) end(truncated bool) *Record {
	g.say(1, 0, 0, `{"name":"destroyed"}`)
	if err := g.p.Flush(); err != nil {
		g.Fatal(err)
	}
	g.commit()
	if err := checkTold(outcome{records: g.records}, -1); err != nil {
		g.Fatal(err)
	}
	const most = 64 << 10
	if g.largest > most {
		g.Errorf("a state has %d bytes, more than %d", g.largest, most)
	}
	last := &g.records[len(g.records)-1]
	if last.RecordType != SessionSummary || last.Truncated != truncated {
		g.Errorf("the last record is a %v, truncated %t; want %t", last.RecordType, last.Truncated, truncated)
	}
	g.Logf("%d events, %d records, largest state %d bytes", g.offset, len(g.records), g.largest)
	return last
}

func TestTenThousandNamesOfOneSession(t *testing.T) {
	g := newGreedy(t)
	for h := 1; h <= 10_000; h++ {
		g.say(2, 0, h, `{"name":"attached","plugin":"janus.plugin.videocall"}`)
		g.tells(h, "videocall", fmt.Sprintf(`"event":"registered","username":"%d%s"`, h, strings.Repeat("o", 600)))
		if h == 7_000 {
			for range 3 { // a call among them is not lost
				g.say(8, 0, h, `{"owner":"remote","jsep":{"type":"offer"}}`)
			}
			g.say(16, 6, h, `{"connection":"webrtcup"}`)
		}
	}
	g.say(16, 6, 7_000, `{"connection":"hangup","reason":"Close PC"}`)
	if r := g.end(true); r.AnsweredLegCount != 1 || r.Confidence != Exact {
		t.Errorf("%d calls were answered, want 1", r.AnsweredLegCount)
	}
}

func TestAThousandStreamsOfOneHandle(t *testing.T) {
	g := newGreedy(t)
	g.say(16, 6, 1, `{"connection":"webrtcup"}`)
	for round := range 3 {
		for i := range 1000 {
			g.say(32, 3, 1, fmt.Sprintf(`{"mid":"m%d%s","media":"audio","codec":"opus","packets-received":%d,"bytes-received":%d,"rtt":20}`, i, strings.Repeat("x", 600), round, round*100))
		}
	}
	g.end(true)
	if r := &g.records[0]; len(r.Streams) > maxStreams || !r.Truncated || r.Confidence == Exact {
		t.Errorf("the leg has %d streams, truncated %t, %v", len(r.Streams), r.Truncated, r.Confidence)
	}
}

func TestEventsOfAMegabyte(t *testing.T) {
	huge := strings.Repeat("é", 1<<15) // sixteen of them in one event
	g := newGreedy(t)
	for h, plugin := range []string{huge, "sip", "videoroom", "audiobridge", "textroom", "streaming", "recordplay", "videocall"} {
		h++
		g.say(2, 0, h, `{"name":"attached","plugin":"janus.plugin.`+plugin+`","opaque_id":"`+huge+`"}`)
		for _, name := range []string{"registered", "calling", "incomingcall", "proceeding", "accepted", "joined", "join", "subscribing", "starting", "playout"} {
			key := "event"
			if name == "starting" {
				key = "status"
			}
			g.tells(h, plugin, `"`+key+`":"`+name+`","room":"`+huge+`","id":"`+huge+`","username":"`+huge+`","display":"`+huge+`","displayname":"`+huge+
				`","identity":"`+huge+`","caller":"`+huge+`","callee":"`+huge+`","call-id":"`+huge+`","reason":"`+huge+`","feed":"`+huge+`"`)
			g.say(8, 0, h, `{"owner":"remote","jsep":{"type":"offer","sdp":"`+huge+`"}}`)
		}
		g.say(16, 4, h, `{"candidates":{"local":{"type":"`+huge+`"},"remote":{"address":"`+huge+`","type":"`+huge+`","transport":"`+huge+`"}}}`)
		g.say(16, 6, h, `{"connection":"webrtcup"}`)
		g.say(32, 3, h, `{"mid":"`+huge+`","media":"audio","codec":"`+huge+`","packets-received":1}`)
		g.tells(h, plugin, `"event":"hangup","reason":"`+huge+`","call-id":"`+huge+`","code":200`)
		g.say(16, 6, h, `{"connection":"hangup","reason":"`+huge+`"}`)
	}
	g.end(true)
	for i := range g.records {
		r := &g.records[i]
		for _, text := range append(r.Feeds, r.Plugin, r.OpaqueID, r.CallingParty, r.CalledParty, r.DisplayName, r.RoomID, r.ParticipantID, r.SIPCallID, r.Diagnostics) {
			if r.RecordType == Leg && strings.Contains(text, "éé~") && !r.Truncated {
				t.Errorf("%v of handle %s does not say that something was left out", r.LegKind, r.HandleID)
			}
		}
	}
}

func TestTenThousandCallsOnOneHandle(t *testing.T) {
	g := newGreedy(t)
	for range 10_000 {
		g.say(8, 0, 1, `{"owner":"remote","jsep":{"type":"offer"}}`)
		g.say(16, 6, 1, `{"connection":"webrtcup"}`)
		g.at += 6 * second
		g.say(16, 6, 1, `{"connection":"hangup","reason":"Close PC"}`)
		g.at += second
	}
	r := g.end(false)
	if r.LegCount != 10_000 || r.AnsweredLegCount != 10_000 || len(r.LegIDs) != 10_000 || len(g.records) != 10_001 {
		t.Errorf("%d records; the session counts %d legs, %d answered, and lists %d", len(g.records), r.LegCount, r.AnsweredLegCount, len(r.LegIDs))
	}
}

func TestTenThousandRoomsOfOneHandle(t *testing.T) {
	g := newGreedy(t)
	g.say(16, 6, 1, `{"connection":"webrtcup"}`)
	for i := range 10_000 {
		g.tells(1, "textroom", fmt.Sprintf(`"event":"join","room":"%d%s","username":"u%d%s","display":"%s"`, i, strings.Repeat("r", 600), i, strings.Repeat("u", 600), strings.Repeat("d", 600)))
	}
	if n := len(g.p.index.rooms); n > maxOpenLegs {
		t.Errorf("the index has %d rooms", n)
	}
	if r := g.end(true); r.LegCount+r.LeftOutLegCount != 10_001 || r.LeftOutLegCount == 0 || r.Confidence == Exact {
		t.Errorf("%d legs have records, %d have none, %v", r.LegCount, r.LeftOutLegCount, r.Confidence)
	}
	if n := len(g.p.index.rooms); n != 0 {
		t.Errorf("the index still has %d rooms", n)
	}
}

func TestWhatIsCutStaysApart(t *testing.T) {
	long := strings.Repeat("é", maxText)
	g := newGreedy(t)
	for h := 1; h <= 3; h++ {
		for i := range 40 { // more than the state of a handle holds
			g.tells(h, "textroom", fmt.Sprintf(`"event":"join","room":"%s%d","username":"%s%d-%d","display":"%s"`, long, i, long, h, i, long))
		}
	}
	g.end(true)
	names := map[string]bool{}
	for i := range g.records {
		if r := &g.records[i]; r.RecordType == Leg {
			names[r.ParticipantID] = true
			if len(r.ParticipantID) > maxText || !r.Truncated {
				t.Errorf("a name has %d bytes, truncated %t", len(r.ParticipantID), r.Truncated)
			}
		}
	}
	if len(names) != 120 {
		t.Errorf("of 120 names that differ at their end %d are left", len(names))
	}
}

// TestLegsThatCopyLongNames: a new PeerConnection takes over what is known of the stay in a room, or of the call, without
// its event bringing it.
func TestLegsThatCopyLongNames(t *testing.T) {
	long := strings.Repeat("n", 500)
	g := newGreedy(t)
	for h := 1; h <= 27; h++ {
		g.tells(h, "videoroom", fmt.Sprintf(`"event":"joined","room":"%d%s","id":"%d%s","display":"%s"`, h, long, h, long, long))
	}
	for h := 1; h <= 27; h++ {
		g.say(8, 0, h, `{"owner":"remote","jsep":{"type":"offer"}}`)
	}
	g.commit()
	for h := 101; h <= 127; h++ {
		g.tells(h, "sip", fmt.Sprintf(`"event":"incomingcall","call-id":"%d%s","username":"%s","callee":"%s","displayname":"%s"`, h, long, long, long, long))
		g.say(8, 0, h, `{"owner":"local","jsep":{"type":"offer"}}`)
	}
	g.end(false)
}

func TestGarbageIsParkedOrBounded(t *testing.T) {
	c := rand.New(rand.NewChaCha8([32]byte{1}))
	g := newGreedy(t)
	pieces := strings.Fields(`{ } [ ] , : "event" "data" "type" "timestamp" "session_id" "handle_id" 1 2 8 16 32 64 128 256 5 "plugin" "janus.plugin.sip" "joined" "room" -1 9223372036854775807 1e300 null true "\ud800" "streams"`)
	for range 20_000 {
		var b []byte
		if c.IntN(2) == 0 {
			for range c.IntN(200) {
				b = append(b, byte(c.Uint32()))
			}
		} else {
			for range c.IntN(60) {
				b = append(b, pieces[c.IntN(len(pieces))]...)
			}
		}
		g.post(Input{Value: b, Kind: Kind(c.IntN(5))})
	}
	g.end(false)
	if g.p.Counts().Parked == 0 {
		t.Error("nothing was parked")
	}
}

func TestTheIndexForgetsWhatIsOver(t *testing.T) {
	g := newGreedy(t)
	sessions := 20
	for round := range 400 {
		for s := range sessions {
			in := func(typ int, more, body string) {
				g.at += millisecond
				g.post(Input{Value: fmt.Appendf(nil, `{"emitter":"edge","type":%d,"timestamp":%d,"session_id":%d%s,"event":%s}`, typ, g.at, 100+s+round/20*sessions, more, body)})
			}
			if round%20 == 0 {
				in(1, "", fmt.Sprintf(`{"name":"created","transport":{"transport":"janus.transport.websockets","id":"%d"}}`, s))
			}
			in(8, `,"handle_id":1`, `{"owner":"remote","jsep":{"type":"offer"}}`)
			in(64, `,"handle_id":2`, `{"plugin":"janus.plugin.videoroom","data":{"event":"joined","room":7,"id":`+fmt.Sprint(s)+`}}`)
			in(32, `,"subtype":3,"handle_id":1`, `{"mid":"0","media":"audio","packets-received":9}`)
			in(16, `,"subtype":6,"handle_id":1`, `{"connection":"hangup","reason":"Close PC"}`)
			if round%20 == 19 {
				in(1, "", `{"name":"destroyed"}`)
			}
		}
		g.at += 10 * second
		g.post(Input{Kind: KindTick})
		x := &g.p.index
		entries := len(x.due) + len(x.stubs)
		for _, em := range x.emitters {
			entries += len(em.due)
		}
		seats := 0
		for _, s := range x.rooms {
			seats += len(s)
		}
		wires := 0
		for _, w := range x.transports {
			wires += len(w)
		}
		if most := 8*len(x.sessions) + 1100; entries > most || seats > most || wires > most || len(x.decodedSessions.all) > most || len(x.decodedHandles.all) > most {
			t.Fatalf("round %d: %d sessions, %d entries in queues, %d seats, %d wires, %d and %d decoded", round, len(x.sessions), entries, seats, wires, len(x.decodedSessions.all), len(x.decodedHandles.all))
		}
	}
	for range 100 {
		g.at += minute
		g.post(Input{Kind: KindTick})
	}
	x := &g.p.index
	if len(x.rooms) != 0 || len(x.transports) > 1 || len(x.due) > 4 || len(x.stubs) != 0 || len(x.sessions) > 1 {
		t.Errorf("when all is over there are %d rooms, %d wires, %d deadlines, %d stubs and %d sessions", len(x.rooms), len(x.transports), len(x.due), len(x.stubs), len(x.sessions))
	}
}

// Each handle had a call whose end was lost before the next one began: that sleeps no longer than the handle is there.
func TestWhatSleepsKeepsNoHandleThatIsGone(t *testing.T) {
	g := newGreedy(t)
	for handle := range 200 {
		for range 2 {
			g.say(8, 0, handle+1, `{"owner":"remote","jsep":{"type":"offer"}}`)
			g.say(16, 5, handle+1, `{"dtls":"connected"}`)
			g.say(16, 6, handle+1, `{"connection":"webrtcup"}`)
			g.at += 6 * second
		}
		g.say(16, 6, handle+1, `{"connection":"hangup","reason":"Close PC"}`)
		g.say(2, 0, handle+1, `{"name":"detached"}`)
		g.at += second
	}
	for range 10 {
		g.at += minute
		g.post(Input{Kind: KindTick})
	}
	g.commit()
	if known := g.p.index.handles; known != 0 || len(g.records) != 400 {
		t.Errorf("%d handles are known when all are gone, and there are %d records", known, len(g.records))
	}
}

func TestAScaledNumberIsThatOfWideArithmetic(t *testing.T) {
	for _, c := range []struct{ n, by, of, want int64 }{
		{100, 3, 2, 150}, {0, 5, 7, 0}, {-4, 1, 1, 0}, {1 << 50, 1 << 40, 1 << 41, 1 << 49}, {1 << 62, 1 << 40, 1, 1 << 60},
	} {
		if got := scaled(c.n, janus.Micros(c.by), janus.Micros(c.of)); got != c.want {
			t.Errorf("%d * %d / %d is %d, want %d", c.n, c.by, c.of, got, c.want)
		}
	}
}

// The events of an attempt for which there is no room are one leg that was left out, and a session that leaves out something is
// not exact.
func TestLegsForWhichThereIsNoRoomAreCounted(t *testing.T) {
	g := newGreedy(t)
	const more = 5
	for i := range maxOpenLegs + more {
		g.tells(1, "textroom", fmt.Sprintf(`"event":"join","room":"%d","username":"u"`, i))
	}
	g.say(8, 0, 1, `{"owner":"remote","jsep":{"type":"offer"}}`)
	g.say(16, 1, 1, `{"ice":"gathering"}`)
	g.say(16, 6, 1, `{"connection":"webrtcup"}`)
	r := g.end(true)
	if r.LegCount != maxOpenLegs || r.LeftOutLegCount != more+1 || r.Confidence == Exact {
		t.Errorf("%d legs, %d left out, %v; want %d, %d, and not EXACT", r.LegCount, r.LeftOutLegCount, r.Confidence, maxOpenLegs, more+1)
	}
}

// TestTheQueuesOfManyEmittersAreShort: what a session that is over waited for is a day away, and not kept until then.
func TestTheQueuesOfManyEmittersAreShort(t *testing.T) {
	const emitters, rounds = 20, 50
	g := newGreedy(t)
	for round := range rounds {
		for n := range emitters {
			in := func(typ int, more, body string) {
				g.at += millisecond
				g.post(Input{Value: fmt.Appendf(nil, `{"emitter":"edge-%d","type":%d,"timestamp":%d,"session_id":%d%s,"event":%s}`, n, typ, g.at, 100+round, more, body)})
			}
			in(1, "", `{"name":"created"}`)
			in(8, `,"handle_id":1`, `{"owner":"remote","jsep":{"type":"offer"}}`)
			in(1, "", `{"name":"destroyed"}`)
		}
		g.at += 10 * second
		g.post(Input{Kind: KindTick})
	}
	entries := 0
	for _, em := range g.p.index.emitters {
		entries += len(em.due)
	}
	if most := 20 * emitters; entries > most {
		t.Errorf("%d entries in the queues of %d emitters, at most %d are wanted", entries, emitters, most)
	}
}
