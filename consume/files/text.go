package files

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"januscdr/avro"
	"januscdr/consume"
)

// csvEncoder writes RFC 4180 with a line of names. Null is empty, a time is RFC 3339 in UTC with microseconds, a list
// is JSON.
type csvEncoder struct {
	w       *csv.Writer
	columns []column
	form    Form
	cells   []string
	scratch []byte
}

func newCSV(w io.Writer, columns []column, form Form) (*csvEncoder, error) {
	if form.Zone == nil {
		form.Zone = time.UTC
	}
	if form.Spreadsheet {
		if _, err := io.WriteString(w, "\uFEFF"); err != nil {
			return nil, err
		}
	}
	e := &csvEncoder{w: csv.NewWriter(w), columns: columns, form: form, cells: make([]string, len(columns))}
	for i, c := range columns {
		e.cells[i] = c.field.Name
	}
	return e, e.w.Write(e.cells)
}

func (e *csvEncoder) Add(r *consume.Row, values []avro.Value) error {
	for i, c := range e.columns {
		v := c.value(r, values)
		e.cells[i] = e.cell(c.field, &v)
	}
	return e.w.Write(e.cells)
}

func (e *csvEncoder) cell(f *avro.Field, v *avro.Value) string {
	if v.Null {
		return ""
	}
	switch f.Type {
	case avro.Boolean:
		return strconv.FormatBool(v.Int != 0)
	case avro.Int, avro.Long:
		return strconv.FormatInt(v.Int, 10)
	case avro.Moment:
		if e.form.Spreadsheet {
			return time.UnixMicro(v.Int).In(e.form.Zone).Format("2006-01-02 15:04:05.000")
		}
		return time.UnixMicro(v.Int).UTC().Format("2006-01-02T15:04:05.000000Z")
	case avro.List, avro.Group:
		e.scratch = avro.AppendJSON(e.scratch[:0], f, v)
		return string(e.scratch)
	case avro.Text, avro.ID:
		if e.form.Spreadsheet && misread(v.Text) {
			return "'" + v.Text
		}
	}
	return v.Text
}

// misread tells whether a spreadsheet would take a text for something else: a formula, which callers could put into
// their names, or a number, of which it keeps 15 digits.
func misread(text string) bool {
	if text == "" {
		return false
	}
	return strings.ContainsRune("=+-@\t\r", rune(text[0])) || len(text) > 15 && strings.Trim(text, "0123456789eE") == ""
}

func (e *csvEncoder) Close() error {
	e.w.Flush()
	return e.w.Error()
}

// jsonEncoder writes the JSON of a record, one a line.
type jsonEncoder struct {
	w    io.Writer
	zstd *zstd.Encoder
	line []byte
}

func newJSON(w io.Writer, compressed bool) (*jsonEncoder, error) {
	if !compressed {
		return &jsonEncoder{w: w}, nil
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("begin to compress: %w", err)
	}
	return &jsonEncoder{w: z, zstd: z}, nil
}

func (e *jsonEncoder) Add(r *consume.Row, _ []avro.Value) error {
	e.line = append(avro.JSON(e.line[:0], &r.Record), '\n')
	_, err := e.w.Write(e.line)
	return err
}

func (e *jsonEncoder) Close() error {
	if e.zstd == nil {
		return nil
	}
	return e.zstd.Close()
}
