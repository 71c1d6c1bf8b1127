package avro

import (
	"slices"

	"github.com/go-faster/jx"

	"januscdr/cdr"
)

// Type is what the values of a field are.
type Type uint8

// The types of fields.
const (
	Boolean Type = iota + 1
	Int          // 32 bits
	Long         // 64 bits
	Moment       // microseconds since the epoch
	Text         // valid UTF-8; it may hold any character, U+0000 too
	ID           // 32 hexadecimal digits
	Symbol       // one of Field.Symbols
	List         // of Field.Item
	Group        // of Field.Fields
)

// Field is a field of the record as the table has it, for those who keep records in a form of their own: a database, a
// file with columns. It must not be changed.
type Field struct {
	Name     string // as in the schema; empty for the item of a list
	Type     Type
	Nullable bool
	Symbols  []string
	Item     *Field
	Fields   []Field
}

// Fields are all fields of a record, in the order of the schema. A later program has more of them, anywhere in between.
func Fields() []Field { return callDetailRecord.shape.Fields }

// Value is the value of a field. Which member holds it depends on the field's type.
type Value struct {
	Null  bool
	Int   int64   // Boolean: 0 or 1; Int, Long, Moment
	Text  string  // Text, ID, Symbol
	Items []Value // List: its items; Group: a value for each of its fields
}

// Values returns the values of a record, one for each of Fields. It uses the memory of dst, which may be nil, again.
func Values(dst []Value, r *cdr.Record) []Value {
	v := Value{Items: dst}
	callDetailRecord.value(&v, r)
	return v.Items
}

// Differing names the fields in which two records differ, in the order of the schema.
func Differing(a, b *cdr.Record) (names []string) {
	one, other := Values(nil, a), Values(nil, b)
	for i, f := range Fields() {
		if !same(one[i], other[i]) {
			names = append(names, f.Name)
		}
	}
	return names
}

func same(a, b Value) bool {
	return a.Null == b.Null && a.Int == b.Int && a.Text == b.Text && slices.EqualFunc(a.Items, b.Items, same)
}

// items makes a value with so many items, whose old values are still to be replaced.
func (v *Value) items(n int) {
	*v = Value{Items: slices.Grow(v.Items[:0], n)[:n]}
}

// AppendJSON appends a value of a field as it stands in the JSON of a record.
func AppendJSON(dst []byte, f *Field, v *Value) []byte {
	w := jx.Writer{Buf: dst}
	printValue(&w, f, v)
	return w.Buf
}

func printValue(w *jx.Writer, f *Field, v *Value) {
	if v.Null {
		w.Null()
		return
	}
	switch f.Type {
	case Boolean:
		w.Bool(v.Int != 0)
	case Int, Long, Moment:
		w.Int64(v.Int)
	case Text, ID, Symbol:
		w.Str(v.Text)
	case List:
		w.ArrStart()
		for i := range v.Items {
			if i > 0 {
				w.Comma()
			}
			printValue(w, f.Item, &v.Items[i])
		}
		w.ArrEnd()
	case Group:
		w.ObjStart()
		for i := range v.Items {
			if i > 0 {
				w.Comma()
			}
			w.FieldStart(f.Fields[i].Name)
			printValue(w, &f.Fields[i], &v.Items[i])
		}
		w.ObjEnd()
	}
}
