package traffic

import (
	"bytes"
	"iter"
	"strconv"

	"januscdr/internal/captures"
)

// Begin is the timestamp, in microseconds, of the first event of Janus.
const Begin int64 = 1_800_000_000_000_000

const (
	between   = 1_000_000         // microseconds from the last event of a recording to the first of the next
	copyStep  = 1_000_000_000_000 // what the session ids of two copies differ by
	maxCopies = 9000              // an id of Janus is below 2^53
)

// Janus is what one emitter says, without end: the recordings one after the other, again and again, each as if so many
// clients did the same at once. Events that name no session are said once. Copies share rooms and participants, as they
// share the emitter, so that what ends one concerns the others.
func Janus(emitter string, recordings []string, copies int) iter.Seq[Event] {
	name := strconv.Quote(emitter)
	return func(yield func(Event) bool) {
		clock, played := Begin, 0
		for {
			for _, recording := range recordings {
				lines := captures.Events(recording)
				first := earliest(lines)
				last := clock
				for _, line := range lines {
					at, session, ok := numbers(line)
					e := Event{At: clock + at - first}
					last = max(last, e.At)
					line = replace(line, `"timestamp":`, strconv.FormatInt(e.At, 10))
					line = replace(line, `"emitter":`, name)
					if !ok {
						e.Value = line
						if !yield(e) {
							return
						}
						continue
					}
					for n := range copies {
						id := session%copyStep + int64((played+n)%maxCopies+1)*copyStep
						e.Session = strconv.FormatInt(id, 10)
						e.Value = replace(line, `"session_id":`, e.Session)
						if !yield(e) {
							return
						}
					}
				}
				clock = last + between
			}
			played += copies
		}
	}
}

// Shutdown is the last that an emitter says when it ends in order: all that was open on it ends.
func Shutdown(emitter string, at int64) Event {
	value := bytes.NewBufferString(`{"emitter":` + strconv.Quote(emitter) + `,"type":256,"subtype":2,"timestamp":`)
	value.WriteString(strconv.FormatInt(at, 10) + `,"event":{"status":"shutdown","signum":15}}`)
	return Event{At: at, Value: value.Bytes()}
}

func earliest(lines [][]byte) int64 {
	first := int64(0)
	for i, line := range lines {
		if at, _, _ := numbers(line); i == 0 || at < first {
			first = at
		}
	}
	return first
}
