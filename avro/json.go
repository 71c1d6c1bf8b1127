package avro

import (
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
