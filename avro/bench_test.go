package avro

import (
	"testing"

	"github.com/linkedin/goavro/v2"
)

func BenchmarkEncode(b *testing.B) {
	r := aLeg()
	b.ReportAllocs()
	for b.Loop() {
		message, err := Encode(&r)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(message)))
	}
}

func BenchmarkDecode(b *testing.B) {
	r := aLeg()
	message, err := Encode(&r)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(message); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	r := aLeg()
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		line = JSON(line[:0], &r)
	}
	b.SetBytes(int64(len(line)))
}

// What goavro costs for the same record, without the building of its maps and without taking them apart: the measure
// for writing and reading by hand.
func BenchmarkGoavro(b *testing.B) {
	codec, err := goavro.NewCodec(plainSchema(b))
	if err != nil {
		b.Fatal(err)
	}
	r := aLeg()
	message, err := Encode(&r)
	if err != nil {
		b.Fatal(err)
	}
	values, _, err := codec.NativeFromSingle(message)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := codec.SingleFromNative(make([]byte, 0, len(message)), values); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := codec.NativeFromSingle(message); err != nil {
				b.Fatal(err)
			}
		}
	})
}
