package embedded_test

import (
	"context"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

// A broker for a test or a demo. Any client of Kafka can use it; its data is there again at the next start.
func ExampleStart() {
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
	created, err := kafka.CreateTopics(ctx, client, kafka.Topics{Events: "janus.events", Partitions: 3, Embedded: true})
	fmt.Println(created, err)
	fmt.Println(client.ProduceSync(ctx, &kgo.Record{Topic: "janus.events", Value: []byte("hello")}).FirstErr())

	_, err = embedded.Start(embedded.Options{Dir: dir})
	fmt.Println("a second one in the same directory:", err != nil)
	// Output:
	// [janus.events] <nil>
	// <nil>
	// a second one in the same directory: true
}
