package cdr

import (
	"iter"
	"strconv"
	"strings"

	"januscdr/janus"
)

// Why a SIP call was released, by a Reason header (RFC 3326): of a BYE, a CANCEL or a final answer, or as Janus tells it with
// `hangup`. A header may have several reasons, and a message several headers; of each protocol the first counts.

// reason notes why the call was released, as a message says.
func (l *leg) reason850(message string) {
	for value := range sipHeaders(message, "Reason", "") {
		for one := range unquotedParts(value, ',') {
			var protocol, cause, text string
			for part := range unquotedParts(one, ';') {
				name, of, _ := strings.Cut(strings.TrimSpace(part), "=")
				switch {
				case protocol == "":
					protocol = name
				case strings.EqualFold(name, "cause"):
					cause = strings.TrimSpace(of)
				case strings.EqualFold(name, "text"):
					text = unquoted(strings.TrimSpace(of))
				}
			}
			l.releasedBy(protocol, cause, text)
		}
	}
}

// releasedBy notes one reason.
func (l *leg) releasedBy(protocol, cause, text string) {
	//mutant:completed-elsewhere
	l.elsewhere = l.elsewhere || strings.EqualFold(text, "Call completed elsewhere") || strings.EqualFold(protocol, "SIP") && cause == "200"
	n, err := strconv.ParseInt(cause, 10, 32)
	//mutant:released-by
	if err != nil || n < 1 || n > 127 || !strings.EqualFold(protocol, "Q.850") || l.release != 0 {
		return
	}
	l.release, l.releaseText = int32(n), keep(text, &l.truncated)
}

// finalAnswer tells whether a message is an answer that refuses or redirects.
func finalAnswer(message string) bool {
	return strings.HasPrefix(message, "SIP/2.0 ") && len(message) > 8 && message[8] >= '3' && message[8] <= '6'
}

// unquotedParts are the parts of a text between separators that stand in no quotes.
func unquotedParts(s string, separator byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		quoted, from := false, 0
		for i := range len(s) {
			switch {
			case s[i] == '"':
				quoted = !quoted
			case s[i] == separator && !quoted:
				if !yield(s[from:i]) {
					return
				}
				from = i + 1
			}
		}
		yield(s[from:])
	}
}

// invitation is what the INVITE of an incoming call said that no event of Janus says: it comes before `incomingcall`.
type invitation struct {
	id         uint64 // hash of the Call-ID, 0 for none
	referredBy string
	replaces   string
}

func (i *invitation) fields(c *codec) {
	num(c, 1, &i.id)
	text(c, 2, &i.referredBy)
	text(c, 3, &i.replaces)
}

// invited keeps what the INVITE of a call to come says.
func (f *eventFold) invited(b *janus.PluginEvent) {
	id := callIDHeader(b.SIP)
	by, replaces := sipHeader(b.SIP, "Referred-By", "b"), sipHeader(b.SIP, "Replaces", "")
	f.h.invitation = invitation{}
	if id != "" && (by != "" || replaces != "") {
		cut := &f.s.truncated
		f.h.invitation = invitation{id: hashOf(id), referredBy: keep(addressOf(by), cut), replaces: keep(callIDIn(replaces), cut)}
	}
}

// takeInvitation tells a call what its INVITE said.
func (l *leg) takeInvitation(h *handle) {
	//mutant:invitation-of-the-call
	if i := &h.invitation; i.id != 0 && l.callID != "" && i.id == hashOf(l.callID) {
		l.referredBy, l.replaces = i.referredBy, i.replaces
		*i = invitation{}
	}
}

// addressOf is the URI of a header that names somebody, without display name and parameters.
func addressOf(value string) string {
	if _, rest, ok := strings.Cut(value, "<"); ok {
		uri, _, _ := strings.Cut(rest, ">")
		return uri
	}
	uri, _, _ := strings.Cut(value, ";")
	return strings.TrimSpace(uri)
}

// callIDIn is the Call-ID in a Replaces header.
func callIDIn(value string) string {
	id, _, _ := strings.Cut(value, ";")
	return strings.TrimSpace(id)
}
