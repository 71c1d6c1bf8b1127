// Package stage is where real processes play: a real Kafka of one broker or three, and our own commands as processes that
// are started, stopped, paused and killed, for programs that try or measure the whole from outside.
//
// It promises that what it starts is in a process group of its own, and is told by name what became of it. It touches
// processes, ports of this machine and the folders it is given. It needs Linux and what scripts/kafka.sh needs.
package stage

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"januscdr/kafka"
)

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
