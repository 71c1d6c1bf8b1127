// Package stage is where real processes play: a real Kafka of one broker or three, and our own commands as processes that
// are started, stopped, paused and killed, for programs that try or measure the whole from outside.
//
// It promises that what it starts is in a process group of its own, and is told by name what became of it. It touches
// processes, ports of this machine and the folders it is given. It needs Linux and what scripts/kafka.sh needs.
package stage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"januscdr/kafka"
)

// Root finds the checkout that we are in. An empty guess begins at the working directory.
func Root(guess string) (string, error) {
	if guess != "" {
		return guess, nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for root := wd; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "scripts", "kafka.sh")); err == nil {
			return root, nil
		}
		if root == filepath.Dir(root) {
			return "", fmt.Errorf("find scripts/kafka.sh above %s: it is not there; run this in the checkout, or give -root", wd)
		}
	}
}

// Folder makes the folder of a run: the one that was asked for, or a new temporary one.
func Folder(asked, name string) (string, error) {
	if asked == "" {
		return os.MkdirTemp("", name)
	}
	dir, err := filepath.Abs(asked)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// Build makes some of the commands as they are now, below a folder: a run lasts, and others may go on writing.
func Build(ctx context.Context, root, into string, commands ...string) error {
	args := []string{"build", "-o", into + string(filepath.Separator)}
	for _, name := range commands {
		args = append(args, "januscdr/cmd/"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the commands: %w: %s", err, out)
	}
	return nil
}

// Topics are the topics under their usual names.
func Topics(partitions, replication int) kafka.Topics {
	return kafka.Topics{
		Events: "janus.events", CDR: "janus.cdr", State: "janus.cdr.state", DLQ: "janus.dlq",
		Partitions: int32(partitions), Replication: int16(replication),
		EventsRetention: 24 * time.Hour, CDRRetention: 24 * time.Hour, DLQRetention: 24 * time.Hour,
	}
}

// Settings tell a command where Kafka is and which topics there are.
func Settings(brokers []string, t kafka.Topics) map[string]string {
	return map[string]string{
		"KAFKA_BROKERS":      strings.Join(brokers, ","),
		"TOPICS_EVENTS":      t.Events,
		"TOPICS_CDR":         t.CDR,
		"TOPICS_STATE":       t.State,
		"TOPICS_DLQ":         t.DLQ,
		"TOPICS_PARTITIONS":  strconv.Itoa(int(t.Partitions)),
		"TOPICS_REPLICATION": strconv.Itoa(int(t.Replication)),
	}
}

// Environment is ours without the settings of the project, plus settings.
func Environment(settings ...map[string]string) []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "JANUSCDR_") {
			env = append(env, pair)
		}
	}
	for _, some := range settings {
		for name, value := range some {
			env = append(env, "JANUSCDR_"+name+"="+value)
		}
	}
	return env
}

// Sleep waits, and reports whether it was for the whole time.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
