// Package spelling tells how far two words are apart, for whoever wants to say "did you mean". It is a function of its
// arguments: it touches nothing and imports nothing of ours, so that any room may ask it.
package spelling

// Distance is how many bytes must be inserted, deleted, replaced or swapped with their neighbour to make b of a, where
// no byte is changed twice. It takes time in proportion to len(a) times len(b).
func Distance(a, b string) int {
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		now[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			now[j+1] = min(last[j+1]+1, now[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
