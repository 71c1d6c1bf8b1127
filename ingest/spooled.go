package ingest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/janus"
	"januscdr/spool"
)

const (
	kafkaPatience  = 2 * time.Second // that Kafka gets for a batch before it goes to the disk; less of a short delivery
	forwardEntries = 2000            // of the spool that are on their way to Kafka at a time
	forwardBytes   = 4 << 20
	forwardPause   = time.Second // before the spool or Kafka is asked again
	handOverTime   = time.Second // that bodies are held at most when the spool is nearly empty
)

var errNotSpooled = errors.New("the spool did not take it")

// spooledPublisher is the Publisher that keeps batches on disk when Kafka does not take them. As long as all that was
// kept is in Kafka, batches go there directly. One that is not acknowledged within 2 s goes to the spool, and so does
// each after it until the spool is empty again. So what one sender sends keeps its order: it gets its answer for a
// batch before it sends the next. What was on its way to Kafka when it went to the spool can come twice.
type spooledPublisher struct {
	kafka    *KafkaPublisher
	options  spool.Options
	patience time.Duration // with Kafka, before a batch goes to the spool
	holding  time.Duration // of new batches at most, while the last of the spool goes to Kafka
	prepared chan struct{} // closed when Kafka was there and its topics are checked
	spool    *spool.Spool  // from open on
	opened   atomic.Bool   // spool may be read by those who ask for numbers
	log      hclog.Logger

	// gate is held for reading while a batch goes to the spool, and for writing while the last of it goes to Kafka:
	// otherwise a spool that new batches always come to would never be empty.
	gate sync.RWMutex
}

func newSpooledPublisher(kafka *KafkaPublisher, o Options) *spooledPublisher {
	p := &spooledPublisher{kafka: kafka, options: *o.Spool, patience: min(kafkaPatience, o.Delivery/4),
		holding: handOverTime, prepared: make(chan struct{}), log: o.Log}
	p.options.Log = o.Log
	return p
}

// open opens the spool. A spool that cannot be written is an error, unless something waits in it.
func (p *spooledPublisher) open() error {
	s, err := spool.Open(p.options)
	if err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		if s.Empty() {
			return errors.Join(fmt.Errorf("nothing can be kept in spool %s: %w; set spool.dir to a folder on a disk that takes "+
				"files, and that this user may write to", p.options.Dir, err), s.Close())
		}
		p.log.Error("spool cannot be written; what waits in it goes to kafka", "dir", p.options.Dir, "error", err)
	}
	if st := s.Stats(); st.Records > 0 {
		p.log.Warn("events of an earlier process wait in the spool", "events", st.Records, "bytes", st.Bytes,
			"oldest", st.Oldest.Round(time.Second))
	}
	p.spool = s
	p.opened.Store(true)
	return nil
}

func (p *spooledPublisher) stats() (spool.Stats, bool) {
	if !p.opened.Load() {
		return spool.Stats{}, false
	}
	return p.spool.Stats(), true
}

func (p *spooledPublisher) close() error {
	if p.spool == nil {
		return nil
	}
	return p.spool.Close()
}

// direct tells whether Kafka is to be asked first.
func (p *spooledPublisher) direct() bool {
	select {
	case <-p.prepared:
		return p.spool.Empty()
	default:
		return false
	}
}

// Publish is described at Publisher.
func (p *spooledPublisher) Publish(ctx context.Context, b *Batch) error {
	p.gate.RLock()
	if !p.direct() {
		defer p.gate.RUnlock()
		return p.keep(ctx, b)
	}
	p.gate.RUnlock()
	short, cancel := context.WithTimeout(ctx, p.patience)
	refused := p.kafka.Publish(short, b)
	cancel()
	if refused == nil {
		return nil
	}
	p.gate.RLock()
	defer p.gate.RUnlock()
	if err := p.keep(ctx, b); err != nil {
		return fmt.Errorf("%w; before that: %w", err, refused)
	}
	p.log.Debug("batch goes to the spool", "events", len(b.Events), "error", refused)
	return nil
}

// keep makes a batch durable in the spool.
func (p *spooledPublisher) keep(ctx context.Context, b *Batch) error {
	if err := p.spool.Append(ctx, entriesOf(b, time.Now())...); err != nil {
		return fmt.Errorf("%w: %w", errNotSpooled, err)
	}
	b.spooled = true
	return nil
}

// OnDone is described at Publisher.
func (p *spooledPublisher) OnDone(b *Batch, f func(error)) {
	if b.spooled {
		f(nil)
		return
	}
	p.kafka.OnDone(b, f)
}

// forward brings what waits in the spool to Kafka, in order, until the context ends.
func (p *spooledPublisher) forward(ctx context.Context) {
	var b *Batch
	var after spool.Position
	said := false
	for {
		if b == nil {
			entries, next, err := p.spool.Next(ctx, forwardEntries, forwardBytes)
			switch {
			case ctx.Err() != nil || errors.Is(err, spool.ErrClosed):
				return
			case err != nil:
				p.log.Error("spool cannot be read", "error", err)
				if !pause(ctx, forwardPause) {
					return
				}
				continue
			}
			b, after = p.batchOf(entries), next
		}
		err := p.kafka.Publish(ctx, b)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if !said {
				p.log.Warn("kafka does not take events, they wait in the spool", "error", err)
			}
			said = true
			if !pause(ctx, forwardPause) {
				return
			}
			continue
		}
		p.acknowledge(after)
		b = nil
		if p.spool.Stats().Records < forwardEntries {
			b, after = p.handOver(ctx)
		}
		if said && b == nil && p.spool.Empty() {
			p.log.Info("all that waited in the spool is in kafka")
			said = false
		}
	}
}

// handOver holds new batches while the last of the spool goes to Kafka. It returns what Kafka did not take in time.
func (p *spooledPublisher) handOver(ctx context.Context) (*Batch, spool.Position) {
	p.gate.Lock()
	defer p.gate.Unlock()
	ctx, cancel := context.WithTimeout(ctx, p.holding)
	defer cancel()
	for !p.spool.Empty() {
		entries, after, err := p.spool.Next(ctx, forwardEntries, forwardBytes)
		if err != nil {
			break
		}
		b := p.batchOf(entries)
		if p.kafka.Publish(ctx, b) != nil {
			return b, after
		}
		p.acknowledge(after)
	}
	return nil, 0
}

func (p *spooledPublisher) acknowledge(after spool.Position) {
	if err := p.spool.Acknowledge(after); err != nil {
		p.log.Warn("position in the spool is not written; a restart would repeat events", "error", err)
	}
}

// pause waits, and tells whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// An entry of the spool is an event, or a dead letter. Its first header says which. What depends on the topics, as
// partitions and copies, is decided on the way out.
const (
	entryEvent    = "event"    // with Janus' type in decimal
	entryParked   = "parked"   // with the Code; the headers after it are those of the record
	entryEmitter  = "emitter"  // whose sign of life an event is
	entryAssigned = "assigned" // the emitter's name by a rule
	entryEveryone = "everyone" // the event concerns sessions of other partitions too
	entryBegins   = "begins"   // the event says that a session was created
)

func entriesOf(b *Batch, now time.Time) []spool.Entry {
	entries := make([]spool.Entry, 0, len(b.Events)+len(b.Parked))
	text := func(name, value string) spool.Header { return spool.Header{Name: name, Value: []byte(value)} }
	for _, e := range b.Events {
		headers := []spool.Header{text(entryEvent, strconv.Itoa(int(e.Type))), text(entryEmitter, e.Emitter)}
		if b.Emitter != "" {
			headers = append(headers, text(entryAssigned, b.Emitter))
		}
		if e.Everyone {
			headers = append(headers, spool.Header{Name: entryEveryone})
		}
		if e.Begins {
			headers = append(headers, spool.Header{Name: entryBegins})
		}
		entries = append(entries, spool.Entry{Key: e.Key, Value: e.Value, Headers: headers, Partition: -1, Arrived: now})
	}
	for _, parked := range b.Parked {
		for _, r := range parked.records(b.Emitter) {
			headers := []spool.Header{text(entryParked, string(parked.Code))}
			for _, h := range r.headers {
				headers = append(headers, spool.Header{Name: h.Key, Value: h.Value})
			}
			entries = append(entries, spool.Entry{Key: r.key, Value: r.value, Headers: headers, Partition: -1, Arrived: now})
		}
	}
	return entries
}

// batchOf is the batch that entries of the spool make, already on its way: they may have come by several.
func (p *spooledPublisher) batchOf(entries []spool.Entry) *Batch {
	b := &Batch{delivery: &delivery{}}
	b.delivery.fromSpool = true
	for _, entry := range entries {
		if len(entry.Headers) > 0 && entry.Headers[0].Name == entryEvent {
			e, assigned := eventOf(entry)
			b.Events = append(b.Events, e)
			p.kafka.routeEvent(b.delivery, e, headersOfEvent(assigned))
			continue
		}
		letter, r := letterOf(entry)
		if letter != nil {
			b.Parked = append(b.Parked, *letter)
		}
		p.kafka.routeLetter(b.delivery, r)
	}
	return b
}

func eventOf(entry spool.Entry) (e Event, assigned string) {
	e = Event{Key: entry.Key, Value: entry.Value}
	for _, h := range entry.Headers {
		switch h.Name {
		case entryEvent:
			kind, _ := strconv.Atoi(string(h.Value)) // another is counted as another
			e.Type = janus.Type(kind)
		case entryEmitter:
			e.Emitter = string(h.Value)
		case entryAssigned:
			assigned = string(h.Value)
		case entryEveryone:
			e.Everyone = true
		case entryBegins:
			e.Begins = true
		}
	}
	return e, assigned
}

// letterOf is the dead letter of an entry, nil for a part behind the first, and its record. What is neither event nor
// letter, of another version of the program, becomes one.
func letterOf(entry spool.Entry) (*DeadLetter, letterRecord) {
	if len(entry.Headers) == 0 || entry.Headers[0].Name != entryParked {
		letter := park(CodeNotEvent, "in the spool, and of no kind that is known", Sender{Source: "spool"},
			entry.Key, entry.Value)
		return &letter, letterRecord{entry.Key, entry.Value, letter.headers("")}
	}
	letter := &DeadLetter{Code: Code(entry.Headers[0].Value), Key: entry.Key, Value: entry.Value}
	r := letterRecord{key: entry.Key, value: entry.Value}
	for _, h := range entry.Headers[1:] {
		r.headers = append(r.headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
		if h.Name == HeaderPart && !strings.HasPrefix(string(h.Value), "1/") {
			letter = nil
		}
	}
	return letter, r
}

var _ Publisher = (*spooledPublisher)(nil)
