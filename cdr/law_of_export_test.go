package cdr

import (
	"pgregory.net/rapid"
)

// World is what some servers said by chance, in the order of time: the events of stage number seed, which is the same
// at each run.
func World(seed int) [][]byte {
	all := rapid.Custom(func(t *rapid.T) []said {
		return (&stage{T: t, rooms: []string{"501", "502"}, next: 10, prompt: true}).play()
	}).Example(seed)
	values := make([][]byte, len(all))
	for i, e := range all {
		values[i] = e.value
	}
	return values
}
