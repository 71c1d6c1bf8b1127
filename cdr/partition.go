package cdr

import (
	"bytes"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"januscdr/janus"
)

// Kind says what an input record is, by its header januscdr-kind.
type Kind uint8

// The kinds of input records.
const (
	KindEvent Kind = iota // an event of Janus; the default
	KindCopy              // a copy of an event that concerns sessions of other partitions too
	KindTick              // time passes: appended by the owner of an idle partition
	KindAlive             // an emitter's events come: appended by ingest; Key is the emitter, Value its newest heartbeat or empty
)

// Input is one record of a partition of the event log.
type Input struct {
	Offset  int64
	Append  janus.Micros // append time of the broker
	Kind    Kind
	Key     []byte
	Value   []byte
	Emitter string // the name that ingest gave to the sender (header januscdr-emitter); empty for the event's own
}

// Parked is an input record that could not be understood, to be put aside.
type Parked struct {
	Input  Input
	Reason string
}

// Step is what a partition wants the world to see since the step before: all of it in one transaction, or nothing. It is
// the caller's; the partition keeps nothing of it.
type Step struct {
	Records []Record // in the order in which they were concluded
	Parked  []Parked // in the order of their offsets
	Changes []Change // states in key order, and the position as the last one; empty when nothing moved
	Next    int64    // the input offset up to which all of it is in this Step or one before; 0 when nothing moved
	Lags    bool     // it was told: of the Changes there is the position only, see Tell
}

// Source names the partition, for the lineage in the records.
type Source struct {
	Topic     string
	Partition int32
	Whole     bool // nothing of its emitters is elsewhere: a file. Its append times are no clock; both sides of a VideoCall name each other
}

// Due is when a partition next wants a record of its log, be it a tick. Time passes for it by the append times of the
// records that it folds and by nothing else, and by a minute at most from one to the next.
type Due struct {
	Open     bool          // something is open: whoever owns an idle partition appends a tick to it, once a minute or so
	Deadline bool          // something is due: In tells when
	In       time.Duration // from the append time of the last record; before that a tick changes nothing. 0: with the next
}

// Partition folds one partition of the event log. It is not safe for use by several goroutines. Its host
//
//  1. opens it from the states that are left, reads again what it read last (PrimeWindow), and reads on at Next;
//  2. applies each record of the log, in the order of the offsets;
//  3. takes a Step, now and then, and makes all of it durable at once, with Next;
//  4. says Committed, and goes on with 2.
//
// Between two Steps it may Tell what the world waits for, and leave the states for later.
//
// Where 3 fails, the partition is dropped and another one opened. Fold is such a host, in memory.
type Partition struct {
	policy Policy
	source Source
	states States
	parser janus.Parser
	window *window

	pos            position
	ahead          ahead
	started        bool // a position is known
	moved          bool // a record was folded since the last step
	index          index
	census         census
	step           Step
	pending        int
	stepKeys       []sessionRef    // sessions changed since the last step
	over           []*sessionEntry // sessions that are over, and come to rest at once
	changedHandles int             // handles changed since the last step
	err            error           // of the store, met where it could not be returned
	counts         Counts
	termsCache     map[termsRef]*Terms
	partials       bool   // the policy asks for partial records somewhere
	key, scratch   []byte // memory to write a state in
	spare          spare
	kept           int // bytes of states in memory, see resting.go
	mostSessions   int // that are decoded, if no more are open
	mostHandles    int // that are decoded, if no more are known

	trace     func(Conclusion) // nil for nobody
	eventTime janus.Micros     // for the trace: timestamp of the event at hand, 0 for none
	dueClock  janus.Micros     // for the trace: the deadline at hand, 0 for none
}

// Counts are what a partition has done since it was opened. They are for metrics and never reach a record.
type Counts struct {
	Events     [len(janus.Types) + 1]int64 // by type: see EventTypes
	Duplicates int64
	Late       int64 // events of sessions that are closed and reported
	Parked     int64
	Copies     int64 // copies that concerned no session here are counted too
	Forgotten  int64 // emitters without sessions for which there was no room any more
}

// EventTypes are the names of the slots of Counts.Events: those of janus.Types, and of any other type.
var EventTypes = eventTypes()

func eventTypes() (names [len(janus.Types) + 1]string) {
	for i, t := range janus.Types {
		names[i] = t.String()
	}
	names[len(janus.Types)] = janus.Type(0).String()
	return names
}

// typeSlot is the slot of a type. The types are the bits of a number, from the lowest on.
func typeSlot(t janus.Type) int {
	if bit := bits.TrailingZeros32(uint32(t)); bit < len(janus.Types) && janus.Types[bit] == t {
		return bit
	}
	return len(janus.Types)
}

// Open reads the position and scans the states, and builds the indexes from them.
func Open(policy Policy, source Source, states States) (*Partition, error) {
	p := &Partition{policy: policy, source: source, states: states, parser: janus.Parser{ReuseText: true}, window: newWindow(), index: newIndex(policy.EmitterSilence), census: census{rolls: map[string]*roll{}}, termsCache: map[termsRef]*Terms{}, partials: policy.partials(), mostSessions: maxDecoded, mostHandles: maxDecodedHandles}
	b, err := states.Get([]byte(positionKey))
	if err != nil {
		return nil, fmt.Errorf("read position of partition %d: %w", source.Partition, err)
	}
	if b != nil {
		if err := decode(b, p.pos.fields); err != nil {
			return nil, fmt.Errorf("read position of partition %d: %w", source.Partition, err)
		}
		p.started = true
		p.ahead.open(&p.pos)
	}
	err = states.Scan([]byte(emitterPrefix), func(key, value []byte) error {
		var e emitter
		if err := decode(value, e.fields); err != nil {
			return fmt.Errorf("read emitter %q: %w", key, err)
		}
		em := p.index.emitter(e.name)
		em.emitter, em.stored = e, true
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = states.Scan([]byte(sessionPrefix), func(key, value []byte) error {
		s, err := readSession(key, value)
		if err != nil {
			return err
		}
		k := p.index.add(s)
		k.chunks = chunksOf(s.listed)
		if k.old = len(s.oldHandles) > 0 || len(s.oldLegs) > 0; k.old {
			for i, h := range s.oldHandles {
				h.number = int32(i) + 1
				e := p.index.scanned(p, k, h)
				e.h, e.stored = nil, false
				p.index.cachedHandles--
			}
		}
		p.watch(k, s)
		k.s = nil
		p.index.cached--
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := states.Scan([]byte(handlePrefix), p.scanHandle); err != nil {
		return nil, err
	}
	p.beginCensus()
	return p, nil
}

func readSession(key, value []byte) (*session, error) {
	s := &session{}
	if err := decode(value, s.fields); err != nil {
		return nil, fmt.Errorf("read session %q: %w", key, err)
	}
	if !bytes.Equal(key, sessionKey(s.emitter, s.id)) {
		return nil, fmt.Errorf("read session %q: the state is that of session %v of %q", key, s.id, s.emitter)
	}
	return s, nil
}

// readSession reads the state of a session of the index.
func (p *Partition) readSession(k *sessionEntry, value []byte) (*session, error) {
	s := p.spare.session()
	if err := decodeWith(&p.spare, value, s.fields); err != nil {
		return nil, fmt.Errorf("read session %q: %w", p.key, err)
	}
	if s.id != k.ref.id || s.emitter != k.em.name {
		return nil, fmt.Errorf("read session %q: the state is that of session %v of %q", p.key, s.id, s.emitter)
	}
	s.emitter = k.em.name // one copy is enough
	return s, nil
}

// Next is the offset of the next input record, -1 when nothing was ever folded.
func (p *Partition) Next() int64 {
	if !p.started {
		return -1
	}
	return p.pos.next
}

// PrimeWindow notes a record before Next, so that a repetition of it that is still to come is known for one: what repetitions
// are told by is not among the states. It comes after Open and before the first Apply, with the last WindowSize records
// before Next, or as many as there are, in the order of their offsets. Whoever leaves it out, or notes fewer, counts
// repetitions as events of their own (event_count instead of duplicate_count); what they say changes nothing twice.
func (p *Partition) PrimeWindow(in Input) {
	if in.Kind == KindEvent || in.Kind == KindCopy {
		p.window.repeated(in.Offset, in.Kind, in.Value)
	}
}

// Apply folds one record. Records before Next are ignored. An error means that a state is broken and the partition can
// not go on; an event that cannot be understood is no error but parked.
func (p *Partition) Apply(in Input) error {
	if err := p.apply(in); err != nil {
		return err
	}
	p.rest()
	return p.err
}

func (p *Partition) apply(in Input) error {
	//mutant:folded-once
	if p.started && in.Offset < p.pos.next {
		return nil
	}
	p.pos.next, p.started, p.moved = in.Offset+1, true, true
	p.eventTime = 0
	p.pos.clock.advance(in.Append)
	again := false
	switch in.Kind {
	case KindTick:
		//mutant:tick-settles
		p.pos.clock.settle()
	case KindEvent, KindCopy:
		if again = p.window.repeated(in.Offset, in.Kind, in.Value); !again {
			p.pos.clock.follow()
		}
	}
	if err := p.expire(p.pos.clock.settled); err != nil {
		return err
	}
	switch in.Kind {
	case KindTick:
		return nil
	case KindAlive:
		name, _ := janus.EmitterName(string(in.Key))
		p.signOfLife(name, in.Value)
		if em := p.index.known(name); em != nil {
			return p.sighted(em)
		}
		return nil // there is nothing here that its life could keep
	}
	e, err := p.parser.Parse(in.Value)
	if err != nil {
		p.park(in, err.Error())
		return nil
	}
	//mutant:cut-names
	clip(e)
	name := e.Emitter
	if in.Emitter != "" {
		name = in.Emitter
	}
	name, cut := janus.EmitterName(name)
	p.eventTime = e.Time
	//mutant:repetition
	if again {
		p.counts.Duplicates++
		if em := p.index.emitters[name]; em != nil && in.Kind == KindEvent && e.Session != 0 {
			e.Time += em.timeline.shift
			return p.repeat(em, e)
		}
		return nil
	}
	em := p.index.emitter(name)
	p.index.sight(em, p.pos.clock.now)
	raw := e.Time
	em.timeline.file = p.source.Whole
	e.Time = em.timeline.moment(raw, in.Append, &p.pos.clock)
	p.counts.Events[typeSlot(e.Type)]++
	//mutant:copies
	if in.Kind == KindCopy {
		p.counts.Copies++
	} else if e.Session != 0 {
		if err := p.event(em, e, raw, in, cut); err != nil {
			return err
		}
	}
	if err := p.reach(em, e, in.Offset); err != nil {
		return err
	}
	em.timeline.see(e.Time, in.Append, in.Offset, &p.pos.clock)
	p.takeCensus(em, e, raw)
	p.eventTime = 0
	return p.silence(em)
}

func (p *Partition) park(in Input, reason string) {
	//mutant:parked-once
	if in.Offset < p.ahead.next {
		return
	}
	in.Key, in.Value = bytes.Clone(in.Key), bytes.Clone(in.Value)
	p.step.Parked = append(p.step.Parked, Parked{Input: in, Reason: reason})
	p.pending += len(in.Value) + 200
	p.counts.Parked++
}

// Step takes what has changed since the last one. Committed must follow before the next Step.
func (p *Partition) Step() Step {
	if !p.moved {
		return Step{}
	}
	step := p.takeStep()
	p.moved = false
	step.Changes = make([]Change, 0, len(p.stepKeys)+p.changedHandles+len(p.index.changed)+1)
	step.Changes = p.index.emitterChanges(step.Changes)
	for _, ref := range p.stepKeys {
		k := p.index.sessions[ref]
		if k == nil || !k.dirty {
			continue
		}
		k.dirty = false
		step.Changes = p.handleChanges(k, step.Changes)
		step.Changes = k.chunkChanges(step.Changes)
		p.key = appendSessionKey(p.key[:0], k.em.name, ref.id)
		var c Change
		switch {
		case k.deleted:
			delete(p.index.sessions, ref)
			c.Key = bytes.Clone(p.key)
			p.drop(&k.bytes)
		case k.s != nil:
			if c = p.change(&k.bytes, k.s.base(), k.s.fields); k.over() {
				p.over = append(p.over, k)
			}
		case k.bytes.b != nil:
			c = p.changeOf(&k.bytes)
		default:
			continue // it rests in the store
		}
		step.Changes = append(step.Changes, c)
	}
	p.stepKeys = p.stepKeys[:0]
	slices.SortFunc(step.Changes, func(a, b Change) int { return bytes.Compare(a.Key, b.Key) })
	position := p.ahead.step(p.pos)
	step.Changes = append(step.Changes, Change{Key: []byte(positionKey), Value: position.encode()})
	step.Next = max(p.pos.next, position.told.next)
	return step
}

// mostRoom is for how many records there is room before they come: each takes 850 bytes.
const mostRoom = 256

// takeStep takes what waits but the states. The next one will have about as many records.
func (p *Partition) takeStep() Step {
	step := p.step
	p.step, p.pending = Step{Records: make([]Record, 0, min(len(step.Records), mostRoom))}, 0
	return step
}

// Committed says that the last step is durable and that States returns it.
func (p *Partition) Committed() { p.rest() }

// meanState is about how many bytes a state has, with its key.
const meanState = 400

// Pending is about how many bytes the next Step will have.
func (p *Partition) Pending() int {
	return p.pending + p.Waiting()
}

// Waiting is about how many of these are of states, which a Tell leaves.
func (p *Partition) Waiting() int {
	return meanState * (len(p.stepKeys) + p.changedHandles + len(p.index.changed))
}

// OpenSessions is the number of sessions that are open.
func (p *Partition) OpenSessions() int { return p.index.open }

// Counts are what was done since the partition was opened.
func (p *Partition) Counts() Counts { return p.counts }

// Due is when the partition next wants to be looked at, counted from the last record.
func (p *Partition) Due() Due {
	d := Due{Open: p.index.open > 0}
	if at, ok := p.index.nextDeadline(); ok {
		d.Deadline, d.In = true, time.Duration(max(at-p.pos.clock.now, 0))*time.Microsecond
	}
	return d
}

// Flush acts as if a tick came after the longest limit: what is open closes at its last evidence. It is for the end of
// a file, not for a log that goes on.
func (p *Partition) Flush() error {
	p.moved, p.eventTime = true, 0
	p.endCensus()
	if err := p.expire(1<<62 - 1); err != nil {
		return err
	}
	return p.err
}

// event folds an event into its own session.
func (p *Partition) event(em *emitterEntry, e *janus.Event, raw janus.Micros, in Input, cut bool) error {
	k, err := p.session(em, e.Session)
	if err != nil {
		return err
	}
	var h *handle // as it was known before
	if k != nil && e.Handle != 0 {
		if h = p.handle(k, e.Handle); h != nil {
			p.touchHandle(k, e.Handle)
		}
	}
	if k != nil && k.s.stub != nil {
		wakes := k.s.stub.sleeps && k.s.wakes(e, h)
		again := revives(k.s.stub, e, raw)
		//mutant:late-event
		if !again && !wakes {
			p.counts.Late++
			k.s.stub.late++
			p.touch(k)
			p.conclude(RuleLateEvent, k.s, nil, nil, facts{})
			return nil
		}
		if again {
			p.conclude(RuleSessionRevived, k.s, nil, nil, facts{at: e.Time})
			p.discard(k)
			p.index.drop(k)
			k.s, h = nil, nil
		} else {
			p.touch(k)
			p.wakeSession(k)
		}
	}
	var before []janus.HandleID // handles of the incarnation before
	if k != nil && k.s != nil && k.s.superseded(e, raw, h != nil) {
		p.conclude(RuleSuperseded, k.s, nil, nil, facts{at: e.Time})
		if k.s.closing { // it has ended, and what comes late of it is none of the new one's
			handles := p.all(k)
			for _, h := range handles[max(0, len(handles)-maxPast):] {
				before = append(before, h.id)
			}
		}
		if err := p.finish(k, e.Time); err != nil {
			return err
		}
		p.discard(k)
		p.index.drop(k)
		k.s, h = nil, nil
	}
	if k == nil || k.s == nil {
		s := &session{
			emitter: em.name, id: e.Session, incarnation: raw, basis: FirstEvent, firstTime: e.Time, firstOffset: in.Offset, version: em.version, shift: em.timeline.shift, steps: em.timeline.steps,
			//mutant:cut-name
			truncated: cut, past: before,
		}
		k = p.index.add(s)
		if _, ok := e.Body.(*janus.SessionCreated); ok {
			p.conclude(RuleSessionOpened, s, nil, nil, facts{at: e.Time})
		} else {
			//mutant:old-batch
			if em.timeline.now-e.Time > p.policy.StubRetention {
				s.newest = em.timeline.now
			}
			p.conclude(RuleSessionOpenedByFirstEvent, s, nil, nil, facts{at: e.Time})
		}
	}
	p.touch(k)
	x := &eventFold{p: p, em: em, k: k, s: k.s, known: h, e: e, raw: raw, offset: in.Offset}
	p.stepped(k)
	x.place(in.Append)
	x.t = e.Time
	//mutant:wild-timestamp-cuts
	x.leapt = em.timeline.leaps(x.t, &p.pos.clock)
	p.stepped(k)
	x.session()
	x.enforceSizeLimit(len(in.Value))
	p.watch(k, k.s)
	return nil
}

// repeat counts a repetition of an event of a session.
func (p *Partition) repeat(em *emitterEntry, e *janus.Event) error {
	k, err := p.session(em, e.Session)
	if err != nil || k == nil || k.s.stub != nil {
		return err
	}
	p.touch(k)
	//mutant:repetition-counted
	k.s.duplicates++
	p.conclude(RuleDuplicate, k.s, nil, nil, facts{})
	if h := p.handle(k, e.Handle); h != nil {
		p.touchHandle(k, h.id)
		var buf [fewLegs]*leg
		for _, l := range h.taking(buf[:0], e.Time) {
			if e.Time >= l.first {
				l.duplicates++
			}
		}
	}
	return nil
}

// session finds a session, open or stub; nil when there is none.
func (p *Partition) session(em *emitterEntry, id janus.SessionID) (*sessionEntry, error) {
	k := p.index.sessions[sessionRef{em.number, id}]
	if k == nil || k.deleted {
		return nil, nil
	}
	return k, p.load(k)
}

// load brings a session back into memory.
func (p *Partition) load(k *sessionEntry) error {
	k.used = true
	if k.s != nil {
		return nil
	}
	b, err := k.bytes.b, error(nil)
	p.key = appendSessionKey(p.key[:0], k.em.name, k.ref.id)
	if b == nil {
		b, err = p.states.Get(p.key)
	}
	if err != nil {
		return fmt.Errorf("read session %q: %w", p.key, err)
	}
	if b == nil {
		return fmt.Errorf("read session %q: the store has lost it: set its directory aside and start again, it is rebuilt from the changelog", p.key)
	}
	if k.s, err = p.readSession(k, b); err != nil {
		return err
	}
	p.index.decoded(k)
	if k.old {
		k.old = false
		p.divide(k, k.s)
		for e := range k.handles.all() {
			p.touchHandle(k, e.id)
		}
		p.watchHandles(k)
		p.touch(k)
	}
	return nil
}

// touch notes that a session changes in this step.
func (p *Partition) touch(k *sessionEntry) {
	if !k.dirty {
		k.dirty = true
		p.stepKeys = append(p.stepKeys, k.ref)
	}
}

// sighted notes that an emitter's events come.
func (p *Partition) sighted(em *emitterEntry) error {
	p.index.sight(em, p.pos.clock.now)
	return p.silence(em)
}
