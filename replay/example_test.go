package replay_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
	"januscdr/replay"
)

// A log with one call is folded once more, under a policy that asks for parts of 30 s. Nothing is written. The example
// leaves out what errors would do.
func ExampleRun() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "replay")
	defer os.RemoveAll(dir)
	broker, err := embedded.Start(embedded.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	defer broker.Close()
	o := kafka.Options{Brokers: broker.Addrs()}
	client, _ := kafka.NewClient(o)
	defer client.Close()
	topics := kafka.Topics{Events: "janus.events", CDR: "janus.cdr", Partitions: 1, Embedded: true}
	if _, err := kafka.CreateTopics(ctx, client, topics); err != nil {
		panic(err)
	}
	for i, line := range []string{
		`{"emitter":"edge-1","type":8,"timestamp":1790000000000000,"session_id":7,"handle_id":9,` +
			`"event":{"owner":"remote","jsep":{"type":"offer","sdp":""}}}`,
		`{"emitter":"edge-1","type":16,"subtype":6,"timestamp":1790000002000000,"session_id":7,"handle_id":9,` +
			`"event":{"connection":"webrtcup"}}`,
		`{"emitter":"edge-1","type":16,"subtype":6,"timestamp":1790000062000000,"session_id":7,"handle_id":9,` +
			`"event":{"connection":"hangup","reason":"DTLS alert"}}`,
		"", "", // nothing happens any more
	} {
		r := &kgo.Record{Topic: topics.Events, Key: []byte("7"), Value: []byte(line)}
		r.Timestamp = time.UnixMicro(1790000000000000).Add(time.Duration(i) * 31 * time.Second)
		if line == "" {
			r.Headers = []kgo.RecordHeader{{Key: kafka.HeaderKind, Value: []byte(kafka.KindTick)}}
		}
		client.ProduceSync(ctx, r)
	}

	policy := cdr.DefaultPolicy()
	policy.Partial.Every = 30_000_000
	sum, err := replay.Run(ctx, replay.Options{
		Kafka: o, Events: topics.Events, Policy: policy, From: replay.Earliest,
	}, func(r *cdr.Record) error {
		fmt.Println("part", r.RecordSequenceNumber, "of", r.LegKind, time.Duration(r.Duration)*time.Microsecond)
		return nil
	})
	fmt.Println(sum.Inputs, "inputs,", sum.Records, "records, open sessions:", sum.Open, err)
	// Output:
	// part 1 of PEER_CONNECTION 28s
	// part 2 of PEER_CONNECTION 30s
	// part 3 of PEER_CONNECTION 2s
	// 5 inputs, 3 records, open sessions: 1 <nil>
}
