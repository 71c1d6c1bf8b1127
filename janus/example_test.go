package janus_test

import (
	"fmt"

	"januscdr/janus"
)

// What an event says is in its Body. The event is valid until the next call of Parse.
func ExampleParser() {
	var p janus.Parser
	e, err := p.Parse([]byte(`{"emitter":"edge-1","type":16,"subtype":6,"timestamp":1790000001000000,
		"session_id":7,"handle_id":9,"event":{"connection":"hangup","reason":"DTLS alert"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	switch body := e.Body.(type) {
	case *janus.PeerConnectionUp:
		fmt.Println("media can flow")
	case *janus.PeerConnectionHangup:
		fmt.Printf("%s: session %v, handle %v: %s\n", e.Type, e.Session, e.Handle, body.Reason)
	}

	_, err = p.Parse([]byte(`{"emitter":"edge-1","type":1}`))
	fmt.Println(err)
	// Output:
	// webrtc: session 7, handle 9: DTLS alert
	// janus event: timestamp: is missing (at byte 29)
}

// A body of a Janus event handler has one event or many.
func ExampleSplit() {
	events, err := janus.Split([]byte(`[{"type":1},{"type":2}]`))
	for _, e := range events {
		fmt.Println(string(e))
	}
	fmt.Println(err)
	// Output:
	// {"type":1}
	// {"type":2}
	// <nil>
}

// Who leaves a videoroom is told without ids: the partition of its session cannot be known, so each has to see it.
func ExampleEvent_Reach() {
	var p janus.Parser
	for _, event := range []string{
		`{"type":64,"timestamp":1790000001000000,"event":{"plugin":"janus.plugin.videoroom","data":{"event":"leaving","room":88,"id":5}}}`,
		`{"type":64,"timestamp":1790000001000000,"session_id":7,"handle_id":9,
		  "event":{"plugin":"janus.plugin.videoroom","data":{"event":"joined","room":88,"id":5}}}`,
	} {
		e, err := p.Parse([]byte(event))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Body.(*janus.PluginEvent).Name, "concerns", e.Reach())
	}
	// Output:
	// leaving concerns everyone
	// joined concerns own
}

func ExamplePluginEvent_Departure() {
	kicked := janus.PluginEvent{Plugin: janus.PluginAudioBridge, Name: "kicked", Room: janus.ID{Text: "88"}, ID: janus.ID{Text: "5"}}
	if d, ok := kicked.Departure(); ok {
		fmt.Println("participant", d.User.Text, "has left room", kicked.Room.Text, "- by others:", d.ByOthers)
	}
	// Output: participant 5 has left room 88 - by others: true
}
