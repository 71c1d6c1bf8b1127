package ingest_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"januscdr/ingest"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

// A receiver of lines, beside a broker in the same process.
func ExampleServer() {
	dir, err := os.MkdirTemp("", "januscdr")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	broker, err := embedded.Start(embedded.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()
	ctx := context.Background()
	o := kafka.Options{Brokers: broker.Addrs()}
	topics := kafka.Topics{Events: "janus.events", DLQ: "janus.dlq", Partitions: 4, Embedded: true}
	client, err := kafka.NewClient(o)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if _, err := kafka.CreateTopics(ctx, client, topics); err != nil {
		log.Fatal(err)
	}

	lines := strings.NewReader(
		`{"emitter":"fra-1","type":1,"timestamp":1790000000000000,"session_id":7,"event":{"name":"created"}}` + "\n" +
			`no event` + "\n" +
			`{"emitter":"fra-1","type":1,"timestamp":1790000060000000,"session_id":7,"event":{"name":"destroyed"}}` + "\n")
	server, err := ingest.New(ingest.Options{
		Kafka: o, Topics: topics,
		Sources: []ingest.Source{&ingest.Stdin{In: lines, Out: os.Stdout}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ended with", server.Run(ctx))
	// Output:
	// {"line":1,"outcome":"delivered","events":1}
	// {"line":2,"outcome":"parked","parked":1,"reason":"not_json"}
	// {"line":3,"outcome":"delivered","events":1}
	// ended with <nil>
}
