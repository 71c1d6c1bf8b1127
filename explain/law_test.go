package explain

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"januscdr/cdr"
	"januscdr/janus"
)

// What every story obeys, whatever happened. The stories of the fold reach each of its rules, so these laws are tried
// on each way in which a leg begins and ends.
func TestEveryStoryIsTrueToItsRecords(t *testing.T) {
	told := 0
	everyPlay(t, func(t *testing.T, name string, p *play) {
		for _, ends := range []bool{false, true} {
			p := &play{policy: p.policy, inputs: p.inputs, ends: ends}
			records := p.records(t)
			for _, at := range p.sessions() {
				s := p.tell(t, at)
				mine := slices.DeleteFunc(slices.Clone(records), func(r cdr.Record) bool {
					return r.Emitter != at.emitter || r.SessionID != at.session.String()
				})
				told++
				err := errors.Join(recordsAreTold(s, mine), legsAreTold(s, mine), nothingIsOpenThatIsNot(s, mine, ends),
					endsAreThoseOfRecords(s, mine), entriesAreInOrder(s), textFits(s))
				if err != nil {
					t.Errorf("%s, session %s of %s, ends: %v\n%v", name, at.session, at.emitter, ends, err)
				}
			}
		}
	})
	if told < 500 {
		t.Errorf("%d stories: nothing is tested", told)
	}
}

// recordsAreTold tells whether a story has the records of the fold, each once and in their order.
func recordsAreTold(s *Story, records []cdr.Record) error {
	if len(s.Records) != len(records) {
		return fmt.Errorf("%d records are told, the fold makes %d", len(s.Records), len(records))
	}
	for i, a := range s.Records {
		if want := records[i].RecordID.String(); a.RecordID != want {
			return fmt.Errorf("record %d is %s, the fold makes %s", i, a.RecordID, want)
		}
	}
	return nil
}

// legsAreTold tells whether the record of each leg is named once where it goes out, and once among what came of it.
func legsAreTold(s *Story, records []cdr.Record) error {
	var because strings.Builder
	for _, e := range s.Timeline {
		for _, c := range e.Because {
			because.WriteString(c.Text + "\n")
		}
	}
	outcomes := map[string]int{}
	for _, o := range s.Outcomes {
		if o.Confidence != "" {
			outcomes[o.Text]++
		}
	}
	for i := range records {
		r := safe(&records[i])
		if n := strings.Count(because.String(), "record "+r.RecordID.String()[:8]+","); n != 1 {
			return fmt.Errorf("record %s goes out %d times", r.RecordID, n)
		}
		later := slices.ContainsFunc(records[i+1:], func(o cdr.Record) bool { return o.Supersedes == r.RecordID.String() })
		if r.RecordType == cdr.Leg && r.IsFinal && !later { // the highest revision counts
			outcomes[outcome(&r)]--
		}
	}
	for text, n := range outcomes {
		if n != 0 {
			return fmt.Errorf("the outcome %q stands there %d times too often", text, n)
		}
	}
	return nil
}

// nothingIsOpenThatIsNot tells whether a story has a leg without a record, though its session has none that is open.
func nothingIsOpenThatIsNot(s *Story, records []cdr.Record, ends bool) error {
	lives := 0 // that have their record
	for i := range records {
		if records[i].RecordType == cdr.SessionSummary {
			lives++
		}
	}
	closed := ends || lives == len(s.Sessions)
	if closed && s.Open {
		return errors.New("the session is open and has its record")
	}
	for _, o := range s.Outcomes {
		if o.Confidence == "" && closed {
			return fmt.Errorf("what became of this? %s", o.Text)
		}
	}
	for _, h := range s.Handles {
		for _, b := range h.Legs {
			if b.Open && closed {
				return fmt.Errorf("the bar of %s on %s has no end", b.Name, h.Name)
			}
		}
	}
	return nil
}

// anEnd is a sentence that tells the end of a leg to the point, or its answer.
var anEnd = regexp.MustCompile(`(?:ends|is answered) at (\d\d:\d\d:\d\d\.\d{3})`)

// endsAreThoseOfRecords tells whether a moment that is told as the answer or the end of a leg is that of a record.
func endsAreThoseOfRecords(s *Story, records []cdr.Record) error {
	told := map[string]bool{}
	for i := range records {
		r := &records[i]
		if r.RecordType == cdr.SessionSummary {
			if r.ClockSuspect {
				return nil // each leg has the clock of its own beginning
			}
			continue
		}
		for _, t := range []janus.Micros{r.AnswerTime, r.EndTime, r.RecordClosureTime} { // the last is the end of a part
			told[clockTime(t)] = true
		}
	}
	if s.Open {
		return nil // some are to come
	}
	for _, e := range s.Timeline {
		for _, c := range e.Because {
			if c.Rule == cdr.RuleAnsweredStreamStarted.String() {
				continue // it says itself that webrtcup may say otherwise
			}
			if m := anEnd.FindStringSubmatch(c.Text); m != nil && !told[m[1]] {
				return fmt.Errorf("no record has this moment: %s", c.Text)
			}
		}
	}
	return nil
}

// entriesAreInOrder tells whether all events of the session are told, in the order of the log.
func entriesAreInOrder(s *Story) error {
	events, before, clock := 0, int64(-1), janus.Micros(0)
	for i, e := range s.Timeline {
		if e.Text == "" || e.First > e.Last || e.First < before {
			return fmt.Errorf("entry %d stands in another order, or says nothing: %+v", i, e)
		}
		before = e.First
		switch e.Kind {
		case KindTime:
			if e.Time < clock {
				return fmt.Errorf("entry %d: time went back", i)
			}
		case KindElsewhere:
		default:
			events += e.Count
		}
		clock = e.Time
	}
	if events != s.Events {
		return fmt.Errorf("%d of %d events are told", events, s.Events)
	}
	return nil
}

// textFits tells whether the text form fits the screen and has no gap.
func textFits(s *Story) error {
	for _, width := range []int{LeastWidth, 80, Width} {
		for line := range strings.SplitSeq(string(Text(s, width, false)), "\n") {
			if columns(line) > width || strings.Contains(line, "{") {
				return fmt.Errorf("%d columns of %d: %s", columns(line), width, line)
			}
		}
	}
	return nil
}
