package model

import (
	"fmt"
	"slices"
)

// Wounds break the protocol, one each.
type Wounds struct {
	StoreBeforeCommit  bool // the store is told before the transaction ends
	PositionBefore     bool // the position is committed in a transaction of its own, before the states
	NoOffsets          bool // the transaction carries no offsets: nobody asks whether the partition is still ours
	NameNotCompared    bool // it asks whether the partition is ours now, not whether it has been all the time
	OffsetsFirst       bool // the offsets are taken before the messages are
	UnknownIsCommitted bool // no answer is taken for success
	UnknownIsAborted   bool // no answer is taken for failure, and the same is tried again
	NoBarrier          bool // a restore reads to the end of what is stable
	NoReplay           bool // a restore trusts a store that has a checkpoint
	ReadUncommitted    bool // a restore reads what is not committed
	CheckpointFirst    bool // on disk, before the states that it covers
	CheckpointTooFar   bool // by one
	PromisesIgnored    bool // a message that was refused does not spoil the transaction
	FoldKeptAfterAbort bool // the worker goes on as if it had not folded for nothing
	TaskKeptWhenTaken  bool // and used again when the partition comes back
	TimerWithoutTick   bool // time passes in the worker, not in the log
	OutputOutside      bool // of the transaction
}

// Budget bounds what may go wrong in a run.
type Budget struct{ Kills, Rebalances, Lost, Refused, Timers int8 }

const (
	names = 2
	keys  = 2
	tick  = int8(-1) // an input that lets time pass
)

// counts is a state: how many events of each key are open.
type counts [keys]int8

// fold is the pure function: an input changes the state, and may let records out.
func fold(c counts, input int8) (counts, []output) {
	if input == tick {
		var out []output
		for k := range c {
			if c[k] > 0 {
				out = append(out, output{int8(k), -c[k]})
				c[k] = 0
			}
		}
		return c, out
	}
	c[input]++
	return c, []output{{input, c[input]}}
}

type output struct{ key, n int8 }

type status int8

const (
	committed status = iota
	open
	aborted
)

// entry is a message: of the changelog a state, the position or a barrier, of the output a record.
type entry struct {
	kind   byte // s, p, b; r for a record
	key, n int8
	by     int8 // whose transaction; -1 outside of any
	status status
}

// phase is how far a worker is. The names of the later ones are those of pipeline.CrashPoints.
type phase int8

const (
	down         phase = iota
	up                 // a client without an id
	idle               // after init
	assigned           // before barrier
	restoring          // after barrier
	running            // after restore
	afterBegin         // after begin
	records            // producing: the records are out
	afterProduce       // after produce: states and position are out
	beforeEnd          // before end: all is acknowledged, the offsets are with the broker
	afterEnd           // after end
)

type worker struct {
	phase      phase
	epoch      int8 // of its transactional id
	generation int8 // of the group, as it knows it: here each gives the partition to somebody, who has a new name by that
	barrier    int8
	at         int8 // of the changelog, while restoring

	// The fold.
	state   counts
	next    int8
	dirty   [keys]bool
	changed bool
	pending []output
	refused bool // a promise of this transaction failed
	left    bool // its offsets were refused
	kept    bool // a task that should have been dropped

	// The store: as it is seen, and as the disk has it.
	seen, disk store
	flushing   bool // states are on disk, the checkpoint is not (or, wounded, the other way round)
}

type store struct {
	state      counts
	next       int8
	checkpoint int8 // of the changelog; -1 for none
}

// World is a moment.
type World struct {
	input      []int8
	todo       []int8 // events that are to come
	changelog  []entry
	out        []entry
	generation int8
	owner      int8
	epochs     [names]int8
	workers    [names]worker
	budget     Budget
	w          Wounds
	broken     string
}

// New is a world before anything has happened. Events are keys, 0 or 1.
func New(events []int8, b Budget, w Wounds) *World {
	m := &World{todo: events, budget: b, owner: -1, w: w}
	for i := range m.workers {
		m.workers[i].seen.checkpoint, m.workers[i].disk.checkpoint = -1, -1
	}
	return m
}

func (m *World) clone() *World {
	c := *m
	c.input, c.changelog, c.out = slices.Clone(m.input), slices.Clone(m.changelog), slices.Clone(m.out)
	for i := range c.workers {
		c.workers[i].pending = slices.Clone(m.workers[i].pending)
	}
	return &c
}

// key tells moments apart.
func (m *World) key() string {
	b := make([]byte, 0, 256)
	bit := func(v bool) {
		if v {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	put := func(values ...int8) {
		for _, v := range values {
			b = append(b, byte(v))
		}
	}
	put(int8(len(m.input)))
	put(m.input...)
	put(int8(len(m.todo)), int8(len(m.changelog)), int8(len(m.out)))
	for _, log := range [][]entry{m.changelog, m.out} {
		for _, e := range log {
			put(int8(e.kind), e.key, e.n, e.by, int8(e.status))
		}
	}
	put(m.generation, m.owner, m.budget.Kills, m.budget.Rebalances, m.budget.Lost, m.budget.Refused, m.budget.Timers)
	put(m.epochs[:]...)
	for i := range m.workers {
		w := &m.workers[i]
		put(int8(w.phase), w.epoch, w.generation, w.barrier, w.at, w.next, int8(len(w.pending)))
		put(w.state[:]...)
		for _, o := range w.pending {
			put(o.key, o.n)
		}
		for _, s := range []store{w.seen, w.disk} {
			put(s.state[:]...)
			put(s.next, s.checkpoint)
		}
		for _, d := range w.dirty {
			bit(d)
		}
		bit(w.changed)
		bit(w.refused)
		bit(w.left)
		bit(w.kept)
		bit(w.flushing)
	}
	return string(b)
}

// Choice is one thing that can happen next.
type Choice struct {
	Name string
	do   func(*World)
}

// Choices is all that can happen next.
func (m *World) Choices() []Choice {
	var all []Choice
	may := func(ok bool, do func(*World), format string, args ...any) {
		if ok {
			all = append(all, Choice{fmt.Sprintf(format, args...), do})
		}
	}
	may(len(m.todo) > 0, func(m *World) { m.input, m.todo = append(m.input, m.todo[0]), m.todo[1:] }, "an event is appended")
	may(m.budget.Timers > 0 && len(m.input) > 0 && !m.w.TimerWithoutTick, func(m *World) { m.budget.Timers--; m.input = append(m.input, tick) }, "a tick is appended")
	for i := range int8(names) {
		m.of(i, may)
	}
	return all
}

func (m *World) of(i int8, may func(bool, func(*World), string, ...any)) {
	w := &m.workers[i]
	name := string(rune('A' + i))
	step := func(ok bool, do func(*World, *worker), format string, args ...any) {
		may(ok, func(m *World) { do(m, &m.workers[i]) }, name+": "+format, args...)
	}
	step(w.phase == down, func(_ *World, w *worker) { w.phase = up }, "starts")
	step(w.phase != down && m.budget.Kills > 0, func(m *World, w *worker) { m.budget.Kills--; m.kill(i) }, "is killed")
	step(w.phase == up, func(m *World, w *worker) {
		m.epochs[i]++
		w.epoch, w.phase = m.epochs[i], idle
		m.finish(i, aborted)
	}, "after init")
	may(w.phase >= idle && m.owner != i && (m.owner < 0 || m.budget.Rebalances > 0), func(m *World) {
		if m.owner >= 0 {
			m.budget.Rebalances--
		}
		m.owner = i
		m.generation++
	}, "the group gives the partition to %s", name)
	step(w.phase >= idle && w.phase <= running && m.owner == i && w.generation != m.generation, func(m *World, w *worker) {
		if m.w.TaskKeptWhenTaken && w.kept {
			w.generation, w.phase, w.kept = m.generation, running, false
			return
		}
		w.drop()
		w.generation, w.phase = m.generation, assigned
	}, "hears that it is assigned")
	step(w.phase > idle && w.phase <= running && m.owner != i, func(m *World, w *worker) {
		if m.w.TaskKeptWhenTaken && w.phase == running {
			w.kept, w.phase = true, idle
			return
		}
		w.drop()
		w.phase = idle
	}, "hears that it is taken away")
	step(w.phase == assigned, func(m *World, w *worker) {
		w.seen = w.disk
		w.at = max(w.seen.checkpoint, 0)
		w.phase = restoring
		switch {
		case m.w.NoReplay && w.seen.checkpoint >= 0:
			w.barrier = -1
		case m.w.NoBarrier:
			w.barrier = m.stable() - 1
		default:
			m.changelog = append(m.changelog, entry{kind: 'b', by: -1})
			w.barrier = int8(len(m.changelog)) - 1
		}
	}, "after barrier")
	step(w.phase == restoring && w.at <= w.barrier && (w.at < m.stable() || m.w.ReadUncommitted), func(m *World, w *worker) {
		e := m.changelog[w.at]
		w.at++
		if e.status == committed || m.w.ReadUncommitted && e.status == open {
			switch e.kind {
			case 's':
				w.seen.state[e.key] = e.n
			case 'p':
				w.seen.next = e.n
			}
		}
		w.seen.checkpoint = w.at
	}, "after replay")
	step(w.phase == restoring && w.at > w.barrier, func(_ *World, w *worker) {
		w.state, w.next, w.phase = w.seen.state, w.seen.next, running
	}, "after restore")
	step(w.phase == running && int(w.next) < len(m.input), func(m *World, w *worker) { w.apply(m.input[w.next]); w.next++ }, "folds a record")
	step(w.phase == running && m.w.TimerWithoutTick && m.budget.Timers > 0 && w.state != counts{}, func(m *World, w *worker) {
		m.budget.Timers--
		w.apply(tick)
	}, "a timer fires")
	step(w.phase == running && w.changed, func(m *World, w *worker) {
		w.phase, w.refused, w.left = afterBegin, false, m.w.OffsetsFirst && w.generation != m.generation
		if m.w.StoreBeforeCommit {
			w.seen.state, w.seen.next = w.state, w.next
		}
	}, "after begin")
	step(w.phase == afterBegin, func(m *World, w *worker) {
		if m.w.PositionBefore { // in a transaction of its own
			if m.fenced(i) || w.generation != m.generation {
				w.unknown()
				return
			}
			m.changelog = append(m.changelog, entry{kind: 'p', n: w.next, by: -1})
		}
		if m.refuses(i, w) {
			return
		}
		for _, o := range w.pending {
			m.out = append(m.out, m.message(i, entry{kind: 'r', key: o.key, n: o.n}, m.w.OutputOutside))
		}
		w.phase = records
	}, "producing")
	step(w.phase == records, func(m *World, w *worker) {
		if m.refuses(i, w) {
			return
		}
		for k := range w.dirty {
			if w.dirty[k] {
				m.changelog = append(m.changelog, m.message(i, entry{kind: 's', key: int8(k), n: w.state[k]}, false))
			}
		}
		if !m.w.PositionBefore {
			m.changelog = append(m.changelog, m.message(i, entry{kind: 'p', n: w.next}, false))
		}
		w.phase = afterProduce
	}, "after produce")
	step(w.phase == afterBegin && m.budget.Refused > 0 && !m.fenced(i), func(m *World, w *worker) {
		m.budget.Refused--
		w.refused, w.phase = true, records
	}, "producing: the records are refused")
	step(w.phase == afterProduce, func(m *World, w *worker) {
		switch {
		case m.fenced(i):
			w.unknown()
		case w.refused && !m.w.PromisesIgnored:
			m.finish(i, aborted)
			if m.w.FoldKeptAfterAbort {
				w.settle(int8(len(m.changelog)))
				w.seen.checkpoint = max(w.disk.checkpoint, 0)
				w.phase = running
				return
			}
			w.unknown()
		default:
			switch {
			case m.w.NoOffsets, m.w.OffsetsFirst:
			case m.w.NameNotCompared:
				w.left = m.owner != i
			default:
				w.left = w.generation != m.generation
			}
			w.phase = beforeEnd
		}
	}, "before end")
	end := func(m *World, w *worker) (done bool) {
		switch {
		case m.fenced(i):
		case w.left:
			m.finish(i, aborted)
		default:
			m.finish(i, committed)
			return true
		}
		return false
	}
	step(w.phase == beforeEnd, func(m *World, w *worker) {
		switch {
		case end(m, w):
			w.phase = afterEnd
		case m.w.UnknownIsCommitted:
			w.phase = afterEnd
		case m.w.UnknownIsAborted && !m.fenced(i):
			w.phase = running
		default:
			w.unknown()
		}
	}, "end")
	lost := func(m *World, w *worker) {
		m.budget.Lost--
		switch {
		case m.w.UnknownIsCommitted:
			w.phase = afterEnd
		case m.w.UnknownIsAborted:
			w.phase = running
		default:
			w.unknown()
		}
	}
	step(w.phase == beforeEnd && m.budget.Lost > 0, func(m *World, w *worker) { end(m, w); lost(m, w) }, "end, and the answer is lost")
	step(w.phase == beforeEnd && m.budget.Lost > 0, func(m *World, w *worker) { lost(m, w) }, "end, and the request is lost")
	step(w.phase == afterEnd, func(m *World, w *worker) {
		var at int8 // behind our position
		for at = int8(len(m.changelog)); at > 0 && (m.changelog[at-1].by != i || m.changelog[at-1].kind != 'p'); at-- {
		}
		if m.w.PositionBefore {
			at = int8(len(m.changelog))
		}
		w.settle(at)
		if m.w.CheckpointTooFar {
			w.seen.checkpoint += 2
		}
		w.phase = running
	}, "after remember")
	step(w.phase != down && !w.flushing && (w.disk.state != w.seen.state || w.disk.next != w.seen.next || w.disk.checkpoint != w.seen.checkpoint), func(m *World, w *worker) {
		if m.w.CheckpointFirst {
			w.disk.checkpoint = w.seen.checkpoint
		} else {
			w.disk.state, w.disk.next = w.seen.state, w.seen.next
		}
		w.flushing = true
	}, "store: before checkpoint")
	step(w.phase != down && w.flushing, func(_ *World, w *worker) { w.flushing, w.disk = false, w.seen }, "store: after checkpoint")
	if m.holds(i) && (w.phase < afterBegin || w.epoch != m.epochs[i]) {
		step(true, func(m *World, _ *worker) { m.finish(i, aborted) }, "its transaction times out")
	}
}

// apply folds an input.
func (w *worker) apply(input int8) {
	was := w.state
	var out []output
	w.state, out = fold(w.state, input)
	for k := range w.state {
		w.dirty[k] = w.dirty[k] || was[k] != w.state[k]
	}
	w.pending, w.changed = append(w.pending, out...), true
}

// settle lets the store know what is committed.
func (w *worker) settle(checkpoint int8) {
	w.seen = store{w.state, w.next, checkpoint}
	w.pending, w.dirty, w.changed = nil, [keys]bool{}, false
}

// drop closes the task: the store writes what it was told, the fold is forgotten.
func (w *worker) drop() {
	w.disk, w.flushing, w.kept = w.seen, false, false
	w.state, w.next, w.pending, w.dirty, w.changed = counts{}, 0, nil, [keys]bool{}, false
}

// unknown drops the client and all that belongs to it.
func (w *worker) unknown() {
	w.drop()
	w.phase, w.generation = up, 0
}

// kill leaves the disk, and nothing else.
func (m *World) kill(i int8) {
	w := &m.workers[i]
	*w = worker{disk: w.disk, seen: w.disk}
}

func (m *World) fenced(i int8) bool { return m.workers[i].epoch != m.epochs[i] }

// refuses tells whether the broker does not take messages of a worker any more: then that drops its client.
func (m *World) refuses(i int8, w *worker) bool {
	if m.fenced(i) {
		w.unknown()
		return true
	}
	return false
}

func (m *World) message(i int8, e entry, outside bool) entry {
	e.by, e.status = i, open
	if outside {
		e.by, e.status = -1, committed
	}
	return e
}

func (m *World) holds(i int8) bool {
	mine := func(e entry) bool { return e.by == i && e.status == open }
	return slices.ContainsFunc(m.changelog, mine) || slices.ContainsFunc(m.out, mine)
}

// finish ends the open transaction of a worker's id.
func (m *World) finish(i int8, as status) {
	for _, log := range [][]entry{m.changelog, m.out} {
		for j := range log {
			if log[j].by == i && log[j].status == open {
				log[j].status = as
			}
		}
	}
	m.check()
}

// stable is the last stable offset of the changelog.
func (m *World) stable() int8 {
	for i, e := range m.changelog {
		if e.status == open {
			return int8(i)
		}
	}
	return int8(len(m.changelog))
}

// check compares what is committed with the pure fold of the input up to the committed position.
func (m *World) check() {
	if m.broken != "" {
		return
	}
	var position int8
	var states counts
	for _, e := range m.changelog {
		switch {
		case e.status != committed:
		case e.kind == 'p':
			position = e.n
		case e.kind == 's':
			states[e.key] = e.n
		}
	}
	var want counts
	var records, have []output
	for i, input := range m.input {
		if int8(i) >= position {
			break
		}
		var out []output
		want, out = fold(want, input)
		records = append(records, out...)
	}
	for _, e := range m.out {
		if e.status == committed {
			have = append(have, output{e.key, e.n})
		}
	}
	switch {
	case !slices.Equal(have, records):
		m.broken = fmt.Sprintf("up to position %d the records are %v, want %v", position, have, records)
	case states != want:
		m.broken = fmt.Sprintf("up to position %d the states are %v, want %v", position, states, want)
	}
}
