package avro

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// The flat form is for what knows no lists in a record: tables of a database behind Kafka Connect, BI tools. Lists are
// JSON in a text, symbols are texts, and sums over the streams stand beside.

// always are the fields of the flat form that are never null. All others may be, so that a field may be added.
var always = []string{"schema_version", "record_type", "record_id", "cdr_id", "record_sequence_number", "revision"}

// streamSums are the fields of a stream that are added up.
var streamSums = []string{"bytes_received", "bytes_sent", "packets_received", "packets_sent", "lost", "lost_by_remote",
	"slow_links"}

// flatStreams is the place of the streams among the fields, and of what is added up among theirs.
var flatStreams, flatSummed = func() (int, []int) {
	fields := Fields()
	at := slices.IndexFunc(fields, func(f Field) bool { return f.Name == "streams" })
	var summed []int
	for _, name := range streamSums {
		summed = append(summed, slices.IndexFunc(fields[at].Item.Fields, func(f Field) bool { return f.Name == name }))
	}
	return at, summed
}()

// FlatSchema returns the schema of the flat form.
func FlatSchema() string { return flatSchema }

var flatSchema = func() string {
	type entry struct {
		Name    string           `json:"name"`
		Type    any              `json:"type"`
		Default *json.RawMessage `json:"default,omitempty"`
	}
	null := json.RawMessage("null")
	var entries []entry
	for _, f := range Fields() {
		e := entry{Name: f.Name, Type: flatType(f.Type)}
		if !slices.Contains(always, f.Name) {
			e.Type, e.Default = []any{"null", e.Type}, &null
		}
		entries = append(entries, e)
	}
	for _, name := range append([]string{"count"}, streamSums...) {
		entries = append(entries, entry{Name: "streams_" + name, Type: []any{"null", "long"}, Default: &null})
	}
	b, err := json.Marshal(map[string]any{"type": "record", "name": "FlatCallDetailRecord", "namespace": "januscdr",
		"fields": entries})
	if err != nil {
		panic(fmt.Sprintf("avro: write the flat schema: %v", err)) // a mistake at build time; every test would fail
	}
	return string(b)
}()

func flatType(t Type) any {
	switch t {
	case Boolean:
		return "boolean"
	case Int:
		return "int"
	case Long:
		return "long"
	case Moment:
		return map[string]any{"type": "long", "logicalType": "timestamp-micros"}
	}
	return "string"
}

// FlatFingerprint is the fingerprint of FlatSchema, as Fingerprint is that of Schema.
func FlatFingerprint() string { return hex.EncodeToString(flatHeader[len(marker):]) }

var flatHeader = func() [headerSize]byte {
	f, err := fingerprintOf(flatSchema)
	if err != nil {
		panic(fmt.Sprintf("avro: the flat schema is broken: %v", err)) // a mistake at build time; every test would fail
	}
	return [headerSize]byte(append(marker[:], f[:]...))
}()

// FlatHead is what a message in the flat form begins with: for a registry that knows FlatSchema by an id, or else, if
// that is negative, in Avro's single-object encoding.
func FlatHead(id int32) []byte {
	if id < 0 {
		return flatHeader[:]
	}
	return binary.BigEndian.AppendUint32([]byte{0}, uint32(id))
}

// AppendFlat appends a record of these values, which are those of Values, in the flat form.
func AppendFlat(dst []byte, values []Value) []byte {
	w := writer{b: dst}
	fields := Fields()
	for i := range fields {
		f, v := &fields[i], &values[i]
		if !slices.Contains(always, f.Name) {
			if v.Null {
				w.long(0)
				continue
			}
			w.long(1)
		}
		switch f.Type {
		case Boolean:
			w.bool(v.Int != 0)
		case Int, Long, Moment:
			w.long(v.Int)
		case List, Group:
			w.string(string(AppendJSON(nil, f, v)))
		default:
			w.string(v.Text)
		}
	}
	streams := &values[flatStreams]
	if streams.Null { // a session has none
		return append(w.b, make([]byte, 1+len(flatSummed))...)
	}
	w.long(1)
	w.long(int64(len(streams.Items)))
	for _, at := range flatSummed {
		var sum int64
		for i := range streams.Items {
			sum += streams.Items[i].Items[at].Int
		}
		w.long(1)
		w.long(sum)
	}
	return w.b
}
