package cdr

import (
	"slices"

	"januscdr/janus"
)

// plugin folds an event that a plugin told of its own handle. Echo test, NoSIP and VoiceMail tell nothing that their
// PeerConnection does not; of a plugin that is not known here, its PeerConnections are.
func (f *eventFold) plugin(b *janus.PluginEvent) {
	switch f.h.plugin {
	case janus.PluginVideoRoom:
		f.videoRoom(b)
	case janus.PluginAudioBridge:
		f.audioBridge(b)
	case janus.PluginTextRoom:
		f.textRoom(b)
	case janus.PluginStreaming:
		f.streaming(b)
	case janus.PluginVideoCall:
		f.videoCall(b)
	case janus.PluginSIP:
		f.sip(b)
	case janus.PluginRecordPlay:
		f.recordPlay(b)
	}
}

// role is what the client was in a leg, and the direction of its call.
func (h *handle) role(l *leg) (Role, Direction) {
	if l.kind == RoomMembership {
		return Member, DirectionUnknown
	}
	switch h.plugin {
	case janus.PluginEchoTest, janus.PluginNoSIP, janus.PluginVoiceMail:
		return Peer, DirectionUnknown
	case janus.PluginAudioBridge, janus.PluginTextRoom:
		return Member, DirectionUnknown
	case janus.PluginVideoRoom:
		//mutant:videoroom-offer
		switch l.offer {
		case offerByClient:
			return Publisher, DirectionUnknown
		case offerByJanus:
			return Subscriber, DirectionUnknown
		}
	case janus.PluginStreaming:
		return Viewer, DirectionUnknown
	case janus.PluginRecordPlay:
		switch {
		case l.role != RoleUnknown:
			return l.role, DirectionUnknown
		case l.offer == offerByClient:
			return Recorder, DirectionUnknown
		case l.offer == offerByJanus:
			return Player, DirectionUnknown
		}
	case janus.PluginVideoCall:
		//mutant:videocall-offer
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
// so that no minute counts twice. A PeerConnection that was up on a SIP handle whose call nobody told of is charged in its
// place: somebody pays.
func (h *handle) chargeable(l *leg, t *Terms) bool {
	kinds := h.charged(t)
	if slices.Contains(kinds, l.kind) {
		return true
	}
	if l.kind != PeerConnection || h.plugin != janus.PluginSIP || !slices.Contains(kinds, SIPCall) {
		return false
	}
	answer, _ := l.answer()
	//mutant:somebody-pays
	return l.pays || answer != 0 && l.mate == LegKindUnknown
}

// companion is the leg of the same call that is charged in place of one that is not; LegKindUnknown when there is none.
func (h *handle) companion(l *leg, t *Terms) (LegKind, int32) {
	kinds := h.charged(t)
	of := func(kind LegKind, index int32) bool { return index >= 0 && slices.Contains(kinds, kind) }
	if h.chargeable(l, t) {
		return LegKindUnknown, 0
	}
	if l.kind != PeerConnection {
		index := l.mateIndex
		if l.kind == SIPCall {
			index = l.partner - 1
		} else if l.mate != PeerConnection {
			index = -1
		}
		if of(PeerConnection, index) {
			return PeerConnection, index
		}
		return LegKindUnknown, 0
	}
	beside := companionKind(h.plugin)
	switch {
	case l.mate == SIPCall && of(SIPCall, l.mateIndex):
		return SIPCall, l.mateIndex
	case beside != LegKindUnknown && h.next[beside] > l.index && of(beside, l.index):
		return beside, l.index
	case of(RoomMembership, l.partner-1):
		return RoomMembership, l.partner - 1
	}
	return LegKindUnknown, 0
}

// charged are the kinds that are charged on the handle, by policy or by default.
func (h *handle) charged(t *Terms) []LegKind {
	if t.Chargeable != nil {
		return t.Chargeable
	}
	//mutant:sip-charges-the-call
	return chargedByDefault[h.plugin == janus.PluginSIP]
}

// chargedByDefault are the kinds that are charged where no policy says otherwise, on a SIP handle and on others.
var chargedByDefault = map[bool][]LegKind{true: {SIPCall}, false: {PeerConnection}}
