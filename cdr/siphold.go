package cdr

import (
	"strings"

	"januscdr/janus"
)

// Hold of a SIP call: who asks for it sends another INVITE, or an UPDATE, by whose SDP it only sends, or nothing flows; who
// resumes sends one by which it receives again. The raw messages show it, where Janus sends them. An answer that refuses takes
// it back.

// hold is what is known of the hold of a call.
type hold struct {
	by    uint8        // who holds: heldByUs, heldByPeer, both
	since janus.Micros // when the hold of the moment began
	sum   janus.Micros // of those before
	told  janus.Micros // by the partial records

	asked                bool // the last change may still be refused; this is what was before
	askedBy              uint8
	askedSince, askedSum janus.Micros
}

const (
	heldByUs uint8 = 1 << iota
	heldByPeer
)

func (h *hold) fields(c *codec) {
	num(c, 1, &h.by)
	num(c, 2, &h.since)
	num(c, 3, &h.sum)
	num(c, 4, &h.told)
	flag(c, 5, &h.asked)
	num(c, 6, &h.askedBy)
	num(c, 7, &h.askedSince)
	num(c, 8, &h.askedSum)
}

// message notes what a message of an answered call changes.
func (h *hold) message(b *janus.PluginEvent, t janus.Micros) {
	switch m := method(b.SIP); {
	case m != "INVITE" && m != "UPDATE":
	case strings.HasPrefix(b.SIP, "SIP/2.0 2"):
		h.asked = false
	case finalAnswer(b.SIP):
		//mutant:hold-refused
		if h.asked {
			h.by, h.since, h.sum, h.asked = h.askedBy, h.askedSince, h.askedSum, false
		}
	case strings.HasPrefix(b.SIP, "SIP/2.0 "):
	default:
		who := heldByPeer
		if b.Name == "sip-out" {
			who = heldByUs
		}
		on, ok := holds(b.SIP)
		if !ok || on == (h.by&who != 0) {
			return
		}
		h.asked, h.askedBy, h.askedSince, h.askedSum = true, h.by, h.since, h.sum
		if h.by == 0 {
			h.since = t
		}
		if h.by ^= who; h.by == 0 {
			//mutant:hold-that-ended
			h.sum += max(t-h.since, 0)
		}
	}
}

// until is for how long the call was on hold up to a moment.
func (h *hold) until(t janus.Micros) janus.Micros {
	if h.by != 0 {
		return h.sum + max(t-h.since, 0)
	}
	return h.sum
}

// span is how much of the hold is of a record that lasts for a duration and closes at a moment.
func (h *hold) span(r *Record) int64 {
	return max(min(int64(h.until(r.RecordClosureTime)-h.told), r.Duration), 0)
}

// holds tells whether the SDP of a message puts the other side on hold: of the media that are in use none is to be received.
// Not ok: it has no SDP.
func holds(message string) (on, ok bool) {
	at := strings.Index(message, "\r\n\r\n")
	if other := strings.Index(message, "\n\n"); at < 0 || other >= 0 && other < at {
		at = other
	}
	if at < 0 {
		return false, false
	}
	session, medium := "", ""
	used, muted := 0, 0
	counts, nowhere, nowhereAtAll := false, false, false
	end := func() {
		if counts {
			used++
			if d := medium; d == "sendonly" || d == "inactive" || d == "" && (session == "sendonly" || session == "inactive") || nowhere {
				muted++
			}
		}
	}
	for line := range strings.SplitSeq(message[at:], "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "m="):
			end()
			fields := strings.Fields(line[2:])
			counts, medium, nowhere, ok = len(fields) > 1 && fields[1] != "0", "", nowhereAtAll, true
		case line == "a=sendonly", line == "a=inactive", line == "a=sendrecv", line == "a=recvonly":
			if medium = line[2:]; !ok {
				session = medium
			}
		case strings.HasPrefix(line, "c="):
			if nowhere = strings.HasSuffix(line, " 0.0.0.0"); !ok {
				nowhereAtAll = nowhere
			}
		}
	}
	end()
	return used > 0 && muted == used, ok
}
