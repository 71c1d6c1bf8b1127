package janus

import (
	"bytes"
	"fmt"
)

// MaxBodyDepth is how deep the containers of a body may be nested for Split. It is larger than MaxDepth, so that one
// event that is too deep for Parse does not cost the other events of its body.
const MaxBodyDepth = 10_000

var byteOrderMark = []byte("\xef\xbb\xbf")

// Split cuts a body, as an event handler of Janus delivers it, into its raw events: the object that it is, or the
// elements of the array that it is. The events are those of the body byte for byte, without the white space around
// them, and alias it. An element that is no object is returned like any other: Parse says what is wrong with it, and the
// events beside it are not lost. An empty array has no events. A byte order mark before the body is ignored.
//
// The error is an *Error. It means that the body is no JSON array or object at all, or that it was cut off; then
// nothing of it can be told apart. Split takes what encoding/json takes, down to MaxBodyDepth.
func Split(body []byte) ([][]byte, error) {
	// White space instead of a shorter slice would keep the offsets, but the body is not ours to change.
	b := bytes.TrimPrefix(body, byteOrderMark)
	s := scanner{b: b, limit: MaxBodyDepth, lax: true}
	events, err := s.split()
	if err != nil {
		err.Offset += len(body) - len(b)
		return nil, err // not as an *Error: a nil one is not a nil error
	}
	return events, nil
}

func (s *scanner) split() ([][]byte, *Error) {
	b := s.b
	var events [][]byte
	switch c := s.peek(); {
	case s.i >= len(b):
		return nil, &Error{Reason: "the body is empty, want an event or an array of events", Offset: len(b)}
	case c == '{':
		start := s.i
		s.skip()
		if s.err == nil {
			events = [][]byte{b[start:s.i:s.i]}
		}
	case c == '[':
		// An event has some 400 bytes, and Janus groups up to 100 of them.
		events = make([][]byte, 0, min(len(b)/400+1, 128))
		for ok := s.firstElement(); ok; ok = s.nextElement() {
			s.peek()
			start := s.i
			s.skip()
			if s.err != nil {
				s.err.Field = fmt.Sprintf("[%d]", len(events))
				break
			}
			events = append(events, b[start:s.i:s.i])
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
	return events, s.err
}
