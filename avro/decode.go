package avro

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"januscdr/cdr"
)

// The reasons why bytes are no message of ours, for callers who choose.
var (
	// ErrNotSingleObject says that the bytes do not begin as Avro's single-object encoding does.
	ErrNotSingleObject = errors.New("not in Avro's single-object encoding")
	// ErrOtherSchema says that the message was written with another schema, by an older or newer program.
	ErrOtherSchema = errors.New("written with another schema")
)

// Decode reads what Encode wrote. Any other bytes give an error and never a panic: ErrNotSingleObject when they are too
// short or begin otherwise, ErrOtherSchema when the fingerprint is not that of our schema, and else what is wrong with
// which field. What a record claims of its own size is not believed, so that broken bytes take no memory.
//
// Avro needs the schema of the writer to read. Ours and those of earlier releases are known here, those of later ones
// by Learn. What another program wrote reads as a record whose fields that it did not know are null, without those that
// we do not know, and with UNKNOWN for words that we do not know.
func Decode(b []byte) (cdr.Record, error) {
	if len(b) < headerSize {
		return cdr.Record{}, fmt.Errorf("decode record: %d bytes are too short, the header alone has %d: %w", len(b),
			headerSize, ErrNotSingleObject)
	}
	if !bytes.HasPrefix(b, marker[:]) {
		return cdr.Record{}, fmt.Errorf("decode record: it begins with %x instead of %x: %w", b[:len(marker)], marker,
			ErrNotSingleObject)
	}
	return decodeBody(b[headerSize:], b[len(marker):headerSize])
}

// decodeBody reads a record that was written with the schema of a fingerprint.
func decodeBody(body, theirs []byte) (cdr.Record, error) {
	if !bytes.Equal(theirs, header[len(marker):]) {
		o := other([8]byte(theirs))
		if o == nil {
			return cdr.Record{}, fmt.Errorf("decode record: %w: its fingerprint is %s, that of this program's schema is %s; "+
				"a newer program wrote it, whose \"cdr schema\" prints its schema: name a file of that in topics.schemas",
				ErrOtherSchema, hex.EncodeToString(theirs), Fingerprint())
		}
		var err error
		if body, err = o.read(body); err != nil {
			return cdr.Record{}, fmt.Errorf("decode record of another schema: %w", err)
		}
	}
	var rec cdr.Record
	r := reader{b: body}
	callDetailRecord.read(&r, &rec)
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes follow the record", len(r.b))
	}
	if r.err != nil {
		return cdr.Record{}, fmt.Errorf("decode record: %w", r.err)
	}
	return rec, nil
}
