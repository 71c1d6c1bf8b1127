package pipeline

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/janus"
	"januscdr/kafka"
)

// Input is a record of the event log as the fold takes it: with the same key and value, no copies. Whoever folds the log
// again reads it the same way.
func Input(r *kgo.Record) cdr.Input {
	in := cdr.Input{Offset: r.Offset, Append: janus.Micros(r.Timestamp.UnixMicro()), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		switch h.Key {
		case kafka.HeaderKind:
			switch string(h.Value) {
			case kafka.KindCopy:
				in.Kind = cdr.KindCopy
			case kafka.KindTick:
				in.Kind = cdr.KindTick
			case kafka.KindAlive:
				in.Kind = cdr.KindAlive
			default:
				in.Kind = cdr.KindEvent
			}
		case kafka.HeaderEmitter:
			in.Emitter = string(h.Value)
		}
	}
	return in
}
