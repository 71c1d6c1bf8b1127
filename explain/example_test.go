package explain_test

import (
	"context"
	"fmt"
	"strings"

	"januscdr/cdr"
	"januscdr/explain"
	"januscdr/janus"
)

// A minute of echo test, as Janus tells of it.
var lines = []string{
	`{"emitter":"edge-1","type":1,"timestamp":1790000000000000,"session_id":77777,` +
		`"event":{"name":"created","transport":{"transport":"janus.transport.websockets","id":"1"}}}`,
	`{"emitter":"edge-1","type":2,"timestamp":1790000001000000,"session_id":77777,"handle_id":9,` +
		`"opaque_id":"invoice-4711","event":{"name":"attached","plugin":"janus.plugin.echotest"}}`,
	`{"emitter":"edge-1","type":16,"subtype":6,"timestamp":1790000002000000,"session_id":77777,"handle_id":9,` +
		`"event":{"connection":"webrtcup"}}`,
	`{"emitter":"edge-1","type":16,"subtype":6,"timestamp":1790000062000000,"session_id":77777,"handle_id":9,` +
		`"event":{"connection":"hangup","reason":"DTLS alert"}}`,
}

// log has the lines as the inputs of a partition. Each has its own event time as its append time.
func log(_ context.Context, f func(cdr.Input) error) error {
	for i, line := range lines {
		at := janus.Micros(1790000000000000 + 30_000_000*int64(i))
		if err := f(cdr.Input{Offset: int64(i), Append: at, Value: []byte(line)}); err != nil {
			return err
		}
	}
	return nil
}

var options = explain.Options{
	Policy: cdr.DefaultPolicy(), Source: cdr.Source{Topic: "janus.events"}, Name: "a file", Ends: true,
}

// A session is found by what the application called its handle, and its story is told.
func Example() {
	ctx := context.Background()
	survey, err := explain.Find(ctx, options, log, explain.Query{OpaqueID: "invoice-4711"})
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := survey.One()
	if err != nil {
		fmt.Println(err) // it says what to ask for instead
		return
	}
	story, err := explain.Tell(ctx, options, log, found.Emitter, found.Session)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range story.Outcomes {
		fmt.Printf("%s charged: %s\n", o.Charged, strings.Replace(o.Text, "; ", "\n  ", 1))
	}
	for _, entry := range story.Timeline {
		fmt.Println(entry.Kind, entry.Text)
	}
	fmt.Println(strings.Count(string(explain.Text(story, explain.Width, false)), "\n") > 40)
	// Output:
	// 1 min charged: EchoTest PeerConnection at 14:13:22.000, up after 0 s for 1 min
	//   ended by hangup: DTLS alert, the client closed it
	// session the session is created over WebSocket
	// handle attached to EchoTest, opaque id invoice-4711
	// connect the PeerConnection is up (webrtcup)
	// connect the PeerConnection is gone (hangup): DTLS alert, the client closed it
	// time the file ends, and time goes on as if
	// true
}

// Whoever mistypes an id is told which one there is.
func ExampleSurvey_One() {
	survey, err := explain.Find(context.Background(), options, log, explain.Query{ID: "777778"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = survey.One()
	fmt.Println(err)
	// Output:
	// no session fits id 777778 among 1 session in 4 events; did you mean 77777?
}
