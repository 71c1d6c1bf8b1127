package wiring

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"januscdr/internal/fixtures/broker"
	"januscdr/kafka"
)

func TestTopicsThatSomebodyIsAboutToMakeAreWaitedFor(t *testing.T) {
	topics := kafka.Topics{Events: "events", DLQ: "dlq", Partitions: 1, Embedded: true}
	client := broker.Client(t, kafka.Options{Brokers: broker.Start(t).Addrs()})
	log := hclog.NewNullLogger()
	err := EnsureTopics(t.Context(), client, topics, false, log)
	if err == nil || !strings.Contains(err.Error(), "does not exist") ||
		!strings.Contains(err.Error(), "--create-topics") {
		t.Fatalf("got %v, want what is missing, and who makes it", err)
	}
	time.AfterFunc(time.Second, func() {
		if _, err := kafka.CreateTopics(t.Context(), client, topics); err != nil {
			t.Error(err)
		}
	})
	if err := EnsureTopics(t.Context(), client, topics, false, log); err != nil {
		t.Fatal(err)
	}
	topics.Partitions = 3
	if err := EnsureTopics(t.Context(), client, topics, true, log); err == nil ||
		strings.Contains(err.Error(), "--create-topics") {
		t.Fatalf("got %v, want partitions that do not fit, and no word of topics that are missing", err)
	}
}
