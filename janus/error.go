package janus

import (
	"fmt"
	"strconv"
)

// Error says why a body or an event cannot be taken: it is not JSON, or its envelope breaks what every release of Janus
// keeps. An event with an Error is to be put aside; sending it again would not help.
type Error struct {
	Field  string // the field of the envelope, or the element of the body ("[3]"), that is at fault; "" for the whole
	Reason string // one line; never longer than a few dozen characters of what came
	Offset int    // bytes from the start of what was given to Parse or Split
}

// Error is one line: field, reason, place.
func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("janus event: %s (at byte %d)", e.Reason, e.Offset)
	}
	return fmt.Sprintf("janus event: %s: %s (at byte %d)", e.Field, e.Reason, e.Offset)
}

// quoted shows a few bytes of foreign text safely: escaped, on one line, cut.
func quoted(b []byte) string {
	const most = 24
	if len(b) > most {
		return strconv.Quote(string(b[:most])) + "..."
	}
	return strconv.Quote(string(b))
}
