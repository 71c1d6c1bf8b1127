package cdr

import (
	"strings"

	"januscdr/janus"
)

// Where the events that end a leg are lost, it looks open when the next one begins on its handle. What shows the next one
// for certain comes late: a second webrtcup (Janus tells it once per PeerConnection), a second `calling`. So a leg notes
// where it stood when something began that may have been new: then it ends there, and not in the middle of the next call.

// resumption is where a leg stood when an offer or an INVITE came.
type resumption struct {
	at     janus.Micros // timestamp of the offer, 0 for none
	last   janus.Micros // largest timestamp of the leg before it
	offset int64
	offer  int8 // what the offer was, 0 when it was none
}

func (r *resumption) fields(c *codec) {
	num(c, 1, &r.at)
	num(c, 2, &r.last)
	num(c, 3, &r.offset)
	offer := int32(r.offer)
	num(c, 4, &offer)
	r.offer = int8(offer)
}

// resumes notes an event that may begin something new, before it is folded into the leg. Media after it show that it was
// the leg's own beginning, or a renegotiation.
func (f *eventFold) resumes(l *leg) {
	offer := int8(0)
	switch b := f.e.Body.(type) {
	case *janus.JSEP:
		switch {
		case !b.Offer:
			return
		case b.FromClient:
			offer = offerByClient
		default:
			offer = offerByJanus
		}
	case *janus.PluginEvent:
		switch {
		case b.Name == "calling" || b.Name == "incomingcall":
		case b.CallID != "" && l.callID != "" && b.CallID != l.callID:
			if l.resumed.at != 0 {
				return // the offer was before
			}
		case (b.Name == "sip-in" || b.Name == "sip-out") && strings.HasPrefix(b.SIP, "INVITE "):
		default:
			return
		}
	case *janus.PeerConnectionUp, *janus.MediaReport, *janus.MediaState:
		l.resumed = resumption{}
		return
	case *janus.DTLSState:
		if b.State == "connected" && l.up == 0 && l.evidence == 0 {
			l.resumed = resumption{}
		}
		return
	default:
		return
	}
	if t := f.e.Time; t > l.last && (l.resumed.at == 0 || !together(t, l.resumed.at)) {
		l.resumed = resumption{at: t, last: l.last, offset: f.offset, offer: offer}
	} else if l.resumed.at != 0 && l.resumed.offer == 0 {
		l.resumed.offer = offer
	}
}

// renew ends the PeerConnection of the handle, and what shares its life, because the event at hand shows that another
// one took its place. It returns where that began.
func (f *eventFold) renew(old *leg) resumption {
	began := f.giveWay(old)
	if kind := companion(f.h.plugin); kind != LegKindUnknown {
		if l := f.h.unended(kind); l != nil && l.start < began.at {
			l.resumed = began
			f.giveWay(l)
		}
	}
	return began
}

// giveWay writes down a leg of which nothing was seen any more before another one began, and returns where that was.
func (f *eventFold) giveWay(old *leg) resumption {
	began := old.resumed
	if began.at == 0 {
		began = resumption{at: f.e.Time, last: old.last, offset: f.offset}
	}
	began.at = max(began.at, old.opening()) // what was told of the old one stays
	old.last = max(old.opening(), began.last)
	f.p.conclude(RuleSuperseded, f.s, f.h, old, facts{at: began.at})
	f.p.emitHandle(f.k, f.h, reason{cause: CauseInactivity, until: began.at}, func(l *leg) bool { return l == old })
	return began
}

// begin makes a new PeerConnection that began with an earlier event.
func (f *eventFold) begin(began resumption) *leg {
	b := f.birthNow(f.h, PeerConnection)
	b.start, b.first, b.offset = began.at, min(b.first, began.at), min(b.offset, began.offset)
	switch {
	case began.offer != 0:
		b.rule = RuleLegOpenedByOffer
	case began.at < f.e.Time:
		b.rule = RuleLegOpenedWithCall
	}
	l := f.open(f.h, PeerConnection, b)
	if l != nil {
		l.offer, l.offerTime = began.offer, began.at
		f.seatPeerConnection(l)
	}
	return l
}
