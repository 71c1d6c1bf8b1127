package explain

import (
	"cmp"
	"fmt"

	"januscdr/cdr"
	"januscdr/janus"
)

// describeEvent puts an event into words: what it tells, without what must stay secret. Of events that are told
// together with others of their kind, the digest collects what is told, and the text is "". Addresses and names are
// told only where the policy lets records tell them. Plugin is that of the handle, for events that do not name it.
func describeEvent(e *janus.Event, terms cdr.Terms, plugin string) (Kind, string, digest) {
	switch b := e.Body.(type) {
	case *janus.SessionCreated, *janus.SessionDestroyed, *janus.SessionTimedOut:
		return KindSession, describeSession(b), nil
	case *janus.HandleAttached:
		text := "attached to " + pluginName(b.Plugin)
		if e.OpaqueID != "" {
			text += ", opaque id " + clean(e.OpaqueID)
		}
		return KindHandle, text, nil
	case *janus.HandleDetached:
		return KindHandle, "detached from " + pluginName(cmp.Or(b.Plugin, plugin)), nil
	case *janus.JSEP:
		return KindSignal, describeJSEP(b), nil
	case *janus.ICEState, *janus.DTLSState, *janus.LocalCandidate, *janus.RemoteCandidate, *janus.SelectedPair:
		return KindConnect, "", describeConnecting(b, terms)
	case *janus.PeerConnectionUp:
		return KindConnect, "the PeerConnection is up (webrtcup)", nil
	case *janus.PeerConnectionHangup:
		return KindConnect, "the PeerConnection is gone (hangup): " + hangupReason(b.Reason), nil
	case *janus.MediaState:
		return KindMedia, "", &flowing{states: []string{describeFlow(b)}}
	case *janus.SlowLink:
		slow := &slowLinks{count: 1, lost: b.Lost}
		if b.Uplink {
			slow.up = 1
		}
		return KindMedia, "", slow
	case *janus.MediaReport:
		return KindMedia, "", newReports(b, e.Time)
	case *janus.PluginEvent:
		return describePluginEvent(e, b, terms, plugin)
	case *janus.TransportEvent, *janus.ServerStarted, *janus.ServerShutdown, *janus.ServerUpdate, *janus.External:
		return KindElsewhere, describeServer(b), nil
	}
	return KindSession,
		fmt.Sprintf("an event that this program does not know (type %d, subtype %d)", e.Type, e.Subtype), nil
}

// describeSession words the beginning or the end of a session.
func describeSession(body janus.Body) string {
	switch b := body.(type) {
	case *janus.SessionDestroyed:
		return "the session is destroyed"
	case *janus.SessionTimedOut:
		return "the session times out: Janus has heard nothing of the client for too long"
	case *janus.SessionCreated:
		if b.Transport != "" {
			return "the session is created over " + transportName(b.Transport)
		}
	}
	return "the session is created"
}

func describeJSEP(b *janus.JSEP) string {
	what := "answer"
	if b.Offer {
		what = "offer"
	}
	if b.FromClient {
		return what + " from the client (SDP not shown)"
	}
	return what + " from Janus to the client (SDP not shown)"
}

// describeConnecting words a step of ICE or DTLS.
func describeConnecting(body janus.Body, terms cdr.Terms) *connecting {
	switch b := body.(type) {
	case *janus.ICEState:
		return &connecting{ice: []string{clean(b.State)}}
	case *janus.DTLSState:
		return &connecting{dtls: []string{clean(b.State)}}
	case *janus.LocalCandidate:
		return &connecting{local: 1}
	case *janus.RemoteCandidate:
		return &connecting{remote: 1}
	case *janus.SelectedPair:
		pair := clean(b.Local.Type) + " to " + clean(b.Remote.Type)
		if terms.Address == cdr.Emit && b.Remote.Address != "" {
			pair += ", client at " + clean(b.Remote.Address)
		}
		return &connecting{pair: pair + ", " + clean(b.Remote.Transport)}
	}
	return &connecting{}
}

// describeServer words an event that is of no session.
func describeServer(body janus.Body) string {
	switch b := body.(type) {
	case *janus.TransportEvent:
		return fmt.Sprintf("%s: connection %s", transportName(b.Transport), clean(b.Event))
	case *janus.ServerStarted:
		if b.Version != "" {
			return "the Janus server has started, version " + clean(b.Version)
		}
		return "the Janus server has started"
	case *janus.ServerShutdown:
		return fmt.Sprintf("the Janus server shuts down (signal %d)", b.Signal)
	case *janus.ServerUpdate:
		if !b.Sessions.Known || !b.Handles.Known || !b.PeerConnections.Known {
			return "the Janus server says that it lives"
		}
		return fmt.Sprintf("the Janus server says that it lives, and counts %d sessions, %d handles, %d PeerConnections",
			b.Sessions.Value, b.Handles.Value, b.PeerConnections.Value)
	}
	return "an event that an operator put in"
}

// describeFlow words media that come or go.
func describeFlow(b *janus.MediaState) string {
	what := mediumName(b.Media)
	if b.Layer > 0 {
		what += fmt.Sprintf(" layer %d", b.Layer)
	}
	if b.Receiving {
		return what + " arrives"
	}
	return what + " no longer arrives"
}

// transportName is how people call a transport.
func transportName(name string) string {
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

func mediumName(m janus.Media) string {
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
