package model

import (
	"fmt"
	"slices"
)

// Mutants break the protocol, one each.
type Mutants struct {
	StoreBeforeCommit  bool // the store is told before the transaction ends
	PositionBefore     bool // the position is committed in a transaction of its own, before the states
	NoOffsets          bool // the transaction carries no offsets: nobody asks whether the partition is still ours
	NameNotCompared    bool // it asks whether the partition is ours now, not whether it has been all the time
	MissedNotCompared  bool // it asks whether it is ours under the same name, not whether a generation was missed
	UnwrittenCounts    bool // it asks for the number, which is that of a generation that was forgotten, too
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
	FenceNotTried      bool // whether the brokers refuse anybody's offsets is not looked at
	OldIsYoung         bool // a store is kept though deletions that it has not were forgotten
	FutureIsYoung      bool // the same, when the clock was wrong by which its age is told
	EndAskedAgain      bool // an end that is not answered is asked for again, and nothing tells the two from another
	EpochNotCompared   bool // a store is kept though the changelog that it is of was cut, and grew again
	ToldForgotten      bool // a position does not say what was told beyond it
	ToldMovesPosition  bool // what is told moves the position, though the states are of before
	ToldInStates       bool // states go with what is told, and the position stays
}

// Budget bounds what may go wrong in a run.
type Budget struct {
	Kills, Rebalances, Lost, Refused, Timers int8
	Older                                    int8 // brokers that fence nobody
	Cleaned                                  int8 // deletions that the changelog forgets
	Clocks                                   int8 // that were wrong
	Elections                                int8 // of leaders that lack the last transaction
	Lags                                     int8 // transactions that leave the states for a later one
	Forgotten                                int8 // generations that a coordinator has told of and not written down
}

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

// entry is a message: of the changelog a state, the position, a barrier, or what was cleaned away; of the output a record.
// The key of a position is how many records are told beyond it.
type entry struct {
	kind   byte // s, p, b, x; r for a record
	key, n int8
	by     int8 // whose transaction; -1 outside of any
	epoch  int8 // of the leader who took it
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
	id         int8 // its transactional id, and what it is in the group
	phase      phase
	epoch      int8 // of its transactional id
	generation int8 // of the group, as it knows it: here each gives the partition to somebody
	hears      int8 // the number of a generation that was forgotten, as it takes it for its own; 0 for none
	name       int8 // under which it was given the partition
	barrier    int8
	at         int8 // of the changelog, while restoring

	// The fold.
	state   counts
	next    int8
	dirty   [keys]bool
	changed bool
	pending []output
	told    int8 // records that are told beyond the position, or are in pending and will be
	again   int8 // records to come that are told already
	lags    bool // the transaction leaves the states for a later one
	refused bool // a promise of this transaction failed
	left    bool // its offsets were refused
	kept    bool // a task that should have been dropped

	// The store: as it is seen, and as the disk has it.
	seen, disk store
	flushing   bool // states are on disk, the checkpoint is not (or, in a mutant, the other way round)
}

type store struct {
	state      counts
	next       int8
	told       int8 // records told beyond next
	checkpoint int8 // of the changelog; -1 for none
	epoch      int8 // of the leader who had all of it
	old        bool // the changelog has forgotten deletions since
	future     bool // the clock was wrong by which it was written
}

// World is a moment.
type World struct {
	input      []int8
	todo       []int8 // events that are to come
	changelog  []entry
	out        []entry
	generation int8
	owner      int8
	older      bool // the brokers fence nobody
	epoch      int8 // of the leader of the changelog
	epochs     [names]int8
	members    [names]int8 // names of the workers in the group: who was thrown out comes back under a new one
	late       [names]int8 // epoch of an end that is on its way still; 0 for none
	workers    [names]worker
	budget     Budget
	mutant     Mutants
	broken     string
}

// New is a world before anything has happened. Events are keys, 0 or 1.
func New(events []int8, b Budget, mutant Mutants) *World {
	m := &World{todo: events, budget: b, owner: -1, mutant: mutant}
	for i := range m.workers {
		m.workers[i].id = int8(i)
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
			put(int8(e.kind), e.key, e.n, e.by, e.epoch, int8(e.status))
		}
	}
	put(m.generation, m.owner, m.budget.Kills, m.budget.Rebalances, m.budget.Lost, m.budget.Refused, m.budget.Timers)
	put(m.budget.Older, m.budget.Cleaned, m.budget.Clocks, m.budget.Elections, m.budget.Lags, m.budget.Forgotten, m.epoch)
	bit(m.older)
	put(m.epochs[:]...)
	put(m.members[:]...)
	put(m.late[:]...)
	for i := range m.workers {
		w := &m.workers[i]
		put(int8(w.phase), w.epoch, w.generation, w.hears, w.name, w.barrier, w.at, w.next, int8(len(w.pending)), w.told, w.again)
		bit(w.lags)
		put(w.state[:]...)
		for _, o := range w.pending {
			put(o.key, o.n)
		}
		for _, s := range []store{w.seen, w.disk} {
			put(s.state[:]...)
			put(s.next, s.told, s.checkpoint, s.epoch)
			bit(s.old)
			bit(s.future)
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

// apply folds an input.
func (w *worker) apply(input int8) {
	was := w.state
	var out []output
	w.state, out = fold(w.state, input)
	for k := range w.state {
		w.dirty[k] = w.dirty[k] || was[k] != w.state[k]
	}
	w.changed = true
	for _, o := range out {
		if w.again > 0 {
			w.again--
			continue
		}
		w.pending, w.told = append(w.pending, o), w.told+1
	}
}

// settle lets the store know what is committed.
func (w *worker) settle(checkpoint, epoch int8) {
	w.pending = nil
	if w.lags {
		w.seen.told, w.seen.checkpoint, w.seen.epoch, w.seen.old, w.seen.future = w.told, checkpoint, epoch, false, false
		return
	}
	w.told = w.again
	w.seen = store{state: w.state, next: w.next, told: w.told, checkpoint: checkpoint, epoch: epoch}
	w.dirty, w.changed = [keys]bool{}, false
}

// drop closes the task: the store writes what it was told, the fold is forgotten.
func (w *worker) drop() {
	w.disk, w.flushing, w.kept = w.seen, false, false
	w.state, w.next, w.pending, w.dirty, w.changed = counts{}, 0, nil, [keys]bool{}, false
	w.told, w.again, w.lags = 0, 0, false
}

// unknown drops the client and all that belongs to it.
func (w *worker) unknown() {
	w.drop()
	w.phase, w.generation, w.hears = up, 0, 0
}

// kill leaves the disk, and nothing else.
func (w *worker) kill() { *w = worker{id: w.id, disk: w.disk, seen: w.disk} }

// fenced tells whether another client has the worker's id by now: the brokers take nothing of this one any more.
func (m *World) fenced(w *worker) bool { return w.epoch != m.epochs[w.id] }

// removed tells whether the group has given the partition away since the worker heard of it, be it to the worker itself.
func (m *World) removed(w *worker) bool { return w.generation != m.generation }

// write appends to the changelog.
func (m *World) write(e entry) {
	e.epoch = m.epoch
	m.changelog = append(m.changelog, e)
}

// message is an entry of the transaction of a worker.
func (w *worker) message(e entry) entry {
	e.by, e.status = w.id, open
	return e
}

// single is an entry outside of any transaction.
func single(e entry) entry {
	e.by, e.status = -1, committed
	return e
}

// holds tells whether a transaction of the worker's id is open.
func (m *World) holds(w *worker) bool {
	mine := func(e entry) bool { return e.by == w.id && e.status == open }
	return slices.ContainsFunc(m.changelog, mine) || slices.ContainsFunc(m.out, mine)
}

// finish ends the open transaction of a worker's id.
func (m *World) finish(w *worker, as status) {
	for _, log := range [][]entry{m.changelog, m.out} {
		for j := range log {
			if log[j].by == w.id && log[j].status == open {
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
	var position, told int8
	var states counts
	for _, e := range m.changelog {
		switch {
		case e.status != committed:
		case e.kind == 'p':
			position, told = e.n, e.key
		case e.kind == 's':
			states[e.key] = e.n
		}
	}
	var want counts
	var records, have []output
	beyond := counts{}
	for i, input := range m.input {
		var out []output
		beyond, out = fold(beyond, input)
		if int8(i) < position {
			want = beyond
			records = append(records, out...)
			continue
		}
		out = out[:min(len(out), int(told))]
		records, told = append(records, out...), told-int8(len(out))
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
