package topic

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/consume"
	"januscdr/kafka"
)

// copyOf is the copy of a record: the same key, the same partition, headers that say where it stood.
func (t *Target) copyOf(r *consume.Row, values []avro.Value, o consume.Origin) *kgo.Record {
	k := &kgo.Record{
		Topic: t.o.Topic, Partition: r.Partition, Key: []byte(r.Record.SessionID),
		Headers: []kgo.RecordHeader{
			{Key: kafka.HeaderTopic, Value: []byte(o.Topic)},
			{Key: kafka.HeaderPartition, Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
			{Key: kafka.HeaderOffset, Value: strconv.AppendInt(nil, r.Offset, 10)},
			{Key: headerTopicID, Value: []byte(o.TopicID)},
			{Key: headerCluster, Value: []byte(o.Cluster)},
		},
	}
	switch t.o.Format {
	case "flat-avro":
		k.Value = avro.AppendFlat(append(make([]byte, 0, flatSize), t.head()...), values)
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: kafka.HeaderSchema, Value: []byte(avro.FlatFingerprint())})
	case "cloudevents":
		k.Headers = append(k.Headers, cloudEvent(&r.Record)...)
		fallthrough
	default:
		t.json = avro.JSON(t.json[:0], &r.Record)
		k.Value = bytes.Clone(t.json) // in one piece, not grown
	}
	return k
}

// flatSize is what most copies in the flat form take.
const flatSize = 1024

// head is what each copy begins with.
func (t *Target) head() []byte {
	if t.o.Format == "flat-avro" {
		return avro.FlatHead(t.o.SchemaID)
	}
	return []byte("{}          ") // JSON has no framing
}

// cloudEvent are the attributes of CloudEvents 1.0, in the binary mode of its Kafka protocol binding. Source and id
// together are unique, and the same whenever the record comes.
func cloudEvent(r *cdr.Record) []kgo.RecordHeader {
	attributes := []kgo.RecordHeader{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte(r.RecordID.String())},
		{Key: "ce_source", Value: []byte("/januscdr/" + url.PathEscape(strings.ToValidUTF8(r.Emitter, "\uFFFD")))},
		{
			Key:   "ce_type",
			Value: []byte("januscdr." + strings.ToLower(r.RecordType.String()) + ".v" + strconv.Itoa(int(r.SchemaVersion))),
		},
		{Key: "ce_time", Value: []byte(time.UnixMicro(int64(r.RecordClosureTime)).UTC().Format(time.RFC3339Nano))},
		{Key: "content-type", Value: []byte("application/json")},
	}
	if r.OpaqueID != "" {
		attributes = append(attributes,
			kgo.RecordHeader{Key: "ce_subject", Value: []byte(strings.ToValidUTF8(r.OpaqueID, "\uFFFD"))})
	}
	return attributes
}
