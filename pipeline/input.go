package pipeline

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/janus"
	"januscdr/kafka"
)

// kinds are the kinds of records in the event log: as the fold knows them, and as their header says.
var kinds = [...]string{
	cdr.KindEvent: kafka.KindEvent,
	cdr.KindCopy:  kafka.KindCopy,
	cdr.KindTick:  kafka.KindTick,
	cdr.KindAlive: kafka.KindAlive,
}

// kindOf is the kind that a header says. A word that nobody knows is an event's, as is no header at all: an event that
// cannot be read is parked, and not lost.
func kindOf(header []byte) cdr.Kind {
	for kind, name := range kinds {
		if string(header) == name {
			return cdr.Kind(kind)
		}
	}
	return cdr.KindEvent
}

// Input is a record of the event log as the fold takes it: with the same key and value, no copies. Whoever folds the
// log again reads it the same way.
func Input(r *kgo.Record) cdr.Input {
	in := cdr.Input{Offset: r.Offset, Append: janus.Micros(r.Timestamp.UnixMicro()), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		switch h.Key {
		case kafka.HeaderKind:
			in.Kind = kindOf(h.Value)
		case kafka.HeaderEmitter:
			in.Emitter = string(h.Value)
		}
	}
	return in
}
