package cdr

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"januscdr/janus"
)

// callDiary is a SIP or VideoCall call as its client knows it.
type callDiary struct {
	Kind      string
	Session   json.Number `json:"session_id"`
	Handle    json.Number `json:"handle_id"`
	CallID    string      `json:"call_id"`
	Direction string
	From, URI string
	Display   string       `json:"displayname"`
	Invite    janus.Micros `json:"invite_us"`
	Answered  janus.Micros `json:"answered_us"`
	Request   janus.Micros `json:"hangup_request_us"`
	Hangup    janus.Micros `json:"hangup_us"`
	Code      int32        `json:"sip_code"`
	Reason    string       `json:"sip_reason"`
	Declined  any          `json:"declined_with"` // SIP: the code
	Cancelled bool
	EndedBy   string `json:"ended_by"`

	Caller, Callee string
	CallerID       json.Number  `json:"caller_handle"`
	CalleeID       json.Number  `json:"callee_handle"`
	Call           janus.Micros `json:"call_us"`
	Accept         janus.Micros `json:"accept_us"`
	Refused        bool         `json:"declined"`
	GivenUp        janus.Micros `json:"given_up_us"`
	Busy           bool
}

func (a *audit) calls() {
	for i := range a.diary.Calls {
		switch c := &a.diary.Calls[i]; c.Kind {
		case "sip":
			a.sip(c)
		case "videocall":
			a.videoCall(c)
		}
	}
}

func (a *audit) sip(c *callDiary) {
	what := fmt.Sprintf("SIP call %s", c.CallID)
	found := slices.DeleteFunc(a.of(c.Session, c.Handle, SIPCall), func(r *Record) bool { return r.SIPCallID != c.CallID })
	if len(found) != 1 {
		a.Errorf("%s has %d legs", what, len(found))
		return
	}
	r := found[0]
	a.taken[r.CDRID] = true
	out := c.Direction == "outgoing"
	early := sameMoment
	if !out {
		early = 500 * millisecond // the client heard of it when it next asked
	}
	if r.StartTime < c.Invite-early || r.StartTime > c.Invite+sameMoment {
		a.Errorf("%s starts at %d, the client says %d", what, r.StartTime, c.Invite)
	}
	if (c.Answered == 0) != (r.AnswerTime == 0) || c.Answered != 0 && !near(r.AnswerTime, c.Answered) {
		a.Errorf("%s is answered at %d, the client says %d", what, r.AnswerTime, c.Answered)
	}
	from := c.Hangup
	if c.Request != 0 {
		from = min(from, c.Request)
	}
	if !within(r.EndTime, from, c.Hangup) {
		a.Errorf("%s ends at %d, the client says %d to %d", what, r.EndTime, from, c.Hangup)
	}
	if want := c.disposition(); r.Disposition != want {
		a.Errorf("%s: %v, not %v", what, r.Disposition, want)
	}
	if code, ok := c.Declined.(float64); ok && c.Code == 0 {
		c.Code = int32(code)
	}
	if c.Code != 0 && (r.SIPFinalCode != c.Code || c.Reason != "" && r.SIPReason != c.Reason || r.EndBasis != EndSIPHangup) {
		a.Errorf("%s ends with %d %q by %v, the client says %d %q", what, r.SIPFinalCode, r.SIPReason, r.EndBasis, c.Code, c.Reason)
	}
	if out {
		if r.Direction != Originating || r.Role != Caller || r.CalledParty != c.URI || r.CallingParty == "" {
			a.Errorf("%s: %v %v from %q to %q, the client called %q", what, r.Direction, r.Role, r.CallingParty, r.CalledParty, c.URI)
		}
	} else if r.Direction != Terminating || r.Role != Callee || r.CallingParty != c.From || r.CalledParty == "" || r.DisplayName != strings.Trim(c.Display, `"`) {
		a.Errorf("%s: %v %v from %q (%q) to %q, the client was called by %q (%q)", what, r.Direction, r.Role, r.CallingParty, r.DisplayName, r.CalledParty, c.From, c.Display)
	}
	if by := map[string]Initiator{"user": ByLocal, "peer": ByRemote}[c.EndedBy]; c.Answered != 0 && by != InitiatorUnknown && r.DisconnectInitiator != by {
		a.Errorf("%s was ended by the %s, and the record says %v", what, c.EndedBy, r.DisconnectInitiator)
	}
}

// disposition is what became of a SIP call by what its client says.
func (c *callDiary) disposition() Disposition {
	switch {
	case c.Answered != 0:
		return Answered
	case c.Declined != nil:
		return Rejected
	case c.Cancelled && c.Direction == "outgoing":
		return Cancelled
	case c.Cancelled:
		return Missed
	}
	switch c.Code {
	case 486, 600:
		return Busy
	case 603:
		return Rejected
	case 408, 480:
		return NoAnswer
	}
	return Failed
}

// videoCall looks at the PeerConnections of both sides, which peerConnections has matched already.
func (a *audit) videoCall(c *callDiary) {
	side := func(handle json.Number, own string, role Role, want Disposition) {
		for i := range a.records {
			r := &a.records[i]
			if r.HandleID != handle.String() || r.LegKind != PeerConnection || r.StartTime < c.Call-sameMoment || r.StartTime > c.Call+second {
				continue
			}
			party := r.CallingParty
			if role == Callee {
				party = r.CalledParty
			}
			if r.Role != role || party != own || r.Disposition != want {
				a.Errorf("video call of %s to %s: %s is %v %q, %v, not %v", c.Caller, c.Callee, own, r.Role, party, r.Disposition, want)
			}
			return
		}
		a.Errorf("video call of %s to %s: %s has no leg", c.Caller, c.Callee, own)
	}
	switch {
	case c.Accept != 0:
		side(c.CallerID, c.Caller, Caller, Answered)
		side(c.CalleeID, c.Callee, Callee, Answered)
	case c.Busy:
		side(c.CallerID, c.Caller, Caller, Busy)
	case c.Refused:
		side(c.CallerID, c.Caller, Caller, Rejected)
		side(c.CalleeID, c.Callee, Callee, Rejected)
	case c.GivenUp != 0:
		side(c.CallerID, c.Caller, Caller, Cancelled)
		side(c.CalleeID, c.Callee, Callee, Missed)
	}
}
