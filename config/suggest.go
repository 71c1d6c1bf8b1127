package config

import (
	"fmt"
	"strings"
)

// Nearest is the candidate that somebody who wrote word most likely meant, "" when none is near. Letter case does not
// count.
func Nearest(word string, candidates []string) string {
	best, least := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < least && d < max(len(word), len(c)) {
			best, least = c, d
		}
	}
	return best
}

// nearestKey is like Nearest for names of several parts: a candidate that ends in the same words, because a part was
// left out or put elsewhere, is nearer than one that is merely spelt alike.
func nearestKey(word, sep string, candidates []string) string {
	last := word
	if sep == "." { // between underscores stands no part of a key, but any piece of a word
		last = word[strings.LastIndex(word, sep)+1:]
	}
	best, least := "", 0
	for _, c := range candidates {
		if d := distance(word, c); strings.HasSuffix(c, sep+last) && (best == "" || d < least) {
			best, least = c, d
		}
	}
	if best != "" {
		return best
	}
	return Nearest(word, candidates)
}

// distance is the number of letters to insert, delete, replace or swap with their neighbour to make b from a.
func distance(a, b string) int {
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

// notOneOf complains about a word outside of a closed set.
func notOneOf(word string, words []string) error {
	return fmt.Errorf("%q is not a known word; %s", word, orOneOf(word, words))
}

// orOneOf is the remedy for a word outside of a closed set.
func orOneOf(word string, words []string) string {
	if near := Nearest(word, words); near != "" {
		return "did you mean " + near + "?"
	}
	shown := make([]string, len(words))
	for i, w := range words {
		if w == "" {
			w = "nothing"
		}
		shown[i] = w
	}
	return "write one of " + strings.Join(shown, ", ")
}
