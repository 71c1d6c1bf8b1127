package model

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Story is how it came to what is wrong.
type Story struct {
	Steps []string
	Wrong string
}

// String is a line for each step.
func (s Story) String() string { return strings.Join(s.Steps, "\n") + "\n=> " + s.Wrong }

// Explore looks at every interleaving, up to so many moments, and returns one of the shortest stories that end badly; nil
// when there is none. The number is that of the moments it has seen; all says whether these were all there are.
func Explore(start *World, atMost int) (story *Story, moments int, all bool) {
	type trace struct {
		from int
		name string
	}
	seen := map[string]bool{start.key(): true}
	worlds, traces := []*World{start}, []trace{{from: -1}}
	tell := func(i int, last, wrong string) *Story {
		steps := []string{last}
		for ; traces[i].from >= 0; i = traces[i].from {
			steps = append(steps, traces[i].name)
		}
		for a, b := 0, len(steps)-1; a < b; a, b = a+1, b-1 {
			steps[a], steps[b] = steps[b], steps[a]
		}
		return &Story{steps, wrong}
	}
	for i := 0; i < len(worlds); i++ {
		for _, choice := range worlds[i].Choices() {
			next := worlds[i].clone()
			choice.do(next)
			if next.broken != "" {
				return tell(i, choice.Name, next.broken), len(worlds), false
			}
			key := next.key()
			if seen[key] {
				continue
			}
			if len(worlds) >= atMost {
				return nil, len(worlds), false
			}
			seen[key] = true
			worlds, traces = append(worlds, next), append(traces, trace{i, choice.Name})
		}
		worlds[i] = nil // done with
	}
	return nil, len(worlds), true
}

// Walk takes steps by chance until nothing more can happen or so many were taken, then lets all be well, and returns how
// it came to what is wrong, nil when nothing is: also that not all of the input is committed in the end.
func Walk(start *World, rng *rand.Rand, steps int) *Story {
	m := start.clone()
	var taken []string
	for range steps {
		choices := m.Choices()
		if len(choices) == 0 {
			break
		}
		choice := choices[rng.IntN(len(choices))]
		taken = append(taken, choice.Name)
		choice.do(m)
		if m.broken != "" {
			return &Story{shrink(start, taken), m.broken}
		}
	}
	if wrong := m.heal(); wrong != "" {
		return &Story{taken, wrong}
	}
	return nil
}

// heal ends all faults and takes every step that can be taken, the workers in turn, and says what is wrong then.
func (m *World) heal() string {
	m.budget, m.older = Budget{}, false
	for range 10_000 {
		moved := false
		for _, choice := range m.Choices() {
			moved = m.take(choice.Name) || moved
			if m.broken != "" {
				return m.broken
			}
		}
		if !moved {
			break
		}
	}
	var position int8
	for _, e := range m.changelog {
		if e.kind == 'p' && e.status == committed {
			position = e.n
		}
	}
	if int(position) != len(m.input) {
		return fmt.Sprintf("all is well, and only %d of %d are committed", position, len(m.input))
	}
	return ""
}

// take takes the step of a name, if it can be taken now.
func (m *World) take(name string) bool {
	for _, c := range m.Choices() {
		if c.Name == name {
			c.do(m)
			return true
		}
	}
	return false
}

// shrink leaves out what a story does not need to end badly.
func shrink(start *World, steps []string) []string {
	ends := func(steps []string) bool {
		m := start.clone()
		for _, name := range steps {
			if !m.take(name) {
				return false
			}
		}
		return m.broken != ""
	}
	for size := len(steps) / 2; size > 0; {
		before := len(steps)
		for at := 0; at+size <= len(steps); {
			shorter := append(append([]string(nil), steps[:at]...), steps[at+size:]...)
			if ends(shorter) {
				steps = shorter
			} else {
				at++
			}
		}
		// A start and the death after it are of no use only together.
		for a := 0; a < len(steps); a++ {
			for b := a + 1; b < len(steps) && strings.HasSuffix(steps[a], "starts"); b++ {
				if !strings.HasSuffix(steps[b], "is killed") {
					continue
				}
				shorter := append([]string(nil), steps[:a]...)
				shorter = append(append(shorter, steps[a+1:b]...), steps[b+1:]...)
				if ends(shorter) {
					steps, b = shorter, a
				}
			}
		}
		if len(steps) == before {
			size /= 2
		}
	}
	return steps
}
