package main

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"januscdr/internal/cli"
	"januscdr/internal/fixtures/recordings"
)

// recorded is a site whose processor has made all records of a recording.
func recorded(t *testing.T, recording string, environ ...string) *site {
	t.Helper()
	s := newSite(t)
	s.environ = append(s.environ, environ...)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	s.happens(recording)
	if err := os.WriteFile("events.jsonl", bytes.Join(recordings.Events(recording), []byte("\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	assembled := s.says("assemble", "events.jsonl")
	if assembled.code != cli.OK {
		t.Fatalf("%+v", assembled)
	}
	s.runs(strings.Count(assembled.out, "\n"))
	return s
}

// runs lets the processor make so many records.
func (s *site) runs(records int) {
	s.t.Helper()
	if records == 0 {
		s.t.Fatal("there are no records to make")
	}
	processor := s.start("run", "--admin-listen", "")
	if got := s.says("tail", "--from", "earliest", "--count", strconv.Itoa(records)); got.code != cli.OK {
		s.t.Fatalf("%+v\n%s", got, processor.err)
	}
	processor.stop(syscall.SIGTERM)
	<-processor.done
}

func TestASpreadsheetHasTheCallsOfATimeAndTheirSums(t *testing.T) {
	s := recorded(t, "1.1-f_sip")
	all := s.says("export", "--since", "2000-01-01", "--format", "csv", "--columns",
		"opaque_id,duration,chargeable,record_type,answer_time")
	chosen := s.says("export", "--until", "2100-01-01", "--format", "csv", "--spreadsheet", "--zone", "Europe/Vienna",
		"--columns", "opaque_id,duration,answer_time", "--where", "chargeable,record_type=LEG,disposition=ANSWERED")
	if all.code != cli.OK || chosen.code != cli.OK ||
		!strings.HasPrefix(chosen.out, "\uFEFFopaque_id,duration,answer_time\n") {
		t.Fatalf("%+v\n%+v", all, chosen)
	}
	sum := func(text string, counts func(row []string) bool) (n int64) {
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil || len(rows) < 2 {
			t.Fatalf("%v in\n%s", err, text)
		}
		for _, row := range rows[1:] {
			if counts(row) {
				d, err := strconv.ParseInt(row[1], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				n += d
			}
		}
		return n
	}
	want := sum(all.out, func(row []string) bool { return row[2] == "true" && row[3] == "LEG" })
	if got := sum(chosen.out, func([]string) bool { return true }); got != want || got == 0 {
		t.Errorf("%d microseconds, want %d, in\n%s", got, want, chosen.out)
	}
	if got := s.says("export", "--until", "2000-01-01", "--format", "csv", "--output", "none.csv"); got.code != cli.OK ||
		got.out != "" {
		t.Errorf("%+v", got)
	}
	if b, err := os.ReadFile("none.csv"); err != nil || strings.Count(string(b), "\n") != 1 {
		t.Errorf("%v\n%s", err, b)
	}
}

func TestAnExportIsVerifiedAndWhatIsMissingIsNamed(t *testing.T) {
	s := recorded(t, "1.1-f_sip")
	if got := s.says("export", "--export-to", "records", "--export-format", "jsonl", "--once"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	if got := s.says("export", "verify", "records"); got.code != cli.OK ||
		!strings.Contains(got.out, "0 records lost; 0 findings") {
		t.Errorf("%+v", got)
	}
	paths, err := filepath.Glob("records/date=*/*")
	if err != nil || len(paths) != 1 {
		t.Fatalf("%v, %v", paths, err)
	}
	if err := os.WriteFile("records/staged/left.part", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.says("export", "gc", "records", "--age", "0s", "--remove"); got.code != cli.OK ||
		got.out != "staged/left.part\n" {
		t.Errorf("%+v", got)
	}
	if err := os.Remove(paths[0]); err != nil {
		t.Fatal(err)
	}
	if got := s.says("export", "verify", "records"); got.code != cli.Failed ||
		!strings.Contains(got.out, filepath.Base(paths[0])+" of manifest 0000000001.json is missing") {
		t.Errorf("%+v", got)
	}
}

func TestAnExportSaysWhatItDoesNotUnderstand(t *testing.T) {
	s := newSite(t)
	for words, args := range map[string][]string{
		"name a folder":          {"export"},
		"no time":                {"export", "--since", "yesterday"},
		"no field of a record":   {"export", "--since", "2026-11-01", "--columns", "minutes"},
		"is one of":              {"export", "--since", "2026-11-01", "--where", "record_type=CALL"},
		"is true or false":       {"export", "--since", "2026-11-01", "--where", "chargeable=yes"},
		"no form of files":       {"export", "--since", "2026-11-01", "--format", "xlsx"},
		"place of the time zone": {"export", "--since", "2026-11-01", "--zone", "Europe/Wien"},
		"time that can be asked": {"export", "--since", "2026-11-01", "--by", "lunch_time"},
	} {
		if got := s.says(args...); got.code != cli.Usage || !strings.Contains(got.err, words) {
			t.Errorf("%v: %+v, want %q", args, got, words)
		}
	}
}
