package files

import (
	"fmt"
	"io"
	"time"

	"januscdr/avro"
	"januscdr/consume"
)

// Form is how records are written as a file.
type Form struct {
	Name    string   // csv, jsonl, avro or parquet
	Columns []string // of CSV and Parquet, in this order; none: all

	// Spreadsheet makes CSV for people with one: a mark at the beginning says that it is UTF-8, times are those of Zone
	// without a zone, and an apostrophe stands before what would be taken for a formula or a number of too many digits.
	Spreadsheet bool
	Zone        *time.Location // nil: UTC
}

// Forms are the names of the forms.
var Forms = []string{"csv", "jsonl", "avro", "parquet"}

// Encoder writes records as a file.
type Encoder interface {
	// Add takes a record and the values of its fields.
	Add(r *consume.Row, values []avro.Value) error
	// Close ends the file. It does not close what is below.
	Close() error
}

// Extension ends the names of files of the form.
func (f Form) Extension() string {
	if f.Name == "jsonl" {
		return "jsonl.zst"
	}
	return f.Name
}

// NewEncoder begins a file. JSON lines are compressed, if so wanted: a pipe does better without.
func (f Form) NewEncoder(w io.Writer, compressed bool) (Encoder, error) {
	columns, err := f.columns()
	if err != nil {
		return nil, err
	}
	switch f.Name {
	case "csv":
		return newCSV(w, columns, f)
	case "jsonl":
		return newJSON(w, compressed)
	case "avro":
		return newContainer(w)
	case "parquet":
		return newParquet(w, columns)
	}
	return nil, fmt.Errorf("%q is no form of files: use csv, jsonl, avro or parquet", f.Name)
}

// column is a column of a flat form: a field of the record, or where it stood in the topic.
type column struct {
	field *avro.Field
	value func(r *consume.Row, values []avro.Value) avro.Value
}

// place are the columns that say where a record stood, as in a database.
var place = []column{
	{&avro.Field{Name: "topic_partition", Type: avro.Int}, func(r *consume.Row, _ []avro.Value) avro.Value {
		return avro.Value{Int: int64(r.Partition)}
	}},
	{&avro.Field{Name: "topic_offset", Type: avro.Long}, func(r *consume.Row, _ []avro.Value) avro.Value {
		return avro.Value{Int: r.Offset}
	}},
	{&avro.Field{Name: "append_time", Type: avro.Moment}, func(r *consume.Row, _ []avro.Value) avro.Value {
		return avro.Value{Int: r.Appended.UnixMicro()}
	}},
	{
		&avro.Field{Name: "policy_fingerprint", Type: avro.Text, Nullable: true},
		func(r *consume.Row, _ []avro.Value) avro.Value {
			return avro.Value{Null: r.Policy == "", Text: r.Policy}
		},
	},
}

// columns are those that were asked for.
func (f Form) columns() ([]column, error) {
	fields := avro.Fields()
	all := append([]column{}, place...)
	for i := range fields {
		all = append(all, column{&fields[i], func(_ *consume.Row, values []avro.Value) avro.Value { return values[i] }})
	}
	if len(f.Columns) == 0 {
		return all, nil
	}
	var chosen []column
next:
	for _, name := range f.Columns {
		for _, c := range all {
			if c.field.Name == name {
				chosen = append(chosen, c)
				continue next
			}
		}
		return nil, fmt.Errorf("%q is no field of a record: docs/fields.md has them", name)
	}
	return chosen, nil
}
