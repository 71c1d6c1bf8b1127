package avro

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// writer appends Avro's binary encoding. The first mistake stays in err, and what is written after it is meaningless.
type writer struct {
	b   []byte
	err error
}

// long writes an int or a long: Avro writes both as a zigzag varint.
func (w *writer) long(v int64) { w.b = binary.AppendVarint(w.b, v) }

func (w *writer) bool(v bool) {
	if v {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
}

func (w *writer) string(v string) {
	w.long(int64(len(v)))
	w.b = append(w.b, v...)
}

// reader takes Avro's binary encoding apart. The first complaint stays in err; what is read after it is zero.
type reader struct {
	b   []byte
	err error
}

var errCutOff = errors.New("the message is cut off")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) long() int64 {
	v, n := binary.Varint(r.b)
	switch {
	case n == 0:
		r.fail(errCutOff)
		return 0
	case n < 0:
		r.fail(errors.New("the number has more than 64 bits"))
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int32 {
	v := r.long()
	if v < math.MinInt32 || v > math.MaxInt32 {
		r.fail(fmt.Errorf("%d has more than 32 bits", v))
		return 0
	}
	return int32(v)
}

// bool reads a byte, the one thing that is not a varint.
func (r *reader) bool() bool {
	if len(r.b) == 0 {
		r.fail(errCutOff)
		return false
	}
	b := r.b[0]
	if b > 1 {
		r.fail(fmt.Errorf("a boolean is 0 or 1, not %d", b))
		return false
	}
	r.b = r.b[1:]
	return b == 1
}

// index reads a number below n: the branch of a union or the symbol of an enum.
func (r *reader) index(n int, what string) int {
	v := r.long()
	if v < 0 || v >= int64(n) {
		r.fail(fmt.Errorf("%d is no %s, of which there are %d", v, what, n))
		return 0
	}
	return int(v)
}

func (r *reader) bytes() []byte {
	n := r.long()
	switch {
	case n < 0:
		r.fail(fmt.Errorf("the length of a string is %d", n))
		return nil
	case n > int64(len(r.b)):
		r.fail(errCutOff)
		return nil
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}

// block reads how many items of an array follow; 0 is its end. A writer may put the size in bytes of the items behind
// a negative count.
func (r *reader) block() int64 {
	n := r.long()
	if n < 0 {
		n = -n
		r.long()
	}
	if n < 0 || n > int64(len(r.b)) { // each item of our arrays takes a byte at least
		r.fail(errCutOff)
		return 0
	}
	return n
}
