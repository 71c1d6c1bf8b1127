package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"januscdr/internal/cli"
)

// completions are what a shell is told for the end of a command line.
func completions(said said) []string {
	lines := strings.Split(strings.TrimSpace(said.out), "\n")
	return lines[:len(lines)-1] // the last one is an order to the shell
}

func TestValuesAreCompleted(t *testing.T) {
	for line, want := range map[string]string{
		"run --log-level ":          "trace debug info warn error off",
		"export --export-format ":   "csv jsonl avro parquet",
		"tail --outcome ":           strings.Join(outcomes(), " "),
		"explain --plugin ":         strings.Join(plugins, " "),
		"completion ":               "bash zsh fish powershell",
		"tail --config x --outcom ": "",
	} {
		args := append([]string{"__complete"}, strings.Split(line, " ")...)
		if got := strings.Join(completions(says(t, "", args...)), " "); got != want && want != "" {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	if got := completions(says(t, "", "__complete", "play", "--recording", "")); len(got) < 20 {
		t.Errorf("recordings: %q", got)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := says(t, "", "completion", shell); got.code != cli.OK || len(got.out) < 1000 {
			t.Errorf("%s: %+v", shell, got)
		}
	}
}

func TestTopicsAreCompletedByAskingKafka(t *testing.T) {
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatal(got)
	}
	got := completions(s.says("__complete", "tail", "--topics-cdr", ""))
	if !strings.Contains(" "+strings.Join(got, " ")+" ", " janus.cdr ") {
		t.Errorf("%q", got)
	}
	if got := completions(says(t, "", "__complete", "tail", "--kafka-brokers", "127.0.0.1:1", "--topics-cdr",
		"")); len(got) != 0 {
		t.Errorf("nobody is there, and it knows %q", got)
	}
}

func TestTheManualHasAPageForEachCommand(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "0")
	dir := filepath.Join(t.TempDir(), "man1")
	if got := says(t, "", "man", dir); got.code != cli.OK || got.out+got.err != "" {
		t.Fatalf("%+v", got)
	}
	for _, cmd := range commands(newRoot(nil)) {
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"))
		if err != nil || !strings.Contains(string(page), `"Jan 1970" "cdr `+cli.Version()+`"`) {
			t.Errorf("%s: %v, %.200s", cmd.CommandPath(), err, page)
		}
	}
}

func TestTheVersionIsAFlagToo(t *testing.T) {
	got, long := says(t, "", "--version"), says(t, "", "version")
	if first, _, _ := strings.Cut(long.out, "\n"); got.out != first+"\n" || got.code != cli.OK {
		t.Errorf("%+v", got)
	}
}
