// Package layout says which tables, columns and views a database of records has.
//
// It promises that columns follow from the fields of the record by their type: a new field is a new column, and a list
// of groups a table of its own, without a line here. It touches nothing: databases are told by what it returns.
package layout

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/consume"
)

// Version rises when a table of ours or a view changes; new fields do not change it.
const Version = 1

// Table of the records, and what stands before the names of the others.
const Table = "cdr"

// Kind is what a column holds.
type Kind uint8

// The kinds of columns.
const (
	Text Kind = iota + 1
	Int
	Long
	Boolean
	Moment
	JSON
)

// Column is a column of a table. Field is nil for those that are not of the record.
type Column struct {
	Name  string
	Kind  Kind
	Field *avro.Field
	path  []int // from the values of the record, or of the item, to the value
}

// Value finds the value of the column. The values are those of the record or, in a table of items, of the item.
func (c *Column) Value(values []avro.Value) *avro.Value {
	v := &values[c.path[0]]
	for _, i := range c.path[1:] {
		if v.Null {
			return v
		}
		v = &v.Items[i]
	}
	return v
}

// Place are the columns that say where a record stood, in this order, before those of the record.
var Place = []Column{
	{Name: "origin_id", Kind: Int},           // of the topic, in cdr_origin
	{Name: "topic_partition", Kind: Int},     // of the message
	{Name: "topic_offset", Kind: Long},       // of the message
	{Name: "append_time", Kind: Moment},      // when the message was written
	{Name: "policy_fingerprint", Kind: Text}, // the policy under which the record was made
}

// Columns are those of the record, in the order of its fields.
var Columns = columns(avro.Fields(), "", nil)

// Items is a table of the items of a list, one row an item, with record_id and ordinal (from 0) before its Columns.
type Items struct {
	Table   string
	Columns []Column
	field   int
}

// Values are the items of a record, given the values of its fields.
func (i *Items) Values(values []avro.Value) []avro.Value { return values[i.field].Items }

// Lists are the lists of the record whose items are groups: streams are in cdr_stream.
var Lists = lists()

func columns(fields []avro.Field, prefix string, path []int) (all []Column) {
	for i := range fields {
		f := &fields[i]
		at := append(slices.Clone(path), i)
		if f.Type == avro.Group {
			all = append(all, columns(f.Fields, prefix+f.Name+"_", at)...)
			continue
		}
		all = append(all, Column{Name: prefix + f.Name, Kind: kindOf(f.Type), Field: f, path: at})
	}
	return all
}

func kindOf(t avro.Type) Kind {
	switch t {
	case avro.Boolean:
		return Boolean
	case avro.Int:
		return Int
	case avro.Long:
		return Long
	case avro.Moment:
		return Moment
	case avro.List:
		return JSON
	}
	return Text
}

func lists() (all []Items) {
	fields := avro.Fields()
	for i := range fields {
		if f := &fields[i]; f.Type == avro.List && f.Item.Type == avro.Group {
			all = append(all,
				Items{Table: Table + "_" + strings.TrimSuffix(f.Name, "s"), Columns: columns(f.Item.Fields, "", nil), field: i})
		}
	}
	return all
}

// Dialect is how a database says it.
type Dialect struct {
	Types       map[Kind]string
	ReplaceView bool // CREATE OR REPLACE VIEW, which can only append columns; else views are dropped and made again
	Partitions  bool // an operator may have made the table of records, partitioned by record_closure_time
}

// stock is what a database says of itself.
type stock struct {
	Layout  int                 `json:"layout"`
	Schema  int32               `json:"schema_version"` // the highest that records in it may have
	Columns map[string][]string `json:"columns"`        // by table, in the order in which they were added
}

// oursOf is what this program makes of a database that says this; the columns that are there come first.
func oursOf(known stock) stock {
	ours := stock{Layout: Version, Schema: cdr.SchemaVersion, Columns: map[string][]string{}}
	for table, columns := range tables() {
		names := slices.Clone(known.Columns[table])
		for _, c := range columns {
			if !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
		ours.Columns[table] = names
	}
	return ours
}

// Migration is what a database has to be told, in this order, for it to have what this program has; text is what it
// says of itself, empty when nothing. The new text is to be kept after the statements; where it is the same nothing is
// to be done. An error says that a newer program was there (consume.ErrNewer, which is wrapped), or that nobody wrote
// that text.
func Migration(text string, d Dialect) (statements []string, ours string, err error) {
	var known stock
	if text != "" {
		if err := json.Unmarshal([]byte(text), &known); err != nil {
			return nil, "", fmt.Errorf("read cdr_schema: %w", err)
		}
	}
	if why := newer(known); why != "" {
		return nil, "", fmt.Errorf("%w: %s", consume.ErrNewer, why)
	}
	b, err := json.Marshal(oursOf(known))
	if err != nil || string(b) == text {
		return nil, text, err
	}
	return statementsFor(known, d), string(b), nil
}

// newer says what in the database a newer program made; empty when nothing.
func newer(known stock) string {
	switch {
	case known.Layout > Version:
		return fmt.Sprintf("its layout is %d, ours is %d", known.Layout, Version)
	case known.Schema > cdr.SchemaVersion:
		return fmt.Sprintf("its records have schema_version %d, ours %d", known.Schema, cdr.SchemaVersion)
	}
	all := tables()
	for _, table := range slices.Sorted(maps.Keys(known.Columns)) {
		for _, name := range known.Columns[table] {
			if !slices.ContainsFunc(all[table], func(c Column) bool { return c.Name == name }) {
				return fmt.Sprintf("%s has the column %s, which this program does not know", table, name)
			}
		}
	}
	return ""
}

// tables are the tables whose columns follow from the record.
func tables() map[string][]Column {
	all := map[string][]Column{Table: slices.Concat(Place, Columns)}
	for _, l := range Lists {
		all[l.Table] = slices.Concat([]Column{{Name: "record_id", Kind: Text}, {Name: "ordinal", Kind: Int}}, l.Columns)
	}
	return all
}

// statementsFor make a database that says this of itself ours: tables, columns and views that are missing.
func statementsFor(known stock, d Dialect) (all []string) {
	ours := oursOf(known)
	all = append(all,
		`CREATE TABLE IF NOT EXISTS cdr_origin (origin_id integer PRIMARY KEY,
			cluster text NOT NULL, topic text NOT NULL, topic_id text NOT NULL, UNIQUE (cluster, topic, topic_id))`,
		`CREATE TABLE IF NOT EXISTS cdr_position (origin_id integer NOT NULL, topic_partition integer NOT NULL,
			next_offset bigint NOT NULL, PRIMARY KEY (origin_id, topic_partition))`,
		`CREATE TABLE IF NOT EXISTS cdr (record_id text NOT NULL, PRIMARY KEY (record_id))`)
	for _, l := range Lists {
		all = append(
			all,
			fmt.Sprintf(
				`CREATE TABLE IF NOT EXISTS %s `+
					`(record_id text NOT NULL, ordinal integer NOT NULL, PRIMARY KEY (record_id, ordinal))`,
				l.Table),
		)
	}
	for _, table := range tableNames() {
		for _, name := range ours.Columns[table] {
			if slices.Contains(known.Columns[table], name) || name == "record_id" || name == "ordinal" {
				continue
			}
			columns := tables()[table]
			kind := columns[slices.IndexFunc(columns, func(c Column) bool { return c.Name == name })].Kind
			add := "ADD COLUMN"
			if d.Partitions && table == Table && name == "record_closure_time" {
				add += " IF NOT EXISTS"
			}
			all = append(all, fmt.Sprintf(`ALTER TABLE %s %s %s %s`, table, add, Quote(name), d.Types[kind]))
		}
	}
	all = append(all,
		`CREATE INDEX IF NOT EXISTS cdr_by_part ON cdr (cdr_id, record_sequence_number, revision)`,
		`CREATE INDEX IF NOT EXISTS cdr_by_session ON cdr (session_uid)`,
		`CREATE INDEX IF NOT EXISTS cdr_by_start ON cdr (start_time)`,
		`CREATE INDEX IF NOT EXISTS cdr_by_opaque_id ON cdr (opaque_id, start_time)`,
		`CREATE INDEX IF NOT EXISTS cdr_by_number ON cdr (origin_id, topic_partition, local_record_sequence_number)`)
	return append(all, views(ours.Columns[Table], d)...)
}

func tableNames() []string {
	names := []string{Table}
	for _, l := range Lists {
		names = append(names, l.Table)
	}
	return names
}

// Quote makes an identifier of a name, whatever words the database keeps for itself.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Quoted are names as identifiers, with commas.
func Quoted(prefix string, names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = prefix + Quote(name)
	}
	return strings.Join(quoted, ", ")
}
