package cdr

import (
	"januscdr/janus"
)

// What the first jsep of a PeerConnection was.
const (
	offerByClient int8 = 1 + iota
	offerByJanus
	offerMissed // it was an answer: the offer was not seen
)

// opens makes a PEER_CONNECTION leg where the event is the first sign of one: jsep, ICE `gathering`, webrtcup or media.
// A jsep while there is one is a renegotiation.
func (f *eventFold) opens() {
	switch b := f.e.Body.(type) {
	case *janus.JSEP, *janus.PeerConnectionUp, *janus.MediaState, *janus.MediaReport, *janus.SlowLink:
	case *janus.ICEState:
		if b.State != "gathering" {
			return
		}
	default:
		return
	}
	l := f.h.current(PeerConnection, f.e.Time)
	_, up := f.e.Body.(*janus.PeerConnectionUp)
	switch {
	case up && l != nil && !l.told && l.up != 0 && f.e.Time > l.up: // it comes once for each
		if f.begin(f.renew(l)) == nil {
			return
		}
	case l == nil:
		if l = f.open(f.h, PeerConnection, f.birthNow(f.h, PeerConnection)); l == nil {
			return
		}
		f.seatPeerConnection(l)
	case l.parts == 0 && f.e.Time < l.start && f.e.Time > f.h.lastEnd[PeerConnection] && !f.s.precedes(f.e.Time):
		f.startsAt(l, f.e.Time)
	}
	f.accompany()
}

// accompany makes the STREAM_VIEW or RECORDING beside the open PeerConnection, as soon as the plugin is known.
func (f *eventFold) accompany() {
	kind := companion(f.h.plugin)
	if kind == LegKindUnknown {
		return
	}
	pc := f.h.unended(PeerConnection)
	if pc == nil || f.h.next[kind] > pc.index || f.h.unended(kind) != nil {
		return
	}
	// What was told of the one before stays, should it have turned out only now that its PeerConnection was over.
	start := max(pc.start, f.h.lastEnd[kind])
	b := birth{rule: RuleLegOpenedBeside, index: pc.index, start: start, first: pc.first, offset: pc.firstOffset}
	if l := f.open(f.h, kind, b); l != nil {
		l.up, l.evidence, l.offer, l.offerTime, l.gathered, l.sign = pc.up, pc.evidence, pc.offer, pc.offerTime, pc.gathered, pc.sign
		l.role, l.room = pc.role, pc.room
	}
}

// companion is the kind of leg that stands beside each PeerConnection of a plugin.
func companion(plugin string) LegKind {
	switch plugin {
	case janus.PluginStreaming:
		return StreamView
	case janus.PluginRecordPlay:
		return Recording
	}
	return LegKindUnknown
}

// beside are the PeerConnection of the moment and what shares its life on this handle, appended to all.
func (f *eventFold) beside(all []*leg) (pc *leg, _ []*leg) {
	t := f.e.Time
	if pc = f.h.current(PeerConnection, t); pc == nil || f.h.old(pc, t) {
		return nil, nil
	}
	all = append(all, pc)
	if kind := companion(f.h.plugin); kind != LegKindUnknown {
		if l := f.h.current(kind, t); l != nil && l.index == pc.index {
			all = append(all, l)
		}
	}
	return pc, all
}

// peerConnection folds an event of Janus' core into the PeerConnection that it is about.
func (f *eventFold) peerConnection() {
	var few [few]*leg
	pc, all := f.beside(few[:0])
	if pc == nil {
		return
	}
	t := f.e.Time
	switch b := f.e.Body.(type) {
	case *janus.JSEP:
		for _, l := range all {
			l.offered(b, t)
		}
		if b.FromClient {
			f.s.sign = max(f.s.sign, t)
		}
	case *janus.ICEState:
		for _, l := range all {
			l.gathered = l.gathered || b.State == "gathering"
		}
	case *janus.DTLSState:
		if b.State == "connected" { // webrtcup is its next word, if that is not lost
			for _, l := range all {
				l.proved(t)
			}
		}
	case *janus.SelectedPair:
		if t >= pc.pair {
			pc.pair = t
			pc.address = keep(b.Remote.Address, &pc.cut)
			pc.local, pc.remote = keep(b.Local.Type, &pc.cut), keep(b.Remote.Type, &pc.cut)
			pc.protocol = keep(b.Remote.Transport, &pc.cut)
		}
	case *janus.PeerConnectionUp:
		for _, l := range all {
			if l.up == 0 {
				l.up = t
				f.p.conclude(RuleAnsweredWebRTCUp, f.s, f.h, l, facts{at: t})
			}
		}
		f.signed(t)
	case *janus.PeerConnectionHangup:
		f.hangup(b, all)
	case *janus.MediaState:
		if b.Receiving {
			for _, l := range all {
				f.proof(l)
			}
		}
		pc.mediaState(b, t)
	case *janus.MediaReport:
		for i := range b.Streams {
			st := &b.Streams[i]
			if st.PacketsReceived > 0 || st.PacketsSent > 0 {
				for _, l := range all {
					f.proof(l)
				}
			}
			pc.report(st, t)
		}
		f.cutsByVolume(pc)
		f.signed(pc.sign)
	case *janus.SlowLink:
		pc.slowLink(b)
	}
}

// offered notes the first jsep, by which Janus' plugins tell who called.
func (l *leg) offered(b *janus.JSEP, t janus.Micros) {
	if l.offer != 0 && t >= l.offerTime {
		return
	}
	l.offerTime = t
	switch {
	case !b.Offer:
		l.offer = offerMissed
	case b.FromClient:
		l.offer = offerByClient
	default:
		l.offer = offerByJanus
	}
}

// signed notes a sign of the client in all that is open on the handle: the call and the membership live no shorter than
// the PeerConnection that carries them.
func (f *eventFold) signed(t janus.Micros) {
	f.s.sign = max(f.s.sign, t)
	for _, l := range f.h.legs {
		if !l.told {
			l.sign = max(l.sign, t)
		}
	}
}

// proof notes an event that proves media. It answers the leg when webrtcup was lost.
func (f *eventFold) proof(l *leg) {
	if t := f.e.Time; l.proved(t) && l.up == 0 && l.accepted == 0 {
		f.p.conclude(RuleAnsweredByEvidence, f.s, f.h, l, facts{at: t})
	}
}

// proved keeps the earliest proof.
func (l *leg) proved(t janus.Micros) bool {
	first := l.evidence == 0 || t < l.evidence
	if first {
		l.evidence = t
	}
	return first
}

// hangup ends a PeerConnection and what cannot live without it.
func (f *eventFold) hangup(b *janus.PeerConnectionHangup, all []*leg) {
	t := f.e.Time
	if b.Reason == "Janus API" || b.Reason == "DTLS alert" {
		f.s.sign = max(f.s.sign, t)
	}
	for _, l := range all {
		f.tell(f.h, l, EndWebRTCHangup, t, b.Reason)
	}
	for _, l := range f.h.legs {
		switch {
		case l.told || t < l.start:
		case l.kind == SIPCall: // the plugin says BYE now, and its own `hangup` tells the end
			if l.hangTime == 0 {
				l.hangTime, l.hangWord = t, keep(b.Reason, &l.cut)
				f.p.conclude(RuleCallWaitsForSIP, f.s, f.h, l, facts{at: t, word: b.Reason, limit: f.p.terms(f.em, f.h.plugin).Grace})
				f.close(l)
			}
		case l.kind == RoomMembership && f.hangupLeaves():
			f.tell(f.h, l, EndWebRTCHangup, t, b.Reason)
		}
	}
}

// hangupLeaves tells whether the end of the PeerConnection ends the handle's memberships too.
func (f *eventFold) hangupLeaves() bool {
	return f.h.plugin == janus.PluginAudioBridge || f.h.plugin == janus.PluginTextRoom
}

// seatPeerConnection tells a new PeerConnection what the handle knows of the room, the call or the recording it is for.
func (f *eventFold) seatPeerConnection(pc *leg) {
	if m := f.h.firstMembership(); m != nil {
		pc.sitsIn(m)
	}
	if c := f.h.unended(SIPCall); c != nil && c.hangTime == 0 { // else it has had its own
		c.shareParties(pc)
	}
	if f.h.offered.Known() {
		pc.room, pc.role, f.h.offered = f.h.offered, Player, janus.ID{}
	}
}

// firstMembership is the membership that is open on the handle; of several the first.
func (h *handle) firstMembership() *leg {
	for _, m := range h.legs {
		if m.kind == RoomMembership && !m.told {
			return m
		}
	}
	return nil
}

func (l *leg) sitsIn(m *leg) {
	if !l.room.Known() && !l.user.Known() {
		l.room, l.user, l.display = m.room, m.user, m.display
	}
}
