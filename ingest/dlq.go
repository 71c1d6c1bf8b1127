package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// Code says in a word why something was parked.
type Code string

// The codes of what this room parks. None of it would become acceptable by being sent again.
const (
	CodeBodyLimit  Code = "body_limit"  // the body is over the limit
	CodeEventLimit Code = "event_limit" // one event is over the limit
	CodeTooMany    Code = "too_many"    // more events in a body than any sender has reason to send
	CodeNotJSON    Code = "not_json"    // the body is neither an object nor an array of JSON
	CodeNotEvent   Code = "not_event"   // JSON, but no event of Janus
	CodeGzip       Code = "gzip"        // compressed, and broken
	CodeEncoding   Code = "encoding"    // compressed in a way that we do not know
)

var codes = []Code{CodeBodyLimit, CodeEventLimit, CodeTooMany, CodeNotJSON, CodeNotEvent, CodeGzip, CodeEncoding}

// Headers of a parked record, besides those of package kafka.
const (
	HeaderError  = "januscdr-error"  // a Code
	HeaderSender = "januscdr-sender" // user@address or address, else the name of the source
	HeaderLength = "januscdr-length" // bytes of the original, in decimal; more than the value has when that is cut
	HeaderSHA256 = "januscdr-sha256" // of the original, in hexadecimal

	HeaderEncoding = "januscdr-encoding" // of the original, as HTTP calls it; absent when it has none

	// Of an original that is larger than a record: which part the record has, as 2/32, and the key that it would have had.
	// The key of such records is the hash.
	HeaderPart = "januscdr-part"
	HeaderKey  = "januscdr-key"
)

const (
	maxHead   = 64 << 10 // bytes that are kept of what is too large to be held
	maxReason = 1 << 10  // bytes of a reason: it can quote what a sender wrote

	// partSize is how many bytes of an original are in a record: what a topic takes, without headers and key.
	partSize = kafka.MaxMessageBytes - 192<<10
)

// DeadLetter is a body or an event that is put aside with the reason, and answered.
type DeadLetter struct {
	Code   Code
	Reason string
	Key    []byte // that the event would have had, if that is known
	Value  []byte // the original bytes, or the first 64 KiB of what was too large to be held
	Length int64  // of the original; when the sender was cut off, as much as came
	SHA256 [sha256.Size]byte
	Sender string
	Source string // the part of the program that took it in: ingest/http

	Encoding string // of the original: gzip; empty when it is as it was meant
}

// park puts an original aside that is at hand as a whole.
func park(code Code, reason string, from Sender, key, original []byte) DeadLetter {
	return DeadLetter{Code: code, Reason: reason, Key: key, Value: original, Length: int64(len(original)),
		SHA256: sha256.Sum256(original), Sender: from.String(), Source: from.part()}
}

// letterRecord is a record of the dead letter topic.
type letterRecord struct {
	key, value []byte
	headers    []kgo.RecordHeader
}

// records are what is written of a letter: one, or one for each part.
func (p DeadLetter) records(emitter string) []letterRecord {
	headers := p.headers(emitter)
	if len(p.Value) <= partSize {
		return []letterRecord{{p.Key, p.Value, headers}}
	}
	if len(p.Key) > 0 {
		headers = append(headers, kgo.RecordHeader{Key: HeaderKey, Value: p.Key})
	}
	key := []byte(hex.EncodeToString(p.SHA256[:]))
	parts := (len(p.Value) + partSize - 1) / partSize
	records := make([]letterRecord, 0, parts)
	for part := range slices.Chunk(p.Value, partSize) {
		which := fmt.Sprintf("%d/%d", len(records)+1, parts)
		records = append(records, letterRecord{key, part,
			append(slices.Clip(headers), kgo.RecordHeader{Key: HeaderPart, Value: []byte(which)})})
	}
	return records
}

func (p DeadLetter) headers(emitter string) []kgo.RecordHeader {
	reason := p.Reason
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "")
	}
	text := func(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }
	headers := []kgo.RecordHeader{
		text(kafka.HeaderReason, reason),
		text(HeaderError, string(p.Code)),
		text(HeaderSender, p.Sender),
		text(HeaderLength, strconv.FormatInt(p.Length, 10)),
		text(HeaderSHA256, hex.EncodeToString(p.SHA256[:])),
		text(kafka.HeaderSource, p.Source),
	}
	if p.Encoding != "" {
		headers = append(headers, text(HeaderEncoding, p.Encoding))
	}
	if emitter != "" {
		headers = append(headers, text(kafka.HeaderEmitter, emitter))
	}
	return headers
}
