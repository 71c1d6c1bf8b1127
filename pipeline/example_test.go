package pipeline_test

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"

	"januscdr/cdr"
	"januscdr/kafka"
	"januscdr/pipeline"
)

// One process of a group: it works until it is asked to stop, or until something needs a person.
func ExampleProcessor_Run() {
	processor, err := pipeline.New(pipeline.Options{
		Kafka: kafka.Options{Brokers: []string{"localhost:9092"}},
		Topics: kafka.Topics{
			Events: "janus.events", CDR: "janus.cdr", State: "janus.cdr.state", DLQ: "janus.dlq", Partitions: 12,
		},
		Instance: "cdr-1", // the same at each start
		StateDir: "/var/lib/januscdr",
		Policy:   cdr.DefaultPolicy(),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := processor.Run(ctx); {
	case errors.Is(err, pipeline.ErrFenced):
		log.Print("another process has our name: ", err)
	case err != nil:
		log.Print(err)
	}
}
