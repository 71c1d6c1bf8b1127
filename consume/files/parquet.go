package files

import (
	"io"
	"reflect"
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"januscdr/avro"
	"januscdr/consume"
)

// parquetEncoder writes rows with nested lists: times are TIMESTAMP in microseconds and UTC, enums strings of a
// dictionary.
type parquetEncoder struct {
	w       *parquet.GenericWriter[any]
	columns []column
	writers []*parquet.ColumnWriter
	leaves  [][]parquet.Value // some rows, leaf by leaf: that is how they are written
	nulls   []parquet.Value   // of each leaf, where nothing above it is there either: most are
	leaf    int               // the next one
	rows    int               // in the group
}

// compression takes half the time of the default, for a file that is hardly larger.
var compression = zstd.Codec{Level: zstd.SpeedFastest}

const (
	rowGroup   = 50_000 // rows; they are held in memory
	rowsAtOnce = 100
)

func newParquet(w io.Writer, columns []column) (*parquetEncoder, error) {
	var fields []avro.Field
	for _, c := range columns {
		fields = append(fields, *c.field)
	}
	schema := parquet.NewSchema("CallDetailRecord", groupOf(fields))
	e := &parquetEncoder{
		w: parquet.NewGenericWriter[any](w, schema, parquet.Compression(&compression), parquet.MaxRowsPerRowGroup(rowGroup),
			parquet.CreatedBy("januscdr", "", "")),
		columns: columns, leaves: make([][]parquet.Value, len(schema.Columns())),
	}
	for leaf := range e.leaves {
		e.nulls = append(e.nulls, parquet.NullValue().Level(0, 0, leaf))
	}
	e.writers = e.w.ColumnWriters()
	return e, nil
}

// group is a node whose fields stand in the order of the schema; the library's own sorts them by name.
type group struct {
	parquet.Group
	fields []parquet.Field
}

func (g *group) Fields() []parquet.Field { return g.fields }

type field struct {
	parquet.Node
	name string
}

func (f *field) Name() string { return f.name }

func (f *field) Value(base reflect.Value) reflect.Value {
	return base.MapIndex(reflect.ValueOf(f.name))
}

func groupOf(fields []avro.Field) *group {
	g := &group{Group: parquet.Group{}}
	for i := range fields {
		node := nodeOf(&fields[i])
		g.Group[fields[i].Name] = node
		g.fields = append(g.fields, &field{node, fields[i].Name})
	}
	return g
}

func nodeOf(f *avro.Field) parquet.Node {
	var node parquet.Node
	switch f.Type {
	case avro.Boolean:
		node = parquet.Leaf(parquet.BooleanType)
	case avro.Int:
		node = parquet.Int(32)
	case avro.Long:
		node = parquet.Int(64)
	case avro.Moment:
		node = parquet.Timestamp(parquet.Microsecond)
	case avro.Symbol:
		node = parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
	case avro.List:
		node = parquet.List(nodeOf(f.Item))
	case avro.Group:
		node = groupOf(f.Fields)
	default:
		node = parquet.String()
	}
	if f.Nullable {
		node = parquet.Optional(node)
	}
	return node
}

func (e *parquetEncoder) Add(r *consume.Row, values []avro.Value) error {
	e.leaf = 0
	for _, c := range e.columns {
		v := c.value(r, values)
		e.add(c.field, &v, 0, 0, 0)
	}
	if e.rows++; e.rows%rowsAtOnce != 0 {
		return nil
	}
	return e.flush()
}

// flush hands the rows to the columns, and ends the group if it is full.
func (e *parquetEncoder) flush() error {
	for i, values := range e.leaves {
		if len(values) == 0 {
			continue
		}
		if _, err := e.writers[i].WriteRowValues(values); err != nil {
			return err
		}
		e.leaves[i] = values[:0]
	}
	if e.rows < rowGroup {
		return nil
	}
	e.rows = 0
	return e.w.Flush()
}

// add appends the leaves of a value. repetition is that of its first leaf, definition what is known to be there above
// it, lists how many lists it stands in.
func (e *parquetEncoder) add(f *avro.Field, v *avro.Value, repetition, definition, lists int) {
	if v.Null {
		e.absent(f, repetition, definition)
		return
	}
	if f.Nullable {
		definition++
	}
	var value parquet.Value
	switch f.Type {
	case avro.List:
		if len(v.Items) == 0 {
			e.absent(f, repetition, definition)
		}
		first := e.leaf
		for i := range v.Items {
			e.leaf = first
			if i > 0 {
				repetition = lists + 1
			}
			e.add(f.Item, &v.Items[i], repetition, definition+1, lists+1)
		}
		return
	case avro.Group:
		for i := range f.Fields {
			e.add(&f.Fields[i], &v.Items[i], repetition, definition, lists)
		}
		return
	case avro.Boolean:
		value = parquet.BooleanValue(v.Int != 0)
	case avro.Int:
		value = parquet.Int32Value(int32(v.Int))
	case avro.Long, avro.Moment:
		value = parquet.Int64Value(v.Int)
	default:
		// Without a copy: the column makes its own when it takes the value, and the text lives until then.
		value = parquet.ByteArrayValue(unsafe.Slice(unsafe.StringData(v.Text), len(v.Text)))
	}
	e.put(value, repetition, definition)
}

// absent appends nulls for all leaves below a field.
func (e *parquetEncoder) absent(f *avro.Field, repetition, definition int) {
	switch {
	case f.Type == avro.List:
		e.absent(f.Item, repetition, definition)
	case f.Type == avro.Group:
		for i := range f.Fields {
			e.absent(&f.Fields[i], repetition, definition)
		}
	case repetition|definition == 0:
		e.leaves[e.leaf] = append(e.leaves[e.leaf], e.nulls[e.leaf])
		e.leaf++
	default:
		e.put(parquet.NullValue(), repetition, definition)
	}
}

func (e *parquetEncoder) put(v parquet.Value, repetition, definition int) {
	e.leaves[e.leaf] = append(e.leaves[e.leaf], v.Level(repetition, definition, e.leaf))
	e.leaf++
}

func (e *parquetEncoder) Close() error {
	if err := e.flush(); err != nil {
		return err
	}
	return e.w.Close()
}
