package docs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
)

// A field of the schema, as a reader of the page wants it.
type field struct {
	Name string
	Doc  string
	Type any
}

type recordType struct {
	Name   string
	Fields []field
}

func schema(t *testing.T) recordType {
	t.Helper()
	var r recordType
	if err := json.Unmarshal([]byte(avro.Schema()), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// names are the fields of the record in the order of the schema.
func names(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, f := range schema(t).Fields {
		all = append(all, f.Name)
	}
	return all
}

// streamNames are those of a stream.
func streamNames(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, n := range nested(schema(t).Fields) {
		if n.name == "Stream" {
			for _, f := range n.fields {
				all = append(all, f.Name)
			}
		}
	}
	return all
}

// groups are the headings of the page, by the field that begins each.
var groups = map[string]string{
	"schema_version":      "Identity and lineage",
	"direction":           "Parties",
	"record_opening_time": "Times and outcome",
	"start_missing":       "Completeness",
	"streams":             "Media",
	"leg_count":           "Of SESSION records only",
}

// sources are where examples come from: the first record of these recordings in which the field says something.
var sources = []string{"1.1-f_sip", "1.1-c_videoroom", "1.1-h_restart", "1.1-k_loss"}

func TestTheFieldsPageFollowsTheSchema(t *testing.T) {
	each(t, func(t *testing.T, p place) string {
		var records []record
		for _, name := range sources {
			records = append(records, fold(t, cdr.DefaultPolicy(), recordings.Events(name))...)
		}
		s := schema(t)
		var out strings.Builder
		for _, f := range s.Fields {
			if heading := groups[f.Name]; heading != "" {
				fmt.Fprintf(&out, "\n## %s\n\n%s", heading, tableHead)
			}
			row(t, &out, f, example(records, f.Name))
		}
		for _, nested := range nested(s.Fields) {
			fmt.Fprintf(&out, "\n## %s: %s\n\n%s\n\n%s", nested.title, nested.name, nested.doc, tableHead)
			for _, f := range nested.fields {
				row(t, &out, f, nestedExample(t, records, nested.name, f.Name))
			}
		}
		return out.String() + "\n"
	}, "fields")
}

const tableHead = "| Field | Type | Null? | Meaning | Example |\n|---|---|---|---|---|\n"

func row(t *testing.T, out *strings.Builder, f field, example string) {
	t.Helper()
	if len(f.Doc) < 10 || !strings.HasSuffix(f.Doc, ".") {
		t.Errorf("field %s has no doc in the schema: say in a sentence what it means", f.Name)
	}
	kind, null := typeOf(f.Type)
	may := "no"
	if null {
		may = "yes"
	}
	switch {
	case len(example) <= 80:
		example = "`" + example + "`"
	case strings.HasPrefix(example, `["`):
		example = "`" + example[:strings.Index(example, ",")] + ", …]`"
	default:
		example = "[below](#items-of-" + f.Name + "-stream)"
	}
	fmt.Fprintf(out, "| `%s` | %s | %s | %s | %s |\n", f.Name, kind, may, f.Doc, example)
}

// typeOf is the type of a field in words, and whether it may be null.
func typeOf(v any) (kind string, null bool) {
	switch v := v.(type) {
	case string:
		if v == "Quality" {
			return "record Quality", false
		}
		return v, false
	case []any:
		for _, branch := range v {
			if branch == "null" {
				null = true
				continue
			}
			kind, _ = typeOf(branch)
		}
		return kind, null
	case map[string]any:
		switch {
		case v["logicalType"] != nil:
			return fmt.Sprint(v["logicalType"]), false
		case v["type"] == "enum":
			var symbols []string
			for _, s := range v["symbols"].([]any) {
				if s != "UNKNOWN" {
					symbols = append(symbols, "`"+s.(string)+"`")
				}
			}
			return "enum: " + strings.Join(symbols, " "), false
		case v["type"] == "array":
			kind, _ = typeOf(v["items"])
			return "array of " + kind, false
		case v["type"] == "record":
			return "record " + v["name"].(string), false
		}
	}
	return fmt.Sprint(v), false
}

// A nestedType is a record within the record.
type nestedType struct {
	title, name, doc string
	fields           []field
}

func nested(fields []field) (all []nestedType) {
	var walk func(title string, v any)
	walk = func(title string, v any) {
		switch v := v.(type) {
		case []any:
			for _, branch := range v {
				walk(title, branch)
			}
		case map[string]any:
			if v["type"] == "array" {
				walk(title, v["items"])
			}
			if v["type"] != "record" {
				return
			}
			n := nestedType{title: title, name: v["name"].(string), doc: v["doc"].(string)}
			for _, f := range v["fields"].([]any) {
				f := f.(map[string]any)
				doc, _ := f["doc"].(string)
				n.fields = append(n.fields, field{Name: f["name"].(string), Doc: doc, Type: f["type"]})
			}
			all = append(all, n)
			for _, f := range n.fields {
				walk("Gauges of a stream", f.Type)
			}
		}
	}
	for _, f := range fields {
		walk("Items of `"+f.Name+"`", f.Type)
	}
	return all
}

// example is the first value of a field that says something.
func example(records []record, name string) string {
	shown := "null"
	for _, r := range records {
		v := string(r.raw[name])
		switch {
		case v == "null" || v == "":
		case slices.Contains([]string{"0", `""`, "[]", `"UNKNOWN"`}, v):
			shown = v
		default:
			return v
		}
	}
	return shown
}

func nestedExample(t *testing.T, records []record, name, field string) string {
	t.Helper()
	var streams []record
	for _, r := range records {
		streams = append(streams, r.streams(t)...)
	}
	if name == "Stream" {
		return example(streams, field)
	}
	var gauges []record
	for _, s := range streams {
		if q := s.raw["out_link_quality"]; q != nil && string(q) != "null" {
			gauges = append(gauges, parse(t, q))
		}
	}
	return example(gauges, field)
}

// Each word that a record may say is explained somewhere.
func TestEverySymbolOfTheSchemaIsExplained(t *testing.T) {
	page := read(t, "records.md")
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, branch := range v {
				walk(branch)
			}
		case map[string]any:
			if v["type"] == "enum" {
				for _, s := range v["symbols"].([]any) {
					if s != "UNKNOWN" && !strings.Contains(page, "`"+s.(string)+"`") {
						t.Errorf("records.md does not say what `%s` of %s means", s, v["name"])
					}
				}
			}
			walk(v["items"])
			walk(v["fields"])
			walk(v["type"])
		}
	}
	var all any
	if err := json.Unmarshal([]byte(avro.Schema()), &all); err != nil {
		t.Fatal(err)
	}
	walk(all)
}
