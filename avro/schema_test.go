package avro

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"
)

// rabin is CRC-64-AVRO, bit by bit.
func rabin(b []byte) uint64 {
	const empty = 0xc15d213aa4d7a795
	crc := uint64(empty)
	for _, c := range b {
		crc ^= uint64(c)
		for range 8 {
			crc = crc>>1 ^ empty&-(crc&1)
		}
	}
	return crc
}

func TestTheFingerprintIsThatOfTheCanonicalForm(t *testing.T) {
	codec, err := goavro.NewCodec(plainSchema(t))
	if err != nil {
		t.Fatal(err)
	}
	canonical := codec.CanonicalSchema()
	for _, never := range []string{"logicalType", `{"type":"long"}`, "doc", "default", " "} {
		if strings.Contains(canonical, never) {
			t.Errorf("the canonical form has %q in it", never)
		}
	}
	b := binary.LittleEndian.AppendUint64(nil, rabin([]byte(canonical)))
	if got, want := Fingerprint(), hex.EncodeToString(b); got != want {
		t.Errorf("the fingerprint is %s, that of the canonical form is %s", got, want)
	}
	if b = binary.LittleEndian.AppendUint64(nil, codec.Rabin); hex.EncodeToString(b) != Fingerprint() {
		t.Errorf("goavro's fingerprint of the same form is %x", b)
	}
	r := aLeg()
	message, err := Encode(&r)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(message[:headerSize]), "c301"+Fingerprint(); got != want {
		t.Errorf("a message begins with %s, not with %s", got, want)
	}
	if _, _, err := codec.NativeFromSingle(message); err != nil {
		t.Errorf("goavro does not take the header: %v", err)
	}
}

// Readers hold a schema that was once released. Whoever changes the schema may add to it; the file of a release never
// changes, and the next release adds one.
func TestTheSchemaOnlyGrows(t *testing.T) {
	files, err := filepath.Glob("testdata/released/*.avsc")
	if err != nil || len(files) == 0 {
		t.Fatalf("no released schema: %v", err)
	}
	for _, file := range files {
		released, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, complaint := range shrunk(t, string(released), schema) {
			t.Errorf("since %s: %s", file, complaint)
		}
	}
}

// shrunk says what a reader or writer with one of the two schemas would lose with the other.
func shrunk(t *testing.T, released, now string) []string {
	t.Helper()
	var o, n any
	for text, into := range map[*string]*any{&released: &o, &now: &n} {
		if err := json.Unmarshal([]byte(*text), into); err != nil {
			t.Fatal(err)
		}
	}
	var l losses
	l.compare("schema", o, n)
	return l
}

// losses are what is lost between two schemas, one sentence each.
type losses []string

func (l *losses) add(format string, args ...any) { *l = append(*l, fmt.Sprintf(format, args...)) }

func (l *losses) compare(at string, old, new any) {
	if ol, ok := old.([]any); ok {
		nl, _ := new.([]any)
		if len(ol) != len(nl) {
			l.add("%s: the branches of the union changed", at)
			return
		}
		for i := range ol {
			l.compare(at, ol[i], nl[i])
		}
		return
	}
	o, ok := old.(node)
	if !ok {
		if !reflect.DeepEqual(old, new) {
			l.add("%s: %v became %v", at, old, new)
		}
		return
	}
	n, _ := new.(node)
	for _, k := range []string{"type", "name", "namespace", "logicalType", "default"} {
		if !reflect.DeepEqual(o[k], n[k]) {
			l.add("%s: %s was %v and is %v", at, k, o[k], n[k])
			return
		}
	}
	switch o["type"] {
	case "enum":
		before, after := o["symbols"].([]any), n["symbols"].([]any)
		if len(after) < len(before) || !reflect.DeepEqual(before, after[:len(before)]) {
			l.add("%s: the symbols were %v and are %v", at, before, after)
		}
	case "array":
		l.compare(at, o["items"], n["items"])
	case "record":
		l.fields(at, o["fields"].([]any), n["fields"].([]any))
	}
}

func (l *losses) fields(at string, old, new []any) {
	left := map[string]node{}
	for _, f := range new {
		left[f.(node)["name"].(string)] = f.(node)
	}
	for _, f := range old {
		name := f.(node)["name"].(string)
		field, ok := left[name]
		if !ok {
			l.add("%s.%s is gone", at, name)
			continue
		}
		delete(left, name)
		l.compare(at+"."+name, f.(node)["type"], field["type"])
		before, had := f.(node)["default"]
		if after, has := field["default"]; had != has || !reflect.DeepEqual(before, after) {
			l.add("%s.%s: the default was %v and is %v", at, name, before, after)
		}
	}
	for name, f := range left {
		if _, ok := f["default"]; !ok {
			l.add("%s.%s is new and has no default", at, name)
		}
	}
}

func TestASchemaThatShrinksIsNoticed(t *testing.T) {
	const first = `    {"name": "schema_version",`
	for _, scene := range []struct{ name, old, new, want string }{
		{"nothing", "", "", ""},
		{"a doc is worded better", `"doc": "Name of the Janus server."`, `"doc": "Which Janus server."`, ""},
		{"a field with a default comes in", first, `{"name": "tenant", "type": ["null", "string"], "default": null},` + first,
			""},
		{"a field without one", first, `{"name": "tenant", "type": "string"},` + first,
			"schema.tenant is new and has no default"},
		{"a symbol at the end", `"VIDEO", "DATA"]`, `"VIDEO", "DATA", "TEXT"]`, ""},
		{"a symbol in between", `"VIDEO", "DATA"]`, `"TEXT", "VIDEO", "DATA"]`, "the symbols were"},
		{"a field goes", `"name": "emitter"`, `"name": "sender"`, "schema.emitter is gone"},
		{"a type changes", `"type": "boolean"`, `"type": "string"`, "boolean became string"},
		{"a unit changes", "timestamp-micros", "timestamp-millis", "logicalType was timestamp-micros"},
		{"a null goes", `["null", "string"], "default": null`, `"string"`,
			"schema.supersedes: the branches of the union changed"},
	} {
		now := schema
		if scene.old != "" {
			if now = strings.Replace(schema, scene.old, scene.new, 1); now == schema {
				t.Fatalf("%s: the schema has no %s", scene.name, scene.old)
			}
		}
		complaints := strings.Join(shrunk(t, schema, now), "; ")
		if scene.want == "" && complaints != "" || !strings.Contains(complaints, scene.want) {
			t.Errorf("%s: got %q, want %q", scene.name, complaints, scene.want)
		}
	}
}
