package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

// story is what happens in a partition, one word each: "1@200" is a commit of producer 1 after 200 ms, "b@300" a barrier.
func story(t *testing.T, words string) (signs []sign) {
	t.Helper()
	for word := range strings.FieldsSeq(words) {
		who, ms, _ := strings.Cut(word, "@")
		var s sign
		var n int
		if _, err := fmt.Sscan(ms, &n); err != nil {
			t.Fatal(err)
		}
		s.at = at(n)
		if who == "b" {
			s.restore = true
		} else if _, err := fmt.Sscan(who, &s.producer); err != nil {
			t.Fatal(err)
		}
		signs = append(signs, s)
	}
	return signs
}

func TestAGapIsToldByWhatBecameOfThePartition(t *testing.T) {
	h := history{
		started: map[int64][]time.Time{1: {at(5000)}},
		taken:   map[int64]map[int32][]time.Time{1: {7: {at(7000)}, 8: {at(200)}}},
	}
	for _, scene := range []struct{ name, story, want string }{
		{"nothing", "1@0 1@200 1@410", "stayed 200ms, stayed 210ms"},
		{"another worker takes over", "1@0 b@300 2@900 2@1100", "moved 900ms, stayed 200ms"},
		{"away and back before anything was committed", "1@6900 b@7100 b@7300 1@7500", "moved 600ms"},
		{"a lost client", "1@0 b@700 1@900", "stayed, restored in place 900ms"},
		{"the process was started again", "1@4900 b@5200 1@5300 1@5500", "process started again 400ms, stayed 200ms"},
		{"it comes from another whose process was started again", "2@4900 b@5200 1@5300", "moved 400ms"},
		{"the first commit ends no gap", "b@0 1@200", ""},
	} {
		var got []string
		for _, g := range gapsOf(7, story(t, scene.story), h) {
			got = append(got, fmt.Sprintf("%s %v", g.fate, g.length()))
		}
		if strings.Join(got, ", ") != scene.want {
			t.Errorf("%s: got %q, want %q", scene.name, got, scene.want)
		}
	}
}

func TestAGapCountsWhereItBelongs(t *testing.T) {
	gaps := gapsOf(0, story(t, "1@0 1@200 1@400 1@3000 1@3200"), history{})
	still := []span{{at(100), at(1000)}, {at(2900), at(3500)}}
	if got := within(gaps, still); len(got) != 2 || got[0].length() != 200*time.Millisecond || got[1].length() != 200*time.Millisecond {
		t.Errorf("without moves counts what lies there as a whole, got %v", got)
	}
	if got := beginning(gaps, span{at(300), at(1000)}); len(got) != 1 || got[0].length() != 2600*time.Millisecond {
		t.Errorf("with moves a gap counts though it ends later, got %v", got)
	}
}

func TestQuantilesAreOfTheLengths(t *testing.T) {
	var words strings.Builder
	for n := range 1001 { // gaps of 1 to 1000 ms
		fmt.Fprintf(&words, "1@%d ", n*(n+1)/2)
	}
	sorted := longestFirst(gapsOf(0, story(t, words.String()), history{}))
	for share, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := quantile(sorted, share); got != want {
			t.Errorf("quantile %v is %v, want %v", share, got, want)
		}
	}
	if quantile(nil, 1) != 0 {
		t.Error("nothing has a length")
	}
}

func TestTheLogTellsWhatWasTakenFromWhom(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	err := os.WriteFile(log, []byte(`--- 2026-01-01T12:00:00Z cdr-1 starts
{"@level":"info","@message":"task started","@module":"cdr.pipeline","@timestamp":"2026-01-01T12:00:01.000Z","partition":3,"worker":1}
{"@level":"info","@message":"partition was taken from us","@module":"cdr.pipeline","@timestamp":"2026-01-01T12:00:02.500Z","partition":3,"worker":1}
{"@level":"info","@message":"partition was taken from us silently","@module":"cdr.pipeline","@timestamp":"2026-01-01T12:00:03.000Z","partition":4}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := takenFrom(log)
	if err != nil || len(taken[1][3]) != 1 || !taken[1][3][0].Equal(at(2500)) || len(taken[0][4]) != 1 {
		t.Errorf("taken %v, %v", taken, err)
	}
}
