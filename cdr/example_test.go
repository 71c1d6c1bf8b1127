package cdr_test

import (
	"fmt"
	"time"

	"januscdr/cdr"
	"januscdr/janus"
)

// A minute of echo test, as Janus tells of it. A log has such lines in the order in which they were appended.
var lines = []string{
	`{"emitter":"edge-1","type":2,"timestamp":1790000000000000,"session_id":7,"handle_id":9,"opaque_id":"invoice-4711",
	  "event":{"name":"attached","plugin":"janus.plugin.echotest"}}`,
	`{"emitter":"edge-1","type":16,"subtype":6,"timestamp":1790000002000000,"session_id":7,"handle_id":9,"event":{"connection":"webrtcup"}}`,
	`{"emitter":"edge-1","type":16,"subtype":6,"timestamp":1790000062000000,"session_id":7,"handle_id":9,
	  "event":{"connection":"hangup","reason":"DTLS alert"}}`,
}

// seconds is a duration of a record.
func seconds(d int64) time.Duration { return time.Duration(d) * time.Microsecond }

// A host gives the records of one partition of the log to a Partition, in their order, takes a Step and makes it durable.
// Here that is a map: a real one writes Records, Changes and Next in one transaction.
func ExamplePartition() {
	states := cdr.MemoryStates{}
	partition, err := cdr.Open(cdr.DefaultPolicy(), cdr.Source{Topic: "janus.events", Partition: 0}, states)
	if err != nil {
		fmt.Println(err)
		return
	}
	appended := janus.Micros(0)
	for offset, line := range lines {
		appended = janus.Micros(1790000000000000 + 30_000_000*int64(offset)) // the broker's time; partition time follows it
		if err := partition.Apply(cdr.Input{Offset: int64(offset), Append: appended, Value: []byte(line)}); err != nil {
			fmt.Println(err)
			return
		}
	}
	// The leg has ended, and waits for events that come late. A tick lets time pass.
	due := partition.Due()
	fmt.Println("due in", due.In)
	tick := cdr.Input{Offset: int64(len(lines)), Append: appended + janus.Micros(due.In.Microseconds()), Kind: cdr.KindTick}
	if err := partition.Apply(tick); err != nil {
		fmt.Println(err)
		return
	}
	step := partition.Step()
	for _, r := range step.Records {
		fmt.Println(r.RecordType, r.LegKind, r.OpaqueID, r.Disposition, seconds(r.Duration), r.CauseForRecordClosing)
	}
	states.Put(step.Changes...)
	partition.Committed()
	fmt.Println("next offset", step.Next, "with", partition.OpenSessions(), "session open")
	// Output:
	// due in 5s
	// LEG PEER_CONNECTION invoice-4711 ANSWERED 1m0s NORMAL_RELEASE
	// next offset 4 with 1 session open
}

// Fold is a Partition and its host in one, for a file of events: what is open at its end closes there.
func ExampleFold() {
	fold, err := cdr.NewFold(cdr.DefaultPolicy(), cdr.Source{Topic: "janus.events"})
	if err != nil {
		fmt.Println(err)
		return
	}
	show := func(step cdr.Step, err error) {
		if err != nil {
			fmt.Println(err)
		}
		for _, r := range step.Records {
			fmt.Println(r.RecordType, r.Confidence, seconds(r.Duration))
		}
	}
	for offset, line := range lines {
		show(fold.Apply(cdr.Input{Offset: int64(offset), Append: janus.Micros(1790000000000000 + int64(offset)), Value: []byte(line)}))
	}
	show(fold.Flush())
	// Output:
	// LEG ESTIMATED 1m0s
	// SESSION ESTIMATED 1m0s
}

// Why a record says what it says is told while it is made.
func ExamplePartition_Trace() {
	fold, err := cdr.NewFold(cdr.DefaultPolicy(), cdr.Source{Topic: "janus.events"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fold.Trace(func(c cdr.Conclusion) {
		if c.LegKind != cdr.LegKindUnknown {
			fmt.Printf("%v of %v %d, %q\n", c.Rule, c.LegKind, c.LegIndex, c.Word)
		}
	})
	for offset, line := range lines {
		if _, err := fold.Apply(cdr.Input{Offset: int64(offset), Value: []byte(line)}); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// leg_opened_by_webrtcup of PEER_CONNECTION 0, ""
	// answered_webrtcup of PEER_CONNECTION 0, ""
	// leg_ended_hangup of PEER_CONNECTION 0, "DTLS alert"
}

// Rules change the terms for some plugins and emitters; later ones win. Check names all that is wrong at once.
func ExamplePolicy() {
	quarter := janus.Micros(15 * 60 * 1_000_000)
	policy := cdr.DefaultPolicy()
	policy.Rules = []cdr.Rule{
		{Plugin: janus.PluginSIP, PartialEvery: &quarter},
		{Plugin: janus.PluginVideoRoom, Chargeable: []cdr.LegKind{cdr.RoomMembership}},
	}
	fmt.Println(policy.For("edge-1", janus.PluginSIP).Partial.Every)
	fmt.Println(policy.For("edge-1", janus.PluginVideoRoom).Chargeable)

	policy.Address = cdr.Hash
	for _, err := range policy.Check()[:1] {
		fmt.Println(err)
	}
	// Output:
	// 900000000
	// [ROOM_MEMBERSHIP]
	// personal data is to be hashed, but hash_key has 0 bytes: give it at least 16, from a file
}
