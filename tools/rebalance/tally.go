package main

import (
	"slices"
	"time"
)

// fate is what became of a partition between two commits.
type fate int

const (
	stayed    fate = iota // with its worker, which never let go of it
	dropped               // with its worker, which lost its client and restored it
	restarted             // with its worker, whose process was started again
	moved                 // to another worker, or away and back
)

func (f fate) String() string {
	return []string{"stayed", "stayed, restored in place", "process started again", "moved"}[f]
}

// gap is the time between two commits of a partition.
type gap struct {
	partition int32
	from, to  time.Time
	producer  int64 // of the commit that ends it
	fate      fate
}

func (g gap) length() time.Duration { return g.to.Sub(g.from) }

// span is a stretch of time.
type span struct{ from, to time.Time }

func (s span) has(at time.Time) bool { return !at.Before(s.from) && !at.After(s.to) }

// history is what is known besides the changelog.
type history struct {
	started map[int64][]time.Time           // of the process of a producer
	taken   map[int64]map[int32][]time.Time // from a producer: its log says that a partition was taken from it
}

func (h history) restartedIn(producer int64, s span) bool {
	return slices.ContainsFunc(h.started[producer], s.has)
}

func (h history) takenIn(producer int64, partition int32, s span) bool {
	return slices.ContainsFunc(h.taken[producer][partition], s.has)
}

// gapsOf are all gaps of a partition.
func gapsOf(partition int32, signs []sign, h history) (all []gap) {
	var last *sign
	restored := false
	for i := range signs {
		s := &signs[i]
		if s.restore {
			restored = true
			continue
		}
		if last != nil {
			g := gap{partition: partition, from: last.at, to: s.at, producer: s.producer}
			between := span{g.from, g.to}
			switch {
			case last.producer != s.producer, h.takenIn(s.producer, partition, between):
				g.fate = moved
			case h.restartedIn(s.producer, between):
				g.fate = restarted
			case restored:
				g.fate = dropped
			}
			all = append(all, g)
		}
		last, restored = s, false
	}
	return all
}

// within are the gaps that lie in one of some spans as a whole.
func within(gaps []gap, spans []span) (in []gap) {
	for _, g := range gaps {
		if slices.ContainsFunc(spans, func(s span) bool { return s.has(g.from) && s.has(g.to) }) {
			in = append(in, g)
		}
	}
	return in
}

// beginning are the gaps that begin in a span.
func beginning(gaps []gap, s span) (in []gap) {
	for _, g := range gaps {
		if s.has(g.from) && g.from.Before(s.to) {
			in = append(in, g)
		}
	}
	return in
}

func of(gaps []gap, fates ...fate) (some []gap) {
	for _, g := range gaps {
		if slices.Contains(fates, g.fate) {
			some = append(some, g)
		}
	}
	return some
}

// longestFirst sorts.
func longestFirst(gaps []gap) []gap {
	sorted := slices.Clone(gaps)
	slices.SortStableFunc(sorted, func(a, b gap) int { return int(b.length() - a.length()) })
	return sorted
}

// quantile is the length that a share of the gaps do not exceed; 0 without gaps.
func quantile(sorted []gap, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(float64(len(sorted))*(1-share)), len(sorted)-1)].length()
}
