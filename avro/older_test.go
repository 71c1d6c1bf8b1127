package avro

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"
	"pgregory.net/rapid"

	"januscdr/cdr"
)

// schemaBefore is ours as an older program might have had it: without some fields, at the top and in lists, in another
// order, with fewer symbols, and with a field that we do not have any more.
func schemaBefore(t *testing.T) string {
	t.Helper()
	var tree node
	if err := json.Unmarshal([]byte(schema), &tree); err != nil {
		t.Fatal(err)
	}
	fields := tree["fields"].([]any)
	var kept []any
	for _, f := range fields {
		switch f.(node)["name"] {
		case "supersedes", "sip_reason", "end_basis", "max_concurrent_legs":
			continue
		case "interim_missing":
			f.(node)["type"].(node)["symbols"] = []any{"UNKNOWN", "NO"}
		case "streams":
			stream := f.(node)["type"].(node)["items"].(node)
			var some []any
			for _, inner := range stream["fields"].([]any) {
				if name := inner.(node)["name"]; name != "codec" && name != "jitter_local" {
					some = append(some, inner)
				}
			}
			stream["fields"] = some
		}
		kept = append(kept, f)
	}
	kept[0], kept[len(kept)-1] = kept[len(kept)-1], kept[0]
	list := []any{"null", node{"type": "array", "items": "string"}}
	tree["fields"] = append(kept, node{"name": "forgotten", "type": list, "default": nil})
	b, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestARecordOfAnOlderProgramIsReadWithItsSchema(t *testing.T) {
	text := schemaBefore(t)
	o, err := newOlder(text)
	if err != nil {
		t.Fatal(err)
	}
	codec, err := goavro.NewCodec(text)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(allTimes).Draw(t, "record")
		r.InterimMissing %= 2
		values := native(t, &r).(map[string]any)
		values["forgotten"] = goavro.Union("array", []any{"a", "bc"})
		theirs, err := codec.BinaryFromNative(nil, values)
		if err != nil {
			t.Fatal(err)
		}
		body, err := o.read(theirs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(append(header[:len(header):len(header)], body...))
		if err != nil {
			t.Fatal(err)
		}
		r.Supersedes, r.SIPReason, r.EndBasis, r.MaxConcurrentLegs = "", "", 0, 0
		for i := range r.Streams {
			r.Streams[i].Codec, r.Streams[i].JitterLocal = "", cdr.Quality{}
		}
		if got, want := JSON(nil, &got), JSON(nil, &r); string(got) != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		for cut := range len(theirs) {
			if _, err := o.read(theirs[:cut]); err == nil {
				t.Fatalf("%d of %d bytes are a record", cut, len(theirs))
			}
		}
	})
}

// The message of each release is read by its fingerprint.
func TestEachReleaseIsKnownByItsFingerprint(t *testing.T) {
	if len(released()) == 0 {
		t.Fatal("no release is known")
	}
	for fingerprint, o := range released() {
		if o.fingerprint != fingerprint {
			t.Errorf("%x is known as %x", o.fingerprint, fingerprint)
		}
	}
	if _, err := newOlder(`{"type":"record","name":"r","fields":[{"name":"a","type":["int","null"]}]}`); err == nil {
		t.Error("a union that we cannot read was accepted")
	}
	r := aLeg()
	message, err := Encode(&r)
	if err != nil {
		t.Fatal(err)
	}
	o, err := newOlder(schema)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := o.read(message[headerSize:]); err != nil || !reflect.DeepEqual(body, message[headerSize:]) {
		t.Errorf("our own schema changes a message: %v", err)
	}
}

// The first release knows half of the fields that there are now. Who reads with its schema reads on, and reads the
// same;
// what it wrote is read by this program, with null in what it did not know.
func TestAReaderAndAWriterOfTheFirstReleaseGoOn(t *testing.T) {
	text, err := releasedFiles.ReadFile("testdata/released/1.avsc")
	if err != nil {
		t.Fatal(err)
	}
	first, err := newOlder(string(text))
	if err != nil {
		t.Fatal(err)
	}
	codec, err := goavro.NewCodec(string(text))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(allTimes).Draw(t, "record")
		message, err := Encode(&r)
		if err != nil {
			t.Fatal(err)
		}
		ours := reader{b: message[headerSize:]}
		theirs := resolve(nil, &ours, first.ours, first.theirs) // as their library does
		native, rest, err := codec.NativeFromBinary(theirs)
		if err != nil || len(rest) > 0 || ours.err != nil {
			t.Fatalf("%v, %v, %d bytes left", err, ours.err, len(rest))
		}
		again, err := codec.BinaryFromNative(nil, native)
		if err != nil {
			t.Fatal(err)
		}

		back, err := Decode(append(append([]byte{0xC3, 0x01}, first.fingerprint[:]...), again...))
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if err := json.Unmarshal(JSON(nil, &back), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(JSON(nil, &r), &want); err != nil {
			t.Fatal(err)
		}
		for name, value := range want {
			known := slices.Contains(first.theirs.names, name)
			// 0 has a meaning in a record of version 2 that is read back with its number, and no other.
			if !known && name != "lineage_offset" && name != "left_out_leg_count" {
				value = nil
			}
			if known && !reflect.DeepEqual(got[name], value) || !known && value == nil && got[name] != nil {
				t.Fatalf("%s is %v, want %v", name, got[name], value)
			}
		}
	})
	old := cdr.Record{SchemaVersion: 1, RecordType: cdr.SessionSummary}
	for _, name := range []string{"lineage_offset", "left_out_leg_count"} {
		if line := string(JSON(nil, &old)); !strings.Contains(line, `"`+name+`":null`) {
			t.Errorf("a record of version 1 says %s in %s", name, line)
		}
	}
}
