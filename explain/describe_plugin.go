package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// describePluginEvent words what a plugin tells. Names of events are unique enough among plugins to be told by family:
// calls, rooms, streams and recordings.
func describePluginEvent(e *janus.Event, b *janus.PluginEvent, terms cdr.Terms, plugin string) (Kind, string, digest) {
	if b.Name == "sip-in" || b.Name == "sip-out" {
		return KindSignal, "", &messages{lines: []string{describeSIPMessage(b)}}
	}
	kind := KindPlugin
	if e.Session == 0 {
		kind = KindElsewhere
	}
	if b.Plugin != "" {
		plugin = b.Plugin
	}
	for _, describe := range []func(*janus.PluginEvent, cdr.Terms) string{describeCall, describeRoom, describeStream} {
		if text := describe(b, terms); text != "" {
			return kind, pluginName(plugin) + ": " + text, nil
		}
	}
	text := pluginName(plugin) + ": " + describeOther(b)
	return kind, text, &plain{what: text}
}

// describeCall words an event of a call, or of the registration of an account; "" for what is none.
func describeCall(b *janus.PluginEvent, terms cdr.Terms) string {
	switch b.Name {
	case "calling":
		return "calling" + behind(" ", b.Callee)
	case "incomingcall":
		return "call from " + orSomebody(b.Username) + displayName(b.DisplayName, terms) + behind(" for ", b.Callee)
	case "missed_call":
		return "call from " + orSomebody(b.Caller) + " refused, the line is busy"
	case "proceeding":
		return "the other side is being reached" + code(b.Code)
	case "progress":
		return "the other side sends early media" + code(b.Code)
	case "accepted":
		return "accepted" + behind(" by ", b.Username)
	case "declined":
		return "declined" + code(b.Code)
	case "hangup":
		return "hangup" + behind(", ", b.Reason) + code(b.Code)
	case "registered":
		return "registered" + behind(" as ", cmp.Or(b.Identity, b.Username))
	case "registration_failed":
		return "registration failed" + code(b.Code) + behind(", ", b.Reason)
	}
	return ""
}

// describeRoom words an event of a room; "" for what is none.
func describeRoom(b *janus.PluginEvent, terms cdr.Terms) string {
	room := "room " + idText(b.Room)
	switch b.Name {
	case "joined", "join":
		text := "joins " + room
		if p := participant(b); p != "" {
			text += " as " + p + displayName(b.Display, terms)
		}
		return text
	case "leaving", "left", "leave":
		return cmp.Or(participant(b), "somebody") + " leaves " + room
	case "kicked", "kicked_all":
		return cmp.Or(participant(b), "somebody") + " is kicked out of " + room
	case "destroyed":
		if !b.Room.Known() && b.ID.Known() {
			return idText(b.ID) + " is destroyed"
		}
		return room + " is destroyed"
	case "published":
		return cmp.Or(participant(b), "somebody") + " publishes in " + room
	case "unpublished":
		return cmp.Or(participant(b), "somebody") + " publishes no more in " + room
	case "subscribing":
		return "subscribes in " + room + feeds(b)
	case "subscribed":
		return "subscription is up"
	case "updated":
		return "streams changed" + feeds(b)
	}
	return ""
}

// describeStream words an event of a mountpoint or a recording; "" for what is none.
func describeStream(b *janus.PluginEvent, _ cdr.Terms) string {
	var what string
	switch b.Name {
	case "starting", "started", "pausing", "stopping", "switching":
		what = ", mountpoint "
	case "recording", "playout", "playing", "stopped":
		what = ", recording "
	default:
		return ""
	}
	if !b.ID.Known() {
		return b.Name
	}
	return b.Name + what + idText(b.ID)
}

// describeOther words an event by its name. One without a name tells of settings.
func describeOther(b *janus.PluginEvent) string {
	if b.Name == "" {
		return "settings changed"
	}
	text := strings.ReplaceAll(clean(b.Name), "_", " ")
	switch {
	case b.Room.Known():
		text += ", room " + idText(b.Room)
	case b.ID.Known():
		text += ", " + idText(b.ID)
	}
	return text
}

// describeSIPMessage is what a SIP message is, from its first line: the method or the code, never more. What follows
// may hold credentials.
func describeSIPMessage(b *janus.PluginEvent) string {
	way := "received"
	if b.Name == "sip-out" {
		way = "sent"
	}
	line, _, _ := strings.Cut(b.SIP, "\n")
	words := strings.Fields(line)
	what := "a message"
	switch {
	case len(words) > 1 && strings.HasPrefix(words[0], "SIP/"):
		what = clean(strings.Join(words[1:min(len(words), 5)], " "))
	case len(words) > 0:
		what = clean(words[0])
	}
	return what + " " + way
}

// behind is a text that a client chose, behind a word; "" for none.
func behind(word, text string) string {
	if text == "" {
		return ""
	}
	return word + clean(text)
}

// displayName is a name in brackets, where the policy lets it be told.
func displayName(name string, terms cdr.Terms) string {
	if name == "" || terms.DisplayName != cdr.Emit {
		return ""
	}
	return " (" + clean(strings.Trim(name, `"`)) + ")"
}

func orSomebody(s string) string { return cmp.Or(clean(s), "somebody") }

func code(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d)", n)
}

func idText(i janus.ID) string {
	if !i.Known() {
		return "(unknown)"
	}
	return clean(i.Text)
}

// participant is who an event of a room is about, "" when it does not say.
func participant(b *janus.PluginEvent) string {
	if b.ID.Known() {
		return "participant " + idText(b.ID)
	}
	return clean(b.Username)
}

// maxFeeds bounds the feeds that a line names.
const maxFeeds = 8

// feeds names the feeds of a subscription, each once.
func feeds(b *janus.PluginEvent) string {
	var names []string
	for _, f := range append([]janus.ID{b.Feed}, b.Feeds...) {
		if f.Known() && len(names) < maxFeeds {
			names = append(names, idText(f))
		}
	}
	if len(names) == 0 {
		return ""
	}
	var once []string
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return " to " + strings.Join(once, ", ")
}

// pluginName is how people call a plugin.
func pluginName(name string) string {
	switch name {
	case janus.PluginSIP:
		return "SIP"
	case janus.PluginVideoRoom:
		return "VideoRoom"
	case janus.PluginAudioBridge:
		return "AudioBridge"
	case janus.PluginTextRoom:
		return "TextRoom"
	case janus.PluginStreaming:
		return "Streaming"
	case janus.PluginVideoCall:
		return "VideoCall"
	case janus.PluginEchoTest:
		return "EchoTest"
	case janus.PluginRecordPlay:
		return "Record&Play"
	case janus.PluginNoSIP:
		return "NoSIP"
	case janus.PluginVoiceMail:
		return "VoiceMail"
	case "":
		return "a plugin that no event named"
	}
	return clean(name)
}
