package cdr

import "januscdr/janus"

// clock is the time of a partition: the sum of the differences of append times from record to record, negative ones as
// 0, each counted as at most maxStep. It is part of the position, so a replay sees the same time.
type clock struct {
	now  janus.Micros // partition time
	last janus.Micros // append time of the record before
	runs bool         // there was a record before
}

// advance moves the clock to a record appended at the given time.
func (c *clock) advance(at janus.Micros) {
	if c.runs {
		c.now += min(max(at-c.last, 0), maxStep)
	}
	c.last, c.runs = at, true
}
