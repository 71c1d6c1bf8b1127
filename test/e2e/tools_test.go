package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kafkaAway is how a command ends that Kafka did not answer.
const kafkaAway = 3

func TestToolsEndWhenKafkaIsAway(t *testing.T) {
	t.Parallel()
	nobody := map[string]string{"KAFKA_BROKERS": "127.0.0.1:1", "LOG_LEVEL": "error"}
	for _, command := range []string{
		"check", "tail", "tail --once", "tail --dlq", "topics check", "topics create", "topics grow --partitions 9",
		"replay", "replay --verify", "explain 123", "explain --room 1", "export --since 2026-01-01",
		"export --export-to records --once", "sink sqlite --once", "copy --copy-to copies --once",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			args := append(strings.Fields(command), "--wait", "300ms")
			if code := exitCode(t, nobody, "cdr", args...); code != kafkaAway {
				t.Errorf("cdr %s ends with %d, want %d", command, code, kafkaAway)
			}
		})
	}
}

// cron says nothing of how long to wait.
func TestACheckEndsByItselfWhenKafkaIsAway(t *testing.T) {
	t.Parallel()
	check := start(t, map[string]string{"KAFKA_BROKERS": "127.0.0.1:1", "LOG_LEVEL": "error"}, "cdr", "check")
	check.ends(t)
	said := check.said()
	if code := check.cmd.ProcessState.ExitCode(); code != kafkaAway || strings.Count(said, "\n") != 1 ||
		!strings.Contains(said, "no broker answers at 127.0.0.1:1 for 10s (--wait)") {
		t.Errorf("it ends with %d and says\n%s", code, said)
	}
}

func TestAToolEndsWhenKafkaGoesAwayAtItsMidst(t *testing.T) {
	t.Parallel()
	k := startOneBroker(t)
	s := newSiteOn(t, k.Addresses())
	tail := start(t, s.settings, "cdr", "tail", "--wait", "1s")
	tail.says(t, "watching")
	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	<-tail.done
	if code := tail.cmd.ProcessState.ExitCode(); code != kafkaAway || !strings.Contains(tail.said(), "no broker answers") {
		t.Errorf("tail ends with %d", code)
	}
}

// Kafka need not be there for that.
func TestAStateDirectoryThatCannotBeWrittenEndsAtOnceInOneLine(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, map[string]string{"KAFKA_BROKERS": "127.0.0.1:1", "STATE_DIR": filepath.Join(file, "state"),
		"INSTANCE": "one", "ADMIN_LISTEN": ""}, "cdr", "run")
	p.ends(t)
	if said := p.said(); p.cmd.ProcessState.ExitCode() != 1 || strings.Count(said, "\n") != 1 ||
		!strings.Contains(said, "set state_dir to a folder") {
		t.Errorf("it ends with %v and says\n%s", p.err, said)
	}
}
