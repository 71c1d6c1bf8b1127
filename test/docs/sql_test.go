package docs

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
)

// A statement of the pages stands in a block of SQL behind <!-- sql: NAME -->.
var statement = regexp.MustCompile("(?m)^<!-- sql: (\\w+) -->\n```sql\n((?s:.*?))```$")

func statements(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, m := range statement.FindAllStringSubmatch(read(t, "records.md"), -1) {
		all[m[1]] = m[2]
	}
	for _, name := range []string{"table", "insert", "part", "leg"} {
		if all[name] == "" {
			t.Fatalf("records.md has no SQL with the name %s", name)
		}
	}
	return all
}

// sqlite runs a statement on a table of records, each of which was put there twice, and returns its answer as Markdown.
func sqlite(t *testing.T, records []record, query string) string {
	t.Helper()
	s := statements(t)
	script := bytes.NewBufferString(s["table"] + s["part"] + s["leg"] + "BEGIN;\n")
	for range 2 {
		for _, r := range records {
			insert := strings.Replace(s["insert"], "$1", quoted(r.text("record_id")), 1)
			script.WriteString(strings.Replace(insert, "$2", quoted(string(r.line)), 1))
		}
	}
	script.WriteString("COMMIT;\n.mode markdown\n" + query)
	cmd := exec.Command("sqlite3", "-batch", "-bail", ":memory:")
	cmd.Stdin = script
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		t.Fatalf("sqlite3: %v: %s", err, complaint.String())
	}
	return out.String()
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// needsSQLite skips where there is no sqlite3 that knows JSON operators; no database is among our libraries.
func needsSQLite(t *testing.T) {
	t.Helper()
	out, err := exec.Command("sqlite3", ":memory:", `SELECT '{"a":1}' ->> 'a'`).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "1" {
		t.Skip("the command sqlite3, 3.38 or newer, is not installed: the SQL of the pages is not tried here")
	}
}

func TestTheSQLOfThePagesGivesTheResultsOfThePages(t *testing.T) {
	needsSQLite(t)
	each(t, func(t *testing.T, p place) string {
		query := statements(t)[p.args["sql"]]
		if query == "" {
			p.fatalf(t, "there is no SQL with the name %q", p.args["sql"])
		}
		records := p.call(t).records
		if lost := p.args["without"]; lost != "" { // a record that did not arrive
			n, err := strconv.Atoi(lost)
			if err != nil || n >= len(records) {
				p.fatalf(t, "without=%s: write the number of a record, from 0", lost)
			}
			records = slices.Delete(records, n, n+1)
		}
		answer := sqlite(t, records, query)
		if answer == "" {
			answer = "(no row)\n"
		}
		return "\n" + answer + "\n"
	}, "result")
}

// The SQL and the program agree on what all recorded calls come to, with and without partial records.
func TestTheSQLOfThePagesAddsUpAsTheProgramDoes(t *testing.T) {
	needsSQLite(t)
	policy := cdr.DefaultPolicy()
	policy.Partial.Every = 5_000_000
	for _, name := range recordings.Names() {
		whole, parts := fold(t, cdr.DefaultPolicy(), recordings.Events(name)), fold(t, policy, recordings.Events(name))
		var micros int64
		legs := 0
		for _, r := range whole {
			if chargeable(r) {
				legs++
				micros += r.number("duration")
			}
		}
		want := fmt.Sprintf("| %d | %d |", legs, micros)
		for _, records := range [][]record{whole, parts} {
			got := sqlite(t, records, "SELECT count(*) AS legs, sum(duration) AS micros FROM leg WHERE chargeable = 1;")
			got = regexp.MustCompile(` +`).ReplaceAllString(got, " ")
			if !strings.Contains(got, want) {
				t.Errorf("%s: SQL says\n%swant %s", name, got, want)
			}
		}
	}
}
