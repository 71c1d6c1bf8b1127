package model

import (
	"flag"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

var (
	moments = flag.Int("model.moments", 300_000, "how many moments an exploration looks at")
	walks   = flag.Int("model.walks", 500, "how many runs by chance")
)

var short = []int8{0, 1}

var scenes = []struct {
	name   string
	events []int8
	budget Budget
}{
	{"a refusal", short, Budget{Refused: 1}},
	{"a lost answer", short, Budget{Lost: 1}},
	{"a lost answer and a kill", []int8{0}, Budget{Lost: 1, Kills: 1}},
	{"a tick and a kill", []int8{0}, Budget{Timers: 1, Kills: 1}},
	{"a kill", short, Budget{Kills: 1}},
	{"a rebalance", []int8{0}, Budget{Rebalances: 1}},
	{"a rebalance and back", []int8{0}, Budget{Rebalances: 2}},
	{"a rebalance and a lost answer", []int8{0}, Budget{Rebalances: 1, Lost: 1}},
}

func TestNoInterleavingOfAShortRunLosesOrDoubles(t *testing.T) {
	for _, scene := range scenes {
		t.Run(scene.name, func(t *testing.T) {
			story, n, all := Explore(New(scene.events, scene.budget, Mutants{}), *moments)
			if story != nil {
				t.Fatal(story)
			}
			t.Logf("%d moments, all of them: %v", n, all)
		})
	}
}

var long = []int8{0, 1, 0, 0, 1, 1, 0, 1, 0, 1}

var much = Budget{Kills: 4, Rebalances: 5, Lost: 4, Refused: 3, Timers: 3}

func TestNoLongRunLosesOrDoublesAndAllComesToAnEnd(t *testing.T) {
	for seed := range *walks {
		if story := Walk(New(long, much, Mutants{}), rand.New(rand.NewPCG(uint64(seed), 0)), 400); story != nil {
			t.Fatalf("walk %d:\n%v", seed, story)
		}
	}
}

// TestEachMutantIsFatal finds, for each mutant, a shortest story in which it loses or doubles something; for one that only
// stops the work, any.
func TestEachMutantIsFatal(t *testing.T) {
	kind := reflect.TypeFor[Mutants]()
	for i := range kind.NumField() {
		t.Run(kind.Field(i).Name, func(t *testing.T) {
			var w Mutants
			reflect.ValueOf(&w).Elem().Field(i).SetBool(true)
			for _, scene := range scenes {
				if story, n, _ := Explore(New(scene.events, scene.budget, w), *moments); story != nil {
					t.Logf("%s, after %d moments, %d steps:\n%s", scene.name, n, len(story.Steps), "  "+strings.ReplaceAll(story.String(), "\n", "\n  "))
					return
				}
			}
			for seed := range *walks {
				if story := Walk(New(long[:4], much, w), rand.New(rand.NewPCG(uint64(seed), 1)), 120); story != nil {
					t.Logf("walk %d, %d steps:\n%s", seed, len(story.Steps), "  "+strings.ReplaceAll(story.String(), "\n", "\n  "))
					return
				}
			}
			t.Error("nobody notices")
		})
	}
}
