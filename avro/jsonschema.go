package avro

import (
	"encoding/json"
	"fmt"
)

// JSONSchema is the JSON Schema of a record in its JSON form, one object a line, with the meaning of each field.
func JSONSchema() ([]byte, error) {
	var tree struct {
		Fields []struct{ Name, Doc string }
	}
	if err := json.Unmarshal([]byte(schema), &tree); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	meaning := map[string]string{}
	for _, f := range tree.Fields {
		meaning[f.Name] = f.Doc
	}
	fields := Fields()
	root := objectSchema(fields)
	properties := root["properties"].(map[string]any)
	for name, doc := range meaning {
		if p, ok := properties[name].(map[string]any); ok {
			p["description"] = doc
		}
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "CallDetailRecord"
	return json.MarshalIndent(root, "", "  ")
}

func objectSchema(fields []Field) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range fields {
		properties[fields[i].Name] = valueSchema(&fields[i])
		required = append(required, fields[i].Name)
	}
	// A later program may have more of them.
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

func valueSchema(f *Field) map[string]any {
	s := map[string]any{}
	kind := ""
	switch f.Type {
	case Boolean:
		kind = "boolean"
	case Int, Long:
		kind = "integer"
	case Moment:
		kind, s["$comment"] = "integer", "microseconds since 1970-01-01T00:00:00Z"
	case Text:
		kind = "string"
	case ID:
		kind, s["pattern"] = "string", "^[0-9a-f]{32}$"
	case Symbol: // enums grow: a reader takes a word that it does not know for UNKNOWN
		kind, s["examples"] = "string", f.Symbols
	case List:
		kind, s["items"] = "array", valueSchema(f.Item)
	case Group:
		s, kind = objectSchema(f.Fields), "object"
	}
	s["type"] = kind
	if f.Nullable {
		s["type"] = []string{kind, "null"}
	}
	return s
}
