package cdr

import (
	"bytes"
	"slices"
)

// The world waits for records, and nobody for states: these are a function of the log, and a session that is over before
// they are written need never be written at all. So a host may Tell what is to be seen and take a Step seldom. What is
// written then is a position that has not moved, but for what was told beyond it: whoever opens a Partition from it folds
// the same log again, and what is told already does not come out a second time. Records are known by their id and not by
// their offset, so this holds, too, where the log is folded again with another policy.

// told is what came out of the log beyond the position.
type told struct {
	next int64 // the offset up to which, 0 for nothing
	ids  []ID  // of the records, in their order
}

func (t *told) fields(c *codec) {
	num(c, 5, &t.next)
	var all string
	if !c.reading && len(t.ids) > 0 {
		b := make([]byte, 0, len(t.ids)*len(ID{}))
		for i := range t.ids {
			b = append(b, t.ids[i][:]...)
		}
		all = string(b)
	}
	text(c, 6, &all)
	if !c.reading {
		return
	}
	if t.ids = nil; len(all)%len(ID{}) != 0 {
		c.err = errBroken
		return
	}
	for id := range slices.Chunk([]byte(all), len(ID{})) {
		t.ids = append(t.ids, ID(id))
	}
}

// maxTold is how many records are told beyond a position. What exceeds it takes a Step.
const maxTold = 8192

// Each Tell writes the ids of all records since the last Step, and ids are chance: nothing compresses them, where states
// are much alike. So ids may take a quarter of the bytes that the states would take, or a little.
const (
	idsAsDear  = 4
	leastSpent = 16 << 10
)

// ahead is what a partition knows of what was told beyond the position that its last Step has left.
type ahead struct {
	stated position   // that position; its numbers of records are void
	based  bool       // there is one
	next   int64      // the offset up to which all was told, by this partition or by the one before; 0 for nothing
	ids    []ID       // of the records told beyond stated, and of those that the next Tell or Step tells
	before map[ID]int // those that the one before has told and that did not come out here yet, and how often
	spent  int        // bytes of ids that the Tells since the last Step have written, each all of them
}

// open begins where another partition has left off.
func (a *ahead) open(pos *position) {
	a.next, a.ids = pos.told.next, pos.told.ids
	if len(a.ids) > 0 {
		a.before = make(map[ID]int, len(a.ids))
		for _, id := range a.ids {
			a.before[id]++
		}
	}
	pos.told = told{}
	a.state(*pos)
}

// state notes the position that is in the states.
func (a *ahead) state(pos position) {
	a.stated, a.based = pos, true
	a.stated.clock.trail = slices.Clone(pos.clock.trail)
}

// told tells whether a record is out already, and notes it if it is not.
func (a *ahead) told(id ID) bool {
	if n := a.before[id]; n > 0 {
		if n == 1 {
			delete(a.before, id)
		} else {
			a.before[id] = n - 1
		}
		return true
	}
	a.ids = append(a.ids, id)
	return false
}

// step is the position that a Step leaves: of what was told there remains what does not come out before it.
func (a *ahead) step(pos position) position {
	a.state(pos)
	a.ids, a.spent = a.ids[:0], 0
	for id, n := range a.before {
		a.ids = append(a.ids, slices.Repeat([]ID{id}, n)...)
	}
	slices.SortFunc(a.ids, func(x, y ID) int { return bytes.Compare(x[:], y[:]) })
	if a.next <= pos.next {
		a.next = 0
	}
	pos.told = told{a.next, a.ids}
	return pos
}

// encode writes a position down. One beyond which something was told is not for older programs, which would tell it again.
func (p *position) encode() []byte {
	if p.told.next != 0 || len(p.told.ids) != 0 {
		return encodeAs(toldVersion, nil, p.fields)
	}
	return encode(nil, p.fields)
}

// Tell takes what the world waits for, the records and the parked events since the last Step or Tell, and leaves all states
// but the position for a Step to come: what it returns is empty where nothing waits, and else made durable like a Step, but
// not followed by Committed. Where no Step was taken before, or too many records were told since, or so often that the
// states would have been as cheap, it is one.
func (p *Partition) Tell() Step {
	if !p.ahead.based || len(p.ahead.ids) > maxTold {
		return p.Step()
	}
	if len(p.step.Records) == 0 && len(p.step.Parked) == 0 {
		return Step{}
	}
	p.ahead.spent += len(p.ahead.ids) * len(ID{})
	if p.ahead.spent > max(leastSpent, p.Waiting()/idsAsDear) {
		return p.Step()
	}
	step := p.takeStep()
	p.ahead.next = max(p.ahead.next, p.pos.next)
	position := p.ahead.stated
	//mutant:told-ids
	position.local, position.told = p.pos.local, told{p.ahead.next, p.ahead.ids}
	step.Changes = []Change{{Key: []byte(positionKey), Value: position.encode()}}
	step.Next, step.Lags = p.ahead.next, true
	return step
}

// Told is the offset up to which records are out, as the position in the States says it: Next or beyond. -1 when there is
// no position.
func (p *Partition) Told() int64 {
	if !p.ahead.based {
		return -1
	}
	return max(p.ahead.stated.next, p.ahead.next)
}
