package avro

import (
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"januscdr/cdr"
)

// Whoever keeps records in a form of their own sees the same values as a reader of the JSON, also when the memory of
// the record before is used again.
func TestTheValuesOfARecordAreThoseOfItsJSON(t *testing.T) {
	var values []Value
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(allTimes).Draw(t, "record")
		values = Values(values, &r)
		whole := Field{Type: Group, Fields: Fields()}
		got := AppendJSON(nil, &whole, &Value{Items: values})
		if want := JSON(nil, &r); string(got) != string(want) {
			t.Fatalf("the values are\n%s\nthe JSON is\n%s", got, want)
		}
	})
}

// The shape of a field is that of the schema: whoever makes columns of it makes those that a reader of Avro sees.
func TestTheFieldsAreThoseOfTheSchema(t *testing.T) {
	var schemaOf func(f *Field) any
	schemaOf = func(f *Field) any {
		var typ any
		switch f.Type {
		case Boolean:
			typ = "boolean"
		case Int:
			typ = "int"
		case Long:
			typ = "long"
		case Moment:
			typ = map[string]any{"type": "long", "logicalType": "timestamp-micros"}
		case Text, ID:
			typ = "string"
		case Symbol:
			typ = map[string]any{"type": "enum", "symbols": f.Symbols}
		case List:
			typ = map[string]any{"type": "array", "items": schemaOf(f.Item)}
		case Group:
			fields := []any{}
			for i := range f.Fields {
				fields = append(fields, map[string]any{"name": f.Fields[i].Name, "type": schemaOf(&f.Fields[i])})
			}
			typ = map[string]any{"type": "record", "fields": fields}
		}
		if f.Nullable {
			return []any{"null", typ}
		}
		return typ
	}
	var tree any
	if err := json.Unmarshal([]byte(Schema()), &tree); err != nil {
		t.Fatal(err)
	}
	want, got := bare(tree, map[string]any{}), bare(schemaOf(&Field{Type: Group, Fields: Fields()}), nil)
	if got, want := asJSON(t, got), asJSON(t, want); got != want {
		t.Fatalf("the fields say\n%s\nthe schema says\n%s", got, want)
	}
	if len(Fields()) < 70 {
		t.Fatalf("only %d fields", len(Fields()))
	}
}

// bare is a schema without names, docs and defaults, each name replaced by what it stands for.
func bare(node any, named map[string]any) any {
	switch node := node.(type) {
	case string:
		if known, ok := named[node]; ok {
			return known
		}
		return node
	case []any:
		var all []any
		for _, n := range node {
			all = append(all, bare(n, named))
		}
		return all
	case map[string]any:
		one := map[string]any{}
		for _, key := range []string{"type", "logicalType", "symbols"} {
			if v, ok := node[key]; ok {
				one[key] = bare(v, named)
			}
		}
		if items, ok := node["items"]; ok {
			one["items"] = bare(items, named)
		}
		if fields, ok := node["fields"].([]any); ok {
			var all []any
			for _, f := range fields {
				f := f.(map[string]any)
				all = append(all, map[string]any{"name": f["name"], "type": bare(f["type"], named)})
			}
			one["fields"] = all
		}
		if name, ok := node["name"].(string); ok && named != nil {
			named[name] = one
		}
		return one
	}
	return node
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A value that may be null is one or the other, and what is read before leaves nothing behind.
func TestANullLeavesNothingOfTheRecordBefore(t *testing.T) {
	full, empty := aLeg(), cdr.Record{}
	values := Values(nil, &full)
	for i, v := range Values(values, &empty) {
		if v.Null && (v.Int != 0 || v.Text != "" || v.Items != nil) {
			t.Errorf("%s is null and %+v", Fields()[i].Name, v)
		}
	}
}

func TestTheFieldsInWhichRecordsDifferAreNamed(t *testing.T) {
	a, b := aLeg(), aLeg()
	if got := Differing(&a, &b); len(got) != 0 {
		t.Errorf("the same record differs from itself in %v", got)
	}
	b.Duration++
	b.Feeds = append(slices.Clone(b.Feeds), "7")
	if got := Differing(&a, &b); !slices.Equal(got, []string{"feeds", "duration"}) {
		t.Errorf("got %v", got)
	}
}
