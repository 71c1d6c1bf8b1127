package config_test

import (
	"fmt"

	"januscdr/config"
)

// What is said later wins, and each value knows who said it.
func ExampleLoad() {
	c, err := config.Load(config.Sources{
		Environ: []string{"JANUSCDR_KAFKA_BROKERS=kafka-1:9092,kafka-2:9092", "JANUSCDR_GROUP=billing"},
		Flags:   map[string]string{"group": "trial"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Kafka.Brokers, "by", c.Origin("kafka.brokers").Where)
	fmt.Println(c.Group, "by", c.Origin("group").Where)
	fmt.Println(c.Policy.Grace, "by", c.Origin("policy.grace").Kind)
	// Output:
	// [kafka-1:9092 kafka-2:9092] by JANUSCDR_KAFKA_BROKERS
	// trial by --group
	// 5s by default
}

// All that is wrong is said at once, each with its place and a remedy.
func ExampleLoad_complaints() {
	_, err := config.Load(config.Sources{
		Environ: []string{"JANUSCDR_KAFKA_BROKER=kafka-1:9092", "JANUSCDR_TOPICS_PARTITIONS=none"},
		Flags:   map[string]string{"commit_interval": "1h"},
	})
	fmt.Println(err)
	// Output:
	// JANUSCDR_KAFKA_BROKER: not a known variable; did you mean JANUSCDR_KAFKA_BROKERS?
	// JANUSCDR_TOPICS_PARTITIONS: topics.partitions: "none" is not a whole number; write digits only
	// --commit-interval: commit_interval: 1h is too large; write 10ms to 1m
}
