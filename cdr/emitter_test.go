package cdr

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"januscdr/janus"
)

// strangers is a log in which a real server starts, whose sessions can be reclaimed, and has a call; then come invented
// ones, one a second, for more than a day; then the real one has a call again, and loses its connection.
func strangers(n int) (log []Input) {
	at := dawn
	say := func(emitter string, typ, subtype int, session, body string) {
		at += second
		log = append(log, Input{Append: at, Value: fmt.Appendf(nil, `{"emitter":%q,"type":%d,"subtype":%d,"timestamp":%d%s,"event":%s}`, emitter, typ, subtype, at, session, body)})
	}
	const created = `{"name":"created","transport":{"transport":"janus.transport.websockets","id":"77"}}`
	call := func(session string) {
		say("edge", 1, 0, session, created)
		say("edge", 2, 0, session+`,"handle_id":1`, `{"name":"attached","plugin":"janus.plugin.echotest"}`)
		say("edge", 8, 0, session+`,"handle_id":1`, `{"owner":"remote","jsep":{"type":"offer"}}`)
		say("edge", 16, 6, session+`,"handle_id":1`, `{"connection":"webrtcup"}`)
		say("edge", 2, 0, session+`,"handle_id":1`, `{"name":"detached","plugin":"janus.plugin.echotest"}`)
	}
	say("edge", 256, 1, "", `{"status":"started","info":{"reclaim-session-timeout":30}}`)
	call(`,"session_id":5`)
	say("edge", 1, 0, `,"session_id":5`, `{"name":"destroyed"}`)
	for i := range n {
		name := fmt.Sprintf("stranger-%d", i)
		if i%7 == 0 {
			name = strings.Repeat("a long way from home ", 30) + name
		}
		switch i % 3 {
		case 0:
			at += second
			log = append(log, Input{Append: at, Kind: KindAlive, Key: []byte(name)})
		case 1:
			say(name, 256, 1, "", `{"status":"update","info":{"sessions":0}}`)
		case 2:
			say(name, 1, 0, `,"session_id":6`, created)
			say(name, 1, 0, `,"session_id":6`, `{"name":"destroyed"}`)
		}
	}
	call(`,"session_id":8`)
	say("edge", 128, 0, "", `{"transport":"janus.transport.websockets","id":"77","data":{"event":"disconnected"}}`)
	at += 20 * second
	log = append(log, Input{Append: at, Kind: KindTick})
	say("edge", 1, 0, `,"session_id":8`, `{"name":"timeout"}`)
	return numbered(log)
}

// TestAHundredThousandInventedEmitters: what a partition remembers of them has a bound, in memory and in the changelog,
// and is the same wherever the log was cut. A server that said something which matters later is remembered among them.
func TestAHundredThousandInventedEmitters(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 20_000
	}
	log := strangers(n)
	check := func(p *Partition) {
		x := &p.index
		open := 0
		for _, em := range x.emitters {
			if em.sessions > 0 {
				open++
			}
		}
		if x.idle > maxIdle+1 || open > 1000 || len(x.names()) != x.idle+open {
			t.Fatalf("%d emitters are idle, %d are not, %d are known", x.idle, open, len(x.names()))
		}
	}
	var forgotten int64
	seen := 0
	each := func(p *Partition) {
		if seen++; seen%1000 == 0 {
			check(p)
		}
		forgotten = p.Counts().Forgotten
	}
	one := mustRun(t, play{each: each, commit: func(i int) bool { return i%1000 == 0 }}, log)
	other := mustRun(t, play{forget: true, restart: func(i int) bool { return i%9973 == 9972 }, commit: func(i int) bool { return i%37 == 0 }}, log)
	if d := difference(one.records, other.records); d != "" {
		t.Error(d)
	}
	if err := sameStates(one.states, other.states); err != nil {
		t.Error(err)
	}
	states, largest := 0, 0
	for key, value := range one.states {
		states++
		largest = max(largest, len(key)+len(value))
	}
	if states > maxIdle+2 || largest > 2*maxText+100 {
		t.Errorf("%d states are kept, of up to %d bytes", states, largest)
	}
	// Of a third nothing came but a sign of life, which makes nobody known.
	if least := int64(n)*2/3 - maxIdle - 2; forgotten < least-maxIdle {
		t.Errorf("%d emitters were forgotten, want about %d", forgotten, least)
	}
	last := one.records[len(one.records)-1]
	for _, r := range one.records {
		if r.SessionID == "8" && r.RecordType == SessionSummary {
			last = r
		}
	}
	if last.SessionID != "8" || last.EndBasis != EndSessionTimeout {
		t.Errorf("session %s of %s ended by %v: it could have been reclaimed until its timeout", last.SessionID, last.Emitter, last.EndBasis)
	}
}

// names are the emitters that are remembered.
func (x *index) names() (names []string) {
	for name, em := range x.emitters {
		if !em.forgotten {
			names = append(names, name)
		}
	}
	return names
}

// TestAnEmitterWithoutSessionsIsForgottenWithoutADifference: but for its reclaim_session_timeout and its version nothing of it is missed.
func TestAnEmitterWithoutSessionsIsForgottenWithoutADifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log, policy := drawLog(t), drawPolicy(t)
		want := mustRun(t, play{policy: policy}, log)
		c := chance(rapid.StringN(1, 8, 32).Draw(t, "chance"))
		how := play{policy: policy, commit: func(int) bool { return c.IntN(3) == 0 }, each: func(p *Partition) {
			matter := 0
			for _, em := range p.index.emitters {
				if em.sessions == 0 && !em.forgotten && em.worth() > 0 {
					matter++
				}
			}
			p.index.forgetIdle(matter, matter)
		}}
		if d := difference(want.records, mustRun(t, how, log).records); d != "" {
			t.Fatal(d)
		}
	})
}

func TestServersWhoseLongNamesBeginAlikeAreTwo(t *testing.T) {
	f, err := NewFold(DefaultPolicy(), Source{})
	if err != nil {
		t.Fatal(err)
	}
	for i, end := range []string{"a", "b"} {
		event := fmt.Sprintf(`{"emitter":%q,"type":1,"timestamp":1790000000000000,"session_id":7,"event":{"name":"created"}}`,
			strings.Repeat("n", janus.MaxEmitter)+end)
		if _, err := f.Apply(Input{Offset: int64(i), Append: 1790000000000000, Value: []byte(event)}); err != nil {
			t.Fatal(err)
		}
	}
	step, err := f.Flush()
	if err != nil || len(step.Records) != 2 || !step.Records[0].Truncated {
		t.Fatalf("%d records of two sessions, %v", len(step.Records), err)
	}
	if one, other := step.Records[0].Emitter, step.Records[1].Emitter; one == other || len(one) != janus.MaxEmitter {
		t.Errorf("both are known as %q", one)
	}
}
