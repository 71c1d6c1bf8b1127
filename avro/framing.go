package avro

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"januscdr/cdr"
)

// Framing is what stands before a record in a message, by which a reader finds the schema.
type Framing uint8

// The framings. A topic has one of them.
const (
	Unframed     Framing = iota // none that we know
	SingleObject                // C3 01 and the fingerprint of the schema: Avro's own
	Registered                  // 00 and the id that a schema registry gave the schema, four bytes, big-endian
)

// String is the framing in words.
func (f Framing) String() string {
	return [...]string{"unknown framing", "single-object encoding", "framing of a schema registry"}[f]
}

// registeredSize is the size of the header of Registered.
const registeredSize = 5

// ErrUnnamed says that a message has the framing of a registry and nothing beside it tells the schema.
var ErrUnnamed = errors.New("framed for a schema registry, and no header names its schema")

// FramingOf tells what a message begins with.
func FramingOf(b []byte) Framing {
	switch {
	case len(b) >= headerSize && bytes.HasPrefix(b, marker[:]):
		return SingleObject
	case len(b) > registeredSize && b[0] == 0:
		return Registered
	}
	return Unframed
}

// Body is what stands behind the framing: the same bytes for the same record, however it is framed. Without a framing
// it is all of it.
func Body(b []byte) []byte {
	switch FramingOf(b) {
	case SingleObject:
		return b[headerSize:]
	case Registered:
		return b[registeredSize:]
	}
	return b
}

// EncodeRegistered returns what writes records as Encode does, framed for a schema registry that knows our schema by an
// id.
func EncodeRegistered(id int32) func(*cdr.Record) ([]byte, error) {
	var head [registeredSize]byte
	binary.BigEndian.PutUint32(head[1:], uint32(id))
	return func(r *cdr.Record) ([]byte, error) { return encode(head[:], r) }
}

// SchemaOf is the fingerprint of the schema that a message was written with, as 16 hexadecimal digits: its own, or what
// its header says. Empty when there is neither.
func SchemaOf(b, fingerprint []byte) string {
	switch FramingOf(b) {
	case SingleObject:
		return hex.EncodeToString(b[len(marker):headerSize])
	case Registered:
		return string(fingerprint[:min(len(fingerprint), 2*(headerSize-len(marker)))])
	}
	return ""
}

// DecodeMessage reads a message in either framing. fingerprint is the header of the message that names its schema, 16
// hexadecimal digits: with it nobody need ask the registry. A message in Avro's single-object encoding names its schema
// itself, and its header does not count. The errors are those of Decode, and ErrUnnamed.
func DecodeMessage(b, fingerprint []byte) (cdr.Record, error) {
	if FramingOf(b) != Registered {
		return Decode(b)
	}
	var named [len(header) - len(marker)]byte
	if n, err := hex.Decode(named[:], fingerprint[:min(len(fingerprint), 2*len(named))]); err != nil || n != len(named) {
		return cdr.Record{}, fmt.Errorf("decode record: %w", ErrUnnamed)
	}
	return decodeBody(b[registeredSize:], named[:])
}
