package explain

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"januscdr/cdr"
)

// maxShown bounds what is shown of a text that a client chose, in letters.
const maxShown = 120

// clean is a text from an event or a record as it may be shown: no letter that steers a terminal or turns the direction
// of writing, no password of a SIP URI, and not without end.
func clean(s string) string {
	if len(s) > 16*maxShown {
		s = s[:16*maxShown]
	}
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
	s = masked(s)
	if letters := []rune(s); len(letters) > maxShown {
		return string(letters[:maxShown]) + "…"
	}
	return s
}

var (
	// password is what stands between user and host of a SIP URI.
	password = regexp.MustCompile(`(?i)(\b(?:sips?|tel):[^\s:@<>]*):[^\s@<>]*@`)
	// headers are what a URI asks to be put into the request; they may be credentials.
	headers = regexp.MustCompile(`(?i)(\bsips?:[^\s?<>]*)\?[^\s<>]*`)
)

// masked is a text without the secrets that a URI may hold.
func masked(s string) string {
	if !strings.Contains(strings.ToLower(s), "sip") && !strings.Contains(strings.ToLower(s), "tel:") {
		return s
	}
	return headers.ReplaceAllString(password.ReplaceAllString(s, "$1:…@"), "$1?…")
}

// safe is a record as it may be shown. What the program itself writes (ids, the topic) stays as it is; a test holds
// the list to the fields of the record.
func safe(r *cdr.Record) cdr.Record {
	c := *r
	for _, s := range []*string{
		&c.Emitter, &c.Plugin, &c.OpaqueID, &c.CallingParty, &c.CalledParty, &c.DisplayName, &c.RoomID,
		&c.ParticipantID, &c.SIPCallID, &c.SIPReason, &c.Transport, &c.RemoteAddress, &c.LocalCandType,
		&c.RemoteCandType, &c.ICEProtocol, &c.Diagnostics, &c.EmitterVersion, &c.PeerParty, &c.ReleaseCauseText,
		&c.ReferredBy, &c.ReplacesCallID, &c.MasterAccount,
	} {
		*s = clean(*s)
	}
	c.Feeds = slices.Clone(r.Feeds)
	for i := range c.Feeds {
		c.Feeds[i] = clean(c.Feeds[i])
	}
	c.Streams = slices.Clone(r.Streams)
	for i := range c.Streams {
		c.Streams[i].Mid, c.Streams[i].Codec = clean(c.Streams[i].Mid), clean(c.Streams[i].Codec)
	}
	return c
}
