package avro

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-faster/jx"

	"januscdr/cdr"
)

// JSON appends a record to dst as one line of JSON, without the newline. The keys are the fields of the schema in its
// order, all of them. Values are plain: an enum is its symbol, a time is a number of microseconds, what is absent is
// null, an id is a string. Nothing is escaped that JSON does not ask for.
func JSON(dst []byte, r *cdr.Record) []byte {
	w := jx.Writer{Buf: dst}
	callDetailRecord.print(&w, r)
	return w.Buf
}

// ParseJSON reads what JSON wrote; the order of keys and the white space between them do not matter. A key that is
// unknown, comes twice or is missing is an error, except that a field which may be null may be missing. So the JSON of
// an older program can be read when the fields added since may be null.
func ParseJSON(b []byte) (cdr.Record, error) {
	var rec cdr.Record
	d := jx.DecodeBytes(b)
	if err := callDetailRecord.parse(d, &rec); err != nil {
		return cdr.Record{}, fmt.Errorf("parse record: %w", err)
	}
	if err := d.Skip(); !errors.Is(err, io.EOF) {
		return cdr.Record{}, errors.New("parse record: something follows it")
	}
	return rec, nil
}
