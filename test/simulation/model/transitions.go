package model

import "slices"

// Choice is one thing that can happen next.
type Choice struct {
	Name string
	do   func(*World)
}

// Choices is all that can happen next.
func (m *World) Choices() []Choice {
	var all []Choice
	for _, t := range outside {
		if t.may(m) {
			all = append(all, Choice{t.name, t.do})
		}
	}
	for i := range m.workers {
		name := string(rune('A'+i)) + ": "
		for _, phase := range [][]transition{life, restore, work, commit, disk, brokers, faults} {
			for _, t := range phase {
				if t.may(m, &m.workers[i]) {
					all = append(all, Choice{name + t.name, func(m *World) { t.do(m, &m.workers[i]) }})
				}
			}
		}
	}
	return all
}

// transition is what a worker, or somebody to it, can do, and when.
type transition struct {
	name string
	may  func(*World, *worker) bool
	do   func(*World, *worker)
}

// when is the guard of what a worker does in one phase.
func when(p phase) func(*World, *worker) bool {
	return func(_ *World, w *worker) bool { return w.phase == p }
}

// outside is what happens to the log of events.
var outside = []struct {
	name string
	may  func(*World) bool
	do   func(*World)
}{
	{
		"an event is appended",
		func(m *World) bool { return len(m.todo) > 0 },
		func(m *World) { m.input, m.todo = append(m.input, m.todo[0]), m.todo[1:] },
	},
	{
		"a tick is appended",
		func(m *World) bool { return m.budget.Timers > 0 && len(m.input) > 0 && !m.mutant.TimerWithoutTick },
		func(m *World) {
			m.budget.Timers--
			m.input = append(m.input, tick)
		},
	},
	{
		"the brokers fence nobody",
		func(m *World) bool { return m.budget.Older > 0 && m.generation == 0 }, // from the beginning
		func(m *World) {
			m.budget.Older--
			m.older = true
		},
	},
	{"the changelog forgets a deletion", mayClean, (*World).clean},
	{
		"a leader is elected that lacks the last transaction",
		func(m *World) bool { return m.budget.Elections > 0 && m.lastTransaction() >= 0 },
		(*World).elect,
	},
}

// deletion is where the changelog has one that can be forgotten: nobody is reading it now, and what is open lies behind.
// -1 for none.
func (m *World) deletion() int {
	for i, e := range m.changelog[:m.stable()] {
		if e.kind == 's' && e.n == 0 && e.status == committed {
			for _, w := range m.workers {
				if w.phase == restoring && int(w.at) <= i {
					return -1
				}
			}
			return i
		}
	}
	return -1
}

func mayClean(m *World) bool { return m.budget.Cleaned > 0 && m.deletion() >= 0 }

// clean lets the changelog forget a deletion, and what was deleted. Stores that have not heard of it are old.
func (m *World) clean() {
	m.budget.Cleaned--
	at := m.deletion()
	key := m.changelog[at].key
	for i := range m.changelog[:at+1] {
		if e := &m.changelog[i]; e.kind == 's' && e.key == key {
			e.kind = 'x'
		}
	}
	for i := range m.workers {
		for _, s := range []*store{&m.workers[i].seen, &m.workers[i].disk} {
			s.old = s.old || s.checkpoint >= 0 && int(s.checkpoint) <= at
		}
	}
}

// lastTransaction is where the last committed one begins in the changelog; -1 for none.
func (m *World) lastTransaction() int {
	begins, by, found := -1, int8(0), false
	for i, e := range slices.Backward(m.changelog) {
		switch {
		case e.status != committed || e.by < 0 && e.kind != 'p':
		case e.kind == 'p' && found && e.by == by:
			return begins
		case e.kind == 'p' && !found:
			begins, by, found = i, e.by, true
		case found && e.by == by:
			begins = i
		}
	}
	return begins
}

// elect cuts the last transaction off, the states and the records, and all behind. Clients are refused then, as what they
// write does not follow what the leader has.
func (m *World) elect() {
	m.budget.Elections--
	m.epoch++
	m.changelog = m.changelog[:m.lastTransaction()]
	var position, told int8
	for _, e := range m.changelog {
		if e.kind == 'p' && e.status == committed {
			position, told = e.n, e.key
		}
	}
	records, state := int(told), counts{}
	for _, input := range m.input[:position] {
		var out []output
		state, out = fold(state, input)
		records += len(out)
	}
	m.out = slices.DeleteFunc(m.out, func(e entry) bool { return e.status != committed })[:records]
	for i := range m.workers {
		if w := &m.workers[i]; w.phase > up {
			w.unknown()
		}
	}
}

// startsEmpty tells whether a restore does not go on with what the disk has. The barrier is the last entry. That the log
// ends before the checkpoint stops the real ones, until a person deletes the store.
func (m *World) startsEmpty(s store) bool {
	switch {
	case s.checkpoint < 0:
		return true // also when a first write was cut off, and it has states
	case int(s.checkpoint) > len(m.changelog):
		return true
	case s.future:
		if !m.mutant.FutureIsYoung {
			return true
		}
	case s.old && !m.mutant.OldIsYoung:
		return true
	}
	return !m.mutant.EpochNotCompared && m.ends(s.epoch) < int(s.checkpoint)
}

// ends is where an epoch ends in the changelog.
func (m *World) ends(epoch int8) int {
	for i, e := range m.changelog {
		if e.epoch > epoch {
			return i
		}
	}
	return len(m.changelog)
}

// life is how a worker comes to be a member of the group, and hears of its partition.
var life = []transition{
	{"starts", when(down), func(_ *World, w *worker) { w.phase = up }},
	{"after init", when(up), func(m *World, w *worker) {
		m.epochs[w.id]++
		w.epoch, w.phase = m.epochs[w.id], idle
		m.finish(w, aborted)
	}},
	{
		"hears that it is assigned",
		func(m *World, w *worker) bool {
			return w.phase >= idle && w.phase <= running && m.owner == w.id && m.removed(w)
		},
		func(m *World, w *worker) {
			if m.mutant.TaskKeptWhenTaken && w.kept {
				w.generation, w.name, w.phase, w.kept = m.generation, m.members[w.id], running, false
				return
			}
			w.drop()
			w.generation, w.hears, w.name, w.phase = m.generation, 0, m.members[w.id], assigned
		},
	},
	{
		"hears that it is taken away",
		func(m *World, w *worker) bool { return w.phase > idle && w.phase <= running && m.owner != w.id },
		func(m *World, w *worker) {
			if m.mutant.TaskKeptWhenTaken && w.phase == running {
				w.kept, w.phase = true, idle
				return
			}
			w.drop()
			w.phase = idle
		},
	},
}

// restore makes a task of a partition: the barrier, the changelog up to it, the fold.
var restore = []transition{
	{"after barrier", when(assigned), func(m *World, w *worker) {
		w.phase = restoring
		switch {
		case m.mutant.NoReplay && w.disk.checkpoint >= 0:
			w.barrier = -1
		case m.mutant.NoBarrier:
			w.barrier = m.stable() - 1
		default:
			m.write(entry{kind: 'b', by: -1})
			w.barrier = int8(len(m.changelog)) - 1
		}
		w.seen = w.disk
		if m.startsEmpty(w.seen) {
			w.seen, w.disk = store{checkpoint: -1}, store{checkpoint: -1}
		}
		w.at = max(w.seen.checkpoint, 0)
	}},
	{
		"after replay",
		func(m *World, w *worker) bool {
			return w.phase == restoring && w.at <= w.barrier && (w.at < m.stable() || m.mutant.ReadUncommitted)
		},
		func(m *World, w *worker) {
			e := m.changelog[w.at]
			w.at++
			if e.status == committed || m.mutant.ReadUncommitted && e.status == open {
				switch e.kind {
				case 's':
					w.seen.state[e.key] = e.n
				case 'p':
					w.seen.next, w.seen.told = e.n, e.key
				}
			}
			w.seen.checkpoint, w.seen.epoch, w.seen.future = w.at, e.epoch, false
		},
	},
	{
		"after restore",
		func(_ *World, w *worker) bool { return w.phase == restoring && w.at > w.barrier },
		func(_ *World, w *worker) {
			w.state, w.next, w.phase = w.seen.state, w.seen.next, running
			w.told, w.again = w.seen.told, w.seen.told
		},
	},
}

// work is what a task folds.
var work = []transition{
	{
		"folds a record",
		func(m *World, w *worker) bool { return w.phase == running && int(w.next) < len(m.input) },
		func(m *World, w *worker) {
			w.apply(m.input[w.next])
			w.next++
		},
	},
	{
		"a timer fires",
		func(m *World, w *worker) bool {
			return w.phase == running && m.mutant.TimerWithoutTick && m.budget.Timers > 0 && w.state != counts{}
		},
		func(m *World, w *worker) {
			m.budget.Timers--
			w.apply(tick)
		},
	},
}

// commit is the transaction: records, then states and position, then the offsets as its fence, then the end.
var commit = []transition{
	{
		"after begin",
		func(_ *World, w *worker) bool { return w.phase == running && w.changed },
		func(m *World, w *worker) {
			w.lags = false
			m.begin(w)
			if m.mutant.StoreBeforeCommit {
				w.seen.state, w.seen.next = w.state, w.next
			}
		},
	},
	{
		"after begin, and the states lag",
		func(m *World, w *worker) bool {
			return m.budget.Lags > 0 && w.phase == running && len(w.pending) > 0 && m.behindPosition(w) > 0
		},
		func(m *World, w *worker) {
			m.budget.Lags--
			w.lags = true
			m.begin(w)
		},
	},
	{"producing", when(afterBegin), func(m *World, w *worker) {
		if m.mutant.PositionBefore { // in a transaction of its own
			if m.fenced(w) || m.removed(w) {
				w.unknown()
				return
			}
			m.write(m.position(w, entry{by: -1}))
		}
		if m.fenced(w) {
			w.unknown()
			return
		}
		for _, o := range w.pending {
			r := entry{kind: 'r', key: o.key, n: o.n}
			if m.mutant.OutputOutside {
				m.out = append(m.out, single(r))
			} else {
				m.out = append(m.out, w.message(r))
			}
		}
		w.phase = records
	}},
	{"after produce", when(records), func(m *World, w *worker) {
		if m.fenced(w) {
			w.unknown()
			return
		}
		for k, dirty := range w.dirty {
			if dirty && (!w.lags || m.mutant.ToldInStates) {
				m.write(w.message(entry{kind: 's', key: int8(k), n: w.state[k]}))
			}
		}
		if !m.mutant.PositionBefore {
			m.write(m.position(w, w.message(entry{})))
		}
		w.phase = afterProduce
	}},
	{"before end", when(afterProduce), func(m *World, w *worker) {
		switch {
		case m.fenced(w):
			w.unknown()
		case w.refused && !m.mutant.PromisesIgnored:
			m.abort(w)
		default:
			w.left = m.refusesOffsets(w)
			w.phase = beforeEnd
		}
	}},
	{"end", when(beforeEnd), func(m *World, w *worker) {
		switch ended := m.end(w); {
		case ended, m.mutant.UnknownIsCommitted:
			w.phase = afterEnd
		case m.mutant.UnknownIsAborted && !m.fenced(w):
			w.phase = running
		default:
			w.unknown()
		}
	}},
	{"after remember", when(afterEnd), func(m *World, w *worker) {
		w.settle(m.behindPosition(w), m.epoch)
		if m.mutant.CheckpointTooFar {
			w.seen.checkpoint += 2
		}
		w.phase = running
	}},
}

// begin begins a transaction.
func (m *World) begin(w *worker) {
	w.phase, w.refused, w.left = afterBegin, false, m.mutant.OffsetsFirst && m.removed(w)
}

// position is what a transaction says of how far the fold has come.
func (m *World) position(w *worker, e entry) entry {
	e.kind, e.n, e.key = 'p', w.next, w.again
	if w.lags {
		e.n, e.key = w.seen.next, w.told
	}
	if w.lags && m.mutant.ToldForgotten {
		e.key = 0
	}
	if w.lags && m.mutant.ToldMovesPosition {
		e.n, e.key = w.next, 0
	}
	return e
}

// disk is what the store writes when it likes: the states, and then the checkpoint that speaks for them.
var disk = []transition{
	{
		"store: before checkpoint",
		func(_ *World, w *worker) bool { return w.phase != down && !w.flushing && w.disk != w.seen },
		func(m *World, w *worker) {
			if m.mutant.CheckpointFirst {
				w.disk.checkpoint = w.seen.checkpoint
			} else {
				w.disk.state, w.disk.next, w.disk.told = w.seen.state, w.seen.next, w.seen.told
			}
			w.flushing = true
		},
	},
	{
		"store: after checkpoint",
		func(_ *World, w *worker) bool { return w.phase != down && w.flushing },
		func(_ *World, w *worker) { w.flushing, w.disk = false, w.seen },
	},
}

// brokers is what the group and the transaction coordinator do.
var brokers = []transition{
	{
		"the group gives it the partition, and throws out who had it",
		mayBeGiven,
		func(m *World, w *worker) {
			if m.owner >= 0 {
				m.members[m.owner]++
			}
			m.give(w)
		},
	},
	{
		"the group gives it the partition, and who had it misses a generation under the same name",
		func(m *World, w *worker) bool { return m.owner >= 0 && mayBeGiven(m, w) },
		func(m *World, w *worker) { m.give(w) },
	},
	{
		"it is told of a generation, and the coordinator forgets it",
		func(m *World, w *worker) bool {
			return m.budget.Forgotten > 0 && m.owner == w.id && w.generation == m.generation && w.hears == 0
		},
		func(m *World, w *worker) {
			m.budget.Forgotten--
			w.hears = m.generation + 1
		},
	},
	{
		"an end that is late arrives",
		func(m *World, w *worker) bool { return m.late[w.id] > 0 },
		func(m *World, w *worker) {
			if m.late[w.id] == m.epochs[w.id] && m.holds(w) {
				m.finish(w, committed)
			}
			m.late[w.id] = 0
		},
	},
	{
		"its transaction times out",
		func(m *World, w *worker) bool { return m.holds(w) && (w.phase < afterBegin || m.fenced(w)) },
		func(m *World, w *worker) { m.finish(w, aborted) },
	},
}

func mayBeGiven(m *World, w *worker) bool {
	return w.phase >= idle && m.owner != w.id && (m.owner < 0 || m.budget.Rebalances > 0)
}

// give begins a generation in which a worker has the partition.
func (m *World) give(w *worker) {
	if m.owner >= 0 {
		m.budget.Rebalances--
	}
	m.owner = w.id
	m.generation++
}

// faults are what a budget bounds.
var faults = []transition{
	{
		"the clock was wrong when it wrote its checkpoint",
		// It matters to a store that is old, and shows when it is opened.
		func(m *World, w *worker) bool {
			return m.budget.Clocks > 0 && w.phase < assigned && w.disk.old && !w.disk.future
		},
		func(m *World, w *worker) {
			m.budget.Clocks--
			w.disk.future, w.seen.future = true, true
		},
	},
	{
		"is killed",
		func(m *World, w *worker) bool { return w.phase != down && m.budget.Kills > 0 },
		func(m *World, w *worker) {
			m.budget.Kills--
			w.kill()
		},
	},
	{
		"producing: the records are refused",
		func(m *World, w *worker) bool { return w.phase == afterBegin && m.budget.Refused > 0 && !m.fenced(w) },
		func(m *World, w *worker) {
			m.budget.Refused--
			w.refused, w.phase = true, records
		},
	},
	{"end, and the answer is lost", mayLose, func(m *World, w *worker) {
		m.end(w)
		m.lose(w)
	}},
	{"end, and the request is lost", mayLose, func(m *World, w *worker) { m.lose(w) }},
	{"end, and the request is late", mayBeLate, func(m *World, w *worker) {
		m.late[w.id] = w.epoch
		if !m.mutant.EndAskedAgain {
			m.lose(w)
			return
		}
		m.budget.Lost--
		if w.phase = afterEnd; !m.end(w) {
			w.unknown()
		}
	}},
}

func mayLose(m *World, w *worker) bool { return w.phase == beforeEnd && m.budget.Lost > 0 }

// mayBeLate: who was refused its offsets asks for no end.
func mayBeLate(m *World, w *worker) bool { return mayLose(m, w) && !w.left }

// lose is what a worker makes of an end that is not answered.
func (m *World) lose(w *worker) {
	m.budget.Lost--
	switch {
	case m.mutant.UnknownIsCommitted:
		w.phase = afterEnd
	case m.mutant.UnknownIsAborted:
		w.phase = running
	default:
		w.unknown()
	}
}

// end is what the broker does when it is asked to commit. It tells whether it has.
func (m *World) end(w *worker) bool {
	switch {
	case m.fenced(w):
		return false
	case w.left:
		m.finish(w, aborted)
		return false
	}
	m.finish(w, committed)
	return true
}

// abort gives up a transaction of which a message was refused, and the task with it.
func (m *World) abort(w *worker) {
	m.finish(w, aborted)
	if !m.mutant.FoldKeptAfterAbort {
		w.unknown()
		return
	}
	w.settle(int8(len(m.changelog)), m.epoch)
	w.seen.checkpoint = max(w.disk.checkpoint, 0)
	w.phase = running
}

// refusesOffsets tells whether the group takes no offsets of the worker.
func (m *World) refusesOffsets(w *worker) bool {
	switch {
	case m.mutant.NoOffsets:
		return false
	case m.older: // seen by whoever looks, and there is something to look at behind the first generation
		return w.generation > 1 && !m.mutant.FenceNotTried
	case m.mutant.OffsetsFirst:
		return w.left // it was asked before
	case m.mutant.NameNotCompared:
		return m.owner != w.id
	case m.mutant.UnwrittenCounts && w.hears > 0:
		return w.hears != m.generation || m.members[w.id] != w.name
	case m.mutant.MissedNotCompared:
		return m.owner != w.id || m.members[w.id] != w.name
	}
	return m.removed(w)
}

// behindPosition is the checkpoint that a commit makes: behind the position of the worker in the changelog.
func (m *World) behindPosition(w *worker) int8 {
	if m.mutant.PositionBefore {
		return int8(len(m.changelog))
	}
	for at, e := range slices.Backward(m.changelog) {
		if e.by == w.id && e.kind == 'p' {
			return int8(at) + 1
		}
	}
	return 0
}
