package avro

import (
	"fmt"

	"github.com/go-faster/jx"
)

// field is one field of a record R. Its name is the same in the schema and in JSON.
type field[R any] struct {
	kind[R]
	name string
	key  string        // the name as a key of JSON, quoted, with its colon
	null func(*R) bool // says whether the field is null in this record; nil for a field that never is
}

// required is a field that is never null. at says where its value is.
func required[R, T any](name string, k kind[T], at func(*R) *T) field[R] {
	shape := k.shape
	shape.Name = name
	return field[R]{
		name: name,
		key:  `"` + name + `":`,
		kind: kind[R]{
			write: func(w *writer, rec *R) { k.write(w, at(rec)) },
			read:  func(r *reader, rec *R) { k.read(r, at(rec)) },
			print: func(w *jx.Writer, rec *R) { k.print(w, at(rec)) },
			shape: shape,
			value: func(into *Value, rec *R) { k.value(into, at(rec)) },
		},
	}
}

// optional is a field that is null when its value is zero.
func optional[R any, T comparable](name string, k kind[T], at func(*R) *T) field[R] {
	return nullWhen(func(rec *R) bool { return *at(rec) == *new(T) }, name, k, at)
}

// nullWhen is a field that is null when the record says so. Reading a null leaves the value at zero.
func nullWhen[R, T any](null func(*R) bool, name string, k kind[T], at func(*R) *T) field[R] {
	f := required(name, k, at)
	value := f.kind
	f.null = null
	f.write = func(w *writer, rec *R) {
		if null(rec) {
			w.long(0) // the branch of the union: null is the first
			return
		}
		w.long(1)
		value.write(w, rec)
	}
	f.read = func(r *reader, rec *R) {
		if r.index(2, "branch of the union") == 1 {
			value.read(r, rec)
		}
	}
	f.print = func(w *jx.Writer, rec *R) {
		if null(rec) {
			w.Null()
		} else {
			value.print(w, rec)
		}
	}
	f.shape.Nullable = true
	f.value = func(into *Value, rec *R) {
		if null(rec) {
			*into = Value{Null: true}
		} else {
			value.value(into, rec)
		}
	}
	return f
}

// record is how a record of these fields is written and read, in this order. Errors name the field.
func record[R any](fields []field[R]) kind[R] {
	shapes := make([]Field, len(fields))
	for i, f := range fields {
		shapes[i] = f.shape
	}
	return kind[R]{
		write: func(w *writer, rec *R) {
			for i := range fields {
				fields[i].write(w, rec)
				if w.err != nil {
					w.err = fmt.Errorf("%s: %w", fields[i].name, w.err)
					return
				}
			}
		},
		read: func(r *reader, rec *R) {
			for i := range fields {
				fields[i].read(r, rec)
				if r.err != nil {
					r.err = fmt.Errorf("%s: %w", fields[i].name, r.err)
					return
				}
			}
		},
		print: func(w *jx.Writer, rec *R) {
			w.ObjStart()
			for i := range fields {
				if i > 0 {
					w.Comma()
				}
				w.RawStr(fields[i].key)
				fields[i].print(w, rec)
			}
			w.ObjEnd()
		},
		shape: Field{Type: Group, Fields: shapes},
		value: func(into *Value, rec *R) {
			into.items(len(fields))
			for i := range fields {
				fields[i].value(&into.Items[i], rec)
			}
		},
	}
}
