package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

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
	for _, database := range layout.Databases {
		table := said("table", database)
		if !strings.Contains(table, `"record_id"`) || !strings.Contains(table, `"end_time"`) {
			t.Errorf("%s: %s", database, table)
		}
	}
	if python := os.Getenv("JANUSCDR_PYTHON"); python != "" {
		cmd := exec.CommandContext(t.Context(), python, "-c", "import duckdb,sys; duckdb.sql(sys.stdin.read())")
		cmd.Stdin = strings.NewReader(said("table", "duckdb"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("DuckDB does not take its table: %v\n%s", err, out)
		}
	}
	if got := says(t, "", "schema", "table", "oracle"); got.code != 2 || !strings.Contains(got.err, "duckdb") {
		t.Errorf("an unknown database: %+v", got)
	}
}
