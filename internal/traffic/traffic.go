// Package traffic multiplies recorded traffic to many sessions, for measurements and storms.
//
// It promises that each copy is the recorded traffic byte for byte, but for session ids, timestamps and the emitter, so
// that what the fold makes of it can be foretold; and that the same arguments make the same traffic. It touches nothing.
package traffic

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"

	"januscdr/internal/captures"
)

// Event is an event of a copy: its Kafka key and its bytes.
type Event struct {
	Session string // decimal; empty when the event names none
	At      int64  // its timestamp, in microseconds
	Value   []byte
}

// Recordings are those whose events all name their session or concern nobody else's, so that copies do not meet.
var Recordings = []string{"1.1-a_echotest", "1.1-f_sip", "1.1-g_parallel", "1.1-n_long", "1.1-p_nostats", "1.1-q_simulcast", "1.1-e_recordplay", "1.1-e_videocall"}

// Copies interleaves copies of recordings: the first event of each copy, then the second, and so on, as if so many
// clients did the same at once. Events without a session are left out. Copies of a round have session ids and, by the
// round's number, a time of their own.
func Copies(recordings []string, copies, rounds int) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for round := range rounds {
			for _, name := range recordings {
				for _, line := range captures.Events(name) {
					at, session, ok := numbers(line)
					if !ok {
						continue
					}
					for n := range copies {
						id := session%1_000_000_000_000 + int64(round*copies+n+1)*1_000_000_000_000
						e := Event{Session: strconv.FormatInt(id, 10), At: at + int64(round)*600_000_000}
						e.Value = replace(line, `"session_id":`, e.Session)
						e.Value = replace(e.Value, `"timestamp":`, strconv.FormatInt(e.At, 10))
						if !yield(e) {
							return
						}
					}
				}
			}
		}
	}
}

// numbers finds timestamp and session id of an event.
func numbers(line []byte) (at, session int64, ok bool) {
	at, ok = number(line, `"timestamp":`)
	if !ok {
		panic(fmt.Sprintf("recorded event without a timestamp: %.80s", line))
	}
	session, ok = number(line, `"session_id":`)
	return at, session, ok
}

func number(line []byte, key string) (int64, bool) {
	_, rest, ok := bytes.Cut(line, []byte(key))
	if !ok {
		return 0, false
	}
	end := bytes.IndexAny(rest, ",}")
	n, err := strconv.ParseInt(string(bytes.TrimSpace(rest[:max(end, 0)])), 10, 64)
	return n, err == nil
}

// replace puts another number behind the first occurrence of a key.
func replace(line []byte, key, value string) []byte {
	before, rest, _ := bytes.Cut(line, []byte(key))
	end := bytes.IndexAny(rest, ",}")
	out := make([]byte, 0, len(line)+len(value))
	out = append(append(append(out, before...), key...), value...)
	return append(out, rest[end:]...)
}
