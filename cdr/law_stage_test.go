package cdr

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"januscdr/janus"

	"pgregory.net/rapid"
)

// A stage is a few Janus servers with a handful of clients, played by chance. What it says is plausible: the order of a
// real server's threads, every plugin, and every way to end that a client, a network or a server knows.

// said is one event on its way to the log.
type said struct {
	at      janus.Micros
	emitter string
	session uint64 // 0 for none
	handle  uint64
	thread  string // events of one thread stay in order
	event   string // what it is, for messages
	causal  bool   // created, attached and detached keep their place among the events of their session or handle
	value   []byte
}

type stage struct {
	*rapid.T
	all   []said
	rooms []string
	next  uint64 // ids, participants and connections
	brisk bool   // pauses are short

	// Plugins close the PeerConnection of a call that is over at once, and reports come by a clock, with counters that grow by a
	// rate, as real ones do.
	prompt bool
}

// client is a session in the making.
type client struct {
	*stage
	emitter string
	id      uint64
	now     janus.Micros // its own time
	ws      bool
	wire    string
	period  janus.Micros // of statistics, 0 for none
	opaque  bool
}

// line is a handle in the making. Its time runs apart from that of other handles.
type line struct {
	*client
	handle      uint64
	plugin      string
	now         janus.Micros
	up          bool
	sent        int64 // counters of the PeerConnection
	rate        int64 // packets a second
	reported    janus.Micros
	connections uint64 // PeerConnections so far
}

const dawn = janus.Micros(1_790_000_000_000_000)

func (s *stage) say(e said, typ, subtype int, opaque, body string) {
	b := fmt.Sprintf(`{"emitter":%q,"type":%d`, e.emitter, typ)
	if subtype != 0 {
		b += fmt.Sprintf(`,"subtype":%d`, subtype)
	}
	b += fmt.Sprintf(`,"timestamp":%d`, e.at)
	if e.session != 0 {
		b += fmt.Sprintf(`,"session_id":%d`, e.session)
	}
	if e.handle != 0 {
		b += fmt.Sprintf(`,"handle_id":%d`, e.handle)
		if opaque != "" {
			b += fmt.Sprintf(`,"opaque_id":%q`, opaque)
		}
	}
	e.value = []byte(b + `,"event":` + body + `}`)
	s.all = append(s.all, e)
}

// pause draws a span: mostly short ones, some at the edge of what threads overtake, some long.
func (s *stage) pause() janus.Micros {
	scales := []janus.Micros{1, 10, 40, 1000, 20_000, 300_000, 2_000_000}
	if s.brisk {
		scales = scales[:4]
	}
	scale := rapid.SampledFrom(scales).Draw(s.T, "scale")
	return scale * janus.Micros(rapid.IntRange(1, 3).Draw(s.T, "pause"))
}

func (s *stage) maybe(label string) bool { return rapid.Bool().Draw(s.T, label) }

func (s *stage) rarely(label string) bool { return rapid.IntRange(0, 4).Draw(s.T, label) == 0 }

func (s *stage) number() uint64 { s.next++; return s.next }

func (c *client) opaqueID(handle uint64) string {
	if c.opaque {
		return "bill-" + strconv.FormatUint(handle%1000, 10)
	}
	return ""
}

func (c *client) session(name, more string) {
	c.say(said{at: c.now, emitter: c.emitter, session: c.id, thread: "session " + strconv.FormatUint(c.id, 10), event: name, causal: true}, 1, 0, "", `{"name":"`+name+`"`+more+`}`)
}

func (l *line) core(typ, subtype int, event, body string) {
	l.now += l.pause()
	l.coreNow(typ, subtype, event, body)
}

func (l *line) coreNow(typ, subtype int, event, body string) {
	l.say(said{at: l.now, emitter: l.emitter, session: l.id, handle: l.handle, thread: "loop " + strconv.FormatUint(l.handle, 10), event: event,
		causal: event == "detached"}, typ, subtype, l.opaqueID(l.handle), body)
}

func (l *line) jsep(fromClient bool, typ string) {
	owner, origin := "local", uint64(l.now) // Janus' changes
	if fromClient {
		owner, origin = "remote", l.handle*1000+l.connections // the client's is that of its PeerConnection
	}
	l.now += l.pause()
	l.say(said{at: l.now, emitter: l.emitter, session: l.id, handle: l.handle, thread: "requests " + strconv.FormatUint(l.handle, 10), event: owner + " " + typ}, 8, 0,
		l.opaqueID(l.handle), fmt.Sprintf(`{"owner":%q,"jsep":{"type":%q,"sdp":"v=0\r\no=- %d 1 IN IP4 0.0.0.0\r\n"}}`, owner, typ, origin))
}

// tells is an event of the handle's plugin; data are its members after the name.
func (l *line) tells(name, data string) {
	l.now += l.pause()
	l.plain(l.id, l.handle, name, data)
}

// plain is one that names the session or, with 0, none.
func (l *line) plain(session, handle uint64, name, data string) {
	key := "event"
	if l.plugin == janus.PluginStreaming {
		key = "status"
	}
	// One thread of a plugin serves all of its handles' requests.
	l.say(said{at: l.now, emitter: l.emitter, session: session, handle: handle, thread: "requests " + strconv.FormatUint(l.handle, 10), event: name}, 64, 0,
		l.opaqueID(handle), fmt.Sprintf(`{"plugin":%q,"data":{%q:%q%s}}`, l.plugin, key, name, data))
}

// attach makes a handle.
func (c *client) attach(plugin string) *line {
	l := &line{client: c, handle: 1_000_000 + c.number(), plugin: plugin, now: c.now}
	l.now += c.pause()
	l.say(said{at: l.now, emitter: l.emitter, session: l.id, handle: l.handle, thread: "session " + strconv.FormatUint(l.id, 10), event: "attached", causal: true}, 2, 0, l.opaqueID(l.handle),
		fmt.Sprintf(`{"name":"attached","plugin":%q}`, plugin))
	return l
}

func (l *line) detach(pause janus.Micros) {
	l.now += pause
	if l.runs(l.now); l.up && l.prompt && l.period != 0 {
		l.report()
		l.now += 200
	}
	l.up = l.up && !l.prompt
	l.coreNow(2, 0, "detached", fmt.Sprintf(`{"name":"detached","plugin":%q}`, l.plugin))
}

// connect sets up a PeerConnection. between is what the plugin says after the first half of the offer and answer.
func (l *line) connect(clientOffers bool, between func()) (up bool) {
	l.up, l.sent = false, 0
	l.connections++
	l.jsep(clientOffers, "offer")
	l.coreNow(16, 1, "gathering", `{"ice":"gathering","stream_id":1,"component_id":1}`)
	if between != nil {
		l.brisk = true // a plugin answers a message at once
		between()
		l.brisk = false
	}
	if l.rarely("never answered") {
		return false
	}
	l.jsep(!clientOffers, "answer")
	l.core(16, 1, "connecting", `{"ice":"connecting","stream_id":1,"component_id":1}`)
	if l.rarely("no way through") {
		return false
	}
	l.core(16, 4, "selected pair", `{"selected-pair":"x","candidates":{"local":{"address":"198.51.100.10","port":30101,"type":"host","transport":"udp","family":4},"remote":{"address":"203.0.113.1","port":49963,"type":"srflx","transport":"udp","family":4}},"stream_id":1,"component_id":1}`)
	l.core(16, 5, "dtls trying", `{"dtls":"trying","stream_id":1,"component_id":1,"retransmissions":0}`)
	l.core(16, 5, "dtls connected", `{"dtls":"connected","stream_id":1,"component_id":1,"retransmissions":0}`)
	l.core(16, 6, "webrtcup", `{"connection":"webrtcup"}`)
	l.up, l.reported = true, l.now
	if l.prompt {
		l.rate = rapid.Int64Range(20, 60).Draw(l.T, "rate")
	}
	return true
}

// media lets a PeerConnection live for some reports.
func (l *line) media(n int) {
	if n > 0 {
		l.core(32, 1, "receiving", `{"media":"audio","mid":"0","receiving":true}`)
	}
	for range n {
		if l.period == 0 {
			l.now += second + l.pause()
			continue
		}
		l.now += l.period
		if !l.prompt {
			l.report()
		}
		if l.rarely("renegotiated") {
			l.jsep(true, "offer")
			l.jsep(false, "answer")
		}
	}
}

// runs lets the reports come that are due up to a moment.
func (l *line) runs(to janus.Micros) {
	if !l.prompt || !l.up || l.period == 0 {
		return
	}
	now := l.now
	for l.now = l.reported + l.period; l.now <= to; l.now += l.period {
		l.report()
	}
	l.now = now
}

func (l *line) report() {
	switch {
	case l.up && l.prompt:
		l.sent += l.rate * int64((l.now-l.reported)/millisecond) / 1000
		l.reported = l.now
	case l.up:
		l.sent += int64(rapid.IntRange(0, 50).Draw(l.T, "packets"))
	}
	l.coreNow(32, 3, "report", fmt.Sprintf(`{"mid":"0","mindex":0,"media":"audio","codec":"opus","base":48000,"rtt":%d,"lost":0,"lost-by-remote":0,"jitter-local":%d,"jitter-remote":2,"in-link-quality":100,"out-link-quality":99,"packets-received":%d,"packets-sent":%d,"bytes-received":%d,"bytes-sent":%d,"nacks-received":0,"nacks-sent":1,"retransmissions-received":0}`,
		l.sent%30, l.sent%7, l.sent, l.sent, l.sent*70, l.sent*72))
}

// hangup ends the PeerConnection and leaves the handle.
func (l *line) hangup(reason string) {
	l.now += l.pause()
	l.runs(l.now)
	if l.period != 0 {
		l.report()
		l.now += 200
	}
	l.up = l.up && !l.prompt
	l.coreNow(16, 6, "hangup", fmt.Sprintf(`{"connection":"hangup","reason":%q}`, reason))
	l.now += 5 * millisecond // what comes next takes a word of the client
}

func (l *line) reports() int { return rapid.IntRange(0, 4).Draw(l.T, "reports") }

// perform plays what a handle of a plugin is for. It may end with the PeerConnection up.
func (l *line) perform() {
	room := rapid.SampledFrom(l.rooms).Draw(l.T, "room")
	id := strconv.FormatUint(l.number(), 10)
	switch l.plugin {
	case janus.PluginEchoTest, janus.PluginNoSIP, "org.example.plugin":
		l.calls()
	case janus.PluginVideoRoom:
		l.videoRoom(room, id)
	case janus.PluginAudioBridge:
		l.audioBridge(room, id)
	case janus.PluginTextRoom:
		l.textRoom(room, id)
	case janus.PluginStreaming:
		l.streaming(room, id)
	case janus.PluginRecordPlay:
		l.recordPlay(id)
	case janus.PluginVideoCall:
		l.videoCall(id)
	case janus.PluginSIP:
		l.sip()
	}
}

func (l *line) calls() {
	for n := rapid.IntRange(0, 2).Draw(l.T, "calls"); n > 0; n-- {
		up := l.connect(true, func() { l.tells("event", "") })
		if up {
			l.media(l.reports())
		}
		if n > 1 || l.maybe("hangup") {
			l.hangup(l.reason(up))
		}
	}
}

func (l *line) videoRoom(room, id string) {
	if l.maybe("subscriber") {
		up := l.connect(false, func() {
			l.tells("subscribing", `,"room":`+room+`,"streams":[{"type":"audio","mid":"0","feed_id":71},{"type":"video","mid":"1","feed_id":72}]`)
		})
		if up {
			l.media(l.reports())
		}
		return
	}
	l.tells("joined", `,"room":`+room+`,"id":`+id+`,"private_id":9,"display":"Ada"`)
	for n := rapid.IntRange(0, 2).Draw(l.T, "publishes"); n > 0; n-- {
		up := l.connect(true, func() { l.tells("configured", `,"room":`+room+`,"id":`+id) })
		if up {
			l.tells("published", `,"room":`+room+`,"id":`+id+`,"streams":[]`)
			l.media(l.reports())
		}
		if n > 1 || l.maybe("unpublish") {
			l.now += l.pause()
			l.plain(0, 0, "unpublished", `,"room":`+room+`,"id":`+id)
			l.hangup("Close PC")
		}
	}
	switch {
	case l.maybe("leaves"):
		l.now += l.pause()
		l.plain(0, 0, "leaving", `,"room":`+room+`,"id":`+id)
	case l.rarely("kicked"):
		l.now += l.pause()
		l.plain(0, 0, "kicked", `,"room":`+room+`,"id":`+id)
	case l.rarely("destroys the room"):
		l.tells("destroyed", `,"room":`+room)
	}
}

func (l *line) audioBridge(room, id string) {
	l.tells("joined", `,"room":`+room+`,"id":`+id+`,"display":"Bo"`)
	up := l.connect(true, func() { l.tells("configured", `,"room":`+room+`,"id":`+id) })
	if up {
		l.media(l.reports())
	}
	if l.maybe("changes room") {
		other := rapid.SampledFrom(l.rooms).Draw(l.T, "other room")
		l.tells("left", `,"room":`+room+`,"id":`+id)
		room, id = other, strconv.FormatUint(l.number(), 10)
		l.tells("joined", `,"room":`+room+`,"id":`+id)
	}
	if l.maybe("hangup") {
		l.now += l.pause()
		l.plain(0, 0, "left", `,"room":`+room+`,"id":`+id)
		l.hangup(l.reason(up))
	}
}

func (l *line) textRoom(room, id string) {
	up := l.connect(false, nil)
	if up {
		for range rapid.IntRange(0, 2).Draw(l.T, "rooms") {
			l.tells("join", `,"room":`+room+`,"username":"u`+id+`"`)
			if l.maybe("leaves") {
				l.tells("leave", `,"room":`+room+`,"username":"u`+id+`"`)
			}
			room = rapid.SampledFrom(l.rooms).Draw(l.T, "room")
		}
	}
	if l.maybe("hangup") {
		l.hangup(l.reason(up))
	}
}

func (l *line) streaming(room, id string) {
	for n := rapid.IntRange(1, 2).Draw(l.T, "views"); n > 0; n-- {
		up := l.connect(false, func() { l.tells("starting", `,"id":`+room) })
		if up && l.maybe("started") {
			l.tells("started", `,"id":`+room)
		}
		if up {
			l.media(l.reports())
			l.tells("switching", `,"id":`+l.rooms[0])
		}
		if n > 1 || l.maybe("stops") {
			l.tells("stopping", `,"id":`+room)
			l.hangup("Close PC")
		}
	}
}

func (l *line) recordPlay(id string) {
	var up bool
	if l.maybe("plays") {
		l.tells("playout", `,"id":`+id)
		up = l.connect(false, func() { l.tells("playing", `,"id":`+id) })
	} else {
		up = l.connect(true, func() { l.tells("recording", `,"id":`+id) })
	}
	if up {
		l.media(l.reports())
	}
	if l.maybe("stops") {
		l.tells("stopped", `,"id":`+id)
		l.hangup("Close PC")
	}
}

func (l *line) videoCall(id string) {
	l.tells("registered", `,"username":"v`+id+`"`)
	caller := l.maybe("caller")
	up := l.connect(caller, func() {
		if caller {
			l.tells("calling", "")
		} else {
			l.tells("accepted", "")
		}
	})
	if up {
		l.media(l.reports())
	}
	if l.maybe("hangup") {
		reason := rapid.SampledFrom([]string{"Explicit hangup", "Remote hangup", "User busy"}).Draw(l.T, "words")
		l.tells("hangup", fmt.Sprintf(`,"reason":%q`, reason))
		l.hangup(l.reason(up))
		if l.maybe("again") {
			l.tells("hangup", `,"reason":"Remote WebRTC hangup"`)
		}
	}
}

func (l *line) sip() {
	l.tells("registered", `,"identity":"sip:ada@example.org"`)
	for n := rapid.IntRange(1, 3).Draw(l.T, "calls"); n > 0; n-- {
		l.dial(n > 1)
	}
}

// dial is one SIP call; over says that it must end on this handle.
func (l *line) dial(over bool) {
	id := l.number()
	call := fmt.Sprintf(`,"call-id":"c%d"`, id)
	out := l.maybe("outgoing")
	answered := !l.rarely("not accepted")
	up := l.connect(out, func() {
		if out {
			l.tells("calling", `,"callee":"sip:bo@example.org"`+call)
			l.tells("sip-out", `,"sip":"INVITE sip:bo@example.org SIP/2.0\r\n"`)
			l.tells("proceeding", call+`,"code":180`)
		} else {
			l.tells("incomingcall", call+`,"username":"sip:cy@example.org","callee":"sip:ada@example.org","displayname":"\"Cy\""`)
		}
	})
	if answered && up {
		if l.maybe("with messages") {
			l.tells(map[bool]string{true: "sip-in", false: "sip-out"}[out], fmt.Sprintf(`,"sip":"SIP/2.0 200 OK\r\nCall-ID: c%d\r\nCSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n"`, id))
		}
		l.tells("accepted", call+`,"username":"sip:bo@example.org"`)
		l.media(l.reports())
	}
	if !over && !l.maybe("hangs up") {
		return
	}
	switch {
	case answered && up:
		if l.maybe("we end it") {
			l.tells("sip-out", fmt.Sprintf(`,"sip":"BYE sip:bo@example.org SIP/2.0\r\nCall-ID: c%d\r\n\r\n"`, id))
			l.brisk = l.prompt // a round trip
			l.tells("hangup", call+`,"code":200,"reason":"to BYE"`)
		} else {
			l.tells("hangup", call+`,"code":200,"reason":"Session Terminated"`)
		}
	case !out && l.maybe("declined"):
		l.tells("declined", call+`,"code":486`)
		l.tells("hangup", call+`,"code":486,"reason":"Busy Here"`)
	default:
		code := rapid.SampledFrom([]int{404, 408, 480, 486, 487, 503, 603}).Draw(l.T, "code")
		l.tells("hangup", call+fmt.Sprintf(`,"code":%d,"reason":"No"`, code))
	}
	l.brisk = l.prompt
	l.hangup("Close PC")
	l.brisk = false
}

func (l *line) reason(up bool) string {
	if !up {
		return rapid.SampledFrom([]string{"ICE failed", "Janus API"}).Draw(l.T, "reason")
	}
	return rapid.SampledFrom([]string{"DTLS alert", "Janus API", "Close PC", "ICE failed", "Admin API"}).Draw(l.T, "reason")
}

var stagePlugins = []string{janus.PluginEchoTest, janus.PluginVideoRoom, janus.PluginAudioBridge, janus.PluginTextRoom, janus.PluginStreaming, janus.PluginRecordPlay,
	janus.PluginVideoCall, janus.PluginSIP, janus.PluginNoSIP, "org.example.plugin"}

// enter plays a client from its coming to its going.
func (s *stage) enter(emitter string, id uint64, at janus.Micros, period janus.Micros) (left janus.Micros) {
	c := &client{stage: s, emitter: emitter, id: id, now: at, period: period, ws: s.maybe("websocket"), opaque: s.maybe("opaque")}
	c.wire = strconv.FormatUint(9_000_000+c.number(), 10)
	transport := "janus.transport.http"
	if c.ws {
		transport = "janus.transport.websockets"
		s.say(said{at: c.now, emitter: emitter, thread: "wire " + c.wire, event: "connected"}, 128, 0, "", fmt.Sprintf(`{"transport":%q,"id":%q,"data":{"event":"connected","admin_api":false,"ip":"203.0.113.1","port":1}}`, transport, c.wire))
		c.now += s.pause()
	}
	c.session("created", fmt.Sprintf(`,"transport":{"transport":%q,"id":%q}`, transport, c.wire))
	var lines []*line
	for range rapid.IntRange(0, 3).Draw(s.T, "handles") {
		l := c.attach(rapid.SampledFrom(stagePlugins).Draw(s.T, "plugin"))
		lines = append(lines, l)
		l.perform()
		c.now += s.pause()
		left = max(left, l.now)
	}
	c.now = max(c.now, left)
	for i, l := range lines {
		if s.maybe("detaches") {
			l.detach(s.pause())
			lines[i] = nil
			c.now = max(c.now, l.now)
		}
	}
	c.now += s.pause()
	disconnected := func() {
		if c.ws {
			c.say(said{at: c.now, emitter: emitter, thread: "wire " + c.wire, event: "disconnected"}, 128, 0, "", fmt.Sprintf(`{"transport":%q,"id":%q,"data":{"event":"disconnected"}}`, transport, c.wire))
		}
	}
	rest := func() {
		for _, l := range lines {
			if l != nil {
				l.now = max(l.now, c.now)
				l.detach(janus.Micros(rapid.IntRange(20, 900).Draw(s.T, "after")))
			}
		}
	}
	switch rapid.IntRange(0, 4).Draw(s.T, "end") {
	case 0, 1:
		c.session("destroyed", "")
		rest()
		c.now += s.pause()
		disconnected()
	case 2:
		c.session("timeout", "")
		rest()
	case 3: // the connection is lost; an old server tells no end
		disconnected()
		rest()
	default: // nothing more is heard
	}
	for _, l := range lines {
		if l != nil {
			l.runs(c.now)
			c.now = max(c.now, l.now)
		}
	}
	return c.now
}

// act plays one server, with a second life if it is stopped.
func (s *stage) act(emitter string) {
	from := len(s.all)
	at := dawn
	period := rapid.SampledFrom([]janus.Micros{0, second, 2 * second, 5 * second}).Draw(s.T, "statistics")
	core := func(at janus.Micros, subtype int, event, body string) {
		s.say(said{at: at, emitter: emitter, thread: "core", event: event}, 256, subtype, "", body)
	}
	const started = `{"status":"started","info":{"janus":"server_info","version":1102,"version_string":"1.1.2","session-timeout":60,"reclaim-session-timeout":0}}`
	ids := []uint64{}
	for n := rapid.IntRange(1, 4).Draw(s.T, "clients"); n > 0; n-- {
		ids = append(ids, 100+s.number())
		left := s.enter(emitter, ids[len(ids)-1], at+janus.Micros(rapid.IntRange(0, 5_000_000).Draw(s.T, "comes")), period)
		if s.rarely("its id comes again") {
			s.enter(emitter, ids[len(ids)-1], left+2*second+s.pause(), period)
		}
	}
	if !s.rarely("stopped") {
		return
	}
	at += janus.Micros(rapid.IntRange(0, 20_000_000).Draw(s.T, "stop"))
	kept := s.all[:from]
	for _, e := range s.all[from:] {
		if e.at <= at {
			kept = append(kept, e)
		}
	}
	s.all = kept
	if s.maybe("orderly") {
		core(at+10, 2, "shutdown", `{"status":"shutdown","signum":15}`)
	}
	at += second + s.pause()
	core(at, 1, "started", started)
	for range rapid.IntRange(0, 2).Draw(s.T, "clients") {
		s.enter(emitter, 100+s.number(), at+s.pause(), period)
	}
}

// drawStage plays a stage.
func drawStage(t *rapid.T) []said {
	return (&stage{T: t, rooms: []string{"501", "502"}, next: 10}).play()
}

// play gives what was said, in the order of time.
func (s *stage) play() []said {
	t := s.T
	for i := range rapid.IntRange(1, 2).Draw(t, "servers") {
		s.act(fmt.Sprintf("edge-%d", i+1))
	}
	slices.SortStableFunc(s.all, func(a, b said) int { return cmp.Compare(a.at, b.at) })
	return s.all
}

// posted is what was said as a log: each is appended some milliseconds after it happened. Where nothing is said the
// owner of the partition appends ticks, or not.
func posted(all []said, tick janus.Micros) []Input {
	var log []Input
	var at janus.Micros
	for _, e := range all {
		next := max(at, e.at+20*millisecond)
		for at != 0 && tick != 0 && at+tick < next {
			at += tick
			log = append(log, Input{Append: at, Kind: KindTick})
		}
		at = next
		log = append(log, Input{Append: at, Value: e.value})
	}
	return numbered(log)
}

// drawLog plays a stage as a log.
func drawLog(t *rapid.T) []Input {
	return posted(drawStage(t), rapid.SampledFrom([]janus.Micros{0, second, 30 * second}).Draw(t, "ticks"))
}
