package avro

import (
	"fmt"

	"januscdr/cdr"
)

// What a record takes, to write most of them without growing the buffer.
const (
	usualSize       = 640
	usualStreamSize = 96
)

// Encode writes a record as a message in Avro's single-object encoding: C3 01, the fingerprint of the schema in eight
// bytes, the record. Equal records give equal bytes. Which values are written as null is told at cdr.Record; bytes that
// are not UTF-8 are replaced by U+FFFD.
//
// The error is that of a program whose words are beyond those of its schema: an enum holds a value that has no symbol.
func Encode(r *cdr.Record) ([]byte, error) { return encode(header[:], r) }

func encode(head []byte, r *cdr.Record) ([]byte, error) {
	w := writer{b: make([]byte, 0, usualSize+len(r.Streams)*usualStreamSize)}
	w.b = append(w.b, head...)
	callDetailRecord.write(&w, r)
	if w.err != nil {
		return nil, fmt.Errorf("encode record %v: %w", r.RecordID, w.err)
	}
	return w.b, nil
}
