package docs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRecordsOnThePagesAreThoseOfTheRecordedCalls(t *testing.T) {
	each(t, func(t *testing.T, p place) string {
		records := p.pick(t, p.call(t).records)
		if len(records) != 1 {
			p.fatalf(t, "%d records fit; say more", len(records))
		}
		if p.args["stream"] == "" {
			return fenced("json", p.object(t, records[0], names(t)))
		}
		for _, s := range records[0].streams(t) {
			if s.text("mid") == p.args["stream"] {
				return fenced("json", p.object(t, s, streamNames(t)))
			}
		}
		p.fatalf(t, "the record has no stream with mid %s", p.args["stream"])
		return ""
	}, "record")
}

// object is a record, or one of its streams, with the fields that the place asks for, or all, one a line in the order
// of the schema.
func (p place) object(t *testing.T, r record, order []string) string {
	t.Helper()
	wanted := p.list("fields")
	for _, name := range wanted {
		if _, known := r.fields[name]; !known {
			p.fatalf(t, "fields: there is no field %s", name)
		}
	}
	var lines []string
	for _, name := range order {
		if wanted == nil || slices.Contains(wanted, name) {
			lines = append(lines, fmt.Sprintf("  %q: %s", name, r.raw[name]))
		}
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n}"
}

func TestTablesOnThePagesAreThoseOfTheRecordedCalls(t *testing.T) {
	each(t, func(t *testing.T, p place) string {
		columns := p.list("columns")
		var out strings.Builder
		row := func(cells []string) { out.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
		row(columns)
		row(slices.Repeat([]string{"---"}, len(columns)))
		for _, r := range p.pick(t, p.call(t).records) {
			var cells []string
			for _, name := range columns {
				if _, known := r.fields[name]; !known {
					p.fatalf(t, "columns: there is no field %s", name)
				}
				cells = append(cells, r.text(name))
			}
			row(cells)
		}
		return out.String()
	}, "table")
}

// sum is a way to add up records, right or wrong.
type sum struct {
	name string
	say  string
	take func(r record) bool
}

func leg(r record) bool        { return r.text("record_type") == "LEG" }
func chargeable(r record) bool { return leg(r) && r.text("chargeable") == "true" }
func kind(k string) func(record) bool {
	return func(r record) bool { return r.text("leg_kind") == k }
}

var sums = []sum{
	{"chargeable", "chargeable legs", chargeable},
	{"legs", "all legs", leg},
	{"everything", "all records", func(record) bool { return true }},
	{"memberships", "room memberships", kind("ROOM_MEMBERSHIP")},
	{"publishers", "chargeable legs of publishers",
		func(r record) bool { return chargeable(r) && r.text("role") == "PUBLISHER" }},
	{"callers", "chargeable legs of callers", func(r record) bool { return chargeable(r) && r.text("role") == "CALLER" }},
	{"views", "stream views", kind("STREAM_VIEW")},
}

func TestSumsOnThePagesAreThoseOfTheRecordedCalls(t *testing.T) {
	each(t, func(t *testing.T, p place) string {
		records := p.call(t).records
		out := "| What is added up | Records | Microseconds | Minutes | Each rounded up to a minute |\n" +
			"|---|--:|--:|--:|--:|\n"
		for _, name := range p.list("of") {
			i := slices.IndexFunc(sums, func(s sum) bool { return s.name == name })
			if i < 0 {
				p.fatalf(t, "of: there is no sum %s", name)
			}
			var n, micros, minutes int64
			for _, r := range records {
				if !sums[i].take(r) {
					continue
				}
				d := r.number("duration")
				n, micros, minutes = n+1, micros+d, minutes+(d+59_999_999)/60_000_000
			}
			out += fmt.Sprintf("| %s | %d | %d | %.3f | %d |\n", sums[i].say, n, micros, time.Duration(micros*1000).Minutes(),
				minutes)
		}
		return out
	}, "sums")
}
