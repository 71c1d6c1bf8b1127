package avro

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"januscdr/cdr"
)

func TestBytesThatAreNoMessageOfOursSayWhy(t *testing.T) {
	r := aLeg()
	good, err := Encode(&r)
	if err != nil {
		t.Fatal(err)
	}
	with := func(at int, b byte) []byte {
		c := slices.Clone(good)
		c[at] = b
		return c
	}
	for _, scene := range []struct {
		name  string
		bytes []byte
		is    error
		says  string
	}{
		{"nothing", nil, ErrNotSingleObject, "0 bytes are too short"},
		{"half a header", good[:9], ErrNotSingleObject, "9 bytes are too short, the header alone has 10"},
		{"a registry's framing", append([]byte{0, 0, 0, 0, 1}, good[headerSize:]...), ErrNotSingleObject,
			"begins with 0000 instead of c301"},
		{"another schema", with(2, good[2]^1), ErrOtherSchema, "that of this program's schema is " + Fingerprint()},
		{"a header alone", good[:headerSize], nil, "schema_version: the message is cut off"},
		{"cut in the middle", good[:len(good)-60], nil, "streams: "},
		{"cut at the end", good[:len(good)-1], nil, "max_concurrent_legs: the message is cut off"},
		{"something behind it", append(slices.Clone(good), 0, 0), nil, "2 bytes follow the record"},
		{"no such symbol", with(headerSize+1, 8), nil, "record_type: 4 is no symbol, of which there are 4"},
		{"an id of 31 digits", with(headerSize+2, 62), nil,
			"record_id: an id has 32 hexadecimal digits, this one has 31 characters"},
		{"an id that is none", with(headerSize+3, 'x'), nil, "record_id: encoding/hex: invalid byte"},
	} {
		_, err := Decode(scene.bytes)
		if err == nil || !strings.Contains(err.Error(), scene.says) || scene.is != nil && !errors.Is(err, scene.is) {
			t.Errorf("%s: got %v, want %q", scene.name, err, scene.says)
		}
	}
}

func TestAMessageOfAnotherSchemaNamesBothFingerprints(t *testing.T) {
	_, err := Decode([]byte("\xC3\x01\x01\x02\x03\x04\x05\x06\x07\x08 whatever follows"))
	want := "decode record: written with another schema: its fingerprint is 0102030405060708, that of this program's " +
		"schema is " +
		Fingerprint() + "; a newer program wrote it, whose \"cdr schema\" prints its schema: name a file of that in " +
		"topics.schemas"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestAMessageCutAnywhereIsAnError(t *testing.T) {
	r := aLeg()
	good, err := Encode(&r)
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := Decode(good[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes were taken for a record", n, len(good))
		}
	}
}

func TestValuesThatTheirTypeDoesNotHaveSayWhy(t *testing.T) {
	long := func(v int64) []byte {
		var w writer
		w.long(v)
		return w.b
	}
	for _, scene := range []struct {
		name  string
		bytes []byte
		read  func(*reader)
		says  string
	}{
		{"an int above", long(math.MaxInt32 + 1), func(r *reader) { r.int() }, "2147483648 has more than 32 bits"},
		{"an int below", long(math.MinInt32 - 1), func(r *reader) { r.int() }, "-2147483649 has more than 32 bits"},
		{"a long of eleven bytes", bytes.Repeat([]byte{0xFF}, 11), func(r *reader) { r.long() }, "more than 64 bits"},
		{"a boolean of 2", []byte{2}, func(r *reader) { r.bool() }, "a boolean is 0 or 1, not 2"},
		{"a third branch", long(2), func(r *reader) { r.index(2, "branch") }, "2 is no branch, of which there are 2"},
		{"a string of negative length", long(-1), func(r *reader) { r.bytes() }, "the length of a string is -1"},
	} {
		r := reader{b: scene.bytes}
		scene.read(&r)
		if r.err == nil || !strings.Contains(r.err.Error(), scene.says) {
			t.Errorf("%s: got %v, want %q", scene.name, r.err, scene.says)
		}
	}
	for _, most := range []int64{math.MaxInt32, math.MinInt32} {
		if r := (reader{b: long(most)}); int64(r.int()) != most || r.err != nil {
			t.Errorf("%d is an int: %v", most, r.err)
		}
	}
}

// An array may come in several blocks and with its size in bytes, which we never write.
func TestAnArrayMayComeInBlocksAsOtherLibrariesWriteThem(t *testing.T) {
	var w writer
	for _, b := range []func(){
		func() { w.long(-1); w.long(2); w.string("a") },
		func() { w.long(2); w.string("b"); w.string("c") },
		func() { w.long(0) },
	} {
		b()
	}
	var got []string
	r := reader{b: w.b}
	list(text).read(&r, &got)
	if r.err != nil || len(r.b) > 0 || !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("got %q, %v, %d bytes left", got, r.err, len(r.b))
	}
}

func TestAnArrayThatClaimsMoreThanItHasIsCutOff(t *testing.T) {
	for _, count := range []int64{1 << 40, math.MaxInt64, -1 << 40, math.MinInt64} {
		var w writer
		w.long(count)
		if count < 0 {
			w.long(1)
		}
		w.b = append(w.b, 0, 0, 0)
		var got []cdr.Stream
		r := reader{b: w.b}
		list(stream).read(&r, &got)
		if !errors.Is(r.err, errCutOff) || cap(got) > 0 {
			t.Errorf("%d items: got %v, and room for %d", count, r.err, cap(got))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range []cdr.Record{{}, aLeg(), aSession()} {
		message, err := Encode(&r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(message)
		f.Add(message[headerSize:])
		f.Add(message[:len(message)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, message := range [][]byte{b, append(header[:], b...)} {
			r, err := Decode(message)
			if err != nil {
				continue
			}
			// Not all bytes that can be read are bytes that we write. What was read must be writable, though, and stay the
			// same from then on.
			first, err := Encode(&r)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Decode(first)
			if err != nil {
				t.Fatal(err)
			}
			second, err := Encode(&again)
			if err != nil || !bytes.Equal(first, second) {
				t.Fatalf("%v\n%x\n%x", err, first, second)
			}
		}
	})
}
