package cdr

import (
	"errors"
	"fmt"
	"testing"

	"januscdr/janus"
)

func TestASignOfLifeOfWhomNobodyKnowsIsNotRemembered(t *testing.T) {
	p, err := Open(DefaultPolicy(), Source{Topic: "events"}, MemoryStates{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(1000) {
		in := Input{Offset: i, Append: janus.Micros(1_790_000_000_000_000 + i), Kind: KindAlive, Key: fmt.Append(nil, "invented-", i)}
		if err := p.Apply(in); err != nil {
			t.Fatal(err)
		}
	}
	if step := p.Step(); len(step.Changes) != 1 || len(p.index.emitters) != 0 {
		t.Errorf("%d states are written, %d emitters are known; want the position and none", len(step.Changes),
			len(p.index.emitters))
	}
}

func TestAStateOfZerosIsTornAndNotOfAnotherVersion(t *testing.T) {
	var p position
	if err := decode(make([]byte, 20), p.fields); err == nil || errors.Is(err, ErrStateVersion) {
		t.Errorf("got %v, want an error that lets the store be built anew", err)
	}
}
