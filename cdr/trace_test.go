package cdr_test

import (
	"fmt"
	"reflect"
	"testing"

	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
)

func TestEachRuleHasOneName(t *testing.T) {
	if got, want := len(cdr.TraceRules), int(cdr.RuleSessionForgotten)+1; got != want {
		t.Fatalf("%d names for %d rules", got, want)
	}
	seen := map[string]bool{}
	for _, name := range cdr.TraceRules {
		if name == "" || seen[name] {
			t.Errorf("%q is no name of its own", name)
		}
		seen[name] = true
	}
}

// traced folds a recording as the lines of a file, and returns the records and the conclusions.
func traced(t *testing.T, recording string, trace bool) (records []cdr.Record, conclusions []cdr.Conclusion) {
	t.Helper()
	p, err := cdr.Open(cdr.DefaultPolicy(), cdr.Source{}, cdr.MemoryStates{})
	if err != nil {
		t.Fatal(err)
	}
	if trace {
		p.Trace(func(c cdr.Conclusion) {
			if c.Record != nil {
				r := *c.Record
				c.Record = &r
			}
			conclusions = append(conclusions, c)
		})
	}
	var parser janus.Parser
	latest := janus.Micros(0)
	for i, b := range recordings.Events(recording) {
		e, err := parser.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		latest = max(latest, e.Time)
		if err := p.Apply(cdr.Input{Offset: int64(i), Append: latest, Value: b}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	return p.Step().Records, conclusions
}

func TestWhoTracesChangesNoRecord(t *testing.T) {
	for _, name := range recordings.Names() {
		want, _ := traced(t, name, false)
		got, conclusions := traced(t, name, true)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: other records with a trace", name)
		}
		var emitted []cdr.Record
		for _, c := range conclusions {
			if c.Rule == cdr.RuleUnknown || c.Emitter == "" || c.Session == 0 {
				t.Errorf("%s: a conclusion about nothing: %+v", name, c)
			}
			if c.Rule == cdr.RuleRecordEmitted {
				emitted = append(emitted, *c.Record)
			}
		}
		if !reflect.DeepEqual(emitted, want) {
			t.Errorf("%s: the trace tells of %d records, not of the %d that came out", name, len(emitted), len(want))
		}
	}
}

// An answered leg has an opening and an answer in the trace, and each record a reason why it is closed now.
func TestEachRecordOfALegHasItsOpeningItsAnswerAndItsEndInTheTrace(t *testing.T) {
	type leg struct {
		session janus.SessionID
		handle  janus.HandleID
		kind    cdr.LegKind
		index   int32
	}
	for _, name := range recordings.Names() {
		_, conclusions := traced(t, name, true)
		opened, answered, over := map[leg]bool{}, map[leg]bool{}, map[leg]bool{}
		for _, c := range conclusions {
			l := leg{c.Session, c.Handle, c.LegKind, c.LegIndex}
			switch {
			case c.Rule >= cdr.RuleLegOpenedByOffer && c.Rule <= cdr.RuleLegOpenedBeside:
				opened[l] = true
			case c.Rule >= cdr.RuleAnsweredSIP && c.Rule <= cdr.RuleAnsweredByEvidence:
				answered[l] = true
			case c.Rule == cdr.RuleGraceOver || c.Rule == cdr.RuleGaveUpSilent || c.Rule == cdr.RuleGaveUpEmitterSilent ||
				c.Rule == cdr.RuleSuperseded || c.Rule == cdr.RulePartCut:
				over[l], over[leg{c.Session, c.Handle, 0, 0}], over[leg{c.Session, 0, 0, 0}] = true, true, true
			case c.Rule == cdr.RuleRecordEmitted && c.Record.RecordType == cdr.Leg:
				if !opened[l] || c.Record.AnswerTime != 0 && !answered[l] || !over[l] && !over[leg{c.Session, c.Handle, 0, 0}] &&
					!over[leg{c.Session, 0, 0, 0}] {
					t.Errorf("%s: nothing explains %v %d of handle %v: opened %v, answered %v", name, c.LegKind, c.LegIndex, c.Handle,
						opened[l], answered[l])
				}
			}
		}
	}
}

// starts follow a trace and hold each record of a leg to what was told of its start. A leg of which the trace knows
// another start, or another number, than its record has would be explained as one that never was.
type starts struct {
	at    map[legName]janus.Micros
	wrong error // the first leg whose record has another start
}

type legName struct {
	emitter string
	session janus.SessionID
	handle  janus.HandleID
	kind    cdr.LegKind
	index   int32
}

func (s *starts) conclusion(c cdr.Conclusion) {
	if s.at == nil {
		s.at = map[legName]janus.Micros{}
	}
	leg := legName{c.Emitter, c.Session, c.Handle, c.LegKind, c.LegIndex}
	switch {
	case c.Rule >= cdr.RuleLegOpenedByOffer && c.Rule <= cdr.RuleLegStartMoved:
		s.at[leg] = c.At
	case c.Rule == cdr.RuleRecordEmitted && c.Record.RecordType == cdr.Leg && s.wrong == nil:
		if at, ok := s.at[leg]; !ok || at != c.Record.StartTime {
			s.wrong = fmt.Errorf("%v %d of handle %v of session %v starts at %d; its trace says %d (told: %t)",
				c.LegKind, c.LegIndex, c.Handle, c.Session, c.Record.StartTime, at, ok)
		}
	}
}

// The stories hold to the same: see world.play.
func TestALegStartsInTheTraceWhereItStartsInItsRecord(t *testing.T) {
	for _, name := range recordings.Names() {
		_, conclusions := traced(t, name, true)
		var s starts
		for _, c := range conclusions {
			s.conclusion(c)
		}
		if s.wrong != nil {
			t.Errorf("%s: %v", name, s.wrong)
		}
	}
}
