package cdr

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"januscdr/janus"
)

// hashID is the first 16 bytes of SHA-256 over the fields, each with its length before it, so that no two lists of
// fields run into each other.
func hashID(fields ...string) ID {
	var b []byte
	for _, f := range fields {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// sessionUID identifies one incarnation of a session id on an emitter.
func sessionUID(emitter string, id janus.SessionID, incarnation janus.Micros) ID {
	return hashID("session", emitter, id.String(), decimal(int64(incarnation)))
}

// legID identifies a leg: the index counts the legs of its handle and kind.
func legID(session ID, handle janus.HandleID, kind LegKind, index int32) ID {
	return hashID("leg", session.String(), handle.String(), kind.String(), decimal(int64(index)))
}

// summaryID identifies the SESSION record of an incarnation.
func summaryID(session ID) ID { return hashID("summary", session.String()) }

// recordID identifies a record: the idempotency key of everybody who reads records.
func recordID(cdr ID, sequence, revision int32) ID {
	return hashID("record", cdr.String(), decimal(int64(sequence)), decimal(int64(revision)))
}
