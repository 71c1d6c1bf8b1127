package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"

	"januscdr/avro"
	"januscdr/consume/layout"
)

// table collects rows of a table in the binary form of COPY, and sends them over a temporary table of the connection,
// so that a row that is there already is left as it is.
type table struct {
	makeBatch string
	copyBatch string
	move      string
	width     int
	b         []byte
	rows      int
	json      []byte
}

func newTable(name string, before, columns []layout.Column) *table {
	batch := name + "_batch"
	var names, typed []string
	for _, list := range [][]layout.Column{before, columns} {
		for _, c := range list {
			names = append(names, c.Name)
			typed = append(typed, layout.Quote(c.Name)+" "+dialect.Types[c.Kind])
		}
	}
	list := layout.Quoted("", names)
	return &table{
		makeBatch: "CREATE TEMPORARY TABLE " + batch + " (" + strings.Join(typed, ", ") + ") ON COMMIT DELETE ROWS",
		copyBatch: "COPY " + batch + " (" + list + ") FROM STDIN BINARY",
		// In the order of the key: fewer pages of its index are touched.
		move: "INSERT INTO " + name + " (" + list + ") SELECT " + list + " FROM " + batch +
			" ORDER BY record_id ON CONFLICT DO NOTHING",
		width: len(names),
	}
}

// What stands at both ends of a binary COPY.
var (
	copyHead = append([]byte("PGCOPY\n\xff\r\n\x00"), 0, 0, 0, 0, 0, 0, 0, 0)
	copyTail = []byte{0xff, 0xff}
)

// epoch of PostgreSQL, 2000-01-01, in microseconds of ours.
const epoch = 946_684_800_000_000

func (t *table) begin() {
	t.b, t.rows = append(t.b[:0], copyHead...), 0
}

func (t *table) send(ctx context.Context, tx pgx.Tx) error {
	if t.rows == 0 {
		return nil
	}
	t.b = append(t.b, copyTail...)
	if _, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(t.b), t.copyBatch); err != nil {
		return fmt.Errorf("copy %d rows: %w", t.rows, err)
	}
	if _, err := tx.Exec(ctx, t.move); err != nil {
		return fmt.Errorf("insert %d rows: %w", t.rows, err)
	}
	return nil
}

func (t *table) row() *table {
	t.rows++
	t.b = binary.BigEndian.AppendUint16(t.b, uint16(t.width))
	return t
}

func (t *table) null() *table {
	t.b = append(t.b, 0xff, 0xff, 0xff, 0xff)
	return t
}

func (t *table) int(n int64) *table {
	t.b = binary.BigEndian.AppendUint32(append(t.b, 0, 0, 0, 4), uint32(n))
	return t
}

func (t *table) long(n int64) *table {
	t.b = binary.BigEndian.AppendUint64(append(t.b, 0, 0, 0, 8), uint64(n))
	return t
}

// moment is what PostgreSQL can say of a time; what lies before 4714 BC becomes infinite, as does our last number.
func (t *table) moment(micros int64) *table {
	switch {
	case micros < earliest:
		return t.long(math.MinInt64)
	case micros >= latest:
		return t.long(math.MaxInt64)
	}
	return t.long(micros - epoch)
}

// The times that PostgreSQL has, in microseconds of ours, the first with, the last without.
const (
	earliest = -211_813_488_000_000_000 + epoch
	latest   = math.MaxInt64 // our numbers end before its calendar does
)

func (t *table) bool(n int64) *table {
	t.b = append(t.b, 0, 0, 0, 1, byte(n))
	return t
}

// text cannot hold U+0000 in PostgreSQL, and what callers named themselves must not stop the others.
func (t *table) text(s string) *table {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	t.b = binary.BigEndian.AppendUint32(t.b, uint32(len(s)))
	t.b = append(t.b, s...)
	return t
}

func (t *table) textOrNull(s string) *table {
	if s == "" {
		return t.null()
	}
	return t.text(s)
}

func (t *table) values(columns []layout.Column, values []avro.Value) {
	for i := range columns {
		c := &columns[i]
		v := c.Value(values)
		if v.Null {
			t.null()
			continue
		}
		switch c.Kind {
		case layout.Text:
			t.text(v.Text)
		case layout.Int:
			t.int(v.Int)
		case layout.Long:
			t.long(v.Int)
		case layout.Boolean:
			t.bool(v.Int)
		case layout.Moment:
			t.moment(v.Int)
		case layout.JSON:
			t.json = avro.AppendJSON(t.json[:0], c.Field, v)
			t.jsonb(withoutZero(t.json))
		}
	}
}

func (t *table) jsonb(text []byte) {
	t.b = binary.BigEndian.AppendUint32(t.b, uint32(len(text)+1))
	t.b = append(t.b, 1) // version of the form
	t.b = append(t.b, text...)
}

// withoutZero replaces the escape of U+0000, which jsonb refuses; a backslash that was escaped itself stays what it is.
func withoutZero(text []byte) []byte {
	zero := []byte(`\u0000`)
	if !bytes.Contains(text, zero) {
		return text
	}
	var out []byte
	for i := 0; i < len(text); i++ {
		switch {
		case bytes.HasPrefix(text[i:], zero):
			out = append(out, "\uFFFD"...)
			i += len(zero) - 1
		case text[i] == '\\' && i+1 < len(text):
			out = append(out, text[i], text[i+1])
			i++
		default:
			out = append(out, text[i])
		}
	}
	return out
}
