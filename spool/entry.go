package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Entry is a record that waits. Append does not keep its slices; those that Next returns are the caller's. Nil and
// empty are told apart.
type Entry struct {
	Key       []byte
	Value     []byte
	Headers   []Header
	Partition int32     // where it should go; -1: not said
	Arrived   time.Time // when it came, to the nanosecond; needed. Its age is told by it
}

// Header is a name with a value that goes along with a record.
type Header struct {
	Name  string
	Value []byte
}

// maxBody is the largest record that is taken, encoded; a message of Kafka is far smaller.
const maxBody = 16 << 20

var errBody = errors.New("not an entry")

// The body of a record: time of arrival in nanoseconds since 1970 (8 bytes), partition (4 bytes), number of headers,
// then name and value of each, key and value. Numbers are little endian or uvarints; bytes have their length plus one
// before them, 0 being nil.

func (e Entry) check() error {
	if e.Arrived.IsZero() {
		return fmt.Errorf("%w: no time of arrival", ErrInvalid)
	}
	size := len(e.Key) + len(e.Value)
	for _, h := range e.Headers {
		size += len(h.Name) + len(h.Value) + 2*binary.MaxVarintLen64
	}
	if size > maxBody-64 {
		return fmt.Errorf("%w: %d bytes, at most %d are taken", ErrTooLarge, size, maxBody)
	}
	return nil
}

func (e Entry) append(to []byte) []byte {
	to = binary.LittleEndian.AppendUint64(to, uint64(e.Arrived.UnixNano()))
	to = binary.LittleEndian.AppendUint32(to, uint32(e.Partition))
	to = binary.AppendUvarint(to, uint64(len(e.Headers)))
	for _, h := range e.Headers {
		to = binary.AppendUvarint(to, uint64(len(h.Name)))
		to = append(to, h.Name...)
		to = appendBytes(to, h.Value)
	}
	to = appendBytes(to, e.Key)
	return appendBytes(to, e.Value)
}

func appendBytes(to, b []byte) []byte {
	if b == nil {
		return binary.AppendUvarint(to, 0)
	}
	to = binary.AppendUvarint(to, uint64(len(b))+1)
	return append(to, b...)
}

// decodeEntry reads a body; the entry aliases it. It accepts exactly what append writes.
func decodeEntry(body []byte) (Entry, error) {
	d := decoder{rest: body}
	var e Entry
	e.Arrived = time.Unix(0, int64(binary.LittleEndian.Uint64(d.take(8))))
	e.Partition = int32(binary.LittleEndian.Uint32(d.take(4)))
	headers := d.uvarint()
	if headers > uint64(len(d.rest))/2 { // a header takes two bytes at least
		return Entry{}, errBody
	}
	if headers > 0 {
		e.Headers = make([]Header, headers)
	}
	for i := range e.Headers {
		e.Headers[i].Name = string(d.take(d.uvarint()))
		e.Headers[i].Value = d.bytes()
	}
	e.Key = d.bytes()
	e.Value = d.bytes()
	if d.failed || len(d.rest) > 0 {
		return Entry{}, errBody
	}
	return e, nil
}

type decoder struct {
	rest   []byte
	failed bool
}

var zeros [8]byte

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.failed, d.rest = true, nil
		return zeros[:min(n, 8)]
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.failed, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n == 0 {
		return nil
	}
	return d.take(n - 1)
}
