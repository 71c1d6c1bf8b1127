package avro

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/linkedin/goavro/v2"
	"pgregory.net/rapid"
)

func TestTheFlatFormSaysWhatTheRecordSays(t *testing.T) {
	codec, err := goavro.NewCodec(FlatSchema())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(allTimes).Draw(t, "record")
		values := Values(nil, &r)
		native, rest, err := codec.NativeFromBinary(AppendFlat(nil, values))
		if err != nil || len(rest) > 0 {
			t.Fatalf("%v, and %d bytes are left", err, len(rest))
		}
		flat := native.(map[string]any)
		for i, f := range Fields() {
			got, null := flat[f.Name], flat[f.Name] == nil
			if union, ok := got.(map[string]any); ok {
				for _, got = range union {
				}
			}
			if null != values[i].Null {
				t.Fatalf("%s is null: %t", f.Name, null)
			}
			if null {
				continue
			}
			if is, want := fmt.Sprint(got), plainText(&f, &values[i]); is != want && f.Type != Moment {
				t.Errorf("%s is %q, want %q", f.Name, is, want) // goavro's own times have no room for all of ours
			}
		}
		var sum, sent int64
		for i := range r.Streams {
			sum += r.Streams[i].BytesReceived
			sent += r.Streams[i].PacketsSent
		}
		if values[flatStreams].Null {
			if flat["streams_bytes_received"] != nil || flat["streams_count"] != nil {
				t.Error("a record without streams has sums of them")
			}
			return
		}
		if got := flat["streams_bytes_received"].(map[string]any)["long"]; got != sum {
			t.Errorf("%d bytes, want %d", got, sum)
		}
		if got := flat["streams_packets_sent"].(map[string]any)["long"]; got != sent {
			t.Errorf("%d packets, want %d", got, sent)
		}
		if got := flat["streams_count"].(map[string]any)["long"]; got != int64(len(r.Streams)) {
			t.Errorf("%d streams, want %d", got, len(r.Streams))
		}
	})
}

func plainText(f *Field, v *Value) string {
	switch f.Type {
	case Boolean:
		return strconv.FormatBool(v.Int != 0)
	case Int, Long, Moment:
		return strconv.FormatInt(v.Int, 10)
	case List:
		return string(AppendJSON(nil, f, v))
	}
	return v.Text
}

func TestTheFlatFormIsFramedAsTheRecordIs(t *testing.T) {
	if f, err := FingerprintOf(FlatSchema()); err != nil || f != FlatFingerprint() || f == Fingerprint() {
		t.Errorf("its fingerprint is %s, %v", f, err)
	}
	r := aLeg()
	body := AppendFlat(nil, Values(nil, &r))
	single, registered := append(FlatHead(-1)[:headerSize:headerSize], body...), append(FlatHead(7), body...)
	if a, b := FramingOf(single), FramingOf(registered); a != SingleObject || b != Registered {
		t.Errorf("taken for %s and %s", a, b)
	}
}
