package cdr_test

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

var (
	everywhere = flag.Bool("law.all", false, "hold the laws of loss and of clocks at all places of all recordings, not at some")
	worlds     = flag.Int("law.worlds", usualWorlds, "to how many worlds of chance the laws of loss, time and clocks are held")
	stories    = flag.Int("law.stories", 1, "how many runs that break a law in one way are told; with more than one, known gaps too")
)

// usualWorlds is to how many each run holds them.
const usualWorlds = 32

// gap is a known way in which a law does not hold yet: what was done to what, and the rule that breaks.
type gap struct{ law, what, rule string }

func (g gap) String() string { return fmt.Sprintf("law of %s, %s: %s", g.law, g.what, g.rule) }

// knownGaps are those, and in how many runs of `go test ./cdr` each shows. None may grow, and who closes one is told to take
// it out of the table.
var knownGaps = map[gap]int{
	{"clocks", "a file of recordings, back", "off"}:         1,
	{"clocks", "a file of recordings, forward", "off"}:      6,
	{"clocks", "a file of recordings, forward", "wrong"}:    2,
	{"clocks", "a log of recordings, back by 3 s", "wrong"}: 1,
	{"clocks", "a log of recordings, back", "off"}:          1,
}

// held is a law that is held to many tapes.
type held struct {
	law string

	mu      sync.Mutex
	runs    int
	counts  map[gap]int
	stories []string
}

// note takes what broke in one run. What is no known gap is shrunk to a story, once for each gap if not asked for more.
func (h *held) note(what string, breaches []breach, story func(rule string) string) {
	broken := map[gap]bool{}
	for _, b := range breaches {
		broken[gap{h.law, what, b.rule}] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.runs++
	if h.counts == nil {
		h.counts = map[gap]int{}
	}
	for g := range broken {
		if h.counts[g]++; h.counts[g] <= *stories && (knownGaps[g] == 0 || *stories > 1) {
			h.stories = append(h.stories, g.String()+"\n"+story(g.rule))
		}
	}
}

// close fails the test where the law is broken in a way that is not known or, at the places of every run, more often, and
// where a gap is closed that the table still has.
func (h *held) close(t *testing.T) {
	slices.Sort(h.stories)
	for _, s := range h.stories {
		t.Error(s)
	}
	usual := !*everywhere && *worlds == usualWorlds
	for g, known := range knownGaps {
		if n := h.counts[g]; g.law == h.law && usual && (n > known || n == 0) {
			t.Errorf("%v: %d runs, the table of known gaps says %d", g, n, known)
		}
	}
	total := 0
	for _, g := range slices.SortedFunc(maps.Keys(h.counts), func(a, b gap) int { return strings.Compare(a.String(), b.String()) }) {
		total += h.counts[g]
		t.Logf("{%q, %q, %q}: %d,", g.law, g.what, g.rule, h.counts[g])
	}
	t.Logf("%d runs, broken %d times", h.runs, total)
}

// places are where something is done to a tape of n such places: at some by chance, the same at each run.
func places(name string, n, some int) []int {
	all := make([]int, max(n, 0))
	for i := range all {
		all[i] = i
	}
	if n <= some {
		return all
	}
	var seed [32]byte
	copy(seed[:], name)
	c := rand.New(rand.NewChaCha8(seed))
	c.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:some]
}

// eachSource runs a law for each recording, and for the worlds.
func eachSource(t *testing.T, f func(t *testing.T, s source, some int)) {
	some := 3
	if *everywhere {
		some = math.MaxInt
	}
	t.Run("recordings", func(t *testing.T) {
		for _, s := range recorded() {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				f(t, s, some)
			})
		}
	})
	t.Run("worlds", func(t *testing.T) {
		const groups = 16
		for i := range groups {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for n := i; n < *worlds; n += groups {
					f(t, worldNumber(n), 1)
				}
			})
		}
	})
}
