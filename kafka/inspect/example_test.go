package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kadm"

	"januscdr/kafka"
	"januscdr/kafka/embedded"
	"januscdr/kafka/inspect"
)

// A topic that somebody made by hand: each finding says what is wrong and how it is mended.
func ExampleTopics() {
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	broker, err := embedded.Start(embedded.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	defer broker.Close()
	client, err := kafka.NewClient(kafka.Options{Brokers: broker.Addrs()})
	if err != nil {
		panic(err)
	}
	defer client.Close()
	ctx := context.Background()
	size := "4194304"
	configs := map[string]*string{"max.message.bytes": &size}
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 3, 1, configs, "events"); err != nil {
		panic(err)
	}

	topics := kafka.Topics{Events: "events", DLQ: "dlq", Partitions: 3}
	findings, err := inspect.Topics(ctx, client, topics)
	if err != nil {
		panic(err)
	}
	for _, f := range findings {
		if f.Verdict == inspect.Broken {
			fmt.Printf("broken: %s, by %s\n", f.Promise, f.Subject)
		}
	}
	last := findings[len(findings)-1]
	fmt.Println(last.Reason + ": " + last.Remedy)
	fmt.Println("they do not fit:", errors.Is(inspect.CheckTopics(ctx, client, topics), inspect.ErrTopics))
	// Output:
	// broken: time is in the log, by events
	// broken: nothing acknowledged is lost, by dlq
	// topic dlq (the parked events) does not exist: create it with `cdr topics create`
	// they do not fit: true
}
