package avro

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"januscdr/cdr"
	"januscdr/janus"
)

// node is a part of a schema, as JSON has it.
type node = map[string]any

// fieldsOf returns the fields of the record of this name, which stands somewhere in the schema.
func fieldsOf(t *testing.T, schema, name string) []node {
	t.Helper()
	var tree any
	if err := json.Unmarshal([]byte(schema), &tree); err != nil {
		t.Fatalf("the schema is not JSON: %v", err)
	}
	var found []node
	var walk func(any)
	walk = func(n any) {
		switch n := n.(type) {
		case node:
			if n["type"] == "record" && n["name"] == name {
				for _, f := range n["fields"].([]any) {
					found = append(found, f.(node))
				}
			}
			for _, child := range n {
				walk(child)
			}
		case []any:
			for _, child := range n {
				walk(child)
			}
		}
	}
	walk(tree)
	if found == nil {
		t.Fatalf("the schema has no record %s", name)
	}
	return found
}

// unwrapped is the type of a field without its null.
func unwrapped(f node) (typ any, nullable bool) {
	if union, ok := f["type"].([]any); ok {
		return union[1], true
	}
	return f["type"], false
}

// fieldNames are the names that the fields of a struct have in the schema. HasMid and Known say whether something is
// null and are no fields.
func fieldNames(typ reflect.Type) (names []string, fields []reflect.StructField) {
	special := map[string]string{
		"CDRID": "cdr_id", "LegIDs": "leg_ids", "NACKsReceived": "nacks_received", "NACKsSent": "nacks_sent",
		"CompanionCDRID": "companion_cdr_id", "PeerCDRID": "peer_cdr_id",
		"LocalCandType": "local_candidate_type", "RemoteCandType": "remote_candidate_type",
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Name == "HasMid" || f.Name == "Known" {
			continue
		}
		name, ok := special[f.Name]
		if !ok {
			name = snake(f.Name)
		}
		names, fields = append(names, name), append(fields, f)
	}
	return names, fields
}

// snake writes SIPFinalCode as sip_final_code.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

var structs = map[string]reflect.Type{
	"CallDetailRecord": reflect.TypeFor[cdr.Record](),
	"Stream":           reflect.TypeFor[cdr.Stream](),
	"Quality":          reflect.TypeFor[cdr.Quality](),
}

func TestEachFieldOfTheStructStandsOnceInTheSchemaInTheSameOrderWithItsType(t *testing.T) {
	for record, typ := range structs {
		names, fields := fieldNames(typ)
		inSchema := fieldsOf(t, schema, record)
		var got []string
		for _, f := range inSchema {
			got = append(got, f["name"].(string))
		}
		if !slices.Equal(got, names) {
			t.Fatalf("the fields of %s in the schema are\n%v\nthose of the struct are\n%v", record, got, names)
		}
		for i, f := range inSchema {
			is, _ := unwrapped(f)
			if problem := mismatch(is, fields[i].Type); problem != "" {
				t.Errorf("%s.%s: %s", record, f["name"], problem)
			}
		}
	}
}

// mismatch says in which way a type of the schema does not fit a type of Go.
func mismatch(is any, typ reflect.Type) string {
	if symbols, ok := symbolsOf[typ]; ok {
		enum, _ := is.(node)
		var got []string
		list, _ := enum["symbols"].([]any)
		for _, s := range list {
			got = append(got, s.(string))
		}
		switch {
		case enum["type"] != "enum" || !slices.Equal(got, symbols):
			return fmt.Sprintf("the schema has %v, the words in cdr are %v", is, symbols)
		case enum["default"] != "UNKNOWN" || got[0] != "UNKNOWN":
			return fmt.Sprintf("the first symbol and default are %v and %v, not UNKNOWN", got[0], enum["default"])
		}
		return ""
	}
	want := map[reflect.Type]any{
		reflect.TypeFor[int32]():        "int",
		reflect.TypeFor[int64]():        "long",
		reflect.TypeFor[bool]():         "boolean",
		reflect.TypeFor[string]():       "string",
		reflect.TypeFor[cdr.ID]():       "string",
		reflect.TypeFor[janus.Micros](): node{"type": "long", "logicalType": "timestamp-micros"},
		reflect.TypeFor[[]string]():     node{"type": "array", "items": "string"},
		reflect.TypeFor[[]cdr.ID]():     node{"type": "array", "items": "string"},
	}
	if w, ok := want[typ]; ok {
		if !reflect.DeepEqual(is, w) {
			return fmt.Sprintf("the schema has %v, a %v is %v", is, typ, w)
		}
		return ""
	}
	switch typ {
	case reflect.TypeFor[[]cdr.Stream]():
		array, _ := is.(node)
		items, _ := array["items"].(node)
		if array["type"] != "array" || items["name"] != "Stream" {
			return fmt.Sprintf("the schema has %v, not an array of Stream", is)
		}
	case reflect.TypeFor[cdr.Quality]():
		definition, _ := is.(node)
		if is != "Quality" && definition["name"] != "Quality" {
			return fmt.Sprintf("the schema has %v, not a Quality", is)
		}
	default:
		return fmt.Sprintf("no test knows what a %v is in the schema", typ)
	}
	return ""
}

func TestEveryFieldAndEveryEnumIsExplained(t *testing.T) {
	for record := range structs {
		for _, f := range fieldsOf(t, schema, record) {
			if doc, _ := f["doc"].(string); !strings.HasSuffix(doc, ".") {
				t.Errorf("%s.%s says %q", record, f["name"], doc)
			}
			if is, _ := unwrapped(f); is != nil {
				if enum, ok := is.(node); ok && enum["type"] == "enum" && enum["doc"] == nil {
					t.Errorf("the enum %s has no doc", enum["name"])
				}
			}
		}
	}
}

// keys returns the keys of a JSON object in the order in which they stand there.
func keys(t *testing.T, object []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, key.(string))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

func TestTheKeysOfTheJSONAreTheFieldsOfTheSchemaInItsOrder(t *testing.T) {
	r := aLeg()
	line := JSON(nil, &r)
	var parts struct{ Streams []json.RawMessage }
	var stream struct{ RTT json.RawMessage }
	if err := json.Unmarshal(line, &parts); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(parts.Streams[0], &stream); err != nil {
		t.Fatal(err)
	}
	for record, object := range map[string][]byte{"CallDetailRecord": line, "Stream": parts.Streams[0],
		"Quality": stream.RTT} {
		want, _ := fieldNames(structs[record])
		if got := keys(t, object); !slices.Equal(got, want) {
			t.Errorf("the keys of %s are\n%v\nits fields are\n%v", record, got, want)
		}
	}
}

// What is null in a leg that knows nothing is what the schema lets be null, and a null is the default there.
func TestWhatMayBeNullIsNullInALegThatKnowsNothing(t *testing.T) {
	blank := cdr.Record{RecordType: cdr.Leg, Streams: []cdr.Stream{{}}}
	var got map[string]any
	if err := json.Unmarshal(JSON(nil, &blank), &got); err != nil {
		t.Fatal(err)
	}
	for record, object := range map[string]map[string]any{"CallDetailRecord": got,
		"Stream": got["streams"].([]any)[0].(map[string]any)} {
		for _, f := range fieldsOf(t, schema, record) {
			name := f["name"].(string)
			_, nullable := unwrapped(f)
			if isNull := object[name] == nil; isNull != nullable {
				t.Errorf("%s.%s may be null: %v; is null: %v", record, name, nullable, isNull)
			}
			if value, ok := f["default"]; nullable && (!ok || value != nil) || !nullable && ok {
				t.Errorf("%s.%s has the default %v", record, name, value)
			}
		}
	}
}

// Two lines of the table that mean the same field of the struct would go unnoticed elsewhere.
func TestEachFieldOfTheStructChangesItsOwnKeyOnly(t *testing.T) {
	plainOf := func(r cdr.Record) map[string]any {
		var m map[string]any
		if err := json.Unmarshal(JSON(nil, &r), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	changed := func(before, after map[string]any) (names []string) {
		for k := range before {
			if !reflect.DeepEqual(before[k], after[k]) {
				names = append(names, k)
			}
		}
		return names
	}
	base := func() cdr.Record {
		r := aSession()
		r.Streams = aLeg().Streams[:1]
		s := &r.Streams[0]
		for _, q := range []*cdr.Quality{&s.RTT, &s.JitterLocal, &s.JitterRemote, &s.InLinkQuality, &s.OutLinkQuality} {
			*q = cdr.Quality{Known: true}
		}
		return r
	}
	before := plainOf(base())
	for record, typ := range structs {
		names, fields := fieldNames(typ)
		for i, f := range fields {
			r := base()
			var in reflect.Value
			old, where := before, func(m map[string]any) map[string]any { return m }
			stream := func(m map[string]any) map[string]any { return m["streams"].([]any)[0].(map[string]any) }
			switch record {
			case "CallDetailRecord":
				in = reflect.ValueOf(&r).Elem()
			case "Stream":
				in, where = reflect.ValueOf(&r.Streams[0]).Elem(), stream
			case "Quality":
				in, where = reflect.ValueOf(&r.Streams[0].RTT).Elem(), func(m map[string]any) map[string]any {
					return stream(m)["rtt"].(map[string]any)
				}
			}
			poke(in.FieldByIndex(f.Index))
			if got := changed(where(old), where(plainOf(r))); !slices.Equal(got, []string{names[i]}) {
				t.Errorf("a change of %v.%s changed %v instead of %s", typ, f.Name, got, names[i])
			}
			message, err := Encode(&r)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := Decode(message); err != nil || !reflect.DeepEqual(back, r) {
				t.Errorf("a change of %v.%s is not in the message: %v\n%+v\n%+v", typ, f.Name, err, back, r)
			}
		}
	}
}

// poke changes a value to one that it had not.
func poke(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8:
		v.SetUint(1 + v.Uint()%uint64(len(symbolsOf[v.Type()])-1))
		if v.Type() == reflect.TypeFor[cdr.RecordType]() {
			v.SetUint(uint64(cdr.Conference)) // a LEG has other nulls
		}
	case reflect.String:
		v.SetString(v.String() + "!")
	case reflect.Array:
		v.Index(0).SetUint(v.Index(0).Uint() ^ 1)
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.New(v.Type().Elem()).Elem()))
	case reflect.Struct: // a Quality
		poke(v.FieldByName("Min"))
	}
}
