package cdr

import (
	"slices"
	"testing"
)

// TestAFoldTellsRecordsLongBeforeItWritesStates: nobody waits for its states, and to write each of them a thousand inputs
// later would be a fifth of what a replay costs.
func TestAFoldTellsRecordsLongBeforeItWritesStates(t *testing.T) {
	f, err := NewFold(DefaultPolicy(), Source{Topic: "janus.events"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(DefaultPolicy(), Source{Topic: "janus.events"}, MemoryStates{})
	if err != nil {
		t.Fatal(err)
	}
	var told, stepped []ID
	tells, steps := 0, 0
	note := func(to *[]ID, step Step) {
		for i := range step.Records {
			*to = append(*to, step.Records[i].RecordID)
		}
	}
	for _, in := range allRecorded() {
		step, err := f.Apply(in)
		if err != nil {
			t.Fatal(err)
		}
		note(&told, step)
		switch {
		case step.Lags:
			tells++
		case len(step.Changes) > 0:
			steps++
		}
		if err := p.Apply(in); err != nil {
			t.Fatal(err)
		}
	}
	note(&told, f.Step())
	note(&stepped, p.Step())
	if !slices.Equal(told, stepped) || len(told) == 0 {
		t.Errorf("%d records were told, %d are wanted", len(told), len(stepped))
	}
	if tells <= 2*steps {
		t.Errorf("states were written %d times, records told without %d times", steps, tells)
	}
}
