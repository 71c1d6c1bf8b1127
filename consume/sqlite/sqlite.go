// Package sqlite keeps records in a file of SQLite.
//
// It promises what consume.Target does: records and position are one transaction. Times are integers, microseconds
// since the epoch; truths are 0 and 1; lists are JSON. It touches the file and those that SQLite puts beside it.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	modernc "modernc.org/sqlite" // without cgo
	sqlite3 "modernc.org/sqlite/lib"

	"januscdr/avro"
	"januscdr/consume"
	"januscdr/consume/layout"
)

var dialect = layout.Dialect{Types: map[layout.Kind]string{
	layout.Text:    "text",
	layout.JSON:    "text",
	layout.Int:     "integer",
	layout.Long:    "integer",
	layout.Boolean: "integer",
	layout.Moment:  "integer",
}}

// maxValues is how many values SQLite takes in one statement.
const maxValues = 32766

// Target is a database in a file.
type Target struct {
	file    string
	program string // version, for the database to remember
	db      *sql.DB

	origin   int64 // the row of the origin in batches; 0: not known yet
	batches  consume.Origin
	newTopic bool
	records  *inserter
	lists    []*inserter
	values   []avro.Value
}

// Options say where the database is.
type Options struct {
	File     string // made if needed
	Program  string // our version
	NewTopic bool   // a batch of another topic than that of the database is taken
}

// New makes a target; Positions opens the file.
func New(o Options) *Target { return &Target{file: o.File, program: o.Program, newTopic: o.NewTopic} }

// open has one connection, so that nothing of ours waits for us. A power failure may take the last transactions, whole
// ones, position and all: they come again.
func (t *Target) open(ctx context.Context) error {
	if t.db != nil {
		return nil
	}
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: t.file}).EscapedPath(), RawQuery: url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)", "cache_size(-65536)",
			"foreign_keys(0)"},
	}.Encode()}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return fmt.Errorf("open %s: %w: %w", t.file, consume.ErrRefused, err)
	}
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return fmt.Errorf("open %s: %w", t.file, refused(err))
	}
	t.db = db
	return nil
}

// refused marks what waiting does not mend.
func refused(err error) error {
	var failed *modernc.Error
	if errors.As(err, &failed) {
		switch failed.Code() & 0xff {
		case sqlite3.SQLITE_CANTOPEN,
			sqlite3.SQLITE_NOTADB,
			sqlite3.SQLITE_CORRUPT,
			sqlite3.SQLITE_READONLY,
			sqlite3.SQLITE_PERM:
			return fmt.Errorf("%w: %w", consume.ErrRefused, err)
		}
	}
	return err
}

// Positions opens the file, makes it fit, and tells what it holds.
func (t *Target) Positions(ctx context.Context) (origin consume.Origin, next map[int32]int64, err error) {
	if err := t.open(ctx); err != nil {
		return origin, nil, err
	}
	t.origin = 0
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return origin, nil, fmt.Errorf("begin: %w", refused(err))
	}
	defer func() { _ = tx.Rollback() }() // nothing, after the commit
	if err := t.migrate(ctx, tx); err != nil {
		return origin, nil, fmt.Errorf("make %s fit: %w", t.file, refused(err))
	}
	var id int64
	err = tx.QueryRowContext(ctx,
		`SELECT origin_id, cluster, topic, topic_id FROM cdr_origin ORDER BY origin_id DESC LIMIT 1`).
		Scan(&id, &origin.Cluster, &origin.Topic, &origin.TopicID)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return origin, nil, fmt.Errorf("read origin: %w", err)
	}
	rows, err := tx.QueryContext(ctx, `SELECT topic_partition, next_offset FROM cdr_position WHERE origin_id = ?`, id)
	if err != nil {
		return origin, nil, fmt.Errorf("read position: %w", err)
	}
	defer rows.Close()
	next = map[int32]int64{}
	for rows.Next() {
		var partition int32
		var offset int64
		if err := rows.Scan(&partition, &offset); err != nil {
			return origin, nil, fmt.Errorf("read position: %w", err)
		}
		next[partition] = offset
	}
	if err := rows.Err(); err != nil {
		return origin, nil, fmt.Errorf("read position: %w", err)
	}
	return origin, next, tx.Commit()
}

// migrate adds what this program has and the database has not. The transaction keeps all others away.
func (t *Target) migrate(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx,
		`CREATE TABLE IF NOT EXISTS cdr_schema (program text NOT NULL, known text NOT NULL)`); err != nil {
		return err
	}
	var text string
	err := tx.QueryRowContext(ctx, `SELECT known FROM cdr_schema`).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read cdr_schema: %w", err)
	}
	statements, ours, err := layout.Migration(text, dialect)
	if err != nil || ours == text {
		return err
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", strings.SplitN(statement, "\n", 2)[0], err)
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM cdr_schema`); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO cdr_schema (program, known) VALUES (?, ?)`, t.program, ours)
	return err
}

// Write writes a batch in a transaction.
func (t *Target) Write(ctx context.Context, b consume.Batch) error {
	if len(b.Steps) == 0 {
		return nil
	}
	if err := t.prepare(ctx); err != nil {
		return err
	}
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing, after the commit
	if err := t.claim(ctx, tx, b.Origin); err != nil {
		return err
	}
	if err := t.insert(ctx, tx, b.Rows); err != nil {
		return err
	}
	for partition, step := range b.Steps {
		if err := t.move(ctx, tx, partition, step); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// claim finds the row of the origin, or makes it.
func (t *Target) claim(ctx context.Context, tx *sql.Tx, o consume.Origin) error {
	if t.origin != 0 && t.batches == o {
		return nil
	}
	var id, others int64
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(origin_id), 0) FROM cdr_origin`).Scan(&others); err != nil {
		return fmt.Errorf("read origin: %w", err)
	}
	err := tx.QueryRowContext(ctx, `SELECT origin_id FROM cdr_origin WHERE cluster = ? AND topic = ? AND topic_id = ?`,
		o.Cluster, o.Topic, o.TopicID).
		Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		if others > 0 && !t.newTopic {
			return fmt.Errorf("%w: somebody else began to fill it", consume.ErrForeign)
		}
		id = others + 1
		_, err = tx.ExecContext(ctx, `INSERT INTO cdr_origin (origin_id, cluster, topic, topic_id) VALUES (?, ?, ?, ?)`, id,
			o.Cluster, o.Topic, o.TopicID)
	}
	if err != nil {
		return fmt.Errorf("claim origin: %w", err)
	}
	t.origin, t.batches = id, o
	return nil
}

// move moves the position, if it is where the step begins.
func (t *Target) move(ctx context.Context, tx *sql.Tx, partition int32, step consume.Step) error {
	var done sql.Result
	var err error
	if step.From == consume.Fresh {
		done, err = tx.ExecContext(ctx,
			`INSERT INTO cdr_position (origin_id, topic_partition, next_offset) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			t.origin, partition, step.To)
	} else {
		done, err = tx.ExecContext(ctx,
			`UPDATE cdr_position SET next_offset = ? WHERE origin_id = ? AND topic_partition = ? AND next_offset = ?`, step.To,
			t.origin, partition, step.From)
	}
	if err != nil {
		return fmt.Errorf("move position of partition %d: %w", partition, err)
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("move position of partition %d from %d to %d: %w", partition, step.From, step.To,
			errors.Join(consume.ErrFenced, err))
	}
	return nil
}

// prepare has the statements for many rows made once: to read one takes as long as to insert some rows.
func (t *Target) prepare(ctx context.Context) error {
	if t.records != nil {
		return nil
	}
	tables := []*inserter{newInserter(layout.Table, layout.Place, layout.Columns)}
	for _, l := range layout.Lists {
		tables = append(tables, newInserter(l.Table, []layout.Column{{Name: "record_id"}, {Name: "ordinal"}}, l.Columns))
	}
	for _, i := range tables {
		var err error
		if i.many, err = t.db.PrepareContext(ctx, i.statement(i.most)); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
	}
	t.records, t.lists = tables[0], tables[1:]
	return nil
}

func (t *Target) insert(ctx context.Context, tx *sql.Tx, rows []consume.Row) error {
	for _, i := range append([]*inserter{t.records}, t.lists...) {
		i.args = i.args[:0] // of a batch that failed
	}
	for i := range rows {
		r := &rows[i]
		t.values = avro.Values(t.values, &r.Record)
		t.records.add(t.origin, int64(r.Partition), r.Offset, r.Appended.UnixMicro(), nullText(r.Policy))
		t.records.addAll(t.values)
		if err := t.records.full(ctx, tx); err != nil {
			return err
		}
		id := r.Record.RecordID.String()
		for n := range layout.Lists {
			for ordinal, item := range layout.Lists[n].Values(t.values) {
				t.lists[n].add(id, int64(ordinal))
				t.lists[n].addAll(item.Items)
				if err := t.lists[n].full(ctx, tx); err != nil {
					return err
				}
			}
		}
	}
	err := t.records.rest(ctx, tx)
	for _, l := range t.lists {
		if err == nil {
			err = l.rest(ctx, tx)
		}
	}
	return err
}

func nullText(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Flush has nothing to do: what was written is there.
func (t *Target) Flush(context.Context) error { return nil }

// Close closes the file.
func (t *Target) Close() error {
	if t.db == nil {
		return nil
	}
	err := t.db.Close()
	t.db, t.records = nil, nil
	return err
}

// inserter collects rows of a table and inserts many at once. A row that is there already is left as it is.
type inserter struct {
	head    string // INSERT … VALUES
	row     string // (?, ?, …)
	width   int
	most    int
	many    *sql.Stmt // inserts most rows
	columns []layout.Column
	args    []any
}

func newInserter(table string, before, columns []layout.Column) *inserter {
	var names []string
	for _, c := range before {
		names = append(names, c.Name)
	}
	for _, c := range columns {
		names = append(names, c.Name)
	}
	return &inserter{
		head:  "INSERT OR IGNORE INTO " + table + " (" + layout.Quoted("", names) + ") VALUES ",
		row:   "(" + strings.TrimSuffix(strings.Repeat("?,", len(names)), ",") + ")",
		width: len(names), most: min(64, maxValues/len(names)), columns: columns,
	}
}

func (i *inserter) add(values ...any) { i.args = append(i.args, values...) }

func (i *inserter) addAll(values []avro.Value) {
	for n := range i.columns {
		c := &i.columns[n]
		v := c.Value(values)
		switch {
		case v.Null:
			i.args = append(i.args, nil)
		case c.Kind == layout.JSON:
			i.args = append(i.args, string(avro.AppendJSON(nil, c.Field, v)))
		case c.Kind == layout.Text:
			i.args = append(i.args, v.Text)
		default:
			i.args = append(i.args, v.Int)
		}
	}
}

// full inserts what is there, if that is as much as one statement takes.
func (i *inserter) full(ctx context.Context, tx *sql.Tx) error {
	if len(i.args) < i.most*i.width {
		return nil
	}
	return i.inserted(tx.StmtContext(ctx, i.many).ExecContext(ctx, i.args...))
}

// rest inserts what is left.
func (i *inserter) rest(ctx context.Context, tx *sql.Tx) error {
	if len(i.args) == 0 {
		return nil
	}
	return i.inserted(tx.ExecContext(ctx, i.statement(len(i.args)/i.width), i.args...))
}

func (i *inserter) inserted(_ sql.Result, err error) error {
	i.args = i.args[:0]
	if err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	return nil
}

func (i *inserter) statement(rows int) string {
	return i.head + strings.Repeat(i.row+",", rows-1) + i.row
}
