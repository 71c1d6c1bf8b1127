package layout

import (
	"fmt"
	"strings"
)

// Databases for which Create has the words.
var Databases = []string{"postgres", "duckdb", "clickhouse"}

var created = map[string]map[Kind]string{
	"postgres": {Text: "text", JSON: "jsonb", Int: "integer", Long: "bigint", Boolean: "boolean", Moment: "timestamptz"},
	"duckdb":   {Text: "VARCHAR", JSON: "JSON", Int: "INTEGER", Long: "BIGINT", Boolean: "BOOLEAN", Moment: "TIMESTAMPTZ"},
	"clickhouse": {Text: "String", JSON: "String", Int: "Int32", Long: "Int64", Boolean: "Bool",
		Moment: "DateTime64(6, 'UTC')"},
}

// Create is the statement that makes a table of records, a column for each field, in the words of one of Databases. It
// is for tables that somebody else fills: those of a sink make themselves.
func Create(database string) (string, error) {
	types := created[database]
	if types == nil {
		return "", fmt.Errorf("make a table: %q is none of %s", database, strings.Join(Databases, ", "))
	}
	var lines []string
	for _, c := range Columns {
		kind := types[c.Kind]
		switch {
		case database == "clickhouse" && c.Field.Nullable && c.Name != "record_id":
			kind = "Nullable(" + kind + ")"
		case database != "clickhouse" && c.Name == "record_id":
			kind += " PRIMARY KEY"
		case database != "clickhouse" && !c.Field.Nullable && !grouped(c):
			kind += " NOT NULL"
		}
		lines = append(lines, "  "+Quote(c.Name)+" "+kind)
	}
	text := "CREATE TABLE " + Table + " (\n" + strings.Join(lines, ",\n") + "\n)"
	if database == "clickhouse" { // which merges what came twice
		text += " ENGINE = ReplacingMergeTree ORDER BY record_id"
	}
	return text + ";\n", nil
}

// grouped tells whether a column is of a group, which may be missing as a whole.
func grouped(c Column) bool { return len(c.path) > 1 }
