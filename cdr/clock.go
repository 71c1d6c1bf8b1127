package cdr

import "januscdr/janus"

// clock is the time of a partition: the sum of the differences of append times from record to record, negative ones as
// 0, each counted as at most maxStep. It is part of the position, so a replay sees the same time.
//
// Deadlines are due by the settled time, which lags behind: a moment settles when a tick has come after it, or trailing
// further records. For a single record may carry the clock across a gap, and what comes right behind it (the rest of its
// batch, a batch that is sent again) may still belong to what was open before the gap.
type clock struct {
	now     janus.Micros // partition time
	last    janus.Micros // append time of the record before
	runs    bool         // there was a record before
	backs   int32        // how often the append times went back by a step
	settled janus.Micros
	trail   []janus.Micros // partition times of the last records, oldest first, that have not settled
}

// trailing is how many records settle a moment. It is more than a handful of records behind a batch, and no matter on a
// busy partition; on an idle one ticks settle what is due.
const trailing = 32

// advance moves the clock to a record appended at the given time.
func (c *clock) advance(at janus.Micros) {
	if c.runs && c.last-at > leastStep {
		c.backs++
	}
	if c.runs {
		//mutant:clock-step
		c.now += min(max(at-c.last, 0), maxStep)
	}
	c.last, c.runs = at, true
}

// settle lets time pass up to now.
func (c *clock) settle() { c.settled, c.trail = c.now, c.trail[:0] }

// follow notes that a record came at the time of now.
func (c *clock) follow() {
	if len(c.trail) >= trailing {
		c.settled = c.trail[0]
		c.trail = append(c.trail[:0], c.trail[1:]...)
	}
	c.trail = append(c.trail, c.now)
}

func (c *clock) fields(w *codec) {
	num(w, 1, &c.now)
	num(w, 2, &c.last)
	flag(w, 3, &c.runs)
	num(w, 4, &c.settled)
	before := c.settled // the trail is written as differences
	list(w, 5, &c.trail, func(w *codec, t *janus.Micros) {
		d := *t - before
		if w.reading {
			d = 0 // a difference of 0 is not written
		}
		num(w, 1, &d)
		*t = before + d
		before = *t
	})
	num(w, 6, &c.backs)
}
