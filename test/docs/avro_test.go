package docs

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"

	"januscdr/avro"
	"januscdr/cdr"
)

func TestTheFingerprintOnThePageIsThatOfTheSchema(t *testing.T) {
	each(t, func(*testing.T, place) string { return fenced("text", avro.Fingerprint()) }, "fingerprint")
}

// The page tells how to read a message in Go, and why not as goavro would.
func TestReadingAMessageAsThePageSaysGivesTheRecord(t *testing.T) {
	value, err := avro.Encode(&cdr.Record{RecordType: cdr.Leg, StartTime: 1795220893668869, Duration: 8025442})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := goavro.NewCodec(avro.Schema())
	if err != nil {
		t.Fatal(err)
	}
	header, err := hex.DecodeString("c301" + avro.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(value, header) {
		t.Fatalf("a message begins with %x, want %x", value[:10], header)
	}
	native, _, err := codec.NativeFromBinary(value[10:])
	if err != nil {
		t.Fatal(err)
	}
	record := native.(map[string]any)
	if start := record["start_time"].(time.Time); start.UnixMicro() != 1795220893668869 ||
		record["duration"] != int64(8025442) {
		t.Errorf("start_time is %v and duration %v", start, record["duration"])
	}
	if _, _, err := codec.NativeFromSingle(value); err == nil {
		t.Error("goavro's own check fits now: the page can say less")
	}
}
