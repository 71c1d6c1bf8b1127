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
		//mutant:videocall-busy
		case "User busy":
			return Busy
		case "Explicit hangup":
			//mutant:videocall-cancelled
			if caller {
				return Cancelled
			}
			return Rejected
		case "Remote hangup":
			//mutant:videocall-rejected
			if caller {
				return Rejected
			}
			return Missed
		}
	}
	//mutant:never-connected
	return NeverConnected
}

func (l *leg) sipDisposition() Disposition {
	switch {
	//mutant:missed-call
	case l.missed:
		return Missed
	//mutant:declined
	case l.declined:
		return Rejected
	}
	switch l.code {
	//mutant:code-busy
	case 486, 600:
		return Busy
	//mutant:code-rejected
	case 603:
		return Rejected
	//mutant:code-no-answer
	case 408, 480:
		return NoAnswer
	case 487:
		//mutant:cancelled
		if l.direction == Originating || l.elsewhere { // another phone of this user has taken it
			return Cancelled
		}
		//mutant:code-missed
		return Missed
	}
	//mutant:code-failed
	return Failed
}
