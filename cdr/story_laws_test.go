package cdr_test

import (
	"fmt"
	"slices"

	"januscdr/cdr"
)

// laws are the rules that every record of every story obeys, whatever it is about. They remember the records of the
// story so far.
type laws struct {
	numbers int64
	ids     map[cdr.ID]bool
	parts   map[cdr.ID]*parts
	legs    map[cdr.ID][]cdr.ID // final legs by session
	ended   map[cdr.ID]bool     // sessions with a SESSION record

	superseded map[string]bool // record ids, of which an amendment may be one
}

// parts are the partial records of one leg so far.
type parts struct {
	number int32
	closed int64
	sum    int64
	last   int64 // what the last one added
	final  bool
}

func (w *laws) check(records []cdr.Record) error {
	if w.ids == nil {
		*w = laws{ids: map[cdr.ID]bool{}, parts: map[cdr.ID]*parts{}, legs: map[cdr.ID][]cdr.ID{}, ended: map[cdr.ID]bool{}, superseded: map[string]bool{}}
	}
	for i := range records {
		r := &records[i]
		for _, rule := range []func(*cdr.Record) error{w.identity, w.money, w.ending, w.tiles} {
			if err := rule(r); err != nil {
				return fmt.Errorf("%s%w", everything.record(r), err)
			}
		}
	}
	return nil
}

func (w *laws) identity(r *cdr.Record) error {
	switch {
	case r.LocalRecordSequenceNumber != w.numbers:
		return fmt.Errorf("its number is %d, want %d", r.LocalRecordSequenceNumber, w.numbers)
	case w.ids[r.RecordID]:
		return fmt.Errorf("its record_id is taken")
	case (r.Revision == 0) != (r.ChangeKind == cdr.Original) || (r.Revision == 0) != (r.Supersedes == ""):
		return fmt.Errorf("revision %d is %v and supersedes %q", r.Revision, r.ChangeKind, r.Supersedes)
	case r.Revision > 0 && !w.superseded[r.Supersedes]:
		return fmt.Errorf("it supersedes a record that did not come")
	}
	w.superseded[r.RecordID.String()] = true
	w.numbers++
	w.ids[r.RecordID] = true
	if r.RecordType == cdr.SessionSummary {
		w.ended[r.SessionUID] = true
		legs := w.legs[r.SessionUID]
		if int(r.LegCount) != len(legs) {
			return fmt.Errorf("it counts %d legs of %d", r.LegCount, len(legs))
		}
		for _, id := range r.LegIDs {
			if !slices.Contains(legs, id) {
				return fmt.Errorf("leg %v has no record", id)
			}
		}
		if r.Chargeable || r.HandleID != "" || r.LegKind != cdr.LegKindUnknown || len(r.Streams) > 0 {
			return fmt.Errorf("it has fields of a leg")
		}
	} else if r.IsFinal && !slices.Contains(w.legs[r.SessionUID], r.CDRID) {
		w.legs[r.SessionUID] = append(w.legs[r.SessionUID], r.CDRID)
	}
	return nil
}

func (w *laws) money(r *cdr.Record) error {
	opened, closed := int64(r.RecordOpeningTime), int64(r.RecordClosureTime)
	answer := int64(r.AnswerTime)
	var duration int64
	if answer != 0 {
		duration = closed - max(opened, answer)
	}
	switch {
	case closed < opened:
		return fmt.Errorf("it closes before it opens")
	case r.Duration != max(duration, 0):
		return fmt.Errorf("its duration is %d µs, want %d", r.Duration, duration)
	case answer != 0 && (r.Disposition != cdr.Answered || r.SetupDuration != answer-int64(r.StartTime) || r.HoldingDuration != 0 || answer < int64(r.StartTime)):
		return fmt.Errorf("it is answered, and something contradicts that")
	case answer == 0 && (r.Disposition == cdr.Answered || r.Duration != 0 || r.CumulativeDuration != 0 || r.AnswerBasis != cdr.AnswerUnknown):
		return fmt.Errorf("it is not answered, and something contradicts that")
	case answer == 0 && r.IsFinal && r.HoldingDuration != int64(r.EndTime-r.StartTime):
		return fmt.Errorf("its holding_duration is %d µs", r.HoldingDuration)
	case answer == 0 && r.IsFinal && r.RecordType == cdr.Leg && r.CauseForRecordClosing != cdr.CauseUnsuccessfulCallAttempt:
		return fmt.Errorf("it is not answered: its cause is UNSUCCESSFUL_CALL_ATTEMPT")
	}
	return nil
}

func (w *laws) ending(r *cdr.Record) error {
	if !r.IsFinal {
		if r.EndTime != 0 || r.EndEarliestTime != 0 || r.EndLatestTime != 0 || r.EndBasis != cdr.EndUnknown {
			return fmt.Errorf("a part has no end")
		}
		return nil
	}
	missing := r.EndBasis == cdr.EndLastEvidence || r.EndBasis == cdr.EndEmitterRestart || r.EndBasis == cdr.EndEmitterShutdown
	confidence := cdr.Exact
	switch {
	case r.StartMissing || r.ClockSuspect || r.EndBasis == cdr.EndLastEvidence:
		confidence = cdr.Estimated
	case r.EndMissing || r.EndEarliestTime != r.EndLatestTime:
		confidence = cdr.Bounded
	}
	switch {
	case r.EndMissing != missing:
		return fmt.Errorf("end_missing is %t with %v", r.EndMissing, r.EndBasis)
	case r.EndTime < r.EndEarliestTime || r.EndTime > r.EndLatestTime:
		return fmt.Errorf("its end is not between earliest and latest")
	case missing && r.EndTime != r.EndEarliestTime && r.EndEarliestTime >= r.AnswerTime: // else what answered it may be another one's
		return fmt.Errorf("its end was not told: it is the earliest one")
	case r.Truncated && confidence == cdr.Exact && r.Confidence == cdr.Bounded: // what was left out was a volume, or a leg
	case r.Confidence != confidence:
		return fmt.Errorf("its confidence is %v, want %v", r.Confidence, confidence)
	}
	return nil
}

// tiles checks that the parts of a leg lie without gap or overlap, and add up.
func (w *laws) tiles(r *cdr.Record) error {
	p := w.parts[r.CDRID]
	if p == nil {
		p = &parts{closed: int64(r.StartTime)}
		w.parts[r.CDRID] = p
	}
	if r.Revision > 0 { // in place of the last one
		p.sum, p.closed, p.final = p.sum-p.last, int64(r.RecordOpeningTime), false
		p.number = max(p.number-1, 0)
	}
	p.last = r.Duration
	p.sum += r.Duration
	if !r.IsFinal || p.number > 0 {
		p.number++
	}
	switch {
	case p.final:
		return fmt.Errorf("a final record of this leg came before")
	case r.RecordSequenceNumber != p.number:
		return fmt.Errorf("its part is %d, want %d", r.RecordSequenceNumber, p.number)
	case int64(r.RecordOpeningTime) != p.closed:
		return fmt.Errorf("it does not open where the part before it closed")
	case r.CumulativeDuration != p.sum:
		return fmt.Errorf("cumulative_duration is %d µs, the parts add up to %d", r.CumulativeDuration, p.sum)
	case r.IsFinal && r.RecordClosureTime != r.EndTime:
		return fmt.Errorf("it does not close at its end")
	}
	p.closed, p.final = int64(r.RecordClosureTime), r.IsFinal
	return nil
}
