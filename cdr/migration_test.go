package cdr

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// oldSession is the state of a session as a program of version 1 wrote it: with its handles in it, of which one is in a
// room with an open PeerConnection, and with a leg that was reported.
const oldSession = "" +
	"0202050465646765060e0a8089a9a3dbffad060c020e8089a9a3dbffad061080daf3abdbffad06131a6a616e75732e7472616e73706f72" +
	"742e776562736f636b657473150237371a121c142280d1ca082480d1ca082680daf3abdbffad06294c020205156a616e75732e706c7567" +
	"696e2e6563686f746573740e80ad91a7dbffad061080a4e80318021a021d14020204809b9da5dbffad060680ad91a7dbffad062c022e80" +
	"ad91a7dbffad06298102020405166a616e75732e706c7567696e2e766964656f726f6f6d0e80d1f9aadbffad061080c8d00718022c0234" +
	"0251550206060c08100a061280bf85a9dbffad061480d1f9aadbffad061680bf85a9dbffad061a80bf85a9dbffad062d034164612f0238" +
	"383304313030316080d1f9aadbffad067880d1f9aadbffad067a80c8d0079a0102517a0202060e08100a041280c8ffa9dbffad061480d1" +
	"f9aadbffad061680c8ffa9dbffad061c80d1f9aadbffad0620022280c8ffa9dbffad062d034164612f0238383304313030316080d1f9aa" +
	"dbffad067880d1f9aadbffad067a80c8d00782010284010c860180d1f9aadbffad06b40180d1f9aadbffad06b601022924020605106a61" +
	"6e75732e706c7567696e2e7369700e80daf3abdbffad061080d1ca0818023d2f03109a1b33f926d897f20b4a846b134f353e04809b9da5" +
	"dbffad060680a497a6dbffad060880ad91a7dbffad060a043e02400242024a86d701"

func TestAStateOfVersion1IsReadAndWrittenInItsParts(t *testing.T) {
	b, err := hex.DecodeString(oldSession)
	if err != nil {
		t.Fatal(err)
	}
	var s session
	if err := decode(b, s.fields); err != nil {
		t.Fatal(err)
	}
	if len(s.oldHandles) != 3 || len(s.oldLegs) != 1 {
		t.Fatalf("it has %d handles and %d closed legs", len(s.oldHandles), len(s.oldLegs))
	}
	tail := func(offset int64) (log []Input) {
		for i, v := range []string{
			`{"emitter":"edge","type":16,"subtype":6,"timestamp":1790000060000000,"session_id":7,"handle_id":2,"event":{"connection":"hangup","reason":"Close PC"}}`,
			`{"emitter":"edge","type":64,"timestamp":1790000060100000,"session_id":8,"handle_id":9,"event":{"plugin":"janus.plugin.videoroom","data":{"event":"leaving","room":88,"id":1001}}}`,
			`{"emitter":"edge","type":1,"timestamp":1790000061000000,"session_id":7,"event":{"name":"destroyed"}}`,
		} {
			log = append(log, Input{Offset: offset + int64(i), Append: 1790000061002000, Value: []byte(v)})
		}
		return log
	}
	p, states := openedAt(t, 0, MemoryStates{string(sessionKey("edge", 7)): bytes.Clone(b)})
	if n := len(p.index.rooms); n != 1 {
		t.Errorf("the index has %d rooms, want the one of the state", n)
	}
	var records []Record
	for i, in := range tail(100) {
		if err := p.Apply(in); err != nil {
			t.Fatal(err)
		}
		step := p.Step()
		states.Put(step.Changes...)
		p.Committed()
		records = append(records, step.Records...)
		if i == 0 && (len(states[string(handleKey("edge", 7, 1))]) == 0 || len(states[string(legsKey("edge", 7, 0))]) == 0 || len(states[string(sessionKey("edge", 7))]) > 200) {
			t.Errorf("after its next event the session is not in parts")
		}
		p, _ = openedAt(t, 0, states)
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	step := p.Step()
	records = append(records, step.Records...)
	kinds := map[LegKind]int{}
	for i := range records {
		if r := &records[i]; r.SessionID == "7" {
			kinds[r.LegKind]++
			if r.Confidence != Exact {
				t.Errorf("%v of handle %s is %v", r.LegKind, r.HandleID, r.Confidence)
			}
			if r.RecordType == SessionSummary && (r.LegCount != 3 || len(r.LegIDs) != 3) {
				t.Errorf("the session counts %d legs and lists %d", r.LegCount, len(r.LegIDs))
			}
		}
	}
	if kinds[PeerConnection] != 1 || kinds[RoomMembership] != 1 || kinds[LegKindUnknown] != 1 {
		t.Errorf("there are %v", kinds)
	}
}
