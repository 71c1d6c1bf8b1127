package janus

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// envelope wraps a body in the envelope of an event of a handle.
func envelope(typeAndSubtype, body string) string {
	return `{"emitter":"edge-7","type":` + typeAndSubtype + `,"timestamp":1790000000123456,"session_id":4004004004004004,` +
		`"handle_id":5005005005005005,"opaque_id":"acct-17:call-9","event":` + body + `}`
}

func mustParse(t *testing.T, p *Parser, raw string) *Event {
	t.Helper()
	e, err := p.Parse([]byte(raw))
	if err != nil {
		t.Fatalf("parse %s: %v", raw, err)
	}
	return e
}

func TestTheEnvelopeSaysWhoWhenAndWhere(t *testing.T) {
	const max63 = "9223372036854775807"
	tests := map[string]struct {
		raw  string
		want Event
	}{
		"an event of a handle": {envelope(`32,"subtype":2`, `{}`), Event{Emitter: "edge-7", Type: TypeMedia, Subtype: 2,
			Time: 1790000000123456, Session: 4004004004004004, Handle: 5005005005005005, OpaqueID: "acct-17:call-9"}},
		"an event of a session": {`{"emitter":"e","type":1,"timestamp":1790000000000000,"session_id":1,"event":{}}`,
			Event{Emitter: "e", Type: TypeSession, Time: 1790000000000000, Session: 1}},
		"an event of the server": {`{"emitter":"e","type":256,"subtype":2,"timestamp":1790000000000000,"event":{}}`,
			Event{Emitter: "e", Type: TypeCore, Subtype: 2, Time: 1790000000000000}},
		"no emitter": {`{"type":2,"timestamp":1790000000000000,"event":{}}`, Event{Type: TypeHandle, Time: 1790000000000000}},
		"no event":   {`{"type":2,"timestamp":1790000000000000}`, Event{Type: TypeHandle, Time: 1790000000000000}},
		"the largest ids": {`{"type":1,"timestamp":1790000000000000,"session_id":` + max63 + `,"handle_id":` + max63 + `}`,
			Event{Type: TypeSession, Time: 1790000000000000, Session: math.MaxInt64, Handle: math.MaxInt64}},
		"the earliest and a type of zero": {`{"type":0,"timestamp":1500000000000000}`, Event{Time: EarliestTime}},
		"the latest and a type of the future": {`{"type":4096,"subtype":9,"timestamp":4000000000000000,"event":[1,{"a":null}]}`,
			Event{Type: 4096, Time: LatestTime}},
		"indented, in another order, with fields that nobody knows": {
			"\n{\n\t\"event\" : [ ] ,\r\n \"eventtype\":\"Handles\",\"timestamp\": 1790000000000000, \"new\":{\"type\":7},\n\"type\" : 2\n}\n",
			Event{Type: TypeHandle, Time: 1790000000000000}},
		"repeated fields: the last counts": {
			`{"type":"x","emitter":5,"emitter":"b","type":1,"timestamp":0,"timestamp":1790000000000000,"session_id":1,"session_id":2}`,
			Event{Emitter: "b", Type: TypeSession, Time: 1790000000000000, Session: 2}},
		"keys are exact": {`{"Type":9,"TYPE":9,"type":1,"timestamp":1790000000000000,"Session_ID":"x","session-id":-1}`,
			Event{Type: TypeSession, Time: 1790000000000000}},
		"escapes, in keys too": {`{"\u0074ype":1,"timestamp":1790000000000000,"emitter":"a\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00\ud83dx\u0000"}`,
			Event{Emitter: "a\"\\/\b\f\n\r\tä😀\ufffdx\x00", Type: TypeSession, Time: 1790000000000000}},
		"text beyond ASCII": {`{"emitter":"zürich–Ω 😀 long enough for words of eight bytes","type":1,"timestamp":1790000000000000}`,
			Event{Emitter: "zürich–Ω 😀 long enough for words of eight bytes", Type: TypeSession, Time: 1790000000000000}},
		"an opaque id and a subtype of a wrong kind are as absent": {
			`{"type":32,"subtype":"3","timestamp":1790000000000000,"opaque_id":{"a":1}}`, Event{Type: TypeMedia, Time: 1790000000000000}},
	}
	var p Parser
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := *mustParse(t, &p, test.raw)
			if _, ok := got.Body.(*Unknown); !ok {
				t.Errorf("body is %T, want Unknown", got.Body)
			}
			got.Body = nil
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestEveryFactIsKnownByTypeAndBody(t *testing.T) {
	gauge := func(v int64) Gauge { return Gauge{v, true} }
	number := func(text string) ID { return ID{Text: text} }
	plugin := func(name, data string) string { return `{"plugin":"janus.plugin.` + name + `","data":` + data + `}` }
	const sdp = `v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\n`
	tests := map[string]struct {
		kind, body string
		want       Body
	}{
		"session created": {"1", `{"name":"created","transport":{"transport":"janus.transport.websockets","id":"12345678901234567890"}}`,
			&SessionCreated{"janus.transport.websockets", "12345678901234567890"}},
		"session created, the transport is gone": {"1", `{"name":"created","transport":null}`, &SessionCreated{}},
		"session destroyed":                      {"1", `{"name":"destroyed"}`, &SessionDestroyed{}},
		"session timed out":                      {"1", `{"name":"timeout"}`, &SessionTimedOut{}},
		"session of another name":                {"1", `{"name":"Created"}`, &Unknown{}},
		"session without a name":                 {"1", `{}`, &Unknown{}},
		"session as an array":                    {"1", `[{"name":"created"}]`, &Unknown{}},
		"session as a string":                    {"1", `"created"`, &Unknown{}},

		"handle attached":              {"2", `{"name":"attached","plugin":"janus.plugin.sip","opaque_id":"x","token":"t"}`, &HandleAttached{"janus.plugin.sip"}},
		"handle detached":              {"2", `{"name":"detached","plugin":"janus.plugin.sip"}`, &HandleDetached{"janus.plugin.sip"}},
		"handle detached, plugin lost": {"2", `{"name":"detached"}`, &HandleDetached{}},
		"handle of another name":       {"2", `{"name":7}`, &Unknown{}},

		"external":           {"4", `{"schema":"acme.billing","data":{"session_id":7,"deep":[[{}]]}}`, &External{"acme.billing"}},
		"external, no words": {"4", `{"data":{}}`, &External{}},
		"external as null":   {"4", `null`, &Unknown{}},

		"offer of the client":          {"8", `{"owner":"remote","jsep":{"type":"OFFER","sdp":"` + sdp + `"}}`, &JSEP{true, true, "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\n"}},
		"answer of Janus":              {"8", `{"owner":"local","jsep":{"type":"answer","sdp":"v=0"}}`, &JSEP{false, false, "v=0"}},
		"offer without its text":       {"8", `{"owner":"local","jsep":{"type":"offer"}}`, &JSEP{false, true, ""}},
		"neither an offer nor answer":  {"8", `{"owner":"local","jsep":{"type":"rollback","sdp":"v=0"}}`, &Unknown{}},
		"half of nobody":               {"8", `{"jsep":{"type":"offer","sdp":"v=0"}}`, &Unknown{}},
		"half without a jsep":          {"8", `{"owner":"local","jsep":"offer"}`, &Unknown{}},
		"half whose jsep is repeated":  {"8", `{"owner":"local","jsep":{"type":"offer","sdp":"v=0"},"jsep":{"type":"answer"}}`, &JSEP{}},
		"half whose jsep is taken off": {"8", `{"owner":"local","jsep":{"type":"offer","sdp":"v=0"},"jsep":null}`, &Unknown{}},

		"ice state":                {`16,"subtype":1`, `{"ice":"connected","stream_id":1,"component_id":1}`, &ICEState{"connected"}},
		"ice state of a number":    {`16,"subtype":1`, `{"ice":1}`, &Unknown{}},
		"ice state, 0.8":           {`16`, `{"ice":"failed","stream_id":1}`, &ICEState{"failed"}},
		"local candidate":          {`16,"subtype":2`, `{"local-candidate":"1 1 udp 2015363327 192.0.2.1 20000 typ host"}`, &LocalCandidate{"1 1 udp 2015363327 192.0.2.1 20000 typ host"}},
		"local candidate, 0.8":     {`16`, `{"local-candidate":"1 1 udp"}`, &LocalCandidate{"1 1 udp"}},
		"remote candidate":         {`16,"subtype":3`, `{"remote-candidate":"end-of-candidates"}`, &RemoteCandidate{"end-of-candidates"}},
		"remote candidate, 0.8":    {`16`, `{"remote-candidate":""}`, &RemoteCandidate{}},
		"a key of another subtype": {`16,"subtype":2`, `{"ice":"connected"}`, &Unknown{}},
		"a subtype nobody knows":   {`16,"subtype":7`, `{"ice":"connected"}`, &Unknown{}},
		"selected pair": {`16,"subtype":4`, `{"selected-pair":"words","candidates":{"local":{"address":"198.51.100.10","port":22257,"type":"host","transport":"udp","family":4},` +
			`"remote":{"address":"2001:db8::7","port":49210,"type":"prflx","transport":"tcp","family":6}},"stream_id":1}`,
			&SelectedPair{Candidate{"198.51.100.10", 22257, "host", "udp"}, Candidate{"2001:db8::7", 49210, "prflx", "tcp"}}},
		"selected pair in words": {`16,"subtype":4`, `{"selected-pair":"192.0.2.1:20000 [host,udp] <-> 2001:db8::7:61000 [prflx,tcp]"}`,
			&SelectedPair{Candidate{"192.0.2.1", 20000, "host", "udp"}, Candidate{"2001:db8::7", 61000, "prflx", "tcp"}}},
		"selected pair in words, 0.8":       {`16`, `{"selected-pair":"a:1 [relay,udp] <-> b:2 [srflx,udp]","stream_id":1}`, &SelectedPair{Candidate{"a", 1, "relay", "udp"}, Candidate{"b", 2, "srflx", "udp"}}},
		"selected pair of other words":      {`16,"subtype":4`, `{"selected-pair":"here <-> there"}`, &Unknown{}},
		"selected pair of a port too large": {`16,"subtype":4`, `{"selected-pair":"a:1 [host,udp] <-> b:65536 [host,udp]"}`, &Unknown{}},
		"selected pair of one end":          {`16,"subtype":4`, `{"candidates":{"local":{"address":"a"}}}`, &Unknown{}},
		"dtls state":                        {`16,"subtype":5`, `{"dtls":"trying","stream_id":1,"retransmissions":3}`, &DTLSState{"trying", 3}},
		"dtls state, 0.8":                   {`16`, `{"dtls":"connected"}`, &DTLSState{State: "connected"}},
		"peer connection up":                {`16,"subtype":6`, `{"connection":"webrtcup"}`, &PeerConnectionUp{}},
		"peer connection up, 0.8":           {`16`, `{"connection":"webrtcup"}`, &PeerConnectionUp{}},
		"hangup":                            {`16,"subtype":6`, `{"connection":"hangup","reason":"DTLS alert"}`, &PeerConnectionHangup{"DTLS alert"}},
		"hangup, 0.8, without a reason":     {`16`, `{"connection":"hangup"}`, &PeerConnectionHangup{}},
		"connection in another state":       {`16,"subtype":6`, `{"connection":"closed"}`, &Unknown{}},

		"media comes":                 {`32,"subtype":1`, `{"mid":"1","media":"video","substream":2,"receiving":true}`, &MediaState{"1", MediaVideo, 2, true}},
		"media ceases, 0.x":           {`32,"subtype":1`, `{"media":"audio","receiving":false,"seconds":4}`, &MediaState{"", MediaAudio, 0, false}},
		"media ceases, 0.8":           {`32`, `{"media":"video","receiving":false}`, &MediaState{"", MediaVideo, 0, false}},
		"media of a new kind":         {`32,"subtype":1`, `{"media":"smell","receiving":true}`, &MediaState{"", MediaUnknown, 0, true}},
		"media state without a state": {`32,"subtype":1`, `{"media":"audio","receiving":"yes"}`, &Unknown{}},
		"slow link":                   {`32,"subtype":2`, `{"mid":"0","media":"audio","slow_link":"uplink","lost_lastsec":12}`, &SlowLink{"0", MediaAudio, true, 12}},
		"slow link, 0.8":              {`32`, `{"media":"video","slow_link":"downlink","lost_lastsec":7}`, &SlowLink{"", MediaVideo, false, 7}},
		"slow link of no direction":   {`32,"subtype":2`, `{"media":"video","slow_link":"both"}`, &Unknown{}},
		"report of one stream": {`32,"subtype":3`, `{"mid":"0","mindex":0,"media":"audio","codec":"opus","base":48000,"rtt":31,"rtt-values":{"ntp":1,"lsr":2,"dlsr":3},` +
			`"lost":-2,"lost-by-remote":-1,"jitter-local":3,"jitter-remote":1,"in-link-quality":100,"in-media-link-quality":100,"out-link-quality":99,"out-media-link-quality":98,` +
			`"packets-received":4294967295,"packets-sent":499,"bytes-received":9223372036854775807,"bytes-sent":55888,"bytes-received-lastsec":5600,"bytes-sent-lastsec":5588,` +
			`"nacks-received":4,"nacks-sent":2,"retransmissions-received":1}`,
			&MediaReport{[]StreamStats{{Mid: "0", HasMid: true, Media: MediaAudio, Codec: "opus", BytesReceived: math.MaxInt64, BytesSent: 55888,
				PacketsReceived: 4294967295, PacketsSent: 499, Lost: -2, LostByRemote: -1, NACKsReceived: 4, NACKsSent: 2, RetransmissionsReceived: 1,
				RTT: gauge(31), JitterLocal: gauge(3), JitterRemote: gauge(1), InLinkQuality: gauge(100), OutLinkQuality: gauge(99)}}}},
		"report of a data channel": {`32,"subtype":3`, `{"mid":"2","mindex":2,"media":"data","packets-received":78,"packets-sent":0,"bytes-received":8901,"bytes-sent":0}`,
			&MediaReport{[]StreamStats{{Mid: "2", HasMid: true, Media: MediaData, PacketsReceived: 78, BytesReceived: 8901}}}},
		"report of all streams": {`32,"subtype":3`, `[{"mid":"","media":"video","bytes-sent":1},{"mid":"v","media":"video-sim1","bytes-sent":2},` +
			`{"mid":"v","media":"video-sim2"},{"mid":"x","media":"text"}, 5, {"bytes-sent":9}]`,
			&MediaReport{[]StreamStats{{HasMid: true, Media: MediaVideo, BytesSent: 1}, {Mid: "v", HasMid: true, Media: MediaVideo, Layer: 1, BytesSent: 2},
				{Mid: "v", HasMid: true, Media: MediaVideo, Layer: 2}, {Mid: "x", HasMid: true}}}},
		"report of no streams": {`32,"subtype":3`, `[]`, &MediaReport{[]StreamStats{}}},
		"report of one stream, 0.x": {`32,"subtype":3`, `{"media":"video","audio-codec":"opus","video-codec":"vp8","base":90000,"rtt":0,"bytes-received":5,"lost":1.5,"nacks-sent":"2"}`,
			&MediaReport{[]StreamStats{{Media: MediaVideo, Codec: "vp8", BytesReceived: 5, RTT: gauge(0)}}}},
		"report of one stream, 0.8":            {`32`, `{"media":"audio","base":48000,"packets-received":5,"bytes-received":6}`, &MediaReport{[]StreamStats{{Media: MediaAudio, PacketsReceived: 5, BytesReceived: 6}}}},
		"report of all streams, 0.8":           {`32`, `[{"media":"audio","audio-codec":"pcmu","bytes-received":6}]`, &MediaReport{[]StreamStats{{Media: MediaAudio, Codec: "pcmu", BytesReceived: 6}}}},
		"report of a stream without a medium":  {`32,"subtype":3`, `{"bytes-received":6}`, &Unknown{}},
		"report of streams that are none":      {`32,"subtype":3`, `[1,"a",[]]`, &Unknown{}},
		"an array where no report is":          {`32,"subtype":1`, `[{"media":"audio","receiving":true}]`, &Unknown{}},
		"a body of media that tells nothing":   {`32`, `{"media":"audio"}`, &Unknown{}},
		"a subtype of media that nobody knows": {`32,"subtype":4`, `{"media":"audio","bytes-received":5,"receiving":true}`, &Unknown{}},

		"a publisher joins": {"64", plugin("videoroom", `{"event":"joined","room":88,"id":1001,"private_id":3000000001,"token":"t","display":"Ada","metadata":{"room":1}}`),
			&PluginEvent{Name: "joined", Key: "event", Plugin: "janus.plugin.videoroom", Room: number("88"), ID: number("1001"), PrivateID: 3000000001, Display: "Ada"}},
		"a publisher joins a room whose ids are strings": {"64", plugin("videoroom", `{"event":"joined","room":"88","id":""}`),
			&PluginEvent{Name: "joined", Key: "event", Plugin: "janus.plugin.videoroom", Room: ID{"88", true}, ID: ID{"", true}}},
		"a publisher publishes": {"64", plugin("videoroom", `{"event":"published","room":88,"id":18446744073709551615,"streams":[{"type":"audio","mindex":0,"mid":"0"},{"type":"video"}]}`),
			&PluginEvent{Name: "published", Key: "event", Plugin: "janus.plugin.videoroom", Room: number("88"), ID: number("18446744073709551615"), Streams: 2}},
		"a subscription of media and data": {"64", plugin("videoroom", `{"event":"subscribing","room":88,"private_id":0,"streams":[{"type":"audio","feed_id":7,"feed_display":"x"},`+
			`{"type":"data","sources":2,"source_ids":[7,"8"]},{"type":"video","feed_id":"9","id":5},{"type":"video"},{"feed_id":1.5},null]}`),
			&PluginEvent{Name: "subscribing", Key: "event", Plugin: "janus.plugin.videoroom", Room: number("88"), Streams: 6, Feeds: []ID{number("7"), number("7"), {"8", true}, {"9", true}}}},
		"a subscription, 0.x": {"64", plugin("videoroom", `{"event":"subscribed","room":88,"feed":9223372036854775807}`),
			&PluginEvent{Name: "subscribed", Key: "event", Plugin: "janus.plugin.videoroom", Room: number("88"), Feed: number("9223372036854775807")}},
		"ids of kinds that Janus never writes": {"64", plugin("videoroom", `{"event":"x","room":1.0,"id":-4,"feed":{"a":1},"private_id":-1,"streams":{}}`),
			&PluginEvent{Name: "x", Key: "event", Plugin: "janus.plugin.videoroom"}},
		"someone talks": {"64", plugin("videoroom", `{"videoroom":"talking","room":88,"id":1,"audio-level-dBov-avg":-12.25}`),
			&PluginEvent{Name: "talking", Key: "videoroom", Plugin: "janus.plugin.videoroom", Room: number("88"), ID: number("1")}},
		"an audiobridge is joined": {"64", plugin("audiobridge", `{"event":"joined","room":88,"id":1,"display":"B","setup":true,"muted":false}`),
			&PluginEvent{Name: "joined", Key: "event", Plugin: "janus.plugin.audiobridge", Room: number("88"), ID: number("1"), Display: "B", Setup: true}},
		"someone talks in an audiobridge": {"64", plugin("audiobridge", `{"audiobridge":"talking","room":88,"id":1}`),
			&PluginEvent{Name: "talking", Key: "audiobridge", Plugin: "janus.plugin.audiobridge", Room: number("88"), ID: number("1")}},
		"a viewer": {"64", plugin("streaming", `{"status":"starting","id":301}`), &PluginEvent{Name: "starting", Key: "status", Plugin: "janus.plugin.streaming", ID: number("301")}},
		"the first key that is a string names it, whatever the order": {"64", plugin("streaming", `{"textroom":"e","audiobridge":"d","status":"b","videoroom":"c","event":5}`),
			&PluginEvent{Name: "b", Key: "status", Plugin: "janus.plugin.streaming"}},
		"someone is kicked out of a textroom": {"64", plugin("textroom", `{"textroom":"kicked","room":88,"username":"bob"}`),
			&PluginEvent{Name: "kicked", Key: "textroom", Plugin: "janus.plugin.textroom", Room: number("88"), Username: "bob"}},
		"an echo test, which has no names": {"64", plugin("echotest", `{"audio_active":true,"bitrate":0}`), &PluginEvent{Plugin: "janus.plugin.echotest"}},
		"a helper registers": {"64", plugin("sip", `{"event":"registered","identity":"sip:a@b","type":"guest","helper":true,"master_id":4294967295}`),
			&PluginEvent{Name: "registered", Key: "event", Plugin: "janus.plugin.sip", Identity: "sip:a@b", SDPType: "guest", Helper: true, MasterID: 4294967295}},
		"a call comes in": {"64", plugin("sip", `{"event":"incomingcall","call-id":"c@d","username":"sip:a@b","displayname":"\"Ann\"","callee":"sip:c@d","referred_by":"sip:e@f"}`),
			&PluginEvent{Name: "incomingcall", Key: "event", Plugin: "janus.plugin.sip", CallID: "c@d", Username: "sip:a@b", DisplayName: `"Ann"`, Callee: "sip:c@d", ReferredBy: "sip:e@f"}},
		"a call is missed": {"64", plugin("sip", `{"event":"missed_call","caller":"sip:a@b","callee":"sip:c@d"}`),
			&PluginEvent{Name: "missed_call", Key: "event", Plugin: "janus.plugin.sip", Caller: "sip:a@b", Callee: "sip:c@d"}},
		"a call ends": {"64", plugin("sip", `{"event":"hangup","call-id":"c@d","code":486,"reason":"Busy Here","reason_header":"User busy","reason_header_protocol":"Q.850","reason_header_cause":"17","headers":{"X-A":"1"}}`),
			&PluginEvent{Name: "hangup", Key: "event", Plugin: "janus.plugin.sip", CallID: "c@d", Code: 486, Reason: "Busy Here", ReasonText: "User busy", ReasonProtocol: "Q.850", ReasonCause: "17"}},
		"a SIP message whose text was not UTF-8": {"64", plugin("sip", `{"event":"sip-in"}`), &PluginEvent{Name: "sip-in", Key: "event", Plugin: "janus.plugin.sip"}},
		"a SIP message":                          {"64", plugin("sip", `{"event":"sip-out","sip":"BYE sip:a@b\r\n"}`), &PluginEvent{Name: "sip-out", Key: "event", Plugin: "janus.plugin.sip", SIP: "BYE sip:a@b\r\n"}},
		"data before the plugin":                 {"64", `{"data":{"event":"joined"},"plugin":"janus.plugin.videoroom"}`, &PluginEvent{Name: "joined", Key: "event", Plugin: "janus.plugin.videoroom"}},
		"data that is repeated":                  {"64", `{"plugin":"p","data":{"room":1,"streams":[{"feed_id":1}]},"data":{"id":2}}`, &PluginEvent{Plugin: "p", ID: number("2")}},
		"a plugin without data":                  {"64", `{"plugin":"janus.plugin.lua","data":"hello"}`, &Unknown{}},
		"data without a plugin":                  {"64", `{"data":{"event":"x"}}`, &PluginEvent{Name: "x", Key: "event"}},

		"a connection": {"128", `{"transport":"janus.transport.websockets","id":"77","data":{"event":"connected","admin_api":true,"ip":"::ffff:192.0.2.9"}}`,
			&TransportEvent{"janus.transport.websockets", "77", "connected", "::ffff:192.0.2.9", true}},
		"a connection, 0.x":              {"128", `{"transport":"janus.transport.http","id":"0x7f0011","data":{"event":"request","admin_api":false,"port":5}}`, &TransportEvent{Transport: "janus.transport.http", ID: "0x7f0011", Event: "request"}},
		"a connection that says nothing": {"128", `{"transport":"janus.transport.http","id":"1"}`, &Unknown{}},

		"a server starts": {`256,"subtype":1`, `{"status":"started","info":{"janus":"server_info","version":1102,"version_string":"1.1.2","session-timeout":60,"reclaim-session-timeout":0,"plugins":{"a":{}}}}`,
			&ServerStarted{"1.1.2", gauge(60), gauge(0)}},
		"a server starts, 0.8":               {`256`, `{"status":"started"}`, &ServerStarted{}},
		"a server lives":                     {`256,"subtype":1`, `{"status":"update","info":{"sessions":2,"handles":3,"peerconnections":0,"stats-period":1}}`, &ServerUpdate{gauge(2), gauge(3), gauge(0), gauge(1)}},
		"a server stops":                     {`256,"subtype":2`, `{"status":"shutdown","signum":15}`, &ServerShutdown{15}},
		"a server stops, 0.8":                {`256`, `{"status":"shutdown","signum":2}`, &ServerShutdown{2}},
		"a status of another subtype":        {`256,"subtype":2`, `{"status":"started"}`, &Unknown{}},
		"a status that nobody knows":         {`256,"subtype":1`, `{"status":"drained"}`, &Unknown{}},
		"a type that nobody knows":           {`512`, `{"name":"created"}`, &Unknown{}},
		"a body that is only a number":       {`64`, `-0.5e+3`, &Unknown{}},
		"a body that is only a truth":        {`2`, `true`, &Unknown{}},
		"a body with an array where none is": {`2`, `[[],{},[{"name":[]}]]`, &Unknown{}},
	}
	var p Parser // one for all, so that what one event leaves behind would show in the next
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			raw := envelope(test.kind, test.body)
			if got := mustParse(t, &p, raw).Body; !reflect.DeepEqual(flat(got), flat(test.want)) {
				t.Errorf("%s\ngot  %T %+v\nwant %T %+v", raw, got, got, test.want, test.want)
			}
			// The same with the body before the type that it is read by.
			raw = `{"event":` + test.body + `,"type":` + test.kind + `,"timestamp":1790000000123456}`
			if got := mustParse(t, &p, raw).Body; !reflect.DeepEqual(flat(got), flat(test.want)) {
				t.Errorf("%s\ngot  %T %+v\nwant %T %+v", raw, got, got, test.want, test.want)
			}
		})
	}
}

// flat makes no difference between a slice that is nil and one that is empty.
func flat(b Body) Body {
	switch b := b.(type) {
	case *PluginEvent:
		if len(b.Feeds) == 0 {
			c := *b
			c.Feeds = nil
			return &c
		}
	case *MediaReport:
		if len(b.Streams) == 0 {
			return &MediaReport{}
		}
	}
	return b
}

func TestWhatIsNoEventIsAnErrorThatNamesFieldReasonAndPlace(t *testing.T) {
	const ok = `"type":1,"timestamp":1790000000000000`
	tests := map[string]struct{ raw, want string }{
		"nothing":           {"", "janus event: is empty, want an object (at byte 0)"},
		"only white space":  {" \n", "janus event: is empty, want an object (at byte 2)"},
		"a word":            {"hello", `janus event: not JSON: "h" where a value is due (at byte 0)`},
		"an array":          {` [{` + ok + `}]`, "janus event: is an array, want an object (at byte 1)"},
		"a string":          {`"x"`, "janus event: is a string, want an object (at byte 0)"},
		"a number":          {`-1.5`, "janus event: is a number, want an object (at byte 0)"},
		"null":              {`null`, "janus event: is null, want an object (at byte 0)"},
		"true":              {`true`, "janus event: is a boolean, want an object (at byte 0)"},
		"a broken array":    {`[1,]`, `janus event: not JSON: "]" where a value is due (at byte 3)`},
		"a byte order mark": {"\xef\xbb\xbf{" + ok + "}", `janus event: not JSON: "\xef" where a value is due (at byte 0)`},

		"cut off in an object": {`{"type":1`, "janus event: not JSON: ends where a comma or the end of the object is due (at byte 9)"},
		"cut off after a key":  {`{"type"`, "janus event: not JSON: ends where a colon is due (at byte 7)"},
		"cut off in a key":     {`{"ty`, "janus event: not JSON: ends inside a string (at byte 4)"},
		"cut off in the body":  {`{` + ok + `,"event":{"name":"cre`, "janus event: event: not JSON: ends inside a string (at byte 59)"},
		"cut off in an array":  {`{"event":[1`, "janus event: event: not JSON: ends where a comma or the end of the array is due (at byte 11)"},
		"cut off in a report":  {`{"type":32,"event":[{`, "janus event: event: not JSON: ends where a key is due (at byte 21)"},
		"trailing garbage":     {`{` + ok + `} x`, `janus event: not JSON: "x" after the end of the event (at byte 40)`},
		"two events":           {`{` + ok + `}{` + ok + `}`, `janus event: not JSON: "{\"type\":1,\"timestamp\":17"... after the end of the event (at byte 39)`},
		"no comma":             {`{"type":1 "a":2}`, `janus event: not JSON: "\"" where a comma or the end of the object is due (at byte 10)`},
		"one comma too many":   {`{"type":1,}`, `janus event: not JSON: "}" where a key is due (at byte 10)`},
		"a key without quotes": {`{type:1}`, `janus event: not JSON: "t" where a key is due (at byte 1)`},
		"no colon":             {`{"type" 1}`, `janus event: not JSON: "1" where a colon is due (at byte 8)`},
		"wrong bracket":        {`{"a":[1}`, `janus event: not JSON: "}" where a comma or the end of the array is due (at byte 7)`},
		"a wrong literal":      {`{"a":nul}`, `janus event: not JSON: "n" where null is due (at byte 5)`},
		"a comment":            {`{"a":1/**/}`, `janus event: not JSON: "/" where a comma or the end of the object is due (at byte 6)`},
		"a leading zero":       {`{"type":01}`, "janus event: type: not JSON: a number with a leading zero (at byte 8)"},
		"a lone minus":         {`{"type":-}`, `janus event: type: not JSON: "}" where a digit is due (at byte 9)`},
		"a lone point":         {`{"a":1.}`, `janus event: not JSON: "}" where a digit is due (at byte 7)`},
		"a lone exponent":      {`{"a":1e+}`, `janus event: not JSON: "}" where a digit is due (at byte 8)`},
		"a plus":               {`{"type":+1}`, `janus event: type: not JSON: "+" where a value is due (at byte 8)`},
		"not a number":         {`{"a":NaN}`, `janus event: not JSON: "N" where a value is due (at byte 5)`},

		"a NUL byte":                     {"{\"emitter\":\"a\x00b\"," + ok + "}", "janus event: emitter: not JSON: control character 0x00 in a string (at byte 13)"},
		"a NUL byte between":             {"{\x00}", `janus event: not JSON: "\x00" where a key is due (at byte 1)`},
		"a line feed in a string":        {"{\"a\":\"some text, and then\nmore\"}", "janus event: not JSON: control character 0x0a in a string (at byte 25)"},
		"Latin-1 in a string":            {"{\"emitter\":\"z\xfcrich\"}", "janus event: emitter: not JSON: invalid UTF-8 (0xfc) in a string (at byte 13)"},
		"an overlong character":          {"{\"a\":\"\xc0\xaf\"}", "janus event: not JSON: invalid UTF-8 (0xc0) in a string (at byte 6)"},
		"half a surrogate pair as bytes": {"{\"a\":\"\xed\xa0\x80\"}", "janus event: not JSON: invalid UTF-8 (0xed) in a string (at byte 6)"},
		"an escape that is none":         {`{"a":"\x41"}`, `janus event: not JSON: unknown escape in a string: "\\x41\"}" (at byte 6)`},
		"an escape of few digits":        {`{"a":"\u12"}`, `janus event: not JSON: unknown escape in a string: "\\u12\"}" (at byte 6)`},
		"an escape cut off":              {`{"a":"\`, `janus event: not JSON: unknown escape in a string: "\\" (at byte 6)`},

		"emitter is a number": {`{` + ok + `,"emitter":5}`, "janus event: emitter: is a number, want a string (at byte 49)"},
		"emitter is null":     {`{` + ok + `,"emitter":null}`, "janus event: emitter: is null, want a string (at byte 49)"},

		"no type":             {`{"timestamp":1790000000000000}`, "janus event: type: is missing (at byte 30)"},
		"type is a string":    {`{"type":"1","timestamp":1790000000000000}`, "janus event: type: is a string, want an integer (at byte 8)"},
		"type is null":        {`{"type":null,"timestamp":1790000000000000}`, "janus event: type: is null, want an integer (at byte 8)"},
		"type has a fraction": {`{"type":1.5,"timestamp":1790000000000000}`, `janus event: type: "1.5" is not an integer (at byte 8)`},
		"type is negative":    {`{"type":-64,"timestamp":1790000000000000}`, `janus event: type: "-64" is out of range, want 0 to 2^31-1 (at byte 8)`},
		"type is huge":        {`{"type":2147483648,"timestamp":1790000000000000}`, `janus event: type: "2147483648" is out of range, want 0 to 2^31-1 (at byte 8)`},

		"no timestamp":                {`{"type":1}`, "janus event: timestamp: is missing (at byte 10)"},
		"timestamp is a string":       {`{"type":1,"timestamp":"1790000000000000"}`, "janus event: timestamp: is a string, want an integer (at byte 22)"},
		"timestamp is an object":      {`{"type":1,"timestamp":{}}`, "janus event: timestamp: is an object, want an integer (at byte 22)"},
		"timestamp has a fraction":    {`{"type":1,"timestamp":1790000000000000.0}`, `janus event: timestamp: "1790000000000000.0" is not an integer (at byte 22)`},
		"timestamp has an exponent":   {`{"type":1,"timestamp":1.79e15}`, `janus event: timestamp: "1.79e15" is not an integer (at byte 22)`},
		"timestamp in seconds":        {`{"type":1,"timestamp":1790000000}`, "janus event: timestamp: 1790000000 looks like seconds; Janus writes microseconds (at byte 22)"},
		"timestamp in milliseconds":   {`{"type":1,"timestamp":1790000000123}`, "janus event: timestamp: 1790000000123 looks like milliseconds; Janus writes microseconds (at byte 22)"},
		"timestamp in nanoseconds":    {`{"type":1,"timestamp":1790000000123456789}`, "janus event: timestamp: 1790000000123456789 looks like nanoseconds; Janus writes microseconds (at byte 22)"},
		"timestamp of a clock at 0":   {`{"type":1,"timestamp":5}`, "janus event: timestamp: 5 is not a time from 2017 to 2096 in microseconds since 1970; is the clock of the server set? (at byte 22)"},
		"timestamp is negative":       {`{"type":1,"timestamp":-1790000000000000}`, "janus event: timestamp: -1790000000000000 is not a time from 2017 to 2096 in microseconds since 1970; is the clock of the server set? (at byte 22)"},
		"timestamp beyond 64 bits":    {`{"type":1,"timestamp":99999999999999999999}`, `janus event: timestamp: "99999999999999999999" does not fit 64 bits (at byte 22)`},
		"timestamp of many digits":    {`{"type":1,"timestamp":1` + strings.Repeat("0", 400) + `}`, `janus event: timestamp: "100000000000000000000000"... does not fit 64 bits (at byte 22)`},
		"timestamp just too early":    {`{"type":1,"timestamp":1499999999999999}`, "janus event: timestamp: 1499999999999999 is not a time from 2017 to 2096 in microseconds since 1970; is the clock of the server set? (at byte 22)"},
		"timestamp just too late":     {`{"type":1,"timestamp":4000000000000001}`, "janus event: timestamp: 4000000000000001 is not a time from 2017 to 2096 in microseconds since 1970; is the clock of the server set? (at byte 22)"},
		"the last timestamp is wrong": {`{` + ok + `,"timestamp":null}`, "janus event: timestamp: is null, want an integer (at byte 51)"},

		"session_id is a string":    {`{` + ok + `,"session_id":"7"}`, "janus event: session_id: is a string, want an integer (at byte 52)"},
		"session_id is null":        {`{` + ok + `,"session_id":null}`, "janus event: session_id: is null, want an integer (at byte 52)"},
		"session_id has a fraction": {`{` + ok + `,"session_id":7.0}`, `janus event: session_id: "7.0" is not an integer (at byte 52)`},
		"session_id is negative":    {`{` + ok + `,"session_id":-7}`, "janus event: session_id: -7 is out of range, want 1 to 2^63-1 (at byte 52)"},
		"session_id is zero":        {`{` + ok + `,"session_id":0}`, "janus event: session_id: 0 is out of range, want 1 to 2^63-1 (at byte 52)"},
		"session_id is minus zero":  {`{` + ok + `,"session_id":-0}`, "janus event: session_id: 0 is out of range, want 1 to 2^63-1 (at byte 52)"},
		"session_id is 2^63":        {`{` + ok + `,"session_id":9223372036854775808}`, `janus event: session_id: "9223372036854775808" does not fit 64 bits (at byte 52)`},
		"session_id is 2^64+1":      {`{` + ok + `,"session_id":18446744073709551617}`, `janus event: session_id: "18446744073709551617" does not fit 64 bits (at byte 52)`},
		"handle_id is a boolean":    {`{` + ok + `,"session_id":7,"handle_id":true}`, "janus event: handle_id: is a boolean, want an integer (at byte 66)"},
		"handle_id has an exponent": {`{` + ok + `,"session_id":7,"handle_id":1e3}`, `janus event: handle_id: "1e3" is not an integer (at byte 66)`},
		"handle_id is zero":         {`{` + ok + `,"session_id":7,"handle_id":0}`, "janus event: handle_id: 0 is out of range, want 1 to 2^63-1 (at byte 66)"},
		"handle_id is 2^63":         {`{` + ok + `,"session_id":7,"handle_id":9223372036854775808}`, `janus event: handle_id: "9223372036854775808" does not fit 64 bits (at byte 66)`},
		"handle_id alone":           {`{` + ok + `,"handle_id":9}`, "janus event: handle_id: without a session_id; Janus never sends one alone (at byte 51)"},

		"objects nested without end": {strings.Repeat(`{"event":`, 10_000), "janus event: event: not JSON: ends where a value is due (at byte 90000)"},
	}
	var p Parser
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e, err := p.Parse([]byte(test.raw))
			if err == nil {
				t.Fatalf("parsed as %+v, want an error", e)
			}
			if e != nil {
				t.Errorf("there is an event beside the error: %+v", e)
			}
			if err.Error() != test.want {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
			var parseErr *Error
			if !errors.As(err, &parseErr) || parseErr.Offset < 0 || parseErr.Offset > len(test.raw) {
				t.Errorf("error is %#v, want an *Error with an offset inside the event", err)
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) || len(err.Error()) > 200 {
				t.Errorf("the error is not one short line: %q", err)
			}
		})
	}
}

func TestNestingIsFineHoweverDeep(t *testing.T) {
	var p Parser
	for _, levels := range []int{10, usualDepth, usualDepth + 1, 10_000, 100_000} {
		for open, close := range map[string]string{`{"a":[`: `]}`, `[`: `]`, `{"a":`: `}`} {
			body := strings.Repeat(open, levels) + "1" + strings.Repeat(close, levels)
			deep := `{"type":4,"timestamp":1790000000000000,"event":` + body + `,"session_id":7}`
			if e := mustParse(t, &p, deep); e.Session != 7 {
				t.Errorf("%d levels of %s: session %d, want 7", levels, open, e.Session)
			}
			if _, err := p.Parse([]byte(deep[:len(deep)-1])); err == nil {
				t.Errorf("%d levels of %s without their end were parsed", levels, open)
			}
			if p.scanner.deep != nil {
				t.Error("memory for what is deep is kept")
			}
		}
	}
}

func TestAnErrorLeavesNothingBehind(t *testing.T) {
	var p Parser
	good := envelope("2", `{"name":"attached","plugin":"janus.plugin.sip"}`)
	for i := range good {
		if _, err := p.Parse([]byte(good[:i])); err == nil {
			t.Fatalf("parsed the first %d bytes only", i)
		}
		e := mustParse(t, &p, good)
		if body, ok := e.Body.(*HandleAttached); !ok || body.Plugin != "janus.plugin.sip" || e.Handle != 5005005005005005 {
			t.Fatalf("after an error at %d: %+v", i, e)
		}
	}
}

func TestStringsAliasTheEventAndNoEscapedStringDoes(t *testing.T) {
	raw := []byte(`{"emitter":"plain","opaque_id":"escap\u0065d","type":1,"timestamp":1790000000000000}`)
	var p Parser
	e, err := p.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	clear(raw)
	if e.Emitter != "\x00\x00\x00\x00\x00" || e.OpaqueID != "escaped" {
		t.Errorf("emitter %q is a copy, or opaque id %q is not", e.Emitter, e.OpaqueID)
	}
}
