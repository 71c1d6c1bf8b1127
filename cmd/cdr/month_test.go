package main

import (
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/internal/cli"
	"januscdr/kafka"
)

// billed is what a record comes to.
type billed struct {
	CDRID      string `json:"cdr_id"`
	Part       int    `json:"record_sequence_number"`
	Revision   int    `json:"revision"`
	RecordType string `json:"record_type"`
	Chargeable bool   `json:"chargeable"`
	OpaqueID   string `json:"opaque_id"`
	AnswerTime int64  `json:"answer_time"`
	Duration   int64  `json:"duration"`
}

// November 2026, in UTC.
const november, december = 1_793_491_200_000_000, 1_796_083_200_000_000

// sums adds up what a month comes to per billing reference: of each part of a leg the highest revision counts.
func sums(t *testing.T, lines string) map[string]int64 {
	t.Helper()
	type part struct {
		leg    string
		number int
	}
	newest := map[part]billed{}
	for line := range strings.Lines(lines) {
		var r billed
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if p := (part{r.CDRID, r.Part}); r.Revision >= newest[p].Revision {
			newest[p] = r
		}
	}
	all := map[string]int64{}
	for _, r := range newest {
		if r.RecordType == "LEG" && r.Chargeable && r.AnswerTime >= november && r.AnswerTime < december {
			all[r.OpaqueID] += r.Duration
		}
	}
	return all
}

// amend takes something off each third charged part that the topic has, twice of some, in records that come later.
func (s *site) amend() (made int) {
	s.t.Helper()
	o := kafka.Options{Brokers: []string{s.address}}
	client, err := kafka.NewClient(o)
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	all, _, err := readRecords(s.ctx, o, client, "janus.cdr")
	if err != nil {
		s.t.Fatal(err)
	}
	var head []byte // framing, as those before have it
	for _, values := range s.uncommitted("janus.cdr") {
		head = values[0][:len(values[0])-len(avro.Body(values[0]))]
	}
	for i, r := range all {
		if !r.Chargeable || i%3 != 0 {
			continue
		}
		for range 1 + i%2 {
			r.Supersedes, r.ChangeKind, r.Revision = r.RecordID.String(), cdr.Amendment, r.Revision+1
			less := r.Duration / 3
			r.RecordID[0], r.Duration, r.CumulativeDuration = r.RecordID[0]+1, r.Duration-less, r.CumulativeDuration-less
			value, err := avro.Encode(&r)
			if err != nil {
				s.t.Fatal(err)
			}
			s.produce(&kgo.Record{Topic: "janus.cdr", Key: []byte(r.SessionID), Value: append(slices.Clone(head),
				avro.Body(value)...), Headers: []kgo.RecordHeader{{Key: kafka.HeaderSchema, Value: []byte(avro.Fingerprint())}}})
			made++
		}
	}
	return made
}

// What the fold made of the calls of a fleet, in parts of 20 KiB and amended since, is billed by cdr sum, from a
// database, from Parquet with DuckDB (where there is a Python that has it), from a copy and in a spreadsheet: one
// number for each reference.
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
	unamended := sums(t, s.says("tail", "--from", "earliest", "--once", "--json").out)
	if made := s.amend(); made < 3 {
		t.Fatalf("%d amendments are none", made)
	}
	topic := s.says("tail", "--from", "earliest", "--once", "--json")
	want := sums(t, topic.out)
	if len(want) < 3 || strings.Count(topic.out, `"is_final":false`) == 0 {
		t.Fatalf("%v is no month with parts, from\n%s", want, topic.out)
	}
	if maps.Equal(unamended, want) {
		t.Fatal("the amendments amend nothing")
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
		{"export", "--export-to", "records", "--export-format", "parquet", "--once"},
		{"export", "--since", "2026-11-01", "--until", "2026-12-01", "--format", "csv", "--output", "month.csv",
			"--where", "chargeable,record_type=LEG", "--columns", "opaque_id,duration"},
	} {
		if got := s.says(args...); got.code != cli.OK {
			t.Fatalf("%v: %+v", args, got)
		}
	}
	check("cdr sum", summed(t, s.says("sum", "--month", "2026-11", "--json")))
	if err := os.WriteFile("cdrs.jsonl", []byte(topic.out), 0o600); err != nil {
		t.Fatal(err)
	}
	checkPages(t, check)
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

func summed(t *testing.T, got said) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for line := range strings.Lines(got.out) {
		var g struct {
			Reference string `json:"opaque_id"`
			Duration  int64  `json:"duration"`
		}
		if err := json.Unmarshal([]byte(line), &g); err != nil {
			t.Fatalf("%v: %+v", err, got)
		}
		all[g.Reference] = g.Duration
	}
	return all
}

// checkPages runs what the pages say in Python, in the folder that has the files.
func checkPages(t *testing.T, check func(string, map[string]int64)) {
	t.Helper()
	python := os.Getenv("JANUSCDR_PYTHON")
	if python == "" {
		return
	}
	for way, page := range map[string]string{"parquet": "files.md", "pyarrow": "files.md", "python": "python.md"} {
		page, err := os.ReadFile(filepath.Join(repository, "docs", "consumers", page))
		if err != nil {
			t.Fatal(err)
		}
		_, after, found := strings.Cut(string(page), "<!-- month: "+way+" -->\n```python\n")
		script, _, _ := strings.Cut(after, "```")
		if !found {
			t.Fatalf("the page has no %s", way)
		}
		out, err := exec.Command(python, "-c", script).Output()
		if err != nil {
			t.Fatal(way, err)
		}
		all := map[string]int64{}
		for line := range strings.Lines(string(out)) {
			words := strings.Fields(line)
			if all[words[0]], err = strconv.ParseInt(words[len(words)-1], 10, 64); err != nil {
				t.Fatalf("%s: %q", way, line)
			}
		}
		check(way, all)
	}
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
