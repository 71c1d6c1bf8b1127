// Package avro knows how a call detail record is written down: as Avro in a message of Kafka and as a line of JSON.
//
// call_detail_record.avsc is what readers are promised. The table in fields.go says, one line for each field, which
// field of cdr.Record it is and how it is written; both forms, and reading them back, follow from it. The tests hold
// table, struct and schema together, and hold the bytes against those of two Avro libraries.
//
// The same record always gives the same bytes. The package touches nothing: no disk, no network, no clock.
package avro

import (
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/linkedin/goavro/v2"
)

//go:embed call_detail_record.avsc
var schema string

// Schema returns the Avro schema of a record, as a reader or a schema registry wants it.
func Schema() string { return schema }

// Fingerprint returns the CRC-64-AVRO of the schema's canonical form as 16 hexadecimal digits, in the order in which
// the eight bytes stand in each message: least significant byte first.
func Fingerprint() string { return hex.EncodeToString(header[len(marker):]) }

// marker begins each message in Avro's single-object encoding. The fingerprint follows, little-endian, then the record.
var marker = [2]byte{0xC3, 0x01}

const headerSize = 10

// header is what each message begins with: the marker and the fingerprint of our schema.
var header = func() [headerSize]byte {
	codec, err := goavro.NewCodec(plain(schema))
	if err != nil {
		panic(fmt.Sprintf("avro: the embedded schema is broken: %v", err)) // a mistake at build time; every test would fail
	}
	h := [headerSize]byte{marker[0], marker[1]}
	binary.LittleEndian.PutUint64(h[len(marker):], codec.Rabin)
	return h
}()

// plain is the schema without logical types. To Avro a timestamp is a long, and the canonical form of a schema, which
// the fingerprint is taken of, says no more than "long"; goavro leaves {"type":"long"} there, which is another text and
// another fingerprint than that of all other libraries. Without logical types goavro's is theirs.
func plain(schema string) string {
	var tree any
	if err := json.Unmarshal([]byte(schema), &tree); err != nil {
		panic(fmt.Sprintf("avro: the embedded schema is not JSON: %v", err))
	}
	b, err := json.Marshal(withoutLogicalTypes(tree))
	if err != nil {
		panic(fmt.Sprintf("avro: write the schema without logical types: %v", err))
	}
	return string(b)
}

func withoutLogicalTypes(node any) any {
	switch node := node.(type) {
	case map[string]any:
		if _, logical := node["logicalType"]; logical {
			return node["type"]
		}
		for k, v := range node {
			node[k] = withoutLogicalTypes(v)
		}
	case []any:
		for i, v := range node {
			node[i] = withoutLogicalTypes(v)
		}
	}
	return node
}
