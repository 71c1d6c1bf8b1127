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
	"io/fs"

	"github.com/linkedin/goavro/v2"
)

//go:embed call_detail_record.avsc
var schema string

// Schema returns the Avro schema of a record, as a reader or a schema registry wants it.
func Schema() string { return schema }

// Fingerprint returns the CRC-64-AVRO of the schema's canonical form as 16 hexadecimal digits, in the order in which
// the eight bytes stand in each message: least significant byte first.
func Fingerprint() string { return hex.EncodeToString(header[len(marker):]) }

// Schemas are the schemas of all releases and ours, in the order of their versions.
func Schemas() ([]string, error) {
	var all []string
	paths, err := fs.Glob(releasedFiles, "testdata/released/*.avsc")
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text, err := releasedFiles.ReadFile(path)
		if err != nil {
			return nil, err
		}
		all = append(all, string(text))
	}
	return append(all, schema), nil
}

// marker begins each message in Avro's single-object encoding. The fingerprint follows, little-endian, then the record.
var marker = [2]byte{0xC3, 0x01}

const headerSize = 10

// header is what each message begins with: the marker and the fingerprint of our schema.
var header = func() [headerSize]byte {
	f, err := fingerprintOf(schema)
	if err != nil {
		panic(fmt.Sprintf("avro: the embedded schema is broken: %v", err)) // a mistake at build time; every test would fail
	}
	return [headerSize]byte(append(marker[:], f[:]...))
}()

// FingerprintOf is Fingerprint of another schema. Schemas that differ in documentation, attributes, order or white
// space only have the same. The error is that of a text that is no schema.
func FingerprintOf(text string) (string, error) {
	f, err := fingerprintOf(text)
	return hex.EncodeToString(f[:]), err
}

func fingerprintOf(text string) (f [8]byte, err error) {
	p, err := plain(text)
	if err != nil {
		return f, err
	}
	codec, err := goavro.NewCodec(p)
	if err != nil {
		return f, fmt.Errorf("read schema: %w", err)
	}
	binary.LittleEndian.PutUint64(f[:], codec.Rabin)
	return f, nil
}

// plain is the schema without logical types. To Avro a timestamp is a long, and the canonical form of a schema, which
// the fingerprint is taken of, says no more than "long"; goavro leaves {"type":"long"} there, which is another text and
// another fingerprint than that of all other libraries. Without logical types goavro's is theirs.
func plain(schema string) (string, error) {
	var tree any
	if err := json.Unmarshal([]byte(schema), &tree); err != nil {
		return "", fmt.Errorf("read schema: %w", err)
	}
	b, err := json.Marshal(withoutLogicalTypes(tree))
	if err != nil {
		return "", fmt.Errorf("write the schema without logical types: %w", err)
	}
	return string(b), nil
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

// Reduced returns the schema as it is registered: without documentation, so that a word of explanation makes no new
// schema of it. Registries take any other text for another schema; ours is the same for the same fields, logical types
// and defaults.
func Reduced() string { return reduced }

var reduced = func() string {
	var tree any
	err := json.Unmarshal([]byte(schema), &tree)
	var b []byte
	if err == nil {
		b, err = json.Marshal(undocumented(tree))
	}
	if err != nil {
		panic(fmt.Sprintf("avro: the embedded schema is broken: %v", err))
	}
	return string(b)
}()

// undocumented leaves what a reader needs to read; the members are sorted by name when they are written.
func undocumented(node any) any {
	switch node := node.(type) {
	case map[string]any:
		kept := map[string]any{}
		for _, k := range []string{"type", "name", "namespace", "logicalType", "fields", "items", "symbols", "default"} {
			if v, has := node[k]; has {
				kept[k] = undocumented(v)
			}
		}
		return kept
	case []any:
		for i, v := range node {
			node[i] = undocumented(v)
		}
	}
	return node
}
