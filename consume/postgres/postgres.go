// Package postgres keeps records in a database of PostgreSQL.
//
// It promises what consume.Target does: records and position are one transaction. One sink writes at a time, another
// one that is started waits for it: they hold a lock that lasts as long as their connection. It touches the database.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"januscdr/avro"
	"januscdr/consume"
	"januscdr/consume/layout"
)

var dialect = layout.Dialect{ReplaceView: true, Partitions: true, Types: map[layout.Kind]string{
	layout.Text:    "text",
	layout.JSON:    "jsonb",
	layout.Int:     "integer",
	layout.Long:    "bigint",
	layout.Boolean: "boolean",
	layout.Moment:  "timestamptz",
}}

// What advisory locks are taken on: numbers of ours, and the schema in which the tables are.
const (
	lockWriter  = 0x6a636472 // "jcdr"
	lockMigrate = lockWriter + 1
)

const (
	connectPatience = 10 * time.Second
	lockPause       = time.Second
)

// Options say where the database is.
type Options struct {
	URL      string // postgres://user:password@host:port/database, or key=value pairs as libpq has them
	Program  string // our version, for the database to remember
	NewTopic bool   // a batch of another topic than that of the database is taken
	Log      hclog.Logger
}

// Target is a database.
type Target struct {
	o       Options
	conn    *pgx.Conn
	origin  int64 // the row of the origin in batches; 0: not known yet
	batches consume.Origin
	tables  []*table
	values  []avro.Value
}

// New makes a target; Positions connects.
func New(o Options) *Target {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	t := &Target{o: o, tables: []*table{newTable(layout.Table, layout.Place, layout.Columns)}}
	for _, l := range layout.Lists {
		t.tables = append(
			t.tables,
			newTable(l.Table, []layout.Column{{Name: "record_id", Kind: layout.Text}, {Name: "ordinal", Kind: layout.Int}},
				l.Columns),
		)
	}
	return t
}

func (t *Target) connect(ctx context.Context) error {
	if t.conn != nil && !t.conn.IsClosed() {
		return nil
	}
	config, err := pgx.ParseConfig(t.o.URL)
	if err != nil {
		return fmt.Errorf("%w: %w", consume.ErrRefused, err) // it does not show the password
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectPatience
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "januscdr-sink"
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return refused(err)
	}
	t.conn = conn
	return nil
}

// refused marks what waiting does not mend: who we are, what we may, and which database it is.
func refused(err error) error {
	var failed *pgconn.PgError
	if errors.As(err, &failed) {
		for _, class := range []string{"28", "3D", "3F", "42501"} {
			if strings.HasPrefix(failed.Code, class) {
				return fmt.Errorf("%w: %w", consume.ErrRefused, err)
			}
		}
	}
	return err
}

// Positions connects, waits until no other sink writes, makes the database fit, and tells what it holds.
func (t *Target) Positions(ctx context.Context) (origin consume.Origin, next map[int32]int64, err error) {
	t.drop() // whatever the last step has left, its transaction is over with its connection
	if err := t.connect(ctx); err != nil {
		return origin, nil, fmt.Errorf("connect: %w", err)
	}
	if err := t.lock(ctx); err != nil {
		return origin, nil, err
	}
	if err := pgx.BeginFunc(ctx, t.conn, func(tx pgx.Tx) error { return t.migrate(ctx, tx) }); err != nil {
		return origin, nil, fmt.Errorf("make the database fit: %w", refused(err))
	}
	for _, table := range t.tables {
		if _, err := t.conn.Exec(ctx, table.makeBatch); err != nil {
			return origin, nil, fmt.Errorf("make a table for a batch: %w", refused(err))
		}
	}
	var id int64
	err = t.conn.QueryRow(ctx,
		`SELECT origin_id, cluster, topic, topic_id FROM cdr_origin ORDER BY origin_id DESC LIMIT 1`).
		Scan(&id, &origin.Cluster, &origin.Topic, &origin.TopicID)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return origin, nil, fmt.Errorf("read origin: %w", err)
	}
	rows, err := t.conn.Query(ctx, `SELECT topic_partition, next_offset FROM cdr_position WHERE origin_id = $1`, id)
	if err != nil {
		return origin, nil, fmt.Errorf("read position: %w", err)
	}
	next = map[int32]int64{}
	var partition int32
	var offset int64
	if _, err := pgx.ForEachRow(rows, []any{&partition, &offset}, func() error {
		next[partition] = offset
		return nil
	}); err != nil {
		return origin, nil, fmt.Errorf("read position: %w", err)
	}
	return origin, next, nil
}

// lock waits until no other sink writes to this schema.
func (t *Target) lock(ctx context.Context) error {
	for said := false; ; said = true {
		var ours bool
		if err := t.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, hashtext(current_schema()))`, lockWriter).
			Scan(&ours); err != nil {
			return fmt.Errorf("lock: %w", refused(err))
		}
		if ours {
			return nil
		}
		if !said {
			t.o.Log.Warn("another sink writes to this database, we wait until it is gone")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

// migrate adds what this program has and the database has not.
func (t *Target) migrate(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))`, lockMigrate); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx,
		`CREATE TABLE IF NOT EXISTS cdr_schema (program text NOT NULL, known text NOT NULL)`); err != nil {
		return err
	}
	var text string
	err := tx.QueryRow(ctx, `SELECT known FROM cdr_schema`).Scan(&text)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read cdr_schema: %w", err)
	}
	statements, ours, err := layout.Migration(text, dialect)
	if err != nil || ours == text {
		return err
	}
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", strings.SplitN(statement, "\n", 2)[0], err)
		}
	}
	if _, err := tx.Exec(ctx, `DELETE FROM cdr_schema`); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO cdr_schema (program, known) VALUES ($1, $2)`, t.o.Program, ours)
	return err
}

// Write writes a batch in a transaction.
func (t *Target) Write(ctx context.Context, b consume.Batch) error {
	if len(b.Steps) == 0 {
		return nil
	}
	return pgx.BeginFunc(ctx, t.conn, func(tx pgx.Tx) error {
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
		return nil
	})
}

// claim finds the row of the origin, or makes it.
func (t *Target) claim(ctx context.Context, tx pgx.Tx, o consume.Origin) error {
	if t.origin != 0 && t.batches == o {
		return nil
	}
	var id, others int64
	if err := tx.QueryRow(ctx, `SELECT COALESCE(MAX(origin_id), 0) FROM cdr_origin`).Scan(&others); err != nil {
		return fmt.Errorf("read origin: %w", err)
	}
	err := tx.QueryRow(ctx, `SELECT origin_id FROM cdr_origin WHERE cluster = $1 AND topic = $2 AND topic_id = $3`,
		o.Cluster, o.Topic, o.TopicID).
		Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		if others > 0 && !t.o.NewTopic {
			return fmt.Errorf("%w: somebody else began to fill it", consume.ErrForeign)
		}
		id = others + 1
		_, err = tx.Exec(ctx, `INSERT INTO cdr_origin (origin_id, cluster, topic, topic_id) VALUES ($1, $2, $3, $4)`, id,
			o.Cluster, o.Topic, o.TopicID)
	}
	if err != nil {
		return fmt.Errorf("claim origin: %w", err)
	}
	t.origin, t.batches = id, o
	return nil
}

// move moves the position, if it is where the step begins.
func (t *Target) move(ctx context.Context, tx pgx.Tx, partition int32, step consume.Step) error {
	var done pgconn.CommandTag
	var err error
	if step.From == consume.Fresh {
		done, err = tx.Exec(ctx,
			`INSERT INTO cdr_position (origin_id, topic_partition, next_offset) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			t.origin, partition, step.To)
	} else {
		done, err = tx.Exec(ctx,
			`UPDATE cdr_position SET next_offset = $1 WHERE origin_id = $2 AND topic_partition = $3 AND next_offset = $4`,
			step.To, t.origin, partition, step.From)
	}
	if err != nil {
		return fmt.Errorf("move position of partition %d: %w", partition, err)
	}
	if done.RowsAffected() != 1 {
		return fmt.Errorf("move position of partition %d from %d to %d: %w", partition, step.From, step.To, consume.ErrFenced)
	}
	return nil
}

func (t *Target) insert(ctx context.Context, tx pgx.Tx, rows []consume.Row) error {
	for _, table := range t.tables {
		table.begin()
	}
	for i := range rows {
		r := &rows[i]
		t.values = avro.Values(t.values, &r.Record)
		id := r.Record.RecordID.String()
		t.tables[0].row().
			int(t.origin).
			int(int64(r.Partition)).
			long(r.Offset).
			moment(r.Appended.UnixMicro()).
			textOrNull(r.Policy).
			values(layout.Columns, t.values)
		for n := range layout.Lists {
			for ordinal, item := range layout.Lists[n].Values(t.values) {
				t.tables[n+1].row().text(id).int(int64(ordinal)).values(layout.Lists[n].Columns, item.Items)
			}
		}
	}
	for _, table := range t.tables {
		if err := table.send(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// Flush has nothing to do: what was written is there.
func (t *Target) Flush(context.Context) error { return nil }

// Close ends the connection.
func (t *Target) Close() error {
	t.drop()
	return nil
}

func (t *Target) drop() {
	if t.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = t.conn.Close(ctx) // what is open on it is rolled back, whether it says goodbye or not
		t.conn, t.origin = nil, 0
	}
}
