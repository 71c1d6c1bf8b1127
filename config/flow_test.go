package config

import (
	"strings"
	"testing"
)

// loaded is the configuration of a file.
func loaded(t *testing.T, text string) (*Config, error) {
	t.Helper()
	inFolder(t, "januscdr.yaml", text)
	return Load(Sources{File: "januscdr.yaml"})
}

func TestAListInOneLineHasAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"kafka: {brokers: [a:1]}":                        "a:1",
		"kafka: {brokers: [kafka-1:9092, kafka-2:9092]}": "kafka-1:9092,kafka-2:9092",
		"kafka:\n  brokers: ['a:1', \"b:2\"]":            "a:1,b:2",
	} {
		c, err := loaded(t, text)
		if err != nil || strings.Join(c.Kafka.Brokers, ",") != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := loaded(t, "kafka: {brokers: [{a: 1}]}"); err == nil {
		t.Error("a set of keys was taken for an address")
	}
}

func TestAVariableInTheFileIsToldNotToBeOne(t *testing.T) {
	_, broken := loaded(t, "group: x\nkafka: {brokers: [${BROKERS}]}\n") // no YAML, for its braces
	if broken == nil || !strings.Contains(broken.Error(), ":2: ${BROKERS} is not replaced in a file; write the value") {
		t.Errorf("%v", broken)
	}
	_, err := loaded(t, "kafka:\n  brokers: [\"${BROKERS}\"]\n  client_id: ${ID}\n")
	if err == nil || !strings.Contains(err.Error(), "${BROKERS} is not replaced") ||
		!strings.Contains(err.Error(), "${ID} is not replaced") {
		t.Errorf("%v", err)
	}
}
