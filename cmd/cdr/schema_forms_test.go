package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/consume/layout"
)

func TestTheSchemaComesOutOfTheProgram(t *testing.T) {
	said := func(args ...string) string {
		t.Helper()
		got := says(t, "", append([]string{"schema"}, args...)...)
		if got.code != 0 || got.err != "" {
			t.Fatalf("cdr schema %v: %+v", args, got)
		}
		return got.out
	}
	if said() != strings.TrimRight(avro.Schema(), "\n")+"\n" {
		t.Error("cdr schema is not the schema of the messages")
	}
	if first := said("--version", "1"); !strings.Contains(first, "record_id") || first == said() {
		t.Error("the schema of the first release is not known")
	}
	var schema struct{ Properties map[string]struct{ Type any } }
	if err := json.Unmarshal([]byte(said("json")), &schema); err != nil {
		t.Fatal(err)
	}
	var record map[string]any
	if err := json.Unmarshal(avro.JSON(nil, &cdr.Record{RecordType: cdr.Leg}), &record); err != nil {
		t.Fatal(err)
	}
	for name, value := range record {
		kind := "null"
		switch value.(type) {
		case float64:
			kind = "integer"
		case string:
			kind = "string"
		case bool:
			kind = "boolean"
		case []any:
			kind = "array"
		case map[string]any:
			kind = "object"
		}
		p := schema.Properties[name]
		if list, several := p.Type.([]any); !several && p.Type != kind || several && !slices.Contains(list, any(kind)) {
			t.Errorf("%s is %s, and %v in the JSON Schema", name, kind, p.Type)
		}
	}
	tables := map[string]string{}
	for database, words := range map[string]string{
		"duckdb":     `"record_id" VARCHAR PRIMARY KEY|"end_time" TIMESTAMPTZ|"streams" JSON`,
		"postgres":   `"record_id" text PRIMARY KEY|"end_time" timestamptz|"streams" jsonb`,
		"clickhouse": `"record_id" String|"end_time" Nullable(DateTime64(6, 'UTC'))|ReplacingMergeTree ORDER BY record_id`,
	} {
		tables[database] = said("table", database)
		for word := range strings.SplitSeq(words, "|") {
			if !strings.Contains(tables[database], word) {
				t.Errorf("%s: no %s in %s", database, word, tables[database])
			}
		}
		for name := range record {
			if !strings.Contains(tables[database], "\n  \""+name+"\" ") {
				t.Errorf("%s: no column %s", database, name)
			}
		}
	}
	if len(tables) != len(layout.Databases) {
		t.Errorf("tables of %d databases, want %v", len(tables), layout.Databases)
	}
	areTaken(t, tables)
	if got := says(t, "", "schema", "table", "oracle"); got.code != 2 || !strings.Contains(got.err, "duckdb") {
		t.Errorf("an unknown database: %+v", got)
	}
}

// areTaken expects that the databases take their tables, those that are there.
func areTaken(t *testing.T, tables map[string]string) {
	t.Helper()
	if python := os.Getenv("JANUSCDR_PYTHON"); python != "" {
		for database, script := range map[string]string{
			"duckdb":     "import duckdb,sys; duckdb.sql(sys.stdin.read())",
			"clickhouse": "import chdb.session,sys; chdb.session.Session().query(sys.stdin.read())",
		} {
			cmd := exec.CommandContext(t.Context(), python, "-c", script)
			cmd.Stdin = strings.NewReader(tables[database])
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s does not take its table: %v\n%s", database, err, out)
			}
		}
	}
	if server := os.Getenv(databaseVariable); server != "" {
		db, err := pgx.Connect(t.Context(), aDatabase(t, server, fmt.Sprint("forms_", time.Now().UnixNano())))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close(t.Context())
		if _, err := db.Exec(t.Context(), tables["postgres"]); err != nil {
			t.Errorf("PostgreSQL does not take its table: %v", err)
		}
	}
}

// The page reads a message in Python with what the program prints, and with nothing else of ours.
func TestTheSchemaOfTheProgramIsAllThatAReaderInPythonNeeds(t *testing.T) {
	python := os.Getenv("JANUSCDR_PYTHON")
	if python == "" {
		t.Skip("JANUSCDR_PYTHON names none")
	}
	page, err := os.ReadFile(filepath.Join(repository, "docs", "records.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, script, found := strings.Cut(string(page), "```python\nimport io, fastavro\n")
	script, _, ends := strings.Cut(script, "```")
	message, err := avro.Encode(&cdr.Record{RecordType: cdr.Leg, SessionID: "4711", StartTime: 1795220893668869})
	if err != nil || !found || !ends {
		t.Fatalf("%v, and the page shows it: %t", err, found)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("call_detail_record.avsc", []byte(says(t, "", "schema").out), 0o600); err != nil {
		t.Fatal(err)
	}
	const use = "import sys\nr = read(bytes.fromhex(sys.argv[1]))\nprint(r['session_id'], r['start_time'].isoformat())\n"
	read := func(message []byte) (string, error) {
		out, err := exec.CommandContext(t.Context(), python, "-c", "import io, fastavro\n"+script+use,
			fmt.Sprintf("%x", message)).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if got, err := read(message); err != nil || got != "4711 2026-11-21T00:28:13.668869+00:00" {
		t.Errorf("%v: %s", err, got)
	}
	message[2] ^= 1
	if got, err := read(message); err == nil || !strings.Contains(got, "not a call detail record of this schema") {
		t.Errorf("of another schema: %v, %s", err, got)
	}
}
