package cdr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"januscdr/janus"
)

// stateVersion is the version of what is kept in states and position. A program refuses another one.
//
//	1  a session with all its handles and legs is one state: it is read, and written in version 2
//	2  the session, each of its handles, and parts of the list of its closed legs
//	3  a position beyond which something was told, which a program of version 2 would tell again; nothing else has it
//	4  sessions and handles: moments are differences to one of them, which comes behind the version
const (
	stateVersion   = 2
	toldVersion    = 3
	momentsVersion = 4
	newestVersion  = momentsVersion
)

// ErrStateVersion is what an error of Open wraps when a state was written by a program of another version of states.
var ErrStateVersion = errors.New("state is of another version")

var errBroken = errors.New("state is cut off or damaged")

// codec writes a state or reads it: the same walk over the fields does both, so the two can't disagree. A field is a
// tag and a value; tags rise within a struct, zero values are left out, and what a reader does not know it skips. So
// fields can be added, and the order of Go's fields means nothing.
//
// A tag is number<<1, with the low bit set for a value of bytes (a length before it) and clear for a zigzag varint.
//
// Most fields of a state are zero: so what a walk calls for a field is small enough to be a part of it, and asks no more
// than whether there is something to do. While writing tag is beyond all tags.
type codec struct {
	buf     []byte
	at, end int // reading: where in buf, and where what is read ends
	reading bool
	err     error
	tag     uint64       // reading: of the field whose value comes next, or noTag; writing: noTag
	version int64        // of the state
	base    janus.Micros // what moments are written as differences to, 0 before momentsVersion
	used    *spare       // reading: what can be used again, nil for nothing
}

// noTag is behind the last field.
const noTag = ^uint64(0)

// next tells whether the next field is the one of a tag, whose value is to be read then. It skips lower ones.
func (c *codec) next(tag uint64) bool {
	return c.tag <= tag && (c.tag == tag || c.skipTo(tag))
}

func (c *codec) skipTo(tag uint64) bool {
	for c.tag < tag {
		if c.tag&1 == 1 {
			c.bytes()
		} else {
			c.varint()
		}
		c.readTag()
	}
	return c.tag == tag && tag != noTag
}

// readTag reads the tag of the next field, behind the value of the one before.
func (c *codec) readTag() {
	if c.at < c.end {
		if b := c.buf[c.at]; b < 0x80 && b != 0 {
			c.at++
			c.tag = uint64(b)
			return
		}
	}
	if c.at == c.end {
		c.tag = noTag
		return
	}
	if t, ok := c.uvarint(); ok && t != 0 && t != noTag {
		c.tag = t
		return
	}
	c.broken()
}

// broken ends the reading.
func (c *codec) broken() {
	c.err, c.at, c.end, c.tag = errBroken, 0, 0, noTag
}

// uvarint reads a number without a sign; not ok where there is none.
func (c *codec) uvarint() (x uint64, ok bool) {
	rest := c.buf[c.at:c.end]
	for i, b := range rest {
		if b < 0x80 {
			if i > 9 || i == 9 && b > 1 {
				return 0, false
			}
			c.at += i + 1
			return x | uint64(b)<<(7*i), true
		}
		x |= uint64(b&0x7f) << (7 * i)
	}
	return 0, false
}

// varint reads a number.
func (c *codec) varint() int64 {
	x, ok := c.uvarint()
	if !ok {
		c.broken()
		return 0
	}
	return int64(x>>1) ^ -int64(x&1)
}

// more is how many more elements of a list follow the one that is read next.
func (c *codec) more(tag uint64) (n int) {
	rest := c.buf[c.at:c.end]
	for {
		size, k := binary.Uvarint(rest)
		if k <= 0 || size >= uint64(len(rest)-k) {
			return n
		}
		rest = rest[k+int(size):]
		next, k := binary.Uvarint(rest)
		if k <= 0 || next != tag {
			return n
		}
		rest = rest[k:]
		n++
	}
}

// bytes reads a length and as many bytes.
func (c *codec) bytes() []byte {
	n, ok := c.uvarint()
	if !ok || n > uint64(c.end-c.at) {
		c.broken()
		return nil
	}
	b := c.buf[c.at : c.at+int(n)]
	c.at += int(n)
	return b
}

// put writes a number without a sign.
func (c *codec) put(x uint64) {
	for x >= 0x80 {
		c.buf = append(c.buf, byte(x)|0x80)
		x >>= 7
	}
	c.buf = append(c.buf, byte(x))
}

// putNumber writes a field of a number.
func (c *codec) putNumber(tag uint64, x int64) {
	c.put(tag)
	c.put(uint64(x)<<1 ^ uint64(x>>63))
}

// num is a field of a number or an enum.
func num[T ~int | ~int32 | ~int64 | ~uint8 | ~uint64](c *codec, tag int, v *T) {
	if c.tag <= uint64(tag)<<1 || *v != 0 {
		number(c, uint64(tag)<<1, v)
	}
}

// number writes a number that is not zero, or reads one if it comes next.
func number[T ~int | ~int32 | ~int64 | ~uint8 | ~uint64](c *codec, tag uint64, v *T) {
	if !c.reading {
		c.putNumber(tag, int64(*v))
	} else if c.next(tag) {
		*v = T(c.varint())
		c.readTag()
	}
}

// when is a field of a time by an emitter's clock. Those of a state lie close together, so differences are short.
func when(c *codec, tag int, v *janus.Micros) {
	if c.tag <= uint64(tag)<<1 || *v != 0 {
		instant(c, uint64(tag)<<1, v)
	}
}

// instant writes a moment that is not zero, or reads one if it comes next.
func instant(c *codec, tag uint64, v *janus.Micros) {
	if !c.reading {
		c.putNumber(tag, int64(*v-c.base))
	} else if c.next(tag) {
		*v = c.base + janus.Micros(c.varint())
		c.readTag()
	}
}

// flag is a field of a truth value.
func flag(c *codec, tag int, v *bool) {
	if c.tag <= uint64(tag)<<1 || *v {
		truth(c, uint64(tag)<<1, v)
	}
}

// truth writes that something is true, or reads whether it is if that comes next.
func truth(c *codec, tag uint64, v *bool) {
	if !c.reading {
		c.putNumber(tag, 1)
	} else if c.next(tag) {
		*v = uint8(c.varint()) == 1
		c.readTag()
	}
}

// text is a field of a string.
func text(c *codec, tag int, v *string) {
	if c.tag <= uint64(tag)<<1|1 || *v != "" {
		words(c, uint64(tag)<<1|1, v)
	}
}

// words writes a string that is not empty, or reads one if it comes next.
func words(c *codec, tag uint64, v *string) {
	if !c.reading {
		c.put(tag)
		c.put(uint64(len(*v)))
		c.buf = append(c.buf, *v...)
	} else if c.next(tag) {
		*v = c.used.text(c.bytes())
		c.readTag()
	}
}

// nested is the value of a field of a struct, and when writing its tag too.
func nested(c *codec, tag int, fields func(*codec)) {
	t := uint64(tag)<<1 | 1
	if !c.reading {
		c.put(t)
		c.buf = append(c.buf, 0)
		start := len(c.buf)
		fields(c)
		n := len(c.buf) - start
		if n < 0x80 {
			c.buf[start-1] = byte(n)
			return
		}
		var head [binary.MaxVarintLen64]byte // the length takes more than the byte that was left for it
		k := binary.PutUvarint(head[:], uint64(n))
		c.buf = append(c.buf, head[:k-1]...)
		copy(c.buf[start+k-1:], c.buf[start:start+n])
		copy(c.buf[start-1:], head[:k])
		return
	}
	n, ok := c.uvarint()
	if !ok || n > uint64(c.end-c.at) {
		c.broken()
		return
	}
	end := c.end
	c.end = c.at + int(n)
	inner := c.end
	c.readTag()
	fields(c)
	if c.err == nil {
		c.at, c.end = inner, end
		c.readTag()
	}
}

// list is a repeated field of structs.
func list[T any](c *codec, tag int, vs *[]T, fields func(*codec, *T)) {
	if !c.reading {
		for i := range *vs {
			nested(c, tag, func(c *codec) { fields(c, &(*vs)[i]) })
		}
		return
	}
	for t := uint64(tag)<<1 | 1; c.next(t); {
		if len(*vs) == cap(*vs) {
			*vs = slices.Grow(*vs, 1+c.more(t))
		}
		var zero T
		*vs = append(*vs, zero)
		nested(c, tag, func(c *codec) { fields(c, &(*vs)[len(*vs)-1]) })
	}
}

// one is a field of a struct that is always there.
func one(c *codec, tag int, fields func(*codec)) {
	if !c.reading || c.next(uint64(tag)<<1|1) {
		nested(c, tag, fields)
	}
}

// encode appends what fields writes, in a form that each program of version 2 or later reads.
func encode(dst []byte, fields func(*codec)) []byte {
	return encodeAs(stateVersion, dst, fields)
}

// encodeAs writes a version.
func encodeAs(v int64, dst []byte, fields func(*codec)) []byte {
	c := codec{buf: dst, version: v, tag: noTag}
	num(&c, 1, &v)
	fields(&c)
	return c.buf
}

// encodeState appends the state of a session or a handle, whose moments lie around base.
func encodeState(dst []byte, base janus.Micros, fields func(*codec)) []byte {
	c := codec{buf: dst, version: momentsVersion, base: base, tag: noTag}
	num(&c, 1, &c.version)
	c.buf = binary.AppendVarint(c.buf, int64(base))
	fields(&c)
	return c.buf
}

// change is the new value of a key: both in one piece of memory of their size. scratch is memory to write in, and is
// returned.
func change(scratch, key []byte, base janus.Micros, fields func(*codec)) (c Change, _ []byte) {
	scratch = encodeState(append(scratch[:0], key...), base, fields)
	b := bytes.Clone(scratch)
	n := len(key)
	return Change{Key: b[:n:n], Value: b[n:len(b):len(b)]}, scratch
}

// decode reads what encode wrote.
func decode(b []byte, fields func(*codec)) error { return decodeWith(nil, b, fields) }

// decodeWith reads what encode wrote, into memory that was used before where there is some.
func decodeWith(used *spare, b []byte, fields func(*codec)) error {
	c := codec{buf: b, end: len(b), reading: true, used: used}
	c.readTag()
	var v int64
	if c.next(1 << 1) {
		if v = c.varint(); v == momentsVersion {
			c.base = janus.Micros(c.varint())
		}
		c.readTag()
	}
	if c.err == nil && v < 1 {
		return fmt.Errorf("state has version %d, which no program writes: what kept it has torn it", v)
	}
	if c.version = v; c.err == nil && v > newestVersion {
		return fmt.Errorf("%w: it has %d, this program knows %d", ErrStateVersion, v, newestVersion)
	}
	fields(&c)
	c.next(noTag) // what is left must still be well-formed
	return c.err
}
