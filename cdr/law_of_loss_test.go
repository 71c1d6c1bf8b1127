package cdr_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"januscdr/cdr"
	"januscdr/janus"
)

// The law of loss: take any run of consecutive events out of a log. What is then said of a call of which anything is left
// is either what was said before, or it is not EXACT; the true end lies within its interval; no chargeable time is
// invented; and an answered call never becomes free without a flag.
//
//	exact     a charged leg is EXACT, and its duration is not the true one; or there was no answer at all
//	free      a charged leg of which events are left has none that is charged, and all its session says is EXACT
//	interval  the true end does not lie between the earliest and the latest one
//	twice     what a handle is charged is EXACT, and more than the truth
//	timid     nothing of the session was lost, and a leg that was EXACT is not, or lasts longer or shorter

func TestTheLawOfLoss(t *testing.T) {
	held := held{law: "loss"}
	eachSource(t, func(t *testing.T, s source, some int) {
		truth := fold(t, true, s.tape.file())
		for _, c := range []tape{s.tape, s.tape.idling(truth)} {
			truth := fold(t, true, c.file())
			for _, n := range []int{1, 3, 10, 30, 100} {
				for _, at := range places(s.name, len(c)-n+1, some) {
					c := c.losing(at, n)
					held.note(s.kind, judgeLoss(c, truth, fold(t, true, c.disturbed().file())), func(rule string) string {
						return c.story(fmt.Sprintf("%s without %d events from %d", s.name, n, at), rule, func(c tape) []breach {
							return judgeLoss(c, fold(t, true, c.file()), fold(t, true, c.disturbed().file()))
						})
					})
				}
			}
		}
	})
	held.close(t)
}

// near is how far two durations may lie apart and be one: an end is told by two events within that.
const near = 20 * millisecond

// nearTo is how far the end of a leg may lie from the true one. A call is ended by a BYE and by its own hangup, each of which
// tells it where they are within a second, and where the own end of a PeerConnection is lost, a last report proves that what let go
// of it within 100 ms told it.
func nearTo(r *cdr.Record) janus.Micros {
	switch {
	case r.LegKind == cdr.SIPCall:
		return second
	case r.EndBasis != cdr.EndWebRTCHangup:
		return 100*millisecond + near
	}
	return near
}

// handleKey is a session and a handle as they stand in records.
type handleKey struct{ session, handle string }

// judgeLoss compares what is said of a tape without what is lost with the truth.
func judgeLoss(c tape, truth, got []cdr.Record) (breaches []breach) {
	here := map[place][]*cdr.Record{}
	doubt := map[string]bool{} // sessions with a record that is not EXACT
	for i := range got {
		r := &got[i]
		if r.Confidence != cdr.Exact {
			doubt[r.Emitter+"/"+r.SessionID] = true
		}
		if r.RecordType == cdr.Leg {
			here[placeOf(r)] = append(here[placeOf(r)], r)
		}
	}
	left := map[handleKey][]janus.Micros{} // when a trace of a call is left
	touched, all := map[string]bool{}, false
	for i := range c {
		e := &c[i]
		switch {
		case !e.lost && traceOfCall(e):
			key := handleKey{e.Session.String(), e.Handle.String()}
			left[key] = append(left[key], e.Time)
		case e.lost && endsOthers(e):
			all = true
		case e.lost && e.Session != 0:
			touched[e.Session.String()] = true
		case e.lost:
			all = true
		}
	}
	sums := map[place]int64{}
	swallowed := map[place]bool{}
	for i := range truth {
		t := &truth[i]
		if t.RecordType != cdr.Leg {
			continue
		}
		say := func(rule, form string, args ...any) {
			leg := placeOf(t).String() + " #" + strconv.Itoa(int(t.LegIndex))
			breaches = append(breaches, breach{rule, leg, fmt.Sprintf(form, args...), t.Confidence == cdr.Exact})
		}
		mates := overlapping(t, here[placeOf(t)])
		mate := longest(t, mates)
		if i := slices.IndexFunc(mates, func(r *cdr.Record) bool { return r.StartTime == t.StartTime && r.LegIndex == t.LegIndex }); i >= 0 {
			mate = mates[i]
		}
		if i := slices.IndexFunc(mates, func(r *cdr.Record) bool { return t.SIPCallID != "" && r.SIPCallID == t.SIPCallID }); i >= 0 {
			mates = mates[i : i+1] // it is that one, whatever else was at its time
		}
		if t.Confidence == cdr.Exact && !touched[t.SessionID] && !all {
			switch {
			case mate == nil:
				say("timid", "untouched, but gone")
			case mate.Confidence != cdr.Exact || mate.Duration != t.Duration:
				say("timid", "untouched, but %v %s", mate.Confidence, lasts(mate.Duration))
			}
		}
		if !charged(t) {
			if mate != nil && charged(mate) && mate.Confidence == cdr.Exact && !answeredThen(mate, truth) {
				say("exact", "was not answered, is %s EXACT", lasts(mate.Duration))
			}
			continue
		}
		sums[placeOf(t)] += t.Duration
		if !slices.ContainsFunc(left[handleKey{t.SessionID, t.HandleID}], func(at janus.Micros) bool {
			return t.StartTime <= at && at <= t.EndTime
		}) {
			continue // nobody can know of it
		}
		best := longest(t, slices.DeleteFunc(slices.Clone(mates), func(r *cdr.Record) bool { return !charged(r) }))
		if best == nil { // another leg of the handle may carry the charge
			best = longest(t, chargedBeside(t, got))
		}
		if best == nil {
			if !doubt[t.Emitter+"/"+t.SessionID] && c.answers(t) {
				say("free", "%s are not charged, and all is EXACT", lasts(t.Duration))
			}
			continue
		}
		if c.swallows(t, truth) { // what is left is what one leg would have left
			swallowed[placeOf(t)] = true
			continue
		}
		if of := longest(best, chargedAt(placeOf(best), truth)); of != nil && of.StartTime != t.StartTime && best.LegKind == t.LegKind {
			if !doubt[t.Emitter+"/"+t.SessionID] { // it is another one's record
				say("free", "%s are not charged, and all is EXACT", lasts(t.Duration))
			}
			continue
		}
		if off := best.Duration - t.Duration; best.Confidence == cdr.Exact && max(off, -off) > int64(nearTo(best)) {
			say("exact", "%s EXACT, was %s", lasts(best.Duration), lasts(t.Duration))
		}
		if lo, hi := best.EndEarliestTime, best.EndLatestTime; best.IsFinal && t.IsFinal && t.Confidence == cdr.Exact &&
			(t.EndTime < lo-nearTo(best) || hi != 0 && t.EndTime > hi+nearTo(best)) {
			say("interval", "the true end is %s from the earliest and %s from the latest one (%v %v)",
				lasts(int64(t.EndTime-lo)), lasts(int64(t.EndTime-hi)), best.EndBasis, best.Confidence)
		}
	}
	for at, rs := range here {
		var sum int64
		exact, off := true, near
		for _, r := range rs {
			if charged(r) {
				sum += r.Duration
				exact, off = exact && r.Confidence == cdr.Exact, max(off, nearTo(r))
			}
		}
		if exact && !swallowed[at] && sums[at] > 0 && sum > sums[at]+int64(off) {
			breaches = append(breaches, breach{"twice", at.String(), fmt.Sprintf("%s EXACT, was %s", lasts(sum), lasts(sums[at])), true})
		}
	}
	return breaches
}

func overlapping(t *cdr.Record, rs []*cdr.Record) (mates []*cdr.Record) {
	for _, r := range rs {
		if overlap(t, r) >= 0 {
			mates = append(mates, r)
		}
	}
	return mates
}

// longest is the record that is at the same time as another one for longest, nil where there is none.
func longest(t *cdr.Record, rs []*cdr.Record) (best *cdr.Record) {
	for _, r := range rs {
		if best == nil || overlap(t, r) > overlap(t, best) {
			best = r
		}
	}
	return best
}

// answeredThen tells whether the place of a leg had one that was charged at the same time.
func answeredThen(r *cdr.Record, truth []cdr.Record) bool {
	return slices.ContainsFunc(truth, func(t cdr.Record) bool {
		return charged(&t) && placeOf(&t) == placeOf(r) && overlap(&t, r) >= 0
	})
}

// chargedAt are the legs of a place that are charged.
func chargedAt(at place, all []cdr.Record) (rs []*cdr.Record) {
	for i := range all {
		if r := &all[i]; charged(r) && placeOf(r) == at {
			rs = append(rs, r)
		}
	}
	return rs
}

// chargedBeside are the charged legs of any kind on the handle of a leg, at the same time.
func chargedBeside(t *cdr.Record, got []cdr.Record) (rs []*cdr.Record) {
	for i := range got {
		r := &got[i]
		if charged(r) && r.Emitter == t.Emitter && r.SessionID == t.SessionID && r.HandleID == t.HandleID && overlap(t, r) >= 0 {
			rs = append(rs, r)
		}
	}
	return rs
}

func lasts(us int64) string { return fmt.Sprintf("%.6fs", float64(us)/1e6) }
