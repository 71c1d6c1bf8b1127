package ingest

import "januscdr/janus"

// fault is what of the configuration of a Janus is bad for billing.
type fault string

// faults are told in this order. Each is concluded from what came, so that a Janus that is configured well has none.
var faults = []struct {
	is     fault
	remedy string
	of     func(name string, k *emitter) bool
}{
	{"it has no name of its own", `set server_name in the general section of janus.jcfg, another one for each Janus: ` +
		"two of the same name look like one, and end each other's calls",
		func(name string, _ *emitter) bool { return name == "" || name == defaultServerName }},
	{"events of this name come from two addresses at a time", "if these are two servers, give each a server_name of its " +
		"own, or names by ingest.senders",
		func(_ string, k *emitter) bool { return k.twoPlaces }},
	{"its bodies are compressed", "set compress = false in janus.eventhandler.sampleevh.jcfg: compressed batches over 8 " +
		"kB are dropped by Janus",
		func(_ string, k *emitter) bool { return k.compressed }},
	{"no session events come", all("sessions that vanish are not known to have begun or ended"),
		func(_ string, k *emitter) bool { return k.attached >= enough && !k.types.has(janus.TypeSession) }},
	{"no handle events come", all("plugins and opaque ids are not known, and no call ends with its handle"),
		func(_ string, k *emitter) bool { return k.offers >= enough && !k.types.has(janus.TypeHandle) }},
	{"no webrtc events come", all("nobody tells when a call was connected, and when it ended"),
		func(_ string, k *emitter) bool { return k.offers >= enough && !k.types.has(janus.TypeWebRTC) }},
	{"no jsep events come", all("calls begin when they are connected, not when they are set up"),
		func(_ string, k *emitter) bool { return k.up >= enough && !k.types.has(janus.TypeJSEP) }},
	{"no plugin events come", all("parties, rooms and answers of SIP are not known"),
		func(_ string, k *emitter) bool { return k.attached >= enough && !k.types.has(janus.TypePlugin) }},
	{"no statistics come", "set stats_period = 5 in the events section of janus.jcfg, and events to all in the file of " +
		"the event handler: volumes are not known, and where an end is lost, nor is until when the call lived",
		func(_ string, k *emitter) bool {
			seconds, known := k.period.seconds()
			return known && seconds == 0 || k.up >= enough && k.period.reports == 0
		}},
	{"statistics come too seldom", "set stats_period = 5 in the events section of janus.jcfg: where an end is lost, " +
		"they are the last that is known of a call",
		func(_ string, k *emitter) bool { seconds, _ := k.period.seconds(); return seconds > coarsePeriod }},
	{"sessions never time out", "set session_timeout = 60 in the general section of janus.jcfg: the calls of a client " +
		"that vanishes would not end",
		func(_ string, k *emitter) bool { return k.timeout.Known && k.timeout.Value == 0 }},
	{"its clock is ahead", "let NTP set it: records have the times of Janus",
		func(_ string, k *emitter) bool { return k.ahead > janus.Micros(aheadAtMost.Microseconds()) }},
}

// all is the remedy where a type of events is missing.
func all(because string) string {
	return "set events to all in the file of the event handler: " + because
}
