package main

import (
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"januscdr/internal/cli"
)

// billed is what a record comes to.
type billed struct {
	RecordType string `json:"record_type"`
	Chargeable bool   `json:"chargeable"`
	OpaqueID   string `json:"opaque_id"`
	AnswerTime int64  `json:"answer_time"`
	Duration   int64  `json:"duration"`
}

// November 2026, in UTC.
const november, december = 1_793_491_200_000_000, 1_796_083_200_000_000

// sums adds up what a month comes to per billing reference. The fold makes no amendments of recorded calls, so each
// part counts.
func sums(t *testing.T, lines string) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for line := range strings.Lines(lines) {
		var r billed
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if r.RecordType == "LEG" && r.Chargeable && r.AnswerTime >= november && r.AnswerTime < december {
			all[r.OpaqueID] += r.Duration
		}
	}
	return all
}

// What the fold made of recorded calls, in parts of 20 KiB, is billed from the topic, from a database, from a copy and
// in a spreadsheet: one number for each reference.
func TestAMonthComesToTheSameByEachWay(t *testing.T) {
	page, err := os.ReadFile("../../docs/consumers/sqlite.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "<!-- month: sqlite -->\n```sql\n")
	query, _, _ := strings.Cut(after, "```")
	if !found {
		t.Fatal("the page has no query")
	}
	s := recorded(t, "1.1-c_videoroom", "JANUSCDR_POLICY_PARTIAL_VOLUME=20KiB")
	topic := s.says("tail", "--from", "earliest", "--once", "--json")
	want := sums(t, topic.out)
	if len(want) < 3 || strings.Count(topic.out, `"is_final":false`) == 0 {
		t.Fatalf("%v is no month with parts, from\n%s", want, topic.out)
	}
	check := func(way string, got map[string]int64) {
		t.Helper()
		maps.DeleteFunc(got, func(_ string, n int64) bool { return n == 0 })
		if !maps.Equal(got, want) {
			t.Errorf("%s comes to %v, want %v", way, got, want)
		}
	}
	maps.DeleteFunc(want, func(_ string, n int64) bool { return n == 0 })

	for _, args := range [][]string{
		{"sink", "sqlite", "--sink-sqlite-file", "month.sqlite", "--once"},
		{"copy", "--copy-to", "month", "--create-topic", "--once"},
		{"export", "--since", "2026-11-01", "--until", "2026-12-01", "--format", "csv", "--output", "month.csv",
			"--where", "chargeable,record_type=LEG", "--columns", "opaque_id,duration"},
	} {
		if got := s.says(args...); got.code != cli.OK {
			t.Fatalf("%v: %+v", args, got)
		}
	}
	check("SQLite", queried(t, "month.sqlite", query))
	check("the spreadsheet", tabled(t, "month.csv"))
	copies := s.says("tail", "--dlq", "--topics-dlq", "month", "--from", "earliest", "--once", "--json")
	var values strings.Builder
	for line := range strings.Lines(copies.out) {
		var message struct{ Value string }
		if err := json.Unmarshal([]byte(line), &message); err != nil {
			t.Fatal(err)
		}
		values.WriteString(message.Value + "\n")
	}
	check("the copy", sums(t, values.String()))
}

func queried(t *testing.T, file, query string) map[string]int64 {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]int64{}
	for rows.Next() {
		var reference string
		var calls, sum int64
		if err := rows.Scan(&reference, &calls, &sum); err != nil {
			t.Fatal(err)
		}
		all[reference] = sum
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func tabled(t *testing.T, file string) map[string]int64 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int64{}
	for _, row := range rows[1:] {
		n, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		all[row[0]] += n
	}
	return all
}
