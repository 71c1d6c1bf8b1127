package main

import (
	"strings"
	"testing"

	"januscdr/internal/cli"
)

func TestSumsAreOfGroupsAndOfAll(t *testing.T) {
	s := recorded(t, "1.1-f_sip")
	got := s.says("sum", "--by", "emitter,plugin", "--since", "2026-01-01")
	rows := strings.Split(strings.TrimSuffix(got.out, "\n"), "\n")
	if got.code != cli.OK || len(rows) < 3 || !strings.Contains(rows[0], "microseconds") {
		t.Fatalf("%+v", got)
	}
	first, last := strings.Fields(rows[1]), strings.Fields(rows[len(rows)-1])
	if len(first) != 5 || len(last) != 4 || last[0] != "all" || len(rows) == 3 && first[4] != last[3] {
		t.Errorf("%q, %q", first, last)
	}
	if none := s.says("sum", "--where", "emitter=nobody", "--json"); none.code != cli.OK || none.out != "" {
		t.Errorf("%+v", none)
	}
}

func TestSumsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, args := range map[string][]string{
		"no field with a single value": {"--by", "streams"},
		"say one of them":              {"--month", "2026-11", "--since", "2026-11-01"},
		"write 2026-11":                {"--month", "November"},
		"no field of a record":         {"--where", "colour=red"},
		"time zone database":           {"--zone", "Atlantis"},
		"is no time":                   {"--until", "soon"},
	} {
		if got := says(t, "", append([]string{"sum"}, args...)...); got.code != cli.Usage ||
			!strings.Contains(got.err, want) {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
