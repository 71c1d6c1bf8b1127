package ingest

import (
	"fmt"
	"strconv"

	"januscdr/janus"
)

const (
	maxEvents  = 10_000           // of one body; Janus sends up to 100
	maxEmitter = janus.MaxEmitter // bytes of an emitter's name
)

// Batch is a body, sorted: what goes to the event log, and what is parked. Its slices and strings may alias the body,
// which must not change any more. A Batch is published by one goroutine at a time.
type Batch struct {
	Emitter string // assigned to the sender; empty: what the events say
	Events  []Event
	Parked  []DeadLetter

	of       party     // who sent it
	delivery *delivery // made by the first Publish of KafkaPublisher
	spooled  bool      // safe in the spool
}

// encoded says in which encoding a body was that is parked as a whole.
func (b *Batch) encoded(encoding string) {
	for i := range b.Parked {
		if code := b.Parked[i].Code; code == CodeNotJSON || code == CodeTooMany {
			b.Parked[i].Encoding = encoding
		}
	}
}

// outcome is what becomes of the batch once it is safe.
func (b *Batch) outcome() Outcome {
	o := Outcome{Result: Delivered, Events: len(b.Events), Parked: len(b.Parked)}
	if o.Parked > 0 {
		o.Result, o.Reason = Parked, string(b.Parked[0].Code)
	}
	return o
}

// Event is one event as it will stand in the event log.
type Event struct {
	Key      []byte     // session id in decimal; without one the emitter, assigned or its own; empty when both are missing
	Value    []byte     // the bytes that Janus wrote
	Type     janus.Type // for the count
	Emitter  string     // whose sign of life it is
	Begins   bool       // it says that a session was created
	Beat     bool       // it is the heartbeat of its emitter
	Everyone bool       // it concerns sessions of other partitions too: each gets a copy
}

// sorter turns bodies into batches. Not for concurrent use.
type sorter struct {
	parser     janus.Parser
	eventLimit int64
	emitters   *emitters // nil: nobody asks
}

// sort decides what becomes of a body: sent are its bytes as they came, body the same decompressed.
func (s *sorter) sort(from Sender, sent, body []byte) *Batch {
	b := &Batch{Emitter: from.emitter}
	raw, err := janus.Split(body)
	if err != nil {
		b.Parked = []DeadLetter{park(CodeNotJSON, fmt.Sprintf("split body: %v", err), from, nil, sent)}
		return b
	}
	if len(raw) > maxEvents {
		why := fmt.Sprintf("%d events in one body, at most %d are taken", len(raw), maxEvents)
		b.Parked = []DeadLetter{park(CodeTooMany, why, from, nil, sent)}
		return b
	}
	b.Events = make([]Event, 0, len(raw))
	keys := make([]byte, 0, 20*len(raw)) // of all events; grows by appending, which leaves earlier keys where they are
	for i, bytes := range raw {
		e, err := s.parser.Parse(bytes)
		if err != nil {
			why := fmt.Sprintf("event %d of %d: %v", i+1, len(raw), err)
			b.Parked = append(b.Parked, park(CodeNotEvent, why, from, nil, bytes))
			continue
		}
		emitter := from.emitter
		if emitter == "" {
			emitter, _ = janus.EmitterName(e.Emitter)
		}
		start := len(keys)
		if e.Session != 0 {
			keys = strconv.AppendUint(keys, uint64(e.Session), 10)
		} else {
			keys = append(keys, emitter...)
		}
		key := keys[start:len(keys):len(keys)]
		if size := int64(len(bytes)); size > s.eventLimit {
			why := fmt.Sprintf("event %d of %d has %d bytes, at most %d are taken", i+1, len(raw), size, s.eventLimit)
			b.Parked = append(b.Parked, park(CodeEventLimit, why, from, key, bytes))
			continue
		}
		if s.emitters != nil {
			s.emitters.notice(emitter, from, len(sent) != len(body), e)
		}
		_, begins := e.Body.(*janus.SessionCreated)
		_, beat := e.Body.(*janus.ServerUpdate)
		b.Events = append(b.Events, Event{Key: key, Value: bytes, Type: e.Type, Emitter: emitter, Begins: begins,
			Beat: beat, Everyone: e.Reach() == janus.ReachEveryone})
	}
	return b
}
