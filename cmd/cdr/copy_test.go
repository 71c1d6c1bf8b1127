package main

import (
	"strings"
	"testing"

	"januscdr/internal/cli"
)

func TestACopyIsMadeAndGoesOnWhereItEnded(t *testing.T) {
	s := recorded(t, "1.1-f_sip")
	if got := s.says("copy", "--once"); got.code != cli.Failed || !strings.Contains(got.err, "--create-topic") {
		t.Errorf("%+v", got)
	}
	for range 2 {
		if got := s.says("copy", "--once", "--create-topic", "--copy-where", "record_type=LEG"); got.code != cli.OK {
			t.Fatalf("%+v", got)
		}
	}
	legs := s.says("export", "--since", "2000-01-01", "--format", "jsonl", "--where", "record_type=LEG")
	s.environ = append(s.environ, "JANUSCDR_COPY_TO=elsewhere") // or two topics have one name
	again := s.says("tail", "--dlq", "--topics-dlq", "janus.cdr.json", "--from", "earliest", "--once")
	if n := strings.Count(legs.out, "\n"); n == 0 || strings.Count(again.out, "\n") != n {
		t.Errorf("%d copies of %d legs:\n%s", strings.Count(again.out, "\n"), n, again.err)
	}
}

func TestACopySaysWhatItDoesNotUnderstand(t *testing.T) {
	s := newSite(t)
	for words, args := range map[string][]string{
		"neither earliest nor latest": {"copy", "--from", "now"},
		"no field of a record":        {"copy", "--copy-where", "minutes"},
		"is the name of topics.cdr":   {"copy", "--copy-to", "janus.cdr"},
	} {
		if got := s.says(args...); got.code != cli.Usage || !strings.Contains(got.err, words) {
			t.Errorf("%v: %+v, want %q", args, got, words)
		}
	}
}
