package avro

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"
)

func plainSchema(t testing.TB) string {
	t.Helper()
	p, err := plain(schema)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestARecordIsTheSameInEitherFraming(t *testing.T) {
	r := aLeg()
	single, err := Encode(&r)
	if err != nil {
		t.Fatal(err)
	}
	registered, err := EncodeRegistered(0x01020304)(&r)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(registered[:5], []byte{0, 1, 2, 3, 4}) {
		t.Errorf("it begins with %x", registered[:5])
	}
	if !slices.Equal(Body(single), Body(registered)) || len(Body(single)) != len(single)-headerSize {
		t.Error("the record behind the framing is another one")
	}
	if a, b := FramingOf(single), FramingOf(registered); a != SingleObject || b != Registered {
		t.Errorf("taken for %s and %s", a, b)
	}
	for _, message := range [][]byte{single, registered} {
		again, err := DecodeMessage(message, []byte(Fingerprint()))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("read as %+v, %v", again, err)
		}
	}
}

func TestAFramedMessageIsReadByTheSchemaThatItsHeaderNames(t *testing.T) {
	r := aLeg()
	message, err := EncodeRegistered(7)(&r)
	if err != nil {
		t.Fatal(err)
	}
	for _, scene := range []struct {
		header string
		is     error
	}{
		{"", ErrUnnamed},
		{"0102", ErrUnnamed},
		{"not hexadecimal!", ErrUnnamed},
		{Fingerprint() + "00", nil}, // more than we know of it
		{"0102030405060708", ErrOtherSchema},
	} {
		if _, err := DecodeMessage(message, []byte(scene.header)); !errors.Is(err, scene.is) {
			t.Errorf("%q: got %v, want %v", scene.header, err, scene.is)
		}
	}
	for _, broken := range [][]byte{nil, {0}, {0, 0, 0, 0, 7}, {0xC3}, message[:len(message)-1]} {
		if _, err := DecodeMessage(broken, []byte(Fingerprint())); err == nil {
			t.Errorf("%x was read", broken)
		}
	}
}

// What earlier releases wrote for a registry is read with their schemas.
func TestAnOlderSchemaIsFoundByItsHeader(t *testing.T) {
	paths, err := filepath.Glob("testdata/released/*.avsc")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fingerprint, err := FingerprintOf(string(text))
		if err != nil {
			t.Fatal(err)
		}
		codec, err := goavro.NewCodec(string(text))
		if err != nil {
			t.Fatal(err)
		}
		r := aLeg()
		theirs, err := codec.BinaryFromNative(nil, native(t, &r))
		if err != nil {
			t.Fatal(err)
		}
		bits, err := fingerprintOf(string(text))
		if err != nil {
			t.Fatal(err)
		}
		want, err := Decode(slices.Concat(marker[:], bits[:], theirs))
		if err != nil {
			t.Fatal(path, err)
		}
		registered := append(binary.BigEndian.AppendUint32([]byte{0}, 9), theirs...)
		if got, err := DecodeMessage(registered, []byte(fingerprint)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read as %+v, %v", path, got, err)
		}
	}
}

// Words of explanation make no new schema; a field does.
func TestTheReducedSchemaIsTheSameWithoutItsDocumentation(t *testing.T) {
	if strings.Contains(Reduced(), `"doc"`) || !strings.Contains(Reduced(), "timestamp-micros") ||
		strings.Count(Reduced(), `"default"`) != strings.Count(schema, `"default"`) {
		t.Errorf("reduced to %s", Reduced())
	}
	if f, err := FingerprintOf(Reduced()); err != nil || f != Fingerprint() {
		t.Errorf("its fingerprint is %s, %v, want %s", f, err, Fingerprint())
	}
	if _, err := goavro.NewCodec(Reduced()); err != nil {
		t.Error(err)
	}
	otherDocs := regexp.MustCompile(`"doc": "[^"]*"`).ReplaceAllString(schema, `"doc": "other words"`)
	if f, err := FingerprintOf(otherDocs); err != nil || f != Fingerprint() || otherDocs == schema {
		t.Errorf("with other words it is %s, %v", f, err)
	}
	if f, err := FingerprintOf(strings.Replace(schema, `"name": "record_id"`, `"name": "id_of_record"`, 1)); err != nil ||
		f == Fingerprint() {
		t.Errorf("with another field it is %s, %v", f, err)
	}
	if _, err := FingerprintOf("{"); err == nil {
		t.Error("half a text is a schema")
	}
}

func FuzzDecodeMessage(f *testing.F) {
	r := aLeg()
	message, err := EncodeRegistered(7)(&r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message, []byte(Fingerprint()))
	f.Add([]byte{0, 0, 0, 0, 1, 2}, []byte("0102030405060708"))
	f.Fuzz(func(t *testing.T, b, fingerprint []byte) {
		r, err := DecodeMessage(b, fingerprint)
		if err != nil {
			return
		}
		if _, err := Encode(&r); err != nil {
			t.Errorf("read, and cannot be written: %v", err)
		}
	})
}
