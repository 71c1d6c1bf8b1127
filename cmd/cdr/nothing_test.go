package main

import (
	"strings"
	"testing"
	"time"

	"januscdr/internal/cli"
)

// Where the topics are not there yet, each command that reads them says how they are made, in one line.
func TestATopicThatIsNotThereIsToldWithItsRemedy(t *testing.T) {
	s := newSite(t)
	for _, args := range [][]string{
		{"tail", "--once"}, {"tail", "--dlq", "--once"}, {"explain", "4711"}, {"explain", "--room", "1"}, {"replay"},
		{"replay", "--verify"}, {"sum"}, {"export", "--export-to", t.TempDir(), "--once"},
	} {
		got := s.says(args...)
		if got.code != cli.Failed || !strings.Contains(got.err, "cdr topics create") ||
			strings.Count(got.err, "\n") != 1 {
			t.Errorf("cdr %s ends with %d and says %s%s", strings.Join(args, " "), got.code, got.out, got.err)
		}
	}
}

// Whoever looks for something is told why there is nothing: a terminal that stays empty says nothing.
func TestATerminalIsToldWhyNothingIsShown(t *testing.T) {
	someTime := timeSpan{since: time.Unix(1, 0)}
	for want, o := range map[string]struct {
		tailOptions
		there, seen int64
	}{
		"janus.cdr is empty.":                                     {},
		"Nothing of janus.cdr fits, of 7 records that were":       {there: 9, seen: 7},
		"Nothing came on janus.cdr in that time; it has 9 re":     {tailOptions{when: someTime}, 9, 0},
		"janus.cdr has 9 records, all before where it was begun;": {there: 9},
	} {
		o.topic = "janus.cdr"
		if got := o.nothing(o.there, o.seen); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestColumnsOfASheetAreAsWideAsWhatStandsInThem(t *testing.T) {
	s := &sheet{left: 1}
	s.add("who", "legs")
	s.add("李小龍", "7")
	s.add("Zoë", "1234567")
	if got, want := s.String(), "who        legs\n李小龍        7\nZoë     1234567\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
