package main

import (
	"bytes"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/internal/cli"
	"januscdr/internal/fixtures/traffic"
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
func (s *site) amend() int {
	s.t.Helper()
	var amendments []*kgo.Record
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
			amendments = append(amendments, &kgo.Record{Topic: "janus.cdr", Key: []byte(r.SessionID),
				Value:   append(slices.Clone(head), avro.Body(value)...),
				Headers: []kgo.RecordHeader{{Key: kafka.HeaderSchema, Value: []byte(avro.Fingerprint())}}})
		}
	}
	s.produce(amendments...)
	return len(amendments)
}

// aFleet has the records of 35 days, the first and the last of them outside of November: each day the same people call
// again, on two servers in turn, each fourth day an hour earlier, which is before midnight in UTC.
func aFleet(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.environ = append(s.environ, "JANUSCDR_POLICY_PARTIAL_VOLUME=20KiB")
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	const copies, days, day, hour = 1, 35, 86_400_000_000, 3_600_000_000
	shift := func(e traffic.Event) int64 {
		id, err := strconv.ParseInt(e.Session, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		round := (id/1_000_000_000_000 - 1) / copies
		at := round*(day-600_000_000) - 21*day // they were recorded on the 21st
		if round%4 == 1 {
			at -= hour
		}
		return at
	}
	names := []string{"1.1-a_echotest", "1.1-f_sip", "1.1-e_videocall", "1.1-e_recordplay"}
	var file bytes.Buffer
	var records []*kgo.Record
	stamp, emitter := regexp.MustCompile(`"timestamp": *\d+`), regexp.MustCompile(`"emitter": *"[^"]*"`)
	for e := range traffic.Copies(names, copies, days) {
		value := stamp.ReplaceAll(e.Value, fmt.Appendf(nil, `"timestamp":%d`, e.At+shift(e)))
		value = emitter.ReplaceAll(value, fmt.Appendf(nil, `"emitter":"janus-%d"`, e.Session[len(e.Session)-13]%2))
		file.Write(append(value, '\n'))
		records = append(records, &kgo.Record{Topic: "janus.events", Key: []byte(e.Session), Value: value,
			Timestamp: s.began})
	}
	if err := os.WriteFile("events.jsonl", file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s.produce(records...)
	s.runs(strings.Count(s.says("assemble", "events.jsonl").out, "\n"))
	return s
}

// The calls of a fleet, in parts of 20 KiB and amended since, are billed by cdr sum, in SQL, from Parquet with DuckDB
// and others (where there is a Python that has them), from a copy and in a spreadsheet: one number for each reference.
func TestAMonthComesToTheSameByEachWay(t *testing.T) {
	s := aFleet(t)
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
	s.checkJava(check)
	check("SQLite", queried(t, "sqlite", "month.sqlite", month(t, "sqlite")))
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
	if server := os.Getenv(databaseVariable); server != "" { // whose page sums up in another zone
		db := aDatabase(t, server, fmt.Sprint("month_", time.Now().UnixNano()))
		if got := s.says("sink", "postgres", "--sink-postgres-url", db, "--once"); got.code != cli.OK {
			t.Fatalf("%+v", got)
		}
		inVienna := summed(t, s.says("sum", "--month", "2026-11", "--zone", "Europe/Vienna", "--json"))
		maps.DeleteFunc(inVienna, func(_ string, n int64) bool { return n == 0 })
		if maps.Equal(inVienna, want) {
			t.Error("the zone makes no difference")
		}
		want = inVienna
		check("PostgreSQL", queried(t, "pgx", db, month(t, "postgres")))
	}
}

// printedSums are those that a program prints: a reference, and last in the line its sum.
func printedSums(t *testing.T, out []byte) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		n, err := strconv.ParseInt(words[len(words)-1], 10, 64)
		if err != nil {
			t.Fatalf("%q", line)
		}
		if words[0] == "None" || words[0] == "null" || words[0] == `\N` {
			words[0] = ""
		}
		all[words[0]] = n
	}
	return all
}

// month is the query with which a page sums up November.
func month(t *testing.T, database string) string {
	t.Helper()
	page := map[string]string{"sqlite": "sqlite.md", "postgres": "postgresql.md"}[database]
	text, err := os.ReadFile(filepath.Join(repository, "docs", "consumers", page))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "<!-- month: "+database+" -->\n```sql\n")
	if !found {
		t.Fatalf("%s has no query", page)
	}
	query, _, _ := strings.Cut(after, "```")
	return query
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
	for way, page := range map[string]string{"parquet": "files.md", "pyarrow": "files.md", "polars": "files.md",
		"chdb": "clickhouse.md", "python": "python.md"} {
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
		check(way, printedSums(t, out))
	}
}

func queried(t *testing.T, driver, place, query string) map[string]int64 {
	t.Helper()
	db, err := sql.Open(driver, place)
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
		var reference sql.NullString
		var calls, sum int64
		if err := rows.Scan(&reference, &calls, &sum); err != nil {
			t.Fatal(err)
		}
		all[reference.String] = sum
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
