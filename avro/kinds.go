package avro

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/go-faster/jx"

	"januscdr/cdr"
	"januscdr/janus"
)

// kind is how a type of Go is written in both forms and read from Avro, and what it looks like to those who keep it in
// a form of their own. read finds v at its zero value.
type kind[T any] struct {
	write func(w *writer, v *T)    // to Avro
	read  func(r *reader, v *T)    // from Avro
	print func(w *jx.Writer, v *T) // to JSON
	shape Field
	value func(into *Value, v *T) // sets all of it, and may use the memory of its items again
}

// An int of Avro.
var integer = kind[int32]{
	write: func(w *writer, v *int32) { w.long(int64(*v)) },
	read:  func(r *reader, v *int32) { *v = r.int() },
	print: func(w *jx.Writer, v *int32) { w.Int32(*v) },
	shape: Field{Type: Int},
	value: func(into *Value, v *int32) { *into = Value{Int: int64(*v)} },
}

var boolean = kind[bool]{
	write: func(w *writer, v *bool) { w.bool(*v) },
	read:  func(r *reader, v *bool) { *v = r.bool() },
	print: func(w *jx.Writer, v *bool) { w.Bool(*v) },
	shape: Field{Type: Boolean},
	value: func(into *Value, v *bool) {
		*into = Value{}
		if *v {
			into.Int = 1
		}
	},
}

// text is a string of Avro, which is UTF-8 always. What Janus passes on from a network need not be, and no record may
// be lost for it: here each run of bytes that are not UTF-8 becomes one U+FFFD, in both forms alike.
var text = kind[string]{
	write: func(w *writer, v *string) { w.string(strings.ToValidUTF8(*v, "\uFFFD")) },
	read:  func(r *reader, v *string) { *v = string(r.bytes()) },
	print: func(w *jx.Writer, v *string) { w.Str(strings.ToValidUTF8(*v, "\uFFFD")) },
	shape: Field{Type: Text},
	value: func(into *Value, v *string) { *into = Value{Text: strings.ToValidUTF8(*v, "\uFFFD")} },
}

// id is a string of 32 hexadecimal digits.
var id = kind[cdr.ID]{
	write: func(w *writer, v *cdr.ID) {
		w.long(2 * int64(len(v)))
		w.b = hex.AppendEncode(w.b, v[:])
	},
	read: func(r *reader, v *cdr.ID) {
		if b := r.bytes(); r.err == nil {
			if err := unhex(v, b); err != nil {
				r.fail(err)
			}
		}
	},
	print: func(w *jx.Writer, v *cdr.ID) {
		w.Buf = append(w.Buf, '"')
		w.Buf = append(hex.AppendEncode(w.Buf, v[:]), '"')
	},
	shape: Field{Type: ID},
	value: func(into *Value, v *cdr.ID) { *into = Value{Text: hex.EncodeToString(v[:])} },
}

func unhex(v *cdr.ID, b []byte) error {
	if len(b) != hex.EncodedLen(len(v)) {
		return fmt.Errorf("an id has %d hexadecimal digits, this one has %d characters", hex.EncodedLen(len(v)), len(b))
	}
	_, err := hex.Decode(v[:], b)
	return err
}

// long is a long of Avro, for numbers and, with a logical type in the schema, for times.
func long[T ~int64](t Type) kind[T] {
	return kind[T]{
		write: func(w *writer, v *T) { w.long(int64(*v)) },
		read:  func(r *reader, v *T) { *v = T(r.long()) },
		print: func(w *jx.Writer, v *T) { w.Int64(int64(*v)) },
		shape: Field{Type: t},
		value: func(into *Value, v *T) { *into = Value{Int: int64(*v)} },
	}
}

var (
	number = long[int64](Long)
	moment = long[janus.Micros](Moment)
)

// enum is an enum with these symbols, UNKNOWN first. A value beyond them is a mistake that Avro cannot write; JSON,
// which has no errors, says UNKNOWN, as the value's own String does.
func enum[T ~uint8](symbols []string) kind[T] {
	symbol := func(v T) string {
		if int(v) < len(symbols) {
			return symbols[v]
		}
		return symbols[0]
	}
	return kind[T]{
		write: func(w *writer, v *T) {
			if int(*v) >= len(symbols) && w.err == nil {
				w.err = fmt.Errorf("the value %d is beyond the %d symbols", *v, len(symbols))
			}
			w.long(int64(*v))
		},
		read:  func(r *reader, v *T) { *v = T(r.index(len(symbols), "symbol")) },
		print: func(w *jx.Writer, v *T) { w.Str(symbol(*v)) },
		shape: Field{Type: Symbol, Symbols: symbols},
		value: func(into *Value, v *T) { *into = Value{Text: symbol(*v)} },
	}
}

// list is an array. An empty one reads back as nil.
func list[T any](item kind[T]) kind[[]T] {
	return kind[[]T]{
		write: func(w *writer, v *[]T) {
			if len(*v) > 0 {
				w.long(int64(len(*v)))
			}
			for i := range *v {
				item.write(w, &(*v)[i])
			}
			w.long(0)
		},
		read: func(r *reader, v *[]T) {
			for n := r.block(); n > 0; n = r.block() {
				for ; n > 0 && r.err == nil; n-- {
					*v = append(*v, *new(T))
					item.read(r, &(*v)[len(*v)-1])
				}
			}
		},
		print: func(w *jx.Writer, v *[]T) {
			w.ArrStart()
			for i := range *v {
				if i > 0 {
					w.Comma()
				}
				item.print(w, &(*v)[i])
			}
			w.ArrEnd()
		},
		shape: Field{Type: List, Item: &item.shape},
		value: func(into *Value, v *[]T) {
			into.items(len(*v))
			for i := range *v {
				item.value(&into.Items[i], &(*v)[i])
			}
		},
	}
}
