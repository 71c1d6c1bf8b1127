package explain

import (
	"fmt"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// says words an event: what it tells, without what must stay secret. Of events that are told together with others of
// their kind, the digest collects what is told. Addresses and names are told only where the policy lets records tell
// them.
func says(e *janus.Event, terms cdr.Terms, plugin string) (Kind, string, digest) {
	switch b := e.Body.(type) {
	case *janus.SessionCreated:
		text := "the session is created"
		if b.Transport != "" {
			text += " over " + transport(b.Transport)
		}
		return KindSession, text, nil
	case *janus.SessionDestroyed:
		return KindSession, "the session is destroyed", nil
	case *janus.SessionTimedOut:
		return KindSession, "the session times out: Janus has heard nothing of the client for too long", nil
	case *janus.HandleAttached:
		text := "attached to " + pluginName(b.Plugin)
		if e.OpaqueID != "" {
			text += ", opaque id " + clean(e.OpaqueID)
		}
		return KindHandle, text, nil
	case *janus.HandleDetached:
		return KindHandle, "detached from " + pluginName(b.Plugin), nil
	case *janus.JSEP:
		what := "answer"
		if b.Offer {
			what = "offer"
		}
		if b.FromClient {
			return KindSignal, what + " from the client (SDP not shown)", nil
		}
		return KindSignal, what + " from Janus to the client (SDP not shown)", nil
	case *janus.ICEState:
		return KindConnect, "", &connecting{ice: []string{clean(b.State)}}
	case *janus.DTLSState:
		return KindConnect, "", &connecting{dtls: []string{clean(b.State)}}
	case *janus.LocalCandidate:
		return KindConnect, "", &connecting{local: 1}
	case *janus.RemoteCandidate:
		return KindConnect, "", &connecting{remote: 1}
	case *janus.SelectedPair:
		pair := clean(b.Local.Type) + " to " + clean(b.Remote.Type)
		if terms.Address == cdr.Emit && b.Remote.Address != "" {
			pair += ", client at " + clean(b.Remote.Address)
		}
		return KindConnect, "", &connecting{pair: pair + ", " + clean(b.Remote.Transport)}
	case *janus.PeerConnectionUp:
		return KindConnect, "the PeerConnection is up (webrtcup)", nil
	case *janus.PeerConnectionHangup:
		return KindConnect, "the PeerConnection is gone (hangup): " + hangupReason(b.Reason), nil
	case *janus.MediaState:
		return KindMedia, "", &flowing{states: []string{flow(b)}}
	case *janus.SlowLink:
		l := &slow{count: 1, lost: b.Lost}
		if b.Uplink {
			l.up = 1
		}
		return KindMedia, "", l
	case *janus.MediaReport:
		return KindMedia, "", reported(b, e.Time)
	case *janus.PluginEvent:
		return says64(e, b, terms, plugin)
	case *janus.TransportEvent:
		return KindElsewhere, fmt.Sprintf("%s: connection %s", transport(b.Transport), clean(b.Event)), nil
	case *janus.ServerStarted:
		text := "the Janus server has started"
		if b.Version != "" {
			text += ", version " + clean(b.Version)
		}
		return KindElsewhere, text, nil
	case *janus.ServerShutdown:
		return KindElsewhere, fmt.Sprintf("the Janus server shuts down (signal %d)", b.Signal), nil
	case *janus.ServerUpdate:
		return KindElsewhere, "the Janus server says that it lives", nil
	case *janus.External:
		return KindElsewhere, "an event that an operator put in", nil
	}
	return KindSession, fmt.Sprintf("an event that this program does not know (type %d, subtype %d)", e.Type, e.Subtype), nil
}

// says64 words what a plugin tells.
func says64(e *janus.Event, b *janus.PluginEvent, terms cdr.Terms, plugin string) (Kind, string, digest) {
	if b.Name == "sip-in" || b.Name == "sip-out" {
		return KindSignal, "", &messages{lines: []string{sipLine(b)}}
	}
	name := func(s string) string {
		if s == "" || terms.DisplayName != cdr.Emit {
			return ""
		}
		return " (" + clean(strings.Trim(s, `"`)) + ")"
	}
	kind := KindPlugin
	if e.Session == 0 {
		kind = KindElsewhere
	}
	text := pluginName(b.Plugin) + ": "
	if b.Plugin == "" {
		text = pluginName(plugin) + ": "
	}
	switch b.Name {
	case "calling":
		text += "calling"
		if b.Callee != "" {
			text += " " + clean(b.Callee)
		}
	case "incomingcall":
		text += "call from " + orSomebody(b.Username) + name(b.DisplayName)
		if b.Callee != "" {
			text += " for " + clean(b.Callee)
		}
	case "missed_call":
		text += "call from " + orSomebody(b.Caller) + " refused, the line is busy"
	case "proceeding":
		text += "the other side is being reached" + code(b.Code)
	case "progress":
		text += "the other side sends early media" + code(b.Code)
	case "accepted":
		text += "accepted"
		if b.Username != "" {
			text += " by " + clean(b.Username)
		}
	case "declined":
		text += "declined" + code(b.Code)
	case "hangup":
		text += "hangup"
		if b.Reason != "" {
			text += ", " + clean(b.Reason)
		}
		text += code(b.Code)
	case "registered":
		text += "registered"
		switch {
		case b.Identity != "":
			text += " as " + clean(b.Identity)
		case b.Username != "":
			text += " as " + clean(b.Username)
		}
	case "registration_failed":
		text += "registration failed" + code(b.Code)
		if b.Reason != "" {
			text += ", " + clean(b.Reason)
		}
	case "joined", "join":
		text += "joins room " + id(b.Room)
		if p := participant(b); p != "" {
			text += " as " + p + name(b.Display)
		}
	case "leaving", "left", "leave":
		text += participantOr(b) + " leaves room " + id(b.Room)
	case "kicked", "kicked_all":
		text += participantOr(b) + " is kicked out of room " + id(b.Room)
	case "destroyed":
		text += "room " + id(b.Room) + " is destroyed"
		if !b.Room.Known() && b.ID.Known() {
			text = pluginName(b.Plugin) + ": " + id(b.ID) + " is destroyed"
		}
	case "published":
		text += participantOr(b) + " publishes in room " + id(b.Room)
	case "unpublished":
		text += participantOr(b) + " publishes no more in room " + id(b.Room)
	case "subscribing":
		text += "subscribes in room " + id(b.Room) + feeds(b)
	case "subscribed":
		text += "subscription is up"
	case "updated":
		text += "streams changed" + feeds(b)
	case "starting", "started", "pausing", "stopping", "switching":
		text += b.Name
		if b.ID.Known() {
			text += ", mountpoint " + id(b.ID)
		}
	case "recording", "playout", "playing", "stopped":
		text += b.Name
		if b.ID.Known() {
			text += ", recording " + id(b.ID)
		}
	case "":
		text += "settings changed"
		return kind, text, &plain{what: text}
	default:
		text += strings.ReplaceAll(clean(b.Name), "_", " ")
		switch {
		case b.Room.Known():
			text += ", room " + id(b.Room)
		case b.ID.Known():
			text += ", " + id(b.ID)
		}
		return kind, text, &plain{what: text}
	}
	return kind, text, nil
}

func orSomebody(s string) string {
	if s == "" {
		return "somebody"
	}
	return clean(s)
}

func code(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d)", n)
}

func id(i janus.ID) string {
	if !i.Known() {
		return "(unknown)"
	}
	return clean(i.Text)
}

func participant(b *janus.PluginEvent) string {
	switch {
	case b.ID.Known():
		return "participant " + id(b.ID)
	case b.Username != "":
		return clean(b.Username)
	}
	return ""
}

func participantOr(b *janus.PluginEvent) string {
	if p := participant(b); p != "" {
		return p
	}
	return "somebody"
}

func feeds(b *janus.PluginEvent) string {
	var of []string
	for _, f := range append([]janus.ID{b.Feed}, b.Feeds...) {
		if f.Known() && len(of) < 8 {
			of = append(of, id(f))
		}
	}
	if len(of) == 0 {
		return ""
	}
	return " to " + strings.Join(unique(of), ", ")
}

func unique(words []string) []string {
	var out []string
	for _, w := range words {
		known := false
		for _, o := range out {
			known = known || o == w
		}
		if !known {
			out = append(out, w)
		}
	}
	return out
}

// sipLine is what a SIP message is, from its first line: the method or the code, never more. What follows may hold
// credentials.
func sipLine(b *janus.PluginEvent) string {
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

// transport is how people call a transport.
func transport(name string) string {
	switch name {
	case janus.TransportWebSockets:
		return "WebSocket"
	case janus.TransportHTTP:
		return "HTTP"
	case janus.TransportUnixSocket:
		return "a Unix socket"
	case janus.TransportRabbitMQ:
		return "RabbitMQ"
	case janus.TransportMQTT:
		return "MQTT"
	case janus.TransportNanomsg:
		return "Nanomsg"
	}
	return clean(name)
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

// hangupReason explains why Janus ended a PeerConnection.
func hangupReason(reason string) string {
	switch reason {
	case "DTLS alert":
		return "DTLS alert, the client closed it"
	case "Janus API":
		return "Janus API, the application asked for it"
	case "Admin API":
		return "Admin API, an administrator ended it"
	case "Close PC":
		return "Close PC, the plugin ended it"
	case "ICE failed":
		return "ICE failed, the network connection broke"
	case "DTLS timeout":
		return "DTLS timeout, the handshake did not finish"
	case "":
		return "no reason given"
	}
	return clean(reason)
}

func media(m janus.Media) string {
	switch m {
	case janus.MediaAudio:
		return "audio"
	case janus.MediaVideo:
		return "video"
	case janus.MediaData:
		return "data"
	}
	return "a medium that is not known"
}

func flow(b *janus.MediaState) string {
	what := media(b.Media)
	if b.Layer > 0 {
		what += fmt.Sprintf(" layer %d", b.Layer)
	}
	if b.Receiving {
		return what + " arrives"
	}
	return what + " no longer arrives"
}
