package model

import (
	"flag"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var (
	moments = flag.Int("model.moments", 300_000, "how many moments an exploration looks at")
	walks   = flag.Int("model.walks", 500, "how many runs by chance")
)

var short = []int8{0, 1}

type scene struct {
	name   string
	events []int8
	budget Budget
	about  string // mutants that are noticed here, and nowhere else
}

var scenes = []scene{
	{"a refusal", short, Budget{Refused: 1}, ""},
	{"a lost answer", short, Budget{Lost: 1}, ""},
	{"a lost answer and a kill", []int8{0}, Budget{Lost: 1, Kills: 1}, ""},
	{"a tick and a kill", []int8{0}, Budget{Timers: 1, Kills: 1}, ""},
	{"a kill", short, Budget{Kills: 1}, ""},
	{"a rebalance", []int8{0}, Budget{Rebalances: 1}, ""},
	{"a rebalance and back", []int8{0}, Budget{Rebalances: 2}, ""},
	{
		"a rebalance, and a generation that was forgotten before", []int8{0}, Budget{Rebalances: 1, Forgotten: 1},
		"UnwrittenCounts",
	},
	{"a rebalance and a lost answer", []int8{0}, Budget{Rebalances: 1, Lost: 1}, ""},
	{"brokers that fence nobody, and a rebalance", []int8{0}, Budget{Older: 1, Rebalances: 1}, "FenceNotTried"},
	{
		"a deletion that is forgotten, a kill and a wrong clock", []int8{0, 0},
		Budget{Timers: 1, Cleaned: 1, Kills: 1, Clocks: 1}, "OldIsYoung FutureIsYoung",
	},
	{"an election that loses", []int8{0, 0}, Budget{Elections: 1}, "EpochNotCompared"},
	{"states that lag and a kill", short, Budget{Lags: 2, Kills: 1}, "ToldForgotten ToldMovesPosition ToldInStates"},
	{"states that lag and a lost answer", short, Budget{Lags: 2, Lost: 1}, "ToldForgotten ToldMovesPosition ToldInStates"},
	{"states that lag, a tick and a kill", []int8{0}, Budget{Lags: 1, Timers: 1, Kills: 1}, "ToldForgotten"},
	{"states that lag and a rebalance", []int8{0}, Budget{Lags: 2, Rebalances: 1}, "ToldForgotten"},
	{"states that lag, and an election that loses", []int8{0, 0}, Budget{Lags: 1, Elections: 1}, "ToldForgotten"},
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

var much = Budget{
	Kills: 4, Rebalances: 5, Lost: 4, Refused: 3, Timers: 3, Older: 1, Cleaned: 2, Clocks: 2, Elections: 2,
	Lags: 8, Forgotten: 2,
}

func TestNoLongRunLosesOrDoublesAndAllComesToAnEnd(t *testing.T) {
	for seed := range *walks {
		if story := Walk(New(long, much, Mutants{}), rand.New(rand.NewPCG(uint64(seed), 0)), 400); story != nil {
			t.Fatalf("walk %d:\n%v", seed, story)
		}
	}
}

// about are the scenes in which a mutant may be noticed.
func about(mutant string) (named []scene) {
	var others []scene
	for _, s := range scenes {
		switch {
		case s.about == "":
			others = append(others, s)
		case slices.Contains(strings.Fields(s.about), mutant):
			named = append(named, s)
		}
	}
	if len(named) == 0 {
		return others
	}
	return named
}

// TestEachMutantIsFatal finds, for each mutant, a shortest story in which it loses or doubles something; for one that only
// stops the work, any.
func TestEachMutantIsFatal(t *testing.T) {
	kind := reflect.TypeFor[Mutants]()
	for i := range kind.NumField() {
		t.Run(kind.Field(i).Name, func(t *testing.T) {
			var w Mutants
			reflect.ValueOf(&w).Elem().Field(i).SetBool(true)
			for _, scene := range about(kind.Field(i).Name) {
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
