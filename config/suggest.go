package config

import (
	"fmt"
	"strings"

	"januscdr/internal/spelling"
)

// Nearest is the candidate that somebody who wrote word most likely meant, "" when none is near. Letter case does not
// count.
func Nearest(word string, candidates []string) string {
	best, least := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := spelling.Distance(strings.ToLower(word), strings.ToLower(c)); d < least && d < max(len(word), len(c)) {
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
		if d := spelling.Distance(word, c); strings.HasSuffix(c, sep+last) && (best == "" || d < least) {
			best, least = c, d
		}
	}
	if best != "" {
		return best
	}
	return Nearest(word, candidates)
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
