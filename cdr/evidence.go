package cdr

import (
	"iter"
	"strings"

	"januscdr/janus"
)

// What an event proves of a leg: that it lives, that it has ended, or neither. An event of a handle that proves nothing
// of a leg does not move its last evidence: a phone that registers again does not prolong a call whose end was lost.

// evidence is what an event proves of a leg of one kind.
type evidence uint8

const (
	proofOfNothing evidence = iota
	proofOfLife             // it moves the leg's last evidence
	proofOfEnd              // it tells the leg's own end
)

// sign is the class of an event by what it can prove. The zero value proves nothing of anything: accounts, `attached`,
// `detached`, what plugins say of others.
type sign uint8

const (
	signNone     sign = iota
	signConnect       // ICE, DTLS, candidates, selected pair, webrtcup
	signSDP           // an offer or an answer: a renegotiation, or what opens the PeerConnection
	signMedia         // media state, slow link, report of statistics
	signHangup        // `hangup` of Janus' core
	signDialog        // a SIP event or message that names the call's Call-ID
	signBye           // BYE or CANCEL of it
	signCallOver      // SIP `hangup`, `declined`, `missed_call`
	signMember        // a plugin event of the participant: `configured`, `talking`, …
	signLeft          // `leaving`, `left`, `leave`, `kicked`, room `destroyed`
	signStream        // `started`, `pausing`, `switching`; `playing`, …
	signStopped       // `stopping`, `stopped`
	signs
)

// proofs is the table of what proves what, by the class of the event and the kind of the leg. What it says of a
// PeerConnection holds for the one that is carried on: a sign that may be of the next one is held back (succession.go).
var proofs = [signs][legKinds]evidence{
	signConnect:  {PeerConnection: proofOfLife, SIPCall: proofOfLife, RoomMembership: proofOfLife, StreamView: proofOfLife, Recording: proofOfLife},
	signSDP:      {PeerConnection: proofOfLife, SIPCall: proofOfLife, RoomMembership: proofOfLife, StreamView: proofOfLife, Recording: proofOfLife},
	signMedia:    {PeerConnection: proofOfLife, SIPCall: proofOfLife, RoomMembership: proofOfLife, StreamView: proofOfLife, Recording: proofOfLife},
	signHangup:   {PeerConnection: proofOfEnd, SIPCall: proofOfEnd, RoomMembership: proofOfLife, StreamView: proofOfEnd, Recording: proofOfEnd},
	signDialog:   {SIPCall: proofOfLife},
	signBye:      {SIPCall: proofOfEnd},
	signCallOver: {SIPCall: proofOfEnd},
	signMember:   {RoomMembership: proofOfLife},
	signLeft:     {RoomMembership: proofOfEnd},
	signStream:   {StreamView: proofOfLife, Recording: proofOfLife},
	signStopped:  {StreamView: proofOfEnd, Recording: proofOfEnd},
}

// Evidence is a row of the table of what proves what.
type Evidence struct {
	Events string    // what Janus or a plugin says
	Life   []LegKind // legs whose last evidence it moves
	End    []LegKind // legs whose own end it is
}

// signEvents are the events of each class, for people.
var signEvents = [signs]string{
	signNone:     "`attached`, `detached`, REGISTER, OPTIONS, NOTIFY, MESSAGE, accounts, what begins (`starting`, `recording`, `playout`), what plugins say of other handles and other calls",
	signConnect:  "ICE and DTLS states, candidates, selected pair, `webrtcup`",
	signSDP:      "an offer or an answer",
	signMedia:    "media state, slow link, report of statistics",
	signHangup:   "`hangup` of the PeerConnection",
	signDialog:   "a SIP event or message with the Call-ID of the call: `proceeding`, `progress`, `accepted`, `updating`, …",
	signBye:      "BYE or CANCEL of the call",
	signCallOver: "SIP `hangup`, `declined`, `missed_call`",
	signMember:   "an event of the participant: `configured`, `talking`, …",
	signLeft:     "`leaving`, `left`, `leave`, `kicked`, room `destroyed`",
	signStream:   "`started`, `pausing`, `switching`, `playing`, …",
	signStopped:  "`stopping`, `stopped`",
}

// EvidenceTable is what each class of events proves of the legs that it can be about. What proves neither is in its first row.
func EvidenceTable() []Evidence {
	rows := make([]Evidence, signs)
	for s := range rows {
		rows[s].Events = signEvents[s]
		for kind, proof := range proofs[s] {
			switch proof {
			case proofOfLife:
				rows[s].Life = append(rows[s].Life, LegKind(kind))
			case proofOfEnd:
				rows[s].End = append(rows[s].End, LegKind(kind))
			}
		}
	}
	return rows
}

// signOf is the class of an event of a handle with a plugin.
func signOf(plugin string, body janus.Body) sign {
	switch b := body.(type) {
	case *janus.ICEState, *janus.LocalCandidate, *janus.RemoteCandidate, *janus.SelectedPair, *janus.DTLSState, *janus.PeerConnectionUp:
		return signConnect
	case *janus.JSEP:
		return signSDP
	case *janus.MediaState, *janus.SlowLink, *janus.MediaReport:
		return signMedia
	case *janus.PeerConnectionHangup:
		return signHangup
	case *janus.PluginEvent:
		switch plugin {
		case janus.PluginSIP:
			return sipSign(b)
		case janus.PluginVideoRoom, janus.PluginAudioBridge, janus.PluginTextRoom:
			return roomSign(b)
		case janus.PluginStreaming, janus.PluginRecordPlay:
			switch b.Name {
			case "stopping", "stopped":
				return signStopped
			//mutant:begins-the-next-view
			case "recording", "playout", "starting":
				return signNone // it begins the next one
			}
			return signStream
		}
	}
	return signNone
}

func sipSign(b *janus.PluginEvent) sign {
	switch b.Name {
	case "hangup", "missed_call":
		return signCallOver
	case "declined":
		if b.CallID == "" && b.Callee == "" {
			return signNone // of a transfer
		}
		return signCallOver
	case "sip-in", "sip-out":
		switch method(b.SIP) {
		case "INVITE":
			if strings.HasPrefix(b.SIP, "INVITE ") {
				return signNone // it may be the next call's
			}
		case "BYE", "CANCEL":
			return signBye
		case "REGISTER", "OPTIONS", "NOTIFY", "SUBSCRIBE", "MESSAGE", "PUBLISH":
			return signNone
		}
		return signDialog
	case "updatingcall", "proceeding", "progress", "progressed", "accepted", "accepting", "updating",
		"hold", "resuming", "transfer":
		return signDialog
	}
	return signNone
}

func roomSign(b *janus.PluginEvent) sign {
	switch b.Name {
	case "leaving", "left", "leave", "kicked", "kicked_all", "destroyed":
		return signLeft
	case "joined", "join", "created", "edited", "subscribing", "subscribed", "unsubscribed", "":
		return signNone
	}
	return signMember
}

// method is the method of a SIP message: of a request its own, of an answer that of its CSeq.
func method(message string) string {
	if strings.HasPrefix(message, "SIP/2.0 ") {
		return sipCSeq(message)
	}
	m, _, _ := strings.Cut(message, " ")
	return m
}

// sipCSeq is the method that the CSeq header of a message names.
func sipCSeq(message string) string {
	_, m, _ := strings.Cut(sipHeader(message, "CSeq", ""), " ")
	return m
}

// sipHeader is the first value of a header of a SIP message, by its name or its compact form; "" when it has none.
func sipHeader(message, name, compact string) string {
	for value := range sipHeaders(message, name, compact) {
		return value
	}
	return ""
}

// sipHeaders are all values of a header, line by line.
func sipHeaders(message, name, compact string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := message; rest != ""; {
			var line string
			line, rest, _ = strings.Cut(rest, "\n")
			line = strings.TrimSuffix(line, "\r")
			if line == "" {
				return
			}
			h, value, ok := strings.Cut(line, ":")
			if h = strings.TrimSpace(h); ok && (strings.EqualFold(h, name) || compact != "" && strings.EqualFold(h, compact)) {
				if !yield(strings.TrimSpace(value)) {
					return
				}
			}
		}
	}
}

// lives notes that the event at hand is the latest evidence that a leg lives. Parts that end before it are complete.
func (f *eventFold) lives(l *leg) {
	f.cuts(f.h, l)
	if f.t >= l.life {
		l.life, l.lifeClock = f.t, f.p.pos.clock.now
	}
}

// carriedBy appends the legs of the handle that live as long as a PeerConnection does: it, its view or recording, the
// call that it carries and the memberships.
func (f *eventFold) carriedBy(pc *leg, legs []*leg) []*leg {
	legs = append(legs, pc)
	for _, l := range f.h.legs {
		switch {
		case l.ended || l == pc:
		case l.kind == SIPCall && l.hangTime == 0, l.kind == RoomMembership,
			l.kind == companionKind(f.h.plugin) && l.index == pc.index:
			legs = append(legs, l)
		}
	}
	return legs
}

// live notes that a PeerConnection lives, and what it carries.
func (f *eventFold) live(carried []*leg) {
	for _, l := range carried {
		if !l.ended {
			f.lives(l)
		}
	}
}

// liveOwn notes what a plugin event says of the legs of its own handle.
func (f *eventFold) liveOwn(s sign, b *janus.PluginEvent) {
	pc := f.h.openLeg(PeerConnection)
	for _, l := range f.h.legs {
		//mutant:proves-life
		if l.ended || proofs[s][l.kind] != proofOfLife {
			continue
		}
		switch l.kind {
		case SIPCall:
			//mutant:word-of-this-call
			if id := callIDOf(b); id == "" || l.callID == "" || id != l.callID {
				continue
			}
		case RoomMembership:
			if b.Room.Known() && b.Room != l.room || b.ID.Known() && l.user.Known() && b.ID != l.user {
				continue
			}
		case PeerConnection:
			continue
		case StreamView, Recording:
			if pc != nil && pc.next != nil {
				continue // it may be of the next one
			}
		}
		f.lives(l)
	}
}

// callIDOf is the Call-ID that a SIP event names, by itself or in the message that it tells.
func callIDOf(b *janus.PluginEvent) string {
	if b.CallID != "" || b.SIP == "" {
		return b.CallID
	}
	return callIDHeader(b.SIP)
}

// callIDHeader is the Call-ID of a SIP message, as it is kept.
func callIDHeader(message string) string {
	id := sipHeader(message, "Call-ID", "i")
	shorten(&id, maxText)
	return id
}
