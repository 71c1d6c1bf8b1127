package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"januscdr/internal/cli"
)

// commands are all command lines that there are.
func commands(cmd *cobra.Command) (all []*cobra.Command) {
	all = append(all, cmd)
	for _, sub := range cmd.Commands() {
		all = append(all, commands(sub)...)
	}
	return all
}

func TestEachCommandTeachesHowToUseIt(t *testing.T) {
	for _, cmd := range commands(newRoot(nil)) {
		path := strings.Fields(cmd.CommandPath())[1:]
		t.Run(strings.Join(path, " "), func(t *testing.T) {
			got := says(t, "", append(path, "--help")...)
			if got.code != cli.OK || got.err != "" {
				t.Fatalf("%+v", got)
			}
			for _, want := range []string{cmd.Long, "\nUsage:\n  cdr", "\nExamples:\n  "} {
				if want == "" || !strings.Contains(got.out, want) {
					t.Errorf("%q is missing in:\n%s", want, got.out)
				}
			}
			if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
				t.Errorf("short text %q", cmd.Short)
			}
			for line := range strings.Lines(got.out) {
				if strings.Count(got.out, "\n"+line) > 1 && strings.TrimSpace(line) != "" && line[0] != ' ' {
					t.Errorf("it says twice: %s", line)
				}
				if len(line) > 125 {
					t.Errorf("a line of %d columns: %s", len(line), line)
				}
			}
			for _, word := range []string{"<nil>", "%!", "[]"} {
				if strings.Contains(got.out, word) {
					t.Errorf("%s in:\n%s", word, got.out)
				}
			}
		})
	}
}

func TestHelpBeginsWithWhatOneDoesAndEndsWithExitCodes(t *testing.T) {
	got := says(t, "")
	if help := says(t, "", "--help"); help != got || got.code != cli.OK {
		t.Errorf("without arguments: %+v", got)
	}
	for _, want := range []string{
		"\nProcessing:\n  assemble     Make records of the events in a file, without Kafka\n",
		"\n  run          Process events until told to stop\n",
		"\nLooking:\n", "\nSetting up:\n", cli.ExitCodes,
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is missing in:\n%s", want, got.out)
		}
	}
}

func TestMistakesAreNamedWithWhatWasMeant(t *testing.T) {
	for line, want := range map[string]string{
		"asemble x":             `cdr: "asemble" is not a command of cdr; did you mean assemble?`,
		"schema tabel duckdb":   `cdr: "tabel" is not a command of cdr schema; did you mean table?`,
		"schema ddl postgres":   `cdr: "ddl" is not a command of cdr schema; there are check, json, register, table`,
		"topics creat":          `cdr: "creat" is not a command of cdr topics; did you mean create?`,
		"run --kafka-broker x":  "cdr: unknown flag --kafka-broker; did you mean --kafka-brokers?",
		"run --ingest-listen x": "cdr: unknown flag --ingest-listen; see cdr run --help",
		"tail --from erliest":   `cdr: --from: "erliest" is no place to begin at; did you mean earliest?`,
		"tail --from now":       `cdr: --from: "now" is no place to begin at; write earliest, latest or an offset`,
		"replay --from latest":  `cdr: --from: "latest" is no place to begin at; write earliest or an offset`,
		"replay --from 7":       "cdr: --from: an offset belongs to one partition; name it with --partition",
		"assemble":              "cdr: cdr assemble takes other arguments; write: cdr assemble FILE [flags]",
		"assemble x --policy-grace soon": `cdr: --policy-grace: policy.grace: "soon" is not a duration; ` +
			"write 200ms, 10s, 5m, 1h or 7d",
		"tail --count -1":             "cdr: --count: -1 lines are not possible; write 0 for no end",
		"healthcheck --admin-listen=": "cdr: admin.listen is empty, so nobody can be asked; set it",
	} {
		if got := says(t, "", strings.Fields(line)...); got != (said{cli.Usage, "", want + "\n"}) {
			t.Errorf("%s: %+v, want %s", line, got, want)
		}
	}
}

func TestAWrongConfigurationIsToldAllAtOnceBeforeAnythingIsTried(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("januscdr.yaml", []byte("grup: blue\nworkers: none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := said{code: cli.Usage, err: `cdr: januscdr.yaml:1: grup is not a known key; did you mean group?
cdr: JANUSCDR_WORKER: not a known variable; did you mean JANUSCDR_WORKERS?
cdr: januscdr.yaml:2: workers: "none" is not a whole number; write digits only
cdr: --session-timeout: session_timeout: 1s is too small; write 6s to 30m
`}
	for _, command := range []string{"run", "config print"} {
		args := append(strings.Fields(command), "--config", "januscdr.yaml", "--session-timeout", "1s")
		if got := saysIn(t.Context(), []string{"JANUSCDR_WORKER=1"}, "", args...); got != want {
			t.Errorf("%s: %+v", command, got)
		}
	}
}

func TestTheConfigurationIsShownWithItsSources(t *testing.T) {
	t.Chdir(t.TempDir())
	got := saysIn(t.Context(), []string{"JANUSCDR_GROUP=blue"}, "", "config", "print", "--workers", "3")
	for _, want := range []string{"group: blue # environment JANUSCDR_GROUP\n", "workers: 3 # flag --workers\n",
		"  compression: zstd # default\n"} {
		if got.code != cli.OK || !strings.Contains(got.out, want) {
			t.Errorf("%q is missing in %+v", want, got)
		}
	}
	described := says(t, "", "config", "print", "--describe")
	if err := os.WriteFile("again.yaml", []byte(described.out), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := says(t, "", "config", "print", "--config", "again.yaml"); again.code != cli.OK ||
		!strings.Contains(again.out, "compression: zstd # file again.yaml:") {
		t.Errorf("%+v", again)
	}
	keys := says(t, "", "config", "keys")
	if !strings.Contains(keys.out,
		"| `kafka.brokers` | `JANUSCDR_KAFKA_BROKERS` | `--kafka-brokers` | 127.0.0.1:9092 | ") {
		t.Errorf("%+v", keys)
	}
}

func TestTheVersionNamesTheSchema(t *testing.T) {
	got := says(t, "", "version")
	if got.code != cli.OK || !strings.HasPrefix(got.out, "cdr ") ||
		!strings.Contains(got.out, "schema version 2 fingerprint ") {
		t.Errorf("%+v", got)
	}
}
