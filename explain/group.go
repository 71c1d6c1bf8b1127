package explain

import (
	"fmt"

	"januscdr/cdr"
	"januscdr/janus"
)

// maxEntries bounds a story; what comes after it is counted.
const maxEntries = 5000

// maxBack is how many entries an event may go back to stand with others of its kind.
const maxBack = 16

// timeline is the entries of a story in the order of the log. Events of one kind that follow each other on a handle,
// and of which nothing follows, are one entry.
type timeline struct {
	entries []Entry
	beyond  int // entries that were left out
}

// addTime puts conclusions that time has led to into the story. A deadline has no timestamp: at is about when it
// passed, by the clock of the emitter.
func (t *timeline) addTime(at janus.Micros, group []conclusion) {
	first := &group[0]
	entry := Entry{
		Time: at, About: true, First: first.Offset, Last: first.Offset, Kind: KindTime, Text: "time passes",
		atEnd: first.atEnd, conclusions: group,
	}
	if first.atEnd {
		entry.Text = "the file ends, and time goes on as if"
	}
	if n := len(t.entries); n > 0 {
		before := &t.entries[n-1]
		if before.Kind == KindTime && before.atEnd == first.atEnd {
			before.conclusions, before.Last = append(before.conclusions, group...), first.Offset
			return
		}
		entry.Time = max(entry.Time, before.Time)
	}
	t.add(entry)
}

// add puts an entry into the story, or into one before that tells the same kind of thing.
func (t *timeline) add(e Entry) {
	for i := len(t.entries) - 1; i >= 0 && e.digest != nil; i-- {
		before := &t.entries[i]
		if before.handleID == e.handleID && before.digest != nil && alike(before.conclusions, e.conclusions) &&
			before.digest.join(e.digest) {
			before.Until, before.Last, before.Count = max(before.Until, e.Time), e.Last, before.Count+1
			return
		}
		// Only what other handles do in between may be told in another order, and only if nothing follows from it.
		if before.handleID == e.handleID || before.handleID == 0 || len(before.conclusions) > 0 ||
			len(t.entries)-i > maxBack {
			break
		}
	}
	if len(t.entries) >= maxEntries {
		t.beyond++
		return
	}
	t.entries = append(t.entries, e)
}

// alike tells whether the same follows from two events, and nothing of weight.
func alike(a, b []conclusion) bool {
	x, xok := lightRule(a)
	y, yok := lightRule(b)
	return xok && yok && x == y
}

// lightRule is the last of some conclusions, where none of them has weight; RuleUnknown where there are none.
func lightRule(list []conclusion) (rule cdr.TraceRule, ok bool) {
	for i := range list {
		switch list[i].Rule {
		case cdr.RuleLateInGrace, cdr.RuleLateEvent, cdr.RuleDuplicate:
			rule = list[i].Rule
		default:
			return cdr.RuleUnknown, false
		}
	}
	return rule, true
}

// repetitions are events that came again.
type repetitions struct{ more int }

func (d *repetitions) join(later digest) bool {
	_, ok := later.(*repetitions)
	if ok {
		d.more++
	}
	return ok
}

func (d *repetitions) text() string {
	if d.more == 0 {
		return "an event comes again, to the byte"
	}
	return fmt.Sprintf("%d events come again, to the byte", d.more+1)
}
