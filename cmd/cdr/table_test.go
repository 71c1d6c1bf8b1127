package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"

	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
)

var update = flag.Bool("update", false, "write the golden files of screens anew")

// golden holds a screen to a file, and how wide it is.
func golden(t *testing.T, name, got string, columns int) {
	t.Helper()
	path := filepath.Join("testdata", "screens", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: go test ./cmd/cdr -update writes it", err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
	for line := range strings.Lines(regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(got, "")) {
		if n := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); n > columns {
			t.Errorf("%s: %d columns: %s", name, n, line)
		}
	}
}

// screens are the terminals that screens are kept for. What is dark or light is the terminal's: only the colours of
// its palette are named.
var screens = []struct {
	name    string
	environ []string
	columns int
}{
	{"80", []string{"COLUMNS=80"}, 80},
	{"120", []string{"COLUMNS=120"}, 120},
	{"200", []string{"COLUMNS=200"}, 200},
	{"colours", []string{"COLUMNS=120", "CLICOLOR_FORCE=1", "TERM=xterm"}, 120},
	{"no-color", []string{"COLUMNS=120", "CLICOLOR_FORCE=1", "NO_COLOR=1"}, 120},
	{"dumb", []string{"COLUMNS=80", "CLICOLOR_FORCE=1", "TERM=dumb"}, 80},
	{"pipe", nil, wideColumns},
}

// recordsOfRecordings are the records of some recordings, as they are in each run.
func recordsOfRecordings(t *testing.T, names ...string) (all []cdr.Record) {
	t.Helper()
	for _, name := range names {
		fold, err := cdr.NewFold(cdr.DefaultPolicy(), cdr.Source{Topic: "janus.events", Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		lines := newEventLines(bytes.NewReader(bytes.Join(recordings.Events(name), []byte("\n"))), name, 1<<20, io.Discard)
		for {
			in, err := lines.next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			step, err := fold.Apply(in)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, step.Records...)
		}
		all = append(all, fold.Step().Records...)
		step, err := fold.Flush()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, step.Records...)
	}
	return all
}

func TestTheScreenOfTheDemoFitsEachTerminal(t *testing.T) {
	all := recordsOfRecordings(t, demoRecordings...)
	for _, s := range screens {
		var out bytes.Buffer
		screen := newScreen(&out, s.environ)
		screen.calls(all, 0)
		golden(t, "demo-"+s.name, out.String(), max(s.columns, 96)) // of prose, which a terminal may wrap
		table := newCallTable(screen.terminal, false)
		var rows strings.Builder
		fmt.Fprintln(&rows, table.header())
		for i := range all {
			fmt.Fprintln(&rows, table.row(&all[i]))
		}
		golden(t, "records-"+s.name, rows.String(), s.columns)
	}
}

func TestOnlyWhatWasAnsweredIsGreen(t *testing.T) {
	for i, word := range cdr.Dispositions {
		colour := outcomeColour(&cdr.Record{RecordType: cdr.Leg, Disposition: cdr.Disposition(i)})
		if (colour == green) != (word == "ANSWERED") {
			t.Errorf("%s is painted %q", word, colour)
		}
	}
}

func TestALengthIsReadAsPeopleSayIt(t *testing.T) {
	for micros, want := range map[int64]string{0: "0.0 s", 8_025_442: "8.0 s", 61_000_000: "1:01",
		3_725_400_000: "1:02:05"} {
		r := cdr.Record{RecordType: cdr.Leg, AnswerTime: 1, Duration: micros, Confidence: cdr.Exact}
		if got := duration(&r); got != want {
			t.Errorf("%d us are %q, want %q", micros, got, want)
		}
		r.Confidence = cdr.Estimated
		if got := duration(&r); got != "~"+want {
			t.Errorf("%d us, estimated, are %q", micros, got)
		}
	}
}
