//go:build synctests

package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/ingest"
	"januscdr/internal/fixtures/traffic"
	"januscdr/janus"
	"januscdr/kafka"
)

// feeder plays Janus and ingest: recorded calls through the publisher of ingest, in bodies, some of them twice, some in
// another order, some broken. A body that is not acknowledged comes again, as from Janus.
type feeder struct {
	world *world
	line  *line
	rng   *rand.Rand
	stop  context.CancelFunc
	done  chan struct{}

	mu    sync.Mutex
	acked map[string]bool // events, by their bytes
}

const emitter = "janus-1"

func (w *world) feed(events int) {
	f := &feeder{world: w, line: newLine(w, "ingest", w.seed), rng: rand.New(rand.NewPCG(w.seed, 3)), done: make(chan struct{}), acked: map[string]bool{}}
	w.feeder = f
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	publisher, err := ingest.NewKafkaPublisher(ingest.Options{Kafka: w.kafka(f.line), Topics: topics, Delivery: 4 * time.Second, InflightMax: 64 << 20})
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := kafka.NewClient(w.kafka(f.line), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(f.done)
		defer client.Close()
		defer publisher.Close(time.Second)
		f.run(ctx, publisher, client, events)
	}()
}

var tapes = []string{"1.1-a_echotest", "1.1-f_sip", "1.1-g_parallel", "1.1-c_videoroom", "1.1-d_audiobridge", "1.1-e_videocall", "1.1-b_abnormal_ends", "1.1-e_recordplay", "1.1-h_restart"}

func (f *feeder) run(ctx context.Context, publisher *ingest.KafkaPublisher, client *kgo.Client, events int) {
	order := f.rng.Perm(len(tapes))
	chosen := []string{tapes[order[0]], tapes[order[1]], tapes[order[2]]}
	pace := time.Duration(10+f.rng.IntN(60)) * time.Millisecond
	var parser janus.Parser
	var body, last []ingest.Event
	alive := time.Now()
	n := 0
	for e := range traffic.Janus(emitter, chosen, 1+f.rng.IntN(3)) {
		if ctx.Err() != nil || n >= events {
			break
		}
		n++
		parsed, err := parser.Parse(e.Value)
		if err != nil {
			f.world.fail("recorded event is none: %v", err)
			return
		}
		key := e.Session
		if key == "" {
			key = emitter
		}
		body = append(body, ingest.Event{Key: []byte(key), Value: e.Value, Type: parsed.Type, Emitter: emitter, Everyone: parsed.Reach() == janus.ReachEveryone})
		switch f.rng.IntN(40) {
		case 0:
			body = append(body, ingest.Event{Key: []byte(key), Value: fmt.Appendf(nil, `{"emitter":"janus-1","type":%d`, n), Emitter: emitter})
		case 1:
			body = append(body, body[len(body)-1]) // twice
		case 2:
			if len(body) > 1 {
				body[len(body)-1], body[len(body)-2] = body[len(body)-2], body[len(body)-1]
			}
		}
		time.Sleep(time.Duration(f.rng.Int64N(int64(2 * pace))))
		if f.rng.IntN(6) > 0 {
			continue
		}
		f.post(ctx, publisher, body)
		if len(last) > 0 && f.rng.IntN(20) == 0 {
			f.post(ctx, publisher, last) // an answer that Janus did not hear
		}
		last, body = body, nil
		if time.Since(alive) > 6*time.Second {
			alive = time.Now()
			for partition := range topics.Partitions {
				client.Produce(ctx, &kgo.Record{Topic: topics.Events, Partition: partition, Key: []byte(emitter),
					Headers: []kgo.RecordHeader{{Key: kafka.HeaderKind, Value: []byte(kafka.KindAlive)}}}, nil)
			}
		}
	}
	f.post(ctx, publisher, body)
	client.Flush(ctx)
}

// post sends a body until it is acknowledged, as Janus does, and gives up as Janus does.
func (f *feeder) post(ctx context.Context, publisher *ingest.KafkaPublisher, events []ingest.Event) {
	for range 6 {
		if ctx.Err() != nil {
			return
		}
		wait, cancel := context.WithTimeout(ctx, 6*time.Second)
		err := publisher.Publish(wait, &ingest.Batch{Events: events})
		cancel()
		if err == nil {
			f.mu.Lock()
			for _, e := range events {
				f.acked[string(e.Value)] = true
			}
			f.mu.Unlock()
			return
		}
		f.world.tell("ingest: body of %d events is not acknowledged: %v", len(events), err)
		time.Sleep(time.Second)
	}
}
