package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// HeaderKind is the header of a record of the event topic that says what the record is. Without it, a record is an
// event.
const HeaderKind = "januscdr-kind"

// The values of HeaderKind. Records of the last two kinds have an empty value and stand in a named partition.
const (
	KindEvent = "event" // an event as Janus wrote it
	KindCopy  = "copy"  // a copy, for another partition than the event's own
	KindTick  = "tick"  // time passes
	KindAlive = "alive" // an emitter's events come; the key is the emitter, the value its newest heartbeat, if it has one
)

// Header returns the value of a header of a record, and whether it is there. Of several, the last one counts.
func Header(r *kgo.Record, key string) ([]byte, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// HeaderEmitter is the header of an event that carries the name which ingest assigned to its sender. It counts instead
// of the name in the event, whose bytes are never changed. It is absent where no name is assigned.
const HeaderEmitter = "januscdr-emitter"

// HeaderSchema is the header of a call detail record that names its Avro schema, by its fingerprint.
const HeaderSchema = "schema_fingerprint"

// Schema returns the fingerprint of the schema of a call detail record, as its header says; nil when there is none.
func Schema(r *kgo.Record) []byte {
	value, _ := Header(r, HeaderSchema)
	return value
}

// Headers of a parked record: why, by which part of januscdr, and, when it stood in a topic before, where.
const (
	HeaderReason    = "januscdr-reason"
	HeaderSource    = "januscdr-source"
	HeaderTopic     = "januscdr-topic"
	HeaderPartition = "januscdr-partition" // decimal
	HeaderOffset    = "januscdr-offset"    // decimal
)
