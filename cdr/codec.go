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
type codec struct {
	buf     []byte
	reading bool
	err     error
	tag     uint64       // reading: of the field whose value comes next, or noTag
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
	if len(c.buf) > 0 && c.buf[0] < 0x80 && c.buf[0] != 0 {
		c.tag, c.buf = uint64(c.buf[0]), c.buf[1:]
		return
	}
	if len(c.buf) == 0 {
		c.tag = noTag
		return
	}
	t, n := binary.Uvarint(c.buf)
	if n <= 0 || t == 0 || t == noTag {
		c.broken()
		return
	}
	c.tag, c.buf = t, c.buf[n:]
}

// broken ends the reading.
func (c *codec) broken() {
	c.err, c.buf, c.tag = errBroken, nil, noTag
}

// varint reads a number.
func (c *codec) varint() int64 {
	if len(c.buf) > 0 && c.buf[0] < 0x80 {
		x := c.buf[0]
		c.buf = c.buf[1:]
		return int64(x>>1) ^ -int64(x&1)
	}
	x, n := binary.Varint(c.buf)
	if n <= 0 {
		c.broken()
		return 0
	}
	c.buf = c.buf[n:]
	return x
}

// more is how many more elements of a list follow the one that is read next.
func (c *codec) more(tag uint64) (n int) {
	rest := c.buf
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
	n, k := binary.Uvarint(c.buf)
	if k <= 0 || n > uint64(len(c.buf)-k) {
		c.broken()
		return nil
	}
	b := c.buf[k : k+int(n)]
	c.buf = c.buf[k+int(n):]
	return b
}

// num is a field of a number or an enum.
func num[T ~int | ~int32 | ~int64 | ~uint8 | ~uint64](c *codec, tag int, v *T) {
	t := uint64(tag) << 1
	if !c.reading {
		if *v != 0 {
			c.buf = binary.AppendVarint(binary.AppendUvarint(c.buf, t), int64(*v))
		}
		return
	}
	if c.next(t) {
		*v = T(c.varint())
		c.readTag()
	}
}

// when is a field of a time by an emitter's clock. Those of a state lie close together, so differences are short.
func when(c *codec, tag int, v *janus.Micros) {
	t := uint64(tag) << 1
	if !c.reading {
		if *v != 0 {
			c.buf = binary.AppendVarint(binary.AppendUvarint(c.buf, t), int64(*v-c.base))
		}
		return
	}
	if c.next(t) {
		*v = c.base + janus.Micros(c.varint())
		c.readTag()
	}
}

// flag is a field of a truth value.
func flag(c *codec, tag int, v *bool) {
	var n uint8
	if *v {
		n = 1
	}
	num(c, tag, &n)
	*v = n == 1
}

// text is a field of a string.
func text(c *codec, tag int, v *string) {
	t := uint64(tag)<<1 | 1
	if !c.reading {
		if *v != "" {
			c.buf = binary.AppendUvarint(binary.AppendUvarint(c.buf, t), uint64(len(*v)))
			c.buf = append(c.buf, *v...)
		}
		return
	}
	if c.next(t) {
		*v = c.used.text(c.bytes())
		c.readTag()
	}
}

// nested is the value of a field of a struct, and when writing its tag too.
func nested(c *codec, tag int, fields func(*codec)) {
	t := uint64(tag)<<1 | 1
	if !c.reading {
		c.buf = append(binary.AppendUvarint(c.buf, t), 0)
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
	inner := c.bytes()
	rest := c.buf
	c.buf = inner
	c.readTag()
	fields(c)
	if c.err == nil {
		c.buf = rest
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
	c := codec{buf: dst, version: v}
	num(&c, 1, &v)
	fields(&c)
	return c.buf
}

// encodeState appends the state of a session or a handle, whose moments lie around base.
func encodeState(dst []byte, base janus.Micros, fields func(*codec)) []byte {
	c := codec{buf: dst, version: momentsVersion, base: base}
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
	c := codec{buf: b, reading: true, used: used}
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
