package cdr

import (
	"slices"

	"januscdr/janus"
)

// The package names of Janus' own plugins.
const (
	pluginEchoTest    = "janus.plugin.echotest"
	pluginVideoRoom   = "janus.plugin.videoroom"
	pluginAudioBridge = "janus.plugin.audiobridge"
	pluginTextRoom    = "janus.plugin.textroom"
	pluginStreaming   = "janus.plugin.streaming"
	pluginVideoCall   = "janus.plugin.videocall"
	pluginSIP         = "janus.plugin.sip"
	pluginNoSIP       = "janus.plugin.nosip"
	pluginRecordPlay  = "janus.plugin.recordplay"
	pluginVoiceMail   = "janus.plugin.voicemail"
)

// plugin folds an event that a plugin told of its own handle. Echo test, NoSIP and VoiceMail tell nothing that their
// PeerConnection does not; of a plugin that is not known here, its PeerConnections are.
func (f *eventFold) plugin(b *janus.PluginEvent) {
	f.accompany()
	switch f.h.plugin {
	case pluginVideoRoom:
		f.videoRoom(b)
	case pluginAudioBridge:
		f.audioBridge(b)
	case pluginTextRoom:
		f.textRoom(b)
	case pluginStreaming:
		f.streaming(b)
	case pluginVideoCall:
		f.videoCall(b)
	case pluginSIP:
		f.sip(b)
	case pluginRecordPlay:
		f.recordPlay(b)
	}
}

// role is what the client was in a leg, and the direction of its call.
func (h *handle) role(l *leg) (Role, Direction) {
	if l.kind == RoomMembership {
		return Member, DirectionUnknown
	}
	switch h.plugin {
	case pluginEchoTest, pluginNoSIP, pluginVoiceMail:
		return Peer, DirectionUnknown
	case pluginAudioBridge, pluginTextRoom:
		return Member, DirectionUnknown
	case pluginVideoRoom:
		switch l.offer {
		case offerByClient:
			return Publisher, DirectionUnknown
		case offerByJanus:
			return Subscriber, DirectionUnknown
		}
	case pluginStreaming:
		return Viewer, DirectionUnknown
	case pluginRecordPlay:
		switch {
		case l.role != RoleUnknown:
			return l.role, DirectionUnknown
		case l.offer == offerByClient:
			return Recorder, DirectionUnknown
		case l.offer == offerByJanus:
			return Player, DirectionUnknown
		}
	case pluginVideoCall:
		switch l.offer {
		case offerByClient:
			return Caller, Originating
		case offerByJanus:
			return Callee, Terminating
		}
	}
	return l.role, l.direction
}

// chargeable tells whether a leg is charged: by policy, else on a SIP handle the call and elsewhere the PeerConnection,
// so that no minute counts twice.
func (h *handle) chargeable(kind LegKind, t *Terms) bool {
	if t.Chargeable != nil {
		return slices.Contains(t.Chargeable, kind)
	}
	if h.plugin == pluginSIP {
		return kind == SIPCall
	}
	return kind == PeerConnection
}
