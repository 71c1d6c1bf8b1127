package cdr_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"januscdr/internal/fixtures/script"
	"januscdr/janus"
)

// shrunk is a small tape that breaks a law as the whole one does. It leaves out what belongs to others: sessions, handles,
// what came long before and after, single events that prove little. What tells of the fault stays: a tape without its
// reports would break the law because nobody could know better.
func (t tape) shrunk(breaks func(tape) bool) tape {
	try := func(drop func(*heard) bool) {
		less := slices.DeleteFunc(slices.Clone(t), func(h heard) bool { return drop(&h) })
		if len(less) < len(t) && breaks(less) {
			t = less
		}
	}
	session := func(h *heard) string { return h.Emitter + "/" + h.Session.String() }
	handle := func(h *heard) string { return session(h) + "/" + h.Handle.String() }
	for _, name := range []func(*heard) string{func(h *heard) string { return h.Emitter }, session, handle} {
		for _, key := range t.keys(name) {
			try(func(h *heard) bool { return name(h) == key })
		}
	}
	for n := len(t) / 2; n > 0; n /= 2 { // from the end, then from the beginning
		for size := 0; size != len(t) && n < len(t); {
			size = len(t)
			last := t[len(t)-n].number
			try(func(h *heard) bool { return h.number >= last })
		}
		for size := 0; size != len(t) && n < len(t); {
			size = len(t)
			first := t[n].number
			try(func(h *heard) bool { return h.number < first && !isFrame(h) })
		}
	}
	for again := true; again; {
		size := len(t)
		for _, number := range t.numbers() {
			try(func(h *heard) bool { return h.number == number && (h.lost || !isWitness(h)) })
		}
		again = len(t) < size
	}
	return t
}

func (t tape) keys(name func(*heard) string) (keys []string) {
	for i := range t {
		if k := name(&t[i]); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// isFrame tells whether an event begins a session or a handle.
func isFrame(h *heard) bool {
	switch h.Body.(type) {
	case *janus.SessionCreated, *janus.HandleAttached:
		return true
	}
	return false
}

// isWitness tells whether an event is one of those that tell most of a call.
func isWitness(h *heard) bool {
	switch h.Body.(type) {
	case *janus.MediaReport, *janus.JSEP, *janus.PeerConnectionUp, *janus.PeerConnectionHangup, *janus.HandleDetached, *janus.SessionDestroyed, *janus.HandleAttached:
		return true
	}
	return false
}

// told is the tape in the words of a story, and as that story says it: less is in it than in what Janus wrote. What it
// says of lost events stands in remarks.
func (t tape) told() (lines []string, again tape) {
	names := map[string]string{}
	number := func(kind, id string, from int) string {
		key := kind + id
		if _, ok := names[key]; !ok {
			n := from
			for k := range names {
				if strings.HasPrefix(k, kind) {
					n++
				}
			}
			names[key] = strconv.Itoa(n)
		}
		return names[key]
	}
	book := script.New(nil)
	var begin janus.Micros
	if len(t) > 0 {
		begin = t[0].Time
	}
	emitter, shift := "", map[string]janus.Micros{}
	for i := range t {
		e := &t[i]
		if name := "edge-" + number("emitter", e.Emitter, 1); name != emitter {
			emitter = name
			lines = append(lines, "emitter "+name)
			if _, err := book.Read(lines[len(lines)-1:]); err != nil {
				panic(err)
			}
		}
		line := "event"
		if e.Session != 0 {
			line += " session=" + number("session", e.Emitter+"/"+e.Session.String(), 7)
			if e.Handle != 0 {
				line += " handle=" + number("handle", e.Emitter+"/"+e.Session.String()+"/"+e.Handle.String(), 1)
			}
		}
		line += " " + words(e)
		say := func(at janus.Micros) string { return line + " at=" + clockText(at-begin) }
		acts, err := book.Read([]string{say(e.Time)})
		if err != nil { // a story has no words for it
			say = func(at janus.Micros) string {
				other := e.at(at - begin + script.Clock(10*time.Hour))
				return "raw " + string(other.value)
			}
			if acts, err = book.Read([]string{say(e.Time)}); err != nil {
				panic(fmt.Sprintf("%s: %v", line, err))
			}
		}
		h := tapeOf([][]byte{acts[0].Input.Value})[0]
		h.number, h.lost, h.jump, h.real = e.number, e.lost, e.jump, e.real-begin+script.Clock(10*time.Hour)
		again = append(again, h)
		if shift[e.Emitter] += e.jump; e.jump != 0 {
			lines = append(lines, fmt.Sprintf("# the clock of the server is set by %v", time.Duration(e.jump)*time.Microsecond))
		}
		line = say(e.Time + shift[e.Emitter])
		if e.lost {
			line = "# lost: " + line
		}
		lines = append(lines, line)
	}
	return lines, again
}

// clockText is a time of the day of the stories, of which ten o'clock is 0.
func clockText(d janus.Micros) string {
	at := script.Clock(10*time.Hour) + d
	day := (at - script.Midnight) / (24 * hour)
	text := time.UnixMicro(int64(at)).UTC().Format("15:04:05.999999")
	if day > 0 {
		text = fmt.Sprintf("%dd%s", day, text)
	}
	return text
}

// words are what a story says of an event, after its session and handle.
func words(e *heard) string {
	switch b := e.Body.(type) {
	case *janus.SessionCreated:
		return "created"
	case *janus.SessionDestroyed:
		return "destroyed"
	case *janus.SessionTimedOut:
		return "timeout"
	case *janus.HandleAttached:
		return "attached plugin=" + shortPlugin(b.Plugin)
	case *janus.HandleDetached:
		return "detached"
	case *janus.JSEP:
		return jsepWords(b)
	case *janus.ICEState:
		return "ice " + b.State
	case *janus.LocalCandidate:
		return "candidate local"
	case *janus.RemoteCandidate:
		return "candidate remote"
	case *janus.SelectedPair:
		return "pair"
	case *janus.DTLSState:
		return "dtls " + b.State
	case *janus.PeerConnectionUp:
		return "up"
	case *janus.PeerConnectionHangup:
		return "hangup reason=" + strconv.Quote(b.Reason)
	case *janus.MediaState:
		return fmt.Sprintf("receiving %s %t mid=%s", mediaWord(b.Media, b.Layer), b.Receiving, b.Mid)
	case *janus.SlowLink:
		return fmt.Sprintf("slowlink %s %s mid=%s", mediaWord(b.Media, 0), map[bool]string{true: "uplink", false: "downlink"}[b.Uplink], b.Mid)
	case *janus.MediaReport:
		return reportWords(b)
	case *janus.PluginEvent:
		return pluginWords(e.value)
	case *janus.TransportEvent:
		return "transport " + strings.TrimPrefix(b.Transport, "janus.transport.") + " " + b.Event + " id=" + strconv.Quote(b.ID)
	case *janus.ServerStarted:
		return "server started"
	case *janus.ServerUpdate:
		return "server update"
	case *janus.ServerShutdown:
		return "server shutdown"
	}
	return "external other"
}

func shortPlugin(name string) string { return strings.TrimPrefix(name, "janus.plugin.") }

func mediaWord(m janus.Media, layer int) string {
	word := map[janus.Media]string{janus.MediaAudio: "audio", janus.MediaVideo: "video", janus.MediaData: "data"}[m]
	if layer > 0 {
		word += "-sim" + strconv.Itoa(layer)
	}
	return word
}

func jsepWords(b *janus.JSEP) string {
	what, from := "answer", "janus"
	if b.Offer {
		what = "offer"
	}
	if b.FromClient {
		from = "client"
	}
	line := "jsep " + what + " from=" + from
	if _, rest, ok := strings.Cut(b.SDP, "o="); ok {
		if f := strings.Fields(rest); len(f) > 1 {
			line += " origin=" + f[1]
		}
	}
	return line
}

func reportWords(b *janus.MediaReport) string {
	line := "media"
	for i := range b.Streams {
		s := &b.Streams[i]
		word, suffix := mediaWord(s.Media, s.Layer), ""
		if i > 0 {
			line += " +"
			suffix = "-" + word
		}
		line += fmt.Sprintf(" %s mid%s=%s received%s=%d sent%s=%d", word, suffix, s.Mid, suffix, s.BytesReceived, suffix, s.BytesSent)
	}
	return line
}

// pluginWords are what a plugin said, as far as a story can say it.
func pluginWords(value []byte) string {
	var e struct {
		Event struct {
			Plugin string
			Data   map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(value, &e); err != nil {
		return "plugin unknown"
	}
	data := e.Event.Data
	text := func(key string) (s string) { _ = json.Unmarshal(data[key], &s); return s } // else it is no text
	line := "plugin " + shortPlugin(e.Event.Plugin)
	for _, key := range []string{"event", "status", "videoroom", "audiobridge", "textroom"} {
		if s := text(key); s != "" {
			line += " " + s
			delete(data, key)
			break
		}
	}
	var keys []string
	for key := range data {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		v := data[key]
		switch {
		case key == "sdp":
		case key == "sip":
			line += " message=" + strconv.Quote(text(key))
		case key == "streams":
			if feeds := feedsOf(v); len(feeds) > 0 {
				line += " feeds=" + strings.Join(feeds, ",")
			}
		case v[0] == '"':
			line += " " + key + "=" + strconv.Quote(text(key))
		case v[0] != '{' && v[0] != '[' && v[0] != 'n':
			line += " " + key + "=" + string(v)
		}
	}
	return line
}

func feedsOf(v json.RawMessage) (feeds []string) {
	var streams []struct {
		Feed json.RawMessage `json:"feed_id"`
	}
	if json.Unmarshal(v, &streams) != nil {
		return nil
	}
	for _, s := range streams {
		if len(s.Feed) > 0 && s.Feed[0] != '"' {
			feeds = append(feeds, string(s.Feed))
		}
	}
	return feeds
}

// story shrinks a tape that breaks a law, and tells it: the fault, its events as a story, and what it came to.
func (t tape) story(title, rule string, judge func(tape) []breach) string {
	var last breach
	breaks := func(c tape) bool {
		for _, b := range judge(c) {
			if b.rule == rule && b.sure {
				last = b
				return true
			}
		}
		return false
	}
	if !breaks(t) {
		return "without doubt about the truth it does not happen: " + title
	}
	small := t.shrunk(breaks)
	lines, again := small.told()
	note := ""
	if breaks(again) {
		again = again.shrunk(breaks)
		lines, _ = again.told()
	} else {
		breaks(small)
		note = "\n# a story says less of its events than Janus did: events " + fmt.Sprint(small.numbers())
	}
	return fmt.Sprintf("# %s: %v%s\nstory %s\n%s\n----\n", title, last, note, title, strings.Join(lines, "\n"))
}

func (t tape) numbers() (all []int) {
	for i := range t {
		all = append(all, t[i].number)
	}
	return all
}
