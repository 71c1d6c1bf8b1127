package cdr

import "januscdr/janus"

// videoCall folds an event of a VideoCall handle. The two sides are legs of their own: no event names the other one.
// `accepted` is no answer, webrtcup is.
func (f *eventFold) videoCall(b *janus.PluginEvent) {
	switch b.Name {
	case "registered":
		if b.Username != "" {
			f.h.account = keep(b.Username, &f.s.truncated)
		}
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
