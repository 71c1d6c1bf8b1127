package janus

import (
	"bytes"
	"fmt"
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// Split cuts a body, as an event handler of Janus delivers it, into its raw events: the object that it is, or the
// elements of the array that it is. The events are those of the body byte for byte, without the white space around
// them, and alias it. An element that is no object is returned like any other: Parse says what is wrong with it, and
// the events beside it are not lost. An empty array has no events. A byte order mark before the body is ignored.
//
// An element of an array that is not JSON is returned, too, as it stands there, as long as brackets and strings tell
// where it ends: Parse refuses it.
//
// The error is an *Error. It means that the body is no JSON array or object at all, or that it was cut off; then
// nothing of it can be told apart. Split takes what encoding/json takes, however deep.
func Split(body []byte) ([][]byte, error) {
	// White space instead of a shorter slice would keep the offsets, but the body is not ours to change.
	b := bytes.TrimPrefix(body, byteOrderMark)
	s := scanner{b: b, lax: true}
	events, last, err := s.split()
	if err == nil {
		return events, nil
	}
	if last >= 0 {
		if rest, ok := recoverElements(b, last); ok || len(rest) > 0 && len(events) > 0 {
			return append(events, rest...), nil
		}
	}
	err.Offset += len(body) - len(b)
	return nil, err
}

// split returns the events of a body. After an error, they are those before the element of an array at which it was, or
// behind which it was, and last is where that begins; it is negative when there is no such element.
func (s *scanner) split() (events [][]byte, last int, err *Error) {
	b, last := s.b, -1
	switch c := s.peek(); {
	case s.i >= len(b):
		s.fail(len(b), "the body is empty, want an event or an array of events")
	case c == '{':
		start := s.i
		s.skip()
		if s.err == nil {
			events = [][]byte{b[start:s.i:s.i]}
		}
	case c == '[':
		// An event has some 400 bytes, and Janus groups up to 100 of them.
		events = make([][]byte, 0, min(len(b)/400+1, 128))
		ok := s.firstElement()
		last = s.i - 1 // of an empty array: there can be something behind its end
		for ; ok; ok = s.nextElement() {
			s.peek()
			last = s.i
			s.skip()
			if s.err != nil {
				s.err.Field = fmt.Sprintf("[%d]", len(events))
				return events, last, s.err
			}
			events = append(events, b[last:s.i:s.i])
		}
	default:
		at := s.i
		s.skip()
		if s.err == nil {
			s.fail(at, "the body is "+kindName(c)+", want an event or an array of events")
		}
	}
	if s.err == nil {
		if s.space(); s.i < len(b) {
			s.fail(s.i, "not JSON: "+quoted(b[s.i:])+" after the end of the body")
		}
	}
	if s.err != nil && len(events) > 0 {
		events = events[:len(events)-1]
	}
	return events, last, s.err
}
