package cdr

import "januscdr/janus"

// disposition says what became of a leg.
func (h *handle) disposition(l *leg) Disposition {
	if at, _ := l.answer(); at != 0 {
		return Answered
	}
	switch {
	case l.kind == SIPCall:
		return l.sipDisposition()
	case l.kind == PeerConnection && h.plugin == janus.PluginVideoCall && l.hangWord != "":
		switch caller := l.offer == offerByClient; l.hangWord {
		case "User busy":
			return Busy
		case "Explicit hangup":
			if caller {
				return Cancelled
			}
			return Rejected
		case "Remote hangup":
			if caller {
				return Rejected
			}
			return Missed
		}
	}
	return NeverConnected
}

func (l *leg) sipDisposition() Disposition {
	switch {
	case l.missed:
		return Missed
	case l.declined:
		return Rejected
	}
	switch l.code {
	case 486, 600:
		return Busy
	case 603:
		return Rejected
	case 408, 480:
		return NoAnswer
	case 487:
		if l.direction == Originating {
			return Cancelled
		}
		return Missed
	}
	return Failed
}
