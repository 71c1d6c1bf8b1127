package cdr

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"januscdr/janus"
)

// ticks are calls that go on: a partition that has folded a recording until the first call in it is about to end, and the
// reports that would have come after that if none had. Each stream has its next report a tick later, with counters
// that have grown as they did last. So the fold takes them as it takes those of a live server: none is told again, late
// or the first one, and no clock is set.
type ticks struct {
	p       *Partition
	forms   []reportForm // in the order of their times
	n       int          // ticks that were made
	reports []Input      // of the tick at hand; its memory is that of the next one
	at      int          // the next of them
}

// reportForm makes the reports of a stream, each a tick behind the one before.
type reportForm struct {
	text    [][]byte // between the numbers
	numbers []int64  // timestamp and counters of the last report
	growth  []int64
	time    janus.Micros
}

// tick is how often the recording reports.
const tick = 2 * second

var reportNumbers = regexp.MustCompile(`"(timestamp|(?:packets|bytes)-(?:received|sent))":(\d+)`)

func newReportForm(before, last []byte) (f reportForm) {
	from := 0
	was := reportNumbers.FindAllSubmatch(before, -1)
	for i, m := range reportNumbers.FindAllSubmatchIndex(last, -1) {
		n, _ := strconv.ParseInt(string(last[m[4]:m[5]]), 10, 64)
		w := int64(0)
		if was != nil {
			w, _ = strconv.ParseInt(string(was[i][2]), 10, 64)
		}
		f.text, f.numbers, f.growth = append(f.text, last[from:m[4]]), append(f.numbers, n), append(f.growth, n-w)
		if from = m[5]; string(last[m[2]:m[3]]) == "timestamp" {
			f.time, f.growth[i] = janus.Micros(n), int64(tick)
		}
	}
	f.text = append(f.text, last[from:])
	return f
}

// report appends the n-th report behind the last recorded one.
func (f *reportForm) report(b []byte, n int) []byte {
	for i, number := range f.numbers {
		b = append(b, f.text[i]...)
		b = strconv.AppendInt(b, number+int64(n)*f.growth[i], 10)
	}
	return append(b, f.text[len(f.numbers)]...)
}

func newTicks(tb testing.TB) *ticks {
	p, err := Open(DefaultPolicy(), Source{Topic: "janus.events"}, MemoryStates{})
	if err != nil {
		tb.Fatal(err)
	}
	t := &ticks{p: p}
	type stream struct {
		handle janus.HandleID
		mid    string
	}
	last := map[stream][]byte{}
	forms := map[stream]reportForm{}
	var parser janus.Parser
	log := recorded("1.1-g_parallel")
	until := log[len(log)-1].Append
	for _, in := range log {
		if e, err := parser.Parse(in.Value); err == nil && tellsEnd(e.Body) {
			until = min(until, e.Time-finalSpan) // the last report of a call comes right before its end
		}
	}
	for _, in := range log {
		e, err := parser.Parse(in.Value)
		if err != nil {
			tb.Fatal(err)
		}
		if e.Time >= until {
			continue
		}
		if r, ok := e.Body.(*janus.MediaReport); ok {
			of := stream{e.Handle, r.Streams[0].Mid}
			forms[of] = newReportForm(last[of], in.Value)
			last[of] = in.Value
		}
		if err := p.Apply(in); err != nil {
			tb.Fatal(err)
		}
	}
	for _, f := range forms {
		t.forms = append(t.forms, f)
	}
	slices.SortFunc(t.forms, func(a, b reportForm) int {
		if a.time != b.time {
			return int(a.time - b.time)
		}
		return bytes.Compare(a.text[len(a.text)-1], b.text[len(b.text)-1])
	})
	t.reports = make([]Input, len(t.forms))
	t.at = len(t.forms)
	return t
}

// next is the next report. While those of a tick are made, making is called before and after.
func (t *ticks) next(making func(bool)) Input {
	if t.at == len(t.reports) {
		making(true)
		t.n++
		for i := range t.forms {
			f := &t.forms[i]
			value := f.report(t.reports[i].Value[:0], t.n)
			t.reports[i] = Input{Offset: t.p.Next() + int64(i), Append: f.time + tick*janus.Micros(t.n), Value: value}
		}
		t.at = 0
		making(false)
	}
	t.at++
	return t.reports[t.at-1]
}

// check fails when the reports were not taken as those of calls that go on.
func (t *ticks) check(tb testing.TB) {
	tb.Helper()
	if len(t.p.step.Records) > 0 || len(t.p.step.Parked) > 0 || t.p.counts.Duplicates > 0 || t.p.counts.Late > 0 {
		tb.Errorf("records %d, parked %d, %+v", len(t.p.step.Records), len(t.p.step.Parked), t.p.counts)
	}
	for _, em := range t.p.index.emitters {
		if em.timeline.steps > 0 {
			tb.Errorf("%d steps of the clock", em.timeline.steps)
		}
	}
}

// TestReportsOfCallsThatGoOn: what is measured with ticks is what it says.
func TestReportsOfCallsThatGoOn(t *testing.T) {
	calls := newTicks(t)
	for range 20 * len(calls.forms) {
		if err := calls.p.Apply(calls.next(func(bool) {})); err != nil {
			t.Fatal(err)
		}
	}
	calls.check(t)
	streams := 0
	for _, k := range calls.p.index.sessions {
		for _, h := range calls.p.all(k) {
			for _, l := range h.legs {
				for _, s := range l.streams {
					if s.count < 20 || s.intervals < 18 || l.next != nil || l.clockSuspect {
						t.Errorf("handle %v: a stream with %d reports", h.id, s.count)
					}
					streams++
				}
			}
		}
	}
	if streams != len(calls.forms) || streams != 36 {
		t.Errorf("%d streams", streams)
	}
}
