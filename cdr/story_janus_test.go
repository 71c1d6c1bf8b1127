package cdr_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"januscdr/janus"
)

// voice writes events as Janus does: the same keys in the same order. An event of a script is
//
//	[session=N [handle=N]] WHAT [KEY=VALUE...] [opaque=TEXT] [emitter=NAME] [sender=NAME]
//
// sender is the name that ingest gave to whoever sent the event. WHAT is one of
//
//	created transport=websockets [connection=ID]     destroyed     timeout
//	attached plugin=NAME     detached
//	jsep offer|answer from=client|janus
//	ice STATE     candidate local|remote     pair [local=TYPE] [remote=TYPE] [address=IP] [protocol=udp]     dtls STATE
//	up     hangup reason=TEXT
//	media MEDIUM [mid=MID] received=BYTES sent=BYTES [KEY=NUMBER...] [+ MEDIUM ...]     (all media in one report)
//	receiving MEDIUM true|false [mid=MID]     slowlink MEDIUM uplink|downlink
//	plugin NAME [EVENT] [KEY=VALUE...]     (feeds=ID,ID are the streams of a subscription, message= a raw SIP message)
//	transport NAME EVENT id=ID
//	server started|update|shutdown [reclaim=SECONDS]
//	external SCHEMA
//
// What a handle said when it was attached (its plugin, its opaque id) is said again where Janus says it again.
type voice struct {
	emitter string
	handles map[string]attachment
}

type attachment struct{ plugin, opaque string }

func newVoice() *voice { return &voice{emitter: "edge-1", handles: map[string]attachment{}} }

// object is a JSON object that keeps the order of its keys.
type object struct{ b strings.Builder }

func (o *object) set(key string, value any) *object {
	switch v := value.(type) {
	case nil:
		return o
	case string:
		if v == "" {
			return o
		}
	}
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	sep := ","
	if o.b.Len() == 0 {
		sep = ""
	}
	fmt.Fprintf(&o.b, "%s%q:%s", sep, key, b)
	return o
}

// MarshalJSON writes the object.
func (o *object) MarshalJSON() ([]byte, error) { return []byte("{" + o.b.String() + "}"), nil }

func (v *voice) say(at janus.Micros, w *words) ([]byte, error) {
	if len(w.bare) == 0 {
		return nil, fmt.Errorf("an event says something")
	}
	what := w.bare[0]
	arg := func(n int) string {
		if n < len(w.bare) {
			return w.bare[n]
		}
		return ""
	}
	emitter := w.take("emitter", v.emitter)
	session, handle := w.take("session", ""), w.take("handle", "")
	place := emitter + "/" + session + "/" + handle
	known := v.handles[place]
	if opaque := w.take("opaque", ""); opaque != "" {
		known.opaque = opaque
	}
	var kind, subtype int
	body := &object{}
	var bodies []*object
	component := func() *object { return body.set("stream_id", 1).set("component_id", 1) }
	switch what {
	case "created":
		kind = 1
		body.set("name", what)
		t := &object{}
		t.set("transport", "janus.transport."+w.take("transport", "websockets")).set("id", w.take("connection", "9001"))
		body.set("transport", t)
	case "destroyed", "timeout":
		kind = 1
		body.set("name", what)
	case "attached", "detached":
		kind = 2
		if p := w.take("plugin", ""); p != "" {
			known.plugin = pluginName(p)
		}
		body.set("name", what).set("plugin", known.plugin).set("opaque_id", known.opaque)
	case "jsep":
		kind = 8
		owner := map[string]string{"client": "remote", "janus": "local"}[w.take("from", "")]
		body.set("owner", owner)
		j := &object{}
		j.set("type", arg(1)).set("sdp", "v=0\r\no=- 1 1 IN IP4 198.51.100.10\r\n")
		body.set("jsep", j)
		if owner == "" || arg(1) != "offer" && arg(1) != "answer" {
			return nil, fmt.Errorf("jsep offer|answer from=client|janus")
		}
	case "ice":
		kind, subtype = 16, 1
		body.set("ice", arg(1))
		component()
	case "candidate":
		kind, subtype = 16, 2
		if arg(1) == "remote" {
			subtype = 3
		}
		body.set(arg(1)+"-candidate", "1 1 udp 2015363327 198.51.100.10 24877 typ host")
		component()
	case "pair":
		kind, subtype = 16, 4
		end := func(address, kind, protocol string, port int) *object {
			o := &object{}
			return o.set("address", address).set("port", port).set("type", kind).set("transport", protocol).set("family", 4)
		}
		protocol := w.take("protocol", "udp")
		local := end("198.51.100.10", w.take("local", "host"), protocol, 24877)
		remote := end(w.take("address", "203.0.113.1"), w.take("remote", "prflx"), protocol, 50000)
		c := &object{}
		body.set("selected-pair", "as below").set("candidates", c.set("local", local).set("remote", remote))
		component()
	case "dtls":
		kind, subtype = 16, 5
		body.set("dtls", arg(1))
		component().set("retransmissions", 0)
	case "up":
		kind, subtype = 16, 6
		body.set("connection", "webrtcup")
	case "hangup":
		kind, subtype = 16, 6
		body.set("connection", "hangup").set("reason", w.take("reason", ""))
	case "media":
		kind, subtype = 32, 3
		var err error
		if bodies, err = reports(w); err != nil {
			return nil, err
		}
		body = bodies[0]
	case "receiving":
		kind, subtype = 32, 1
		body.set("media", arg(1)).set("mid", w.take("mid", "0")).set("receiving", arg(2) == "true")
	case "slowlink":
		kind, subtype = 32, 2
		body.set("mid", w.take("mid", "0")).set("media", arg(1)).set("slow_link", arg(2)).set("lost_lastsec", 8)
	case "plugin":
		kind = 64
		data, err := pluginData(arg(1), arg(2), w)
		if err != nil {
			return nil, err
		}
		body.set("plugin", pluginName(arg(1))).set("data", data)
	case "transport":
		kind = 128
		data := &object{}
		data.set("event", arg(2))
		if arg(2) == "connected" {
			data.set("admin_api", false).set("ip", "203.0.113.1")
		}
		body.set("transport", "janus.transport."+arg(1)).set("id", w.take("id", "9001")).set("data", data)
	case "server":
		kind, subtype = 256, 1
		info := &object{}
		body.set("status", arg(1))
		switch arg(1) {
		case "started":
			info.set("name", "Janus WebRTC Server").set("version_string", w.take("version", "1.1.2")).set("session-timeout", 60)
			body.set("info", info.set("reclaim-session-timeout", json.Number(w.take("reclaim", "0"))))
		case "update":
			info.set("sessions", json.Number(w.take("sessions", "1"))).set("handles", 1).set("peerconnections", 1)
			body.set("info", info.set("stats-period", json.Number(w.take("stats-period", "1"))))
		case "shutdown":
			subtype = 2
			body.set("signum", 15)
		default:
			return nil, fmt.Errorf("a server is started, update or shutdown")
		}
	case "external":
		kind = 4
		data := &object{}
		body.set("schema", arg(1)).set("data", data.set("note", "as the operator likes"))
	default:
		return nil, fmt.Errorf("%q is nothing that Janus says", what)
	}

	e := &object{}
	e.set("emitter", emitter).set("type", kind)
	if subtype != 0 {
		e.set("subtype", subtype)
	}
	e.set("timestamp", int64(at))
	if session != "" {
		e.set("session_id", json.Number(session))
	}
	if handle != "" {
		v.handles[place] = known
		e.set("handle_id", json.Number(handle)).set("opaque_id", known.opaque)
	}
	if len(bodies) > 1 {
		e.set("event", bodies)
	} else {
		e.set("event", body)
	}
	return json.Marshal(e)
}

// pluginName is the package name of a plugin of Janus; another one has a dot and stands as it is.
func pluginName(short string) string {
	if strings.Contains(short, ".") || short == "" {
		return short
	}
	return "janus.plugin." + short
}

// pluginData is what a plugin says.
func pluginData(plugin, name string, w *words) (*object, error) {
	data := &object{}
	data.set(nameKey(plugin, name), name)
	for _, k := range slices.Clone(w.keys) {
		if k == "sender" || k == "append" {
			continue
		}
		text, ok := w.values[k]
		if !ok {
			continue
		}
		quoted := w.quoted[k]
		w.take(k, "")
		switch k {
		case "message":
			data.set("sip", text)
			continue
		case "feeds":
			var streams []*object
			for i, feed := range strings.Split(text, ",") {
				s := &object{}
				s.set("type", "audio").set("active", true).set("mindex", i).set("mid", strconv.Itoa(i)).set("ready", false).set("send", true)
				streams = append(streams, s.set("feed_id", value(feed, false)))
			}
			data.set("streams", streams)
			continue
		}
		data.set(k, value(text, quoted))
	}
	return data, nil
}

// nameKey is the key under which a plugin says what happened.
func nameKey(plugin, name string) string {
	switch {
	case plugin == "streaming" && slices.Contains([]string{"starting", "started", "pausing", "stopping", "switching"}, name):
		return "status"
	case name == "talking" || name == "stopped-talking" || name == "moderated":
		return plugin
	case plugin == "textroom" && name == "kicked":
		return "textroom"
	}
	return "event"
}

// value is a number or a truth value where it looks like one, unless it stands in quotes.
func value(text string, quoted bool) any {
	if quoted {
		return text
	}
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		return json.Number(text)
	}
	if text == "true" || text == "false" {
		return text == "true"
	}
	return text
}

// reports are the statistics of one medium, or of several in one event. The keys of the second one and on end in its
// name: `media audio received=10 sent=20 + video received-video=30 sent-video=40`.
func reports(w *words) ([]*object, error) {
	var all []*object
	for i, medium := range slices.DeleteFunc(slices.Clone(w.bare[1:]), func(s string) bool { return s == "+" }) {
		suffix := ""
		if i > 0 {
			suffix = "-" + medium
		}
		number := func(key, otherwise string) json.Number { return json.Number(w.take(key+suffix, otherwise)) }
		received, sent := number("received", "0"), number("sent", "0")
		packets := func(bytes json.Number) string {
			n, _ := bytes.Int64()
			return strconv.FormatInt((n+99)/100, 10)
		}
		o := &object{}
		o.set("mid", w.take("mid"+suffix, strconv.Itoa(i))).set("mindex", i).set("media", medium)
		if medium != "data" {
			codec := "opus"
			if medium != "audio" {
				codec = "vp8"
			}
			o.set("codec", codec).set("base", 48000).set("rtt", number("rtt", "0")).set("lost", number("lost", "0")).set("lost-by-remote", number("lost-by-remote", "0"))
			for _, k := range []string{"jitter-local", "jitter-remote"} {
				o.set(k, number(k, "0"))
			}
			for _, k := range []string{"in-link-quality", "in-media-link-quality", "out-link-quality", "out-media-link-quality"} {
				o.set(k, number(k, "100"))
			}
		}
		o.set("packets-received", number("packets-received", packets(received))).set("packets-sent", number("packets-sent", packets(sent)))
		o.set("bytes-received", received).set("bytes-sent", sent)
		if medium != "data" {
			for _, k := range []string{"nacks-received", "nacks-sent", "retransmissions-received"} {
				o.set(k, number(k, "0"))
			}
		}
		all = append(all, o)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("of which medium?")
	}
	return all, nil
}
