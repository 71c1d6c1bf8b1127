package janus

import (
	"bytes"
	"sort"
)

// Bounds of the search for the elements of a damaged array.
const (
	maxStarts = 1 << 16 // places at which an element may begin
	maxEffort = 16      // times the length of the array that is read, in all
)

// tolerant tells the elements of an array apart of which one is not JSON, or several. It knows them by the array's last
// bracket and by the places behind a comma at which an object begins. From each of them, from the back to the front, it
// knows how to read what follows: an element that is JSON; else one whose brackets and strings fit; else one that ends
// where another place is, namely the one from which most events can be read.
type tolerant struct {
	b      []byte // up to the last bracket of the array
	starts []int
	ends   []int  // of what stands before the commas before them
	steps  []step // what is read at each of them
	best   []int  // of each of them and of those behind it, the one to go on at after something broken
	last   int    // end of what stands before the last bracket
	effort int    // bytes that may still be read
	parser Parser
}

// step is an element in a reading. The value of what is read is twice the events in it, less one for each element that
// is broken.
type step struct {
	end, next int // where it ends, and where the next one begins: len(b) when there is none
	value     int // of it and of all after it
	sound     bool
	strict    bool // it is JSON
}

// recoverElements returns the elements of the array that a body is, from the one that begins at from. It is ok when at
// least one of them is JSON.
func recoverElements(body []byte, from int) (elements [][]byte, ok bool) {
	b := bytes.TrimRight(body, " \t\r\n")
	switch {
	case len(b) == 0 || b[len(b)-1] != ']' || from > len(b)-1:
		return nil, false
	case from == len(b)-1: // nothing behind the last comma
		return [][]byte{b[from:from:from]}, false
	}
	t := &tolerant{b: b[:len(b)-1], effort: maxEffort * len(b)}
	return t.elements(from)
}

// elements searches.
func (t *tolerant) elements(from int) (elements [][]byte, ok bool) {
	t.parser.ReuseText = true
	if !t.findStarts(from) {
		return nil, false
	}
	t.steps, t.best = make([]step, len(t.starts)), make([]int, len(t.starts))
	for i := len(t.starts) - 1; i >= 0; i-- {
		t.steps[i], t.best[i] = t.read(t.starts[i], i+1), i
		if j := i + 1; j < len(t.starts) && t.steps[t.best[j]].value > t.steps[i].value {
			t.best[i] = t.best[j]
		}
		if t.effort < 0 {
			return nil, false
		}
	}
	for at := from; at < len(t.b); {
		here := t.stepAt(at)
		ok = ok || here.strict
		elements = append(elements, t.b[at:here.end:here.end])
		at = here.next
	}
	return elements, ok && t.effort >= 0
}

// findStarts finds the places at which an object begins behind a comma; false when there are too many of them.
func (t *tolerant) findStarts(from int) bool {
	comma, end, solid := false, from, from // of what is solid so far, and before the last comma
	for i, c := range t.b[from:] {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '{':
			if comma {
				if len(t.starts) == maxStarts {
					return false
				}
				t.starts, t.ends = append(t.starts, from+i), append(t.ends, end)
			}
		case ',':
			end = solid
		}
		comma, solid = c == ',', from+i+1
	}
	t.last = solid
	return true
}

// stepAt is what is read at a place.
func (t *tolerant) stepAt(at int) step {
	i := sort.SearchInts(t.starts, at)
	if i < len(t.starts) && t.starts[i] == at {
		return t.steps[i]
	}
	return t.read(at, i)
}

// read decides what is read at a place; after is the first of the starts behind it.
func (t *tolerant) read(at, after int) step {
	if end, ok := t.strict(at); ok {
		if next, ok := t.follows(end); ok {
			here := step{end: end, next: next, sound: true, strict: true, value: t.valueAt(next)}
			if t.isEvent(t.b[at:end]) {
				here.value += 2
			}
			return here
		}
	}
	broken := t.broken(at, after)
	if end, doubtful, ok := t.lenient(at); ok {
		if next, ok := t.follows(end); ok && t.soundAt(next) {
			here := step{end: end, next: next, sound: true, value: t.valueAt(next) - 1}
			if !doubtful || here.value >= broken.value {
				return here
			}
		}
	}
	return broken
}

// broken is an element that ends where the best of the places behind it is; after is the first of those.
func (t *tolerant) broken(at, after int) step {
	if after == len(t.starts) {
		return step{end: t.last, next: len(t.b), value: -1}
	}
	best := t.best[after]
	return step{end: t.ends[best], next: t.starts[best], value: t.steps[best].value - 1}
}

// valueAt is the value of what is read from a place on.
func (t *tolerant) valueAt(at int) int {
	i := sort.SearchInts(t.starts, at)
	switch {
	case at == len(t.b):
		return 0
	case i < len(t.starts) && t.starts[i] == at:
		return t.steps[i].value
	case i < len(t.starts): // no object begins here
		return t.steps[t.best[i]].value - 1
	}
	return -1
}

// soundAt tells whether an element that is JSON, or nearly so, begins at a place, or nothing does.
func (t *tolerant) soundAt(at int) bool {
	i := sort.SearchInts(t.starts, at)
	return at == len(t.b) || i < len(t.starts) && t.starts[i] == at && t.steps[i].sound
}

// follows tells where the next element begins after the end of one; not ok when no comma and not the end comes.
func (t *tolerant) follows(end int) (next int, ok bool) {
	s := scanner{b: t.b, i: end}
	switch c := s.peek(); {
	case s.i == len(t.b):
		return s.i, true
	case c == ',':
		s.i++
		s.space()
		t.effort -= s.i - end
		return s.i, s.i < len(t.b)
	}
	t.effort -= s.i - end
	return 0, false
}

// strict is the end of an element that is JSON.
func (t *tolerant) strict(at int) (end int, ok bool) {
	s := scanner{b: t.b, i: at, lax: true}
	s.skip()
	if s.err != nil {
		t.effort -= s.err.Offset - at
		return 0, false
	}
	t.effort -= s.i - at
	return s.i, true
}

// lenient is the end of an element whose brackets and strings fit, whatever stands between them. It is doubtful when in
// one of its strings there is what could be an element: then the quotes of two broken ones may have been taken for a
// pair.
func (t *tolerant) lenient(at int) (end int, doubtful, ok bool) {
	s := scanner{b: t.b, i: at}
	defer func() { t.effort -= s.i - at }()
	for ; s.i < len(t.b); s.i++ {
		switch c := t.b[s.i]; c {
		case '"':
			quote := s.i
			if !s.closeQuote() {
				return 0, false, false
			}
			doubtful = doubtful || t.soundWithin(quote, s.i)
		case '\\':
			return 0, false, false
		case '{', '[':
			s.open(c == '{')
			s.i--
		case '}', ']':
			if s.depth == 0 || s.inObject() != (c == '}') {
				return 0, false, false
			}
			s.depth--
		case ',':
			if s.depth == 0 {
				return t.trimmed(at, s.i), doubtful, true
			}
		}
	}
	return t.trimmed(at, s.i), doubtful, s.depth == 0
}

// soundWithin tells whether between two places there is what could be an element.
func (t *tolerant) soundWithin(from, to int) bool {
	for i := sort.SearchInts(t.starts, from); i < len(t.starts) && t.starts[i] < to; i++ {
		if t.steps[i].sound {
			return true
		}
	}
	return false
}

// closeQuote goes from the quote that begins a string to the one that ends it, whatever stands between them.
func (s *scanner) closeQuote() bool {
	for s.i++; s.i < len(s.b) && s.b[s.i] != '"'; s.i++ {
		if s.b[s.i] == '\\' {
			s.i++
		}
	}
	return s.i < len(s.b)
}

func (t *tolerant) isEvent(element []byte) bool {
	t.effort -= len(element)
	_, err := t.parser.Parse(element)
	return err == nil
}

// trimmed is an end without white space before it.
func (t *tolerant) trimmed(at, end int) int {
	return at + len(bytes.TrimRight(t.b[at:end], " \t\r\n"))
}
