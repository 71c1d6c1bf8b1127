package avro

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/linkedin/goavro/v2"
	"pgregory.net/rapid"

	"januscdr/cdr"
)

func TestWhatIsWrittenReadsBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyRecord(allTimes).Draw(t, "record")
		message, err := Encode(&want)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := Encode(&want); !bytes.Equal(message, again) {
			t.Fatalf("the same record gave two messages:\n%x\n%x", message, again)
		}
		got, err := Decode(message)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("Avro gave\n%+v\nfor\n%+v", got, want)
		}
		line := JSON(nil, &want)
		if !json.Valid(line) || bytes.ContainsRune(line, '\n') {
			t.Fatalf("not a line of JSON: %s", line)
		}
	})
}

// The message is written by hand. goavro reads the schema and is told the values as the JSON has them, so the three say
// the same: the bytes, the JSON and the schema.
func TestGoavroWritesTheSameBytesForTheValuesOfTheJSON(t *testing.T) {
	codec, err := goavro.NewCodec(Schema())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(allTimes).Draw(t, "record")
		message, err := Encode(&r)
		if err != nil {
			t.Fatal(err)
		}
		want, err := codec.BinaryFromNative(nil, native(t, &r))
		if err != nil {
			t.Fatal(err)
		}
		if got := message[headerSize:]; !bytes.Equal(got, want) {
			t.Fatalf("for %s\nours   %x\ngoavro %x", JSON(nil, &r), got, want)
		}
	})
}

// native is the record as goavro wants it, made from its JSON by walking the schema. A key that is not in the schema,
// or a field that has no key, is a failure: goavro itself would leave it out without a word.
func native(t interface{ Fatalf(string, ...any) }, r *cdr.Record) any {
	var values any
	d := json.NewDecoder(bytes.NewReader(JSON(nil, r)))
	d.UseNumber()
	if err := d.Decode(&values); err != nil {
		t.Fatalf("%v", err)
	}
	var tree any
	if err := json.Unmarshal([]byte(schema), &tree); err != nil {
		t.Fatalf("%v", err)
	}
	n := nativeOf{t: t, named: map[string]node{}}
	collect(n.named, tree)
	v, _ := n.convert(tree, values)
	return v
}

// nativeOf makes values of JSON into those that goavro wants.
type nativeOf struct {
	t     interface{ Fatalf(string, ...any) }
	named map[string]node
}

// convert returns a value of this type, and the name of its branch of a union.
func (n nativeOf) convert(typ, value any) (any, string) {
	switch typ := typ.(type) {
	case string:
		if definition, ok := n.named[typ]; ok {
			return n.convert(definition, value)
		}
		switch value := value.(type) {
		case json.Number:
			whole, err := value.Int64()
			if err != nil {
				n.t.Fatalf("%v", err)
			}
			return whole, typ
		case nil:
			n.t.Fatalf("a %s is null", typ)
		}
		return value, typ
	case []any:
		if value == nil {
			return nil, ""
		}
		v, name := n.convert(typ[1], value)
		return goavro.Union(name, v), ""
	case node:
		name, _ := typ["name"].(string)
		switch typ["type"] {
		case "record":
			return n.record(name, typ["fields"].([]any), value.(map[string]any)), "januscdr." + name
		case "array":
			items := []any{}
			for _, v := range value.([]any) {
				item, _ := n.convert(typ["items"], v)
				items = append(items, item)
			}
			return items, "array"
		case "enum":
			return value, "januscdr." + name
		default:
			v, base := n.convert(typ["type"], value)
			if logical, ok := typ["logicalType"]; ok {
				base = fmt.Sprintf("%s.%s", base, logical)
			}
			return v, base
		}
	}
	n.t.Fatalf("no test knows the type %v", typ)
	return nil, ""
}

func (n nativeOf) record(name string, fields []any, object map[string]any) map[string]any {
	if len(fields) != len(object) {
		n.t.Fatalf("%s has %d fields, its JSON %d keys", name, len(fields), len(object))
	}
	m := map[string]any{}
	for _, f := range fields {
		key := f.(node)["name"].(string)
		v, ok := object[key]
		if !ok {
			n.t.Fatalf("the JSON of %s has no %s", name, key)
		}
		m[key], _ = n.convert(f.(node)["type"], v)
	}
	return m
}

// collect finds the definitions that have a name, which a schema may use again by that name.
func collect(named map[string]node, part any) {
	switch part := part.(type) {
	case node:
		if typ := part["type"]; typ == "record" || typ == "enum" {
			named[part["name"].(string)] = part
		}
		for _, child := range part {
			collect(named, child)
		}
	case []any:
		for _, child := range part {
			collect(named, child)
		}
	}
}

func TestAnEmptyMidIsThereAndAMissingOneIsNull(t *testing.T) {
	r := cdr.Record{RecordType: cdr.Leg, Streams: []cdr.Stream{{}, {HasMid: true}}}
	message, err := Encode(&r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(message)
	if err != nil {
		t.Fatal(err)
	}
	if back.Streams[0].HasMid || !back.Streams[1].HasMid {
		t.Fatalf("got %+v", back.Streams)
	}
}

func TestTheCountsOfASessionAreNullOnALegOnly(t *testing.T) {
	for _, scene := range []struct {
		about cdr.RecordType
		null  bool
	}{{cdr.Leg, true}, {cdr.SessionSummary, false}, {cdr.Conference, false}} {
		r := cdr.Record{RecordType: scene.about}
		line := JSON(nil, &r)
		for _, key := range []string{"leg_count", "answered_leg_count", "max_concurrent_legs"} {
			want := fmt.Sprintf("%q:0", key)
			if scene.null {
				want = fmt.Sprintf("%q:null", key)
			}
			if !bytes.Contains(line, []byte(want)) {
				t.Errorf("%v: no %s in %s", scene.about, want, line)
			}
		}
	}
}

func TestACallThatWasAnsweredAtOnceHasASetupDurationOfZero(t *testing.T) {
	r := cdr.Record{RecordType: cdr.Leg, AnswerTime: 1}
	if line := JSON(nil, &r); !bytes.Contains(line, []byte(`"setup_duration":0,`)) {
		t.Error(string(line))
	}
	r = cdr.Record{RecordType: cdr.Leg, SetupDuration: 5}
	if line := JSON(nil, &r); !bytes.Contains(line, []byte(`"setup_duration":null,`)) {
		t.Error(string(line))
	}
}

func TestBytesThatAreNotUTF8AreReplacedInBothForms(t *testing.T) {
	r := cdr.Record{RecordType: cdr.Leg, DisplayName: "a\xff\xfeb", Feeds: []string{"\x80"}}
	message, err := Encode(&r)
	if err != nil {
		t.Fatal(err)
	}
	fromAvro, err := Decode(message)
	if err != nil {
		t.Fatal(err)
	}
	var fromJSON struct {
		DisplayName string   `json:"display_name"`
		Feeds       []string `json:"feeds"`
	}
	if err := json.Unmarshal(JSON(nil, &r), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if fromAvro.DisplayName != "a\uFFFDb" || fromAvro.Feeds[0] != "\uFFFD" ||
		fromJSON.DisplayName != fromAvro.DisplayName || !slices.Equal(fromJSON.Feeds, fromAvro.Feeds) {
		t.Errorf("Avro gave %q %q, JSON gave %q %q", fromAvro.DisplayName, fromAvro.Feeds, fromJSON.DisplayName,
			fromJSON.Feeds)
	}
}

func TestAWordWithoutASymbolIsAnErrorOfAvroAndUnknownInJSON(t *testing.T) {
	r := cdr.Record{RecordType: cdr.Leg, CauseForRecordClosing: 200}
	_, err := Encode(&r)
	const want = "encode record 00000000000000000000000000000000: cause_for_record_closing: the value 200 is beyond the " +
		"14 symbols"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if line := JSON(nil, &r); !bytes.Contains(line, []byte(`"cause_for_record_closing":"UNKNOWN"`)) {
		t.Error(string(line))
	}
}
