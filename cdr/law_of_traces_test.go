package cdr_test

import (
	"cmp"
	"slices"

	"januscdr/cdr"
	"januscdr/janus"
)

// What is left of a call when events are lost: whether anything shows it, that it was answered, and that it is not one with the
// call behind it.

// traceOfCall tells whether an event is one that shows a call: what carries nothing of one (`attached`, `registered`, …)
// cannot be charged.
func traceOfCall(e *heard) bool {
	switch e.Type {
	case janus.TypeJSEP, janus.TypeWebRTC, janus.TypeMedia:
		return true
	case janus.TypePlugin:
		b, ok := e.Body.(*janus.PluginEvent)
		return ok && !slices.Contains(noTrace, b.Name)
	}
	return false
}

// sets tells whether anything is left of the setup of a PeerConnection.
func (t tape) sets(up *cdr.Record) bool {
	return slices.ContainsFunc(t, func(e heard) bool {
		return !e.lost && e.Session.String() == up.SessionID && e.Handle.String() == up.HandleID && e.Time >= up.StartTime && e.Time <= up.EndTime &&
			(e.Type == janus.TypeJSEP || e.Type == janus.TypeWebRTC)
	})
}

// moreThan tells whether anything else is left of the session within five seconds before an event: what is torn down so soon
// behind the end of a session whose id comes again is taken to be of that.
func (t tape) moreThan(e *heard) bool {
	return slices.ContainsFunc(t, func(o heard) bool {
		return !o.lost && o.number != e.number && o.Emitter == e.Emitter && o.Session == e.Session && o.Time <= e.Time && o.Time > e.Time-5*second
	})
}

// endsOthers tells whether an event tells the ends of legs of other sessions: of all who are in a room, or of one who is thrown out.
func endsOthers(e *heard) bool {
	b, ok := e.Body.(*janus.PluginEvent)
	return ok && slices.Contains([]string{"destroyed", "kicked", "kicked_all"}, b.Name)
}

var noTrace = []string{"registered", "registering", "unregistered", "sip-in", "sip-out", "configured"}

// swallows tells whether nobody can know that what is left of a leg and of the one behind it, or before it, are two.
func (t tape) swallows(of *cdr.Record, truth []cdr.Record) bool {
	var before, next *cdr.Record
	for i := range truth {
		switch r := &truth[i]; {
		case r.RecordType != cdr.Leg || placeOf(r) != placeOf(of):
		case r.StartTime >= of.EndTime && (next == nil || r.StartTime < next.StartTime):
			next = r
		case r.EndTime <= of.StartTime && (before == nil || r.EndTime > before.EndTime):
			before = r
		}
	}
	return next != nil && t.alike(of, next) || before != nil && t.alike(before, of)
}

// alike tells whether two legs of a handle cannot be told apart: the end of the one and the opening of the other are lost, and of
// nothing by which two are told apart is some left of both (webrtcup, the client's SDP, counters that fall).
func (t tape) alike(a, b *cdr.Record) bool {
	marks := func(of *cdr.Record) (up, sdp bool, first, last int64) {
		for i := range t {
			e := &t[i]
			if e.lost || e.Session.String() != of.SessionID || e.Handle.String() != of.HandleID || e.Emitter != of.Emitter ||
				e.Time < of.StartTime || e.Time > of.EndTime {
				continue
			}
			switch b := e.Body.(type) {
			case *janus.MediaReport:
				for _, s := range b.Streams {
					if last = s.BytesReceived + s.BytesSent; first == 0 {
						first = last
					}
				}
			case *janus.PeerConnectionUp:
				up = true
			case *janus.DTLSState:
				up = up || b.State == "connected"
			case *janus.JSEP:
				sdp = sdp || b.FromClient
			}
		}
		return up, sdp, first, last
	}
	up1, sdp1, _, last := marks(a)
	up2, sdp2, first, _ := marks(b)
	lost := slices.ContainsFunc(t, func(e heard) bool {
		return e.lost && e.Handle.String() == a.HandleID && e.Time >= a.EndTime-second && e.Time <= cmp.Or(b.AnswerTime, b.EndTime)
	})
	return lost && !(up1 && up2) && !(sdp1 && sdp2) && (last == 0 || first == 0 || first >= last)
}

// answers tells whether anything is left of a leg that shows that it was answered.
func (t tape) answers(of *cdr.Record) bool {
	ended := slices.ContainsFunc(t, func(e heard) bool {
		_, hangup := e.Body.(*janus.PeerConnectionHangup)
		return hangup && !e.lost && e.Session.String() == of.SessionID && e.Handle.String() == of.HandleID && e.Time == of.EndTime
	})
	return slices.ContainsFunc(t, func(e heard) bool {
		if e.lost || e.Session.String() != of.SessionID || e.Handle.String() != of.HandleID || e.Time < of.StartTime || e.Time > of.EndTime {
			return false
		}
		switch b := e.Body.(type) {
		case *janus.JSEP:
			return false
		case *janus.ICEState, *janus.DTLSState, *janus.SelectedPair, *janus.LocalCandidate, *janus.RemoteCandidate:
			if d, ok := e.Body.(*janus.DTLSState); ok && d.State == "connected" {
				return true
			}
			ice, ok := e.Body.(*janus.ICEState)
			gathers := ok && ice.State == "gathering"
			return ended && !gathers && of.EndTime-e.Time > 10*second // an attempt that fails has them, too, but not so long before its end
		case *janus.PeerConnectionHangup:
			return b.Reason == "DTLS alert" && t.moreThan(&e) // all else ends an attempt, too
		case *janus.MediaReport:
			return slices.ContainsFunc(b.Streams, func(s janus.StreamStats) bool { return s.BytesReceived+s.BytesSent > 0 })
		case *janus.PluginEvent:
			switch b.Plugin {
			case janus.PluginSIP:
				return b.Name == "accepted" || b.Name == "hangup"
			case janus.PluginStreaming: // told when it is up
				return b.Name == "started"
			case janus.PluginTextRoom: // and over it, if there is one
				return b.Name == "join" && t.sets(of)
			}
			return false
		}
		return traceOfCall(&e)
	})
}
