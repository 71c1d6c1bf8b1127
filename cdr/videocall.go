package cdr

import (
	"slices"

	"januscdr/janus"
)

// videoCall folds an event of a VideoCall handle. The two sides are legs of their own: no event names the other one, but where
// all events of the server are at hand, their order does (calls).
// `accepted` is no answer, webrtcup is.
func (f *eventFold) videoCall(b *janus.PluginEvent) {
	switch b.Name {
	case "registered":
		if b.Username != "" {
			f.h.account = keep(b.Username, &f.h.truncated)
		}
	case "calling":
		f.calls()
	case "accepted":
		if pc := f.h.current(PeerConnection, f.t); pc != nil && pc.up == 0 {
			f.p.conclude(RuleNotAnAnswer, f.s, f.h, pc, facts{at: f.t, word: b.Name})
		}
	case "hangup":
		pc := f.h.current(PeerConnection, f.t)
		//mutant:videocall-first-hangup
		if pc == nil || f.h.old(pc, f.t) || pc.hangTime != 0 && f.t >= pc.hangTime {
			return // more than one comes: the first one says what happened
		}
		pc.hangTime, pc.hangWord = f.t, keep(b.Reason, &pc.truncated)
		switch b.Reason {
		case "Explicit hangup":
			pc.by = ByLocal
		case "Remote hangup", "Remote WebRTC hangup", "User busy":
			pc.by = ByRemote
		}
	}
}

// ring is an offer that Janus made to who is called.
type ring struct {
	session janus.SessionID
	handle  janus.HandleID
	index   int32 // of the PeerConnection
	at      janus.Micros
}

func (r *ring) fields(c *codec) {
	num(c, 1, &r.session)
	num(c, 2, &r.handle)
	num(c, 3, &r.index)
	num(c, 4, &r.at)
}

const (
	ringSpan = 50 * millisecond // between the offer and `calling`, which one thread tells one right after the other
	maxRings = 4
)

// rings notes the offer to who is called.
func (f *eventFold) rings(pc *leg) {
	if em := f.em; f.p.source.Whole && pc.up == 0 && pc.offer == offerByJanus {
		em.ringing = slices.DeleteFunc(em.ringing, func(r ring) bool { return r.at < f.t-ringSpan })
		if len(em.ringing) < maxRings {
			em.ringing = append(em.ringing, ring{session: f.s.id, handle: f.h.id, index: pc.index, at: f.t})
		}
		f.p.index.change(em)
	}
}

// calls lets the two sides of a call name each other. Janus has one thread for VideoCall: it offers to who is called, and says
// `calling` of the caller right after that. So when there is one such offer since the last `calling`, it is this one's. Of two,
// something was lost, and nobody can say which.
func (f *eventFold) calls() {
	rings := slices.DeleteFunc(f.em.ringing, func(r ring) bool { return r.at < f.t-ringSpan })
	f.em.ringing = nil
	f.p.index.change(f.em)
	pc := f.h.openLeg(PeerConnection)
	//mutant:one-ring
	if len(rings) != 1 || pc == nil || pc.offer != offerByClient || pc.up != 0 || rings[0].at > f.t+ringSpan {
		return
	}
	k := f.p.index.sessions[sessionRef{f.em.number, rings[0].session}]
	if k == nil || k.stub || k.deleted || f.p.load(k) != nil {
		return
	}
	h := f.p.handle(k, rings[0].handle)
	if h == nil || h == f.h {
		return
	}
	for _, l := range h.legs {
		if l.kind == PeerConnection && l.index == rings[0].index && !l.ended && l.parts == 0 && pc.parts == 0 {
			f.p.touchHandle(k, h.id)
			l.peerParty, pc.peerParty = f.h.account, h.account
			if f.s.basis == Created && k.s.basis == Created { // else an id may still change
				l.peer = legID(sessionUID(f.s.emitter, f.s.id, f.s.incarnation), f.h.id, pc.kind, pc.index)
				pc.peer = legID(sessionUID(k.s.emitter, k.s.id, k.s.incarnation), h.id, l.kind, l.index)
			}
		}
	}
}
