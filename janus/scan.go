package janus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"
	"unsafe"
)

// scanner reads one JSON text from the front to the back, once, and checks all of its syntax on the way, also of what
// is skipped. It takes what encoding/json takes, but strings must be valid UTF-8 (unless lax), and containers may be
// nested as deep as there are bytes: nobody who reads events needs to know what is in there.
//
// Nothing here recurses over the input and nothing allocates, except for a string with escapes that is asked for and
// for what is deeper than anybody nests. Errors stick: the first one stays, and everything after it reads as the end of
// the input, so that loops end by themselves and only the caller at the top has to look at err.
type scanner struct {
	b     []byte
	i     int
	depth int    // containers that are open
	lax   bool   // do not look into strings for valid UTF-8
	field string // what to blame, for errors; never aliases the input
	reuse bool   // strings with escapes are written into texts
	texts []byte // those of the event at hand
	err   *Error

	// stack has one bit per open container: 1 for an object, 0 for an array. It is a part of the scanner, and not a slice,
	// because it would then escape to the heap. What is deeper stands in deep.
	stack [usualDepth / 64]uint64
	deep  []uint64
}

// usualDepth is how deep containers are nested without memory of their own. Janus needs six levels.
const usualDepth = 512

// fail keeps the first error and ends the input.
func (s *scanner) fail(at int, reason string) {
	if s.err == nil {
		s.err = &Error{Field: s.field, Reason: reason, Offset: at}
	}
	s.b, s.i = nil, 0
}

// unexpected fails at the next byte, which is not what the grammar wants.
func (s *scanner) unexpected(want string) {
	if s.i >= len(s.b) {
		s.fail(len(s.b), "not JSON: ends where "+want+" is due")
		return
	}
	s.fail(s.i, "not JSON: "+quoted(s.b[s.i:s.i+1])+" where "+want+" is due")
}

// space steps over white space.
func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\n', '\r', '\t':
			s.i++
		default:
			return
		}
	}
}

// peek steps over white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	// Compact JSON has no white space: look once before looping.
	if s.i < len(s.b) && s.b[s.i] > ' ' {
		return s.b[s.i]
	}
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// open enters a container; the caller has seen its bracket.
func (s *scanner) open(object bool) {
	word, bit := s.bits(s.depth)
	if object {
		*word |= bit
	} else {
		*word &^= bit
	}
	s.depth++
	s.i++
}

// bits is where it stands what a container is.
func (s *scanner) bits(depth int) (word *uint64, bit uint64) {
	if i := depth >> 6; i < len(s.stack) {
		word = &s.stack[i]
	} else {
		word = s.deepBits(i - len(s.stack))
	}
	return word, uint64(1) << (depth & 63)
}

func (s *scanner) deepBits(i int) *uint64 {
	for i >= len(s.deep) {
		s.deep = append(s.deep, 0)
	}
	return &s.deep[i]
}

// inObject tells whether the innermost open container is an object.
func (s *scanner) inObject() bool {
	word, bit := s.bits(s.depth - 1)
	return *word&bit != 0
}

// first enters an object and returns its first key; false when there is none. The caller has peeked '{'. It reads the
// value next, and goes on with next:
//
//	for key, ok := s.first(); ok; key, ok = s.next() {
func (s *scanner) first() (key string, ok bool) {
	s.open(true)
	if s.peek() == '}' {
		s.i++
		s.depth--
		return "", false
	}
	return s.key()
}

// next returns the next key of an object; false when the object has ended.
func (s *scanner) next() (key string, ok bool) {
	// Compact JSON has nothing between comma, key and colon.
	if b, i := s.b, s.i; len(b)-i > 1 && b[i] == ',' && b[i+1] == '"' {
		s.i++
		inside, escaped := s.stringEnd()
		if i := s.i; !escaped && i < len(s.b) && s.b[i] == ':' {
			s.i++
			return alias(inside), true
		}
		return s.colon(inside, escaped)
	}
	switch s.peek() {
	case ',':
		s.i++
		return s.key()
	case '}':
		s.i++
		s.depth--
	default:
		s.unexpected("a comma or the end of the object")
	}
	return "", false
}

// follows steps over a key, with the comma before it and the colon behind it, if that stands there to the letter.
func (s *scanner) follows(key string) bool {
	if b := s.b[s.i:]; len(b) < len(key) || string(b[:len(key)]) != key {
		return false
	}
	s.i += len(key)
	return true
}

// key reads a key and its colon.
func (s *scanner) key() (string, bool) {
	if s.peek() != '"' {
		s.unexpected("a key")
		return "", false
	}
	inside, escaped := s.stringEnd()
	return s.colon(inside, escaped)
}

// colon reads what follows the inside of a key, and returns the key.
func (s *scanner) colon(inside []byte, escaped bool) (string, bool) {
	if s.peek() != ':' {
		s.unexpected("a colon")
		return "", false
	}
	s.i++
	if escaped {
		inside = s.unescape(inside)
	}
	return alias(inside), true
}

// firstElement enters an array and tells whether it has an element; the caller has peeked '['.
//
//	for ok := s.firstElement(); ok; ok = s.nextElement() {
func (s *scanner) firstElement() bool {
	s.open(false)
	if s.peek() == ']' {
		s.i++
		s.depth--
		return false
	}
	return true
}

// nextElement tells whether the array has another element.
func (s *scanner) nextElement() bool {
	switch s.peek() {
	case ',':
		s.i++
		return true
	case ']':
		s.i++
		s.depth--
	default:
		s.unexpected("a comma or the end of the array")
	}
	return false
}

// skip checks and steps over one value, however deep.
func (s *scanner) skip() {
	bottom := s.depth
	for {
		// A value is due.
		switch c := s.peek(); c {
		case '"':
			s.stringEnd()
		case '{':
			s.open(true)
			if s.peek() != '}' {
				s.skipKey()
				continue
			}
			s.i++
			s.depth--
		case '[':
			s.open(false)
			if s.peek() != ']' {
				continue
			}
			s.i++
			s.depth--
		case 't':
			s.literal("true")
		case 'f':
			s.literal("false")
		case 'n':
			s.literal("null")
		default:
			if c != '-' && (c < '0' || c > '9') {
				s.unexpected("a value")
				return
			}
			s.number()
		}
		// A value has ended: go on in its container, or leave containers with it.
		for {
			if s.depth <= bottom || s.err != nil {
				return
			}
			c := s.peek()
			object := s.inObject()
			if c == ',' {
				s.i++
				if object {
					s.skipKey()
				}
				break
			}
			switch {
			case object && c == '}', !object && c == ']':
				s.i++
				s.depth--
			case object:
				s.unexpected("a comma or the end of the object")
				return
			default:
				s.unexpected("a comma or the end of the array")
				return
			}
		}
	}
}

// skipKey checks and steps over a key and its colon.
func (s *scanner) skipKey() {
	if s.peek() != '"' {
		s.unexpected("a key")
		return
	}
	s.stringEnd()
	if s.peek() != ':' {
		s.unexpected("a colon")
		return
	}
	s.i++
}

// literal steps over true, false or null.
func (s *scanner) literal(word string) {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		s.unexpected(word)
		return
	}
	s.i += len(word)
}

// number is a JSON number as far as integers go.
type number struct {
	abs     uint64 // magnitude, when exact
	minus   bool
	integer bool // it has neither fraction nor exponent
	exact   bool // it is an integer and abs holds it
}

// int64 returns the number if it is an integer and fits.
func (n number) int64() (int64, bool) {
	switch {
	case !n.exact:
		return 0, false
	case !n.minus && n.abs <= math.MaxInt64:
		return int64(n.abs), true
	case n.minus && n.abs <= 1<<63:
		return -int64(n.abs), true // -(-1<<63) is itself
	}
	return 0, false
}

// number reads a number; the caller has seen its first byte, a digit or a minus.
func (s *scanner) number() number {
	b, i := s.b, s.i
	var n number
	if i < len(b) && b[i] == '-' {
		n.minus = true
		i++
	}
	start := i
	var u uint64 // wraps beyond 20 digits, which is told from the count
	for i < len(b) && b[i]-'0' <= 9 {
		u = u*10 + uint64(b[i]-'0')
		i++
	}
	digits := i - start
	s.i = i
	if digits == 0 {
		s.unexpected("a digit")
		return number{}
	}
	if digits > 1 && b[start] == '0' {
		s.fail(start, "not JSON: a number with a leading zero")
		return number{}
	}
	n.integer = true
	if i < len(b) && b[i] == '.' {
		n.integer = false
		if !s.digitsAfter(1) {
			return number{}
		}
	}
	if s.i < len(b) && b[s.i]|0x20 == 'e' {
		n.integer = false
		step := 1
		if s.i+1 < len(b) && (b[s.i+1] == '+' || b[s.i+1] == '-') {
			step = 2
		}
		if !s.digitsAfter(step) {
			return number{}
		}
	}
	// 19 digits always fit; 20 do if they begin with 1 and did not wrap.
	n.exact = n.integer && (digits < 20 || digits == 20 && b[start] == '1' && u >= 1e19)
	if n.exact {
		n.abs = u
	}
	return n
}

// digitsAfter steps over some bytes and then at least one digit.
func (s *scanner) digitsAfter(step int) bool {
	s.i += step
	start := s.i
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		s.i++
	}
	if s.i == start {
		s.unexpected("a digit")
		return false
	}
	return true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// stringEnd checks and steps over a string and returns what is between its quotes, and whether that has escapes. The
// caller has seen the opening quote.
func (s *scanner) stringEnd() (inside []byte, escaped bool) {
	b, i := s.b, s.i+1
	start := i
	for {
		// Eight bytes at a time while none of them is a quote, a backslash, a control character or beyond ASCII.
		// A byte that is one of these borrows its high bit, which nothing else below 0x80 has. A borrow can only
		// spoil bytes above a true hit, so the lowest hit is always true.
		for len(b)-i >= 8 {
			w := binary.LittleEndian.Uint64(b[i:])
			hits := ((w ^ ones*'"' - ones) | (w ^ ones*'\\' - ones) | (w - ones*' ') | w) & highs
			if hits != 0 {
				i += bits.TrailingZeros64(hits) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			s.fail(len(s.b), "not JSON: ends inside a string")
			return nil, false
		}
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return b[start:i], escaped
		case c == '\\':
			escaped = true
			step := escapeLen(b[i:])
			if step == 0 {
				s.fail(i, "not JSON: unknown escape in a string: "+quoted(b[i:min(len(b), i+6)]))
				return nil, false
			}
			i += step
		case c < 0x20:
			s.fail(i, fmt.Sprintf("not JSON: control character 0x%02x in a string", c))
			return nil, false
		case c < utf8.RuneSelf || s.lax:
			i++
		default:
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 {
				s.fail(i, fmt.Sprintf("not JSON: invalid UTF-8 (0x%02x) in a string", c))
				return nil, false
			}
			i += size
		}
	}
}

// escapeLen is the length of the escape that b begins with, 0 when it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) >= 6 && hex4(b[2:6]) >= 0 {
			return 6
		}
	}
	return 0
}

// hex4 reads four hexadecimal digits, -1 when they are not.
func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return r
}

// quoted reads a string; the caller has seen the opening quote. The result aliases the input, unless it has escapes.
func (s *scanner) quoted() string {
	inside, escaped := s.stringEnd()
	if escaped {
		inside = s.unescape(inside)
	}
	return alias(inside)
}

// alias is b as a string without a copy. It holds as long as nobody changes b, which is what Parse asks of its caller.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// unescape returns a checked string without its escapes, in memory of its own or of the scanner.
func (s *scanner) unescape(b []byte) []byte {
	if !s.reuse {
		return unescape(make([]byte, 0, len(b)), b)
	}
	if cap(s.texts)-len(s.texts) < len(b) { // what was handed out before stays in the old memory
		s.texts = make([]byte, 0, max(2*cap(s.texts), 2*len(b), 4<<10))
	}
	from := len(s.texts)
	s.texts = unescape(s.texts, b)
	return s.texts[from:len(s.texts):len(s.texts)]
}

// maxTexts is how much memory for strings with escapes a scanner keeps from event to event.
const maxTexts = 256 << 10

// unescape appends a checked string without its escapes; it is never longer. Halves of surrogate pairs become U+FFFD,
// as encoding/json does.
func unescape(out, b []byte) []byte {
	for len(b) > 0 {
		plain := bytes.IndexByte(b, '\\')
		if plain < 0 {
			return append(out, b...)
		}
		out = append(out, b[:plain]...)
		b = b[plain:]
		switch c := b[1]; c {
		case 'u':
			r := hex4(b[2:6])
			b = b[6:]
			if r >= 0xD800 && r < 0xE000 {
				low := rune(-1)
				if r < 0xDC00 && len(b) >= 6 && b[0] == '\\' && b[1] == 'u' {
					low = hex4(b[2:6])
				}
				if low >= 0xDC00 && low < 0xE000 {
					r = (r-0xD800)<<10 | (low - 0xDC00) + 0x10000
					b = b[6:]
				} else {
					r = utf8.RuneError
				}
			}
			out = utf8.AppendRune(out, r)
			continue
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		default: // itself
			out = append(out, c)
		}
		b = b[2:]
	}
	return out
}

// The readers below take one value whatever it is, and return zero when it is of another JSON type than they are for.

// text reads a string.
func (s *scanner) text() string {
	if s.peek() == '"' {
		return s.quoted()
	}
	s.skip()
	return ""
}

// numeric reads a number; anything else is the zero number, which is not exact.
func (s *scanner) numeric() number {
	if c := s.peek(); c == '-' || c-'0' <= 9 {
		return s.number()
	}
	s.skip()
	return number{}
}

// integer reads an integer.
func (s *scanner) integer() int64 {
	if v, ok := s.counter(); ok {
		return v
	}
	v, _ := s.numeric().int64()
	return v
}

// counter reads what most numbers are, up to 18 digits and nothing else; it reads nothing when that is not so.
func (s *scanner) counter() (v int64, ok bool) {
	b, start := s.b, s.i
	i := start
	for i < len(b) && b[i]-'0' <= 9 {
		v = v*10 + int64(b[i]-'0')
		i++
	}
	// What ends a number in an object is a comma or a bracket. Anything else is for number to judge.
	if n := i - start; n == 0 || n > 18 || n > 1 && b[start] == '0' || i == len(b) || b[i] != ',' && b[i] != '}' {
		return 0, false
	}
	s.i = i
	return v, true
}

// small reads an integer of an int's range.
func (s *scanner) small() int {
	v := s.integer()
	if int64(int(v)) != v {
		return 0
	}
	return int(v)
}

// gauge reads an integer that may be lacking.
func (s *scanner) gauge() Gauge {
	v, ok := s.counter()
	if !ok {
		v, ok = s.numeric().int64()
	}
	return Gauge{Value: v, Known: ok}
}

// unsigned reads an integer from 0 to 2^64-1.
func (s *scanner) unsigned() uint64 {
	if n := s.numeric(); n.exact && (!n.minus || n.abs == 0) {
		return n.abs
	}
	return 0
}

// boolean reads true or false; known is false for anything else.
func (s *scanner) boolean() (value, known bool) {
	c := s.peek()
	s.skip()
	return c == 't', c == 't' || c == 'f'
}

// id reads an id: a string, or an integer from 0 to 2^64-1, of which the digits are kept.
func (s *scanner) id() ID {
	if s.peek() == '"' {
		return ID{Text: s.quoted(), Quoted: true}
	}
	b, start := s.b, s.i
	if n := s.numeric(); n.exact && !n.minus && s.err == nil {
		return ID{Text: alias(b[start:s.i])}
	}
	return ID{}
}
