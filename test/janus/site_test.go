package janustest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/ingest"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
	"januscdr/pipeline"
)

// A site is the whole system in this process, and a reader of its records.
type site struct {
	ingest *ingest.Server
	events *ingest.HTTP
	broker kafka.Options
	topics kafka.Topics

	mu      sync.Mutex
	records map[string][]cdr.Record // by session id, as they came
	err     error                   // why no more will come
	changed chan struct{}           // closed and replaced at each change
}

// startSite starts broker, processor and ingest with the default policy.
func startSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	log := hclog.New(&hclog.LoggerOptions{Name: "januscdr", Level: hclog.Info, Output: t.Output()})
	broker, err := embedded.Start(embedded.Options{Dir: filepath.Join(dir, "kafka")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Errorf("stop the broker: %v", err)
		}
	})
	s := &site{
		broker: kafka.Options{Brokers: broker.Addrs(), Log: log.Named("kafka")},
		topics: kafka.Topics{Events: "events", CDR: "cdr", State: "state", DLQ: "dlq", Partitions: 3, Replication: 1,
			Embedded: true},
		records: map[string][]cdr.Record{},
		changed: make(chan struct{}),
	}
	client, err := kafka.NewClient(s.broker)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kafka.CreateTopics(t.Context(), client, s.topics); err != nil {
		t.Fatal(err)
	}

	processor, err := pipeline.New(pipeline.Options{
		Kafka: s.broker, Topics: s.topics, Group: "januscdr", Instance: "cdr-1", Workers: 2,
		StateDir: filepath.Join(dir, "state"), Policy: cdr.DefaultPolicy(), Log: log.Named("pipeline"),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var work sync.WaitGroup
	work.Go(func() {
		if err := processor.Run(ctx); err != nil {
			s.give(nil, fmt.Errorf("process events: %w", err))
		}
	})
	work.Go(func() { s.read(ctx) })
	t.Cleanup(func() {
		cancel()
		work.Wait()
	})

	s.events = &ingest.HTTP{Listen: "127.0.0.1:0"}
	s.ingest, err = ingest.New(ingest.Options{
		Kafka: s.broker, Topics: s.topics, Sources: []ingest.Source{s.events}, Log: log.Named("ingest"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ingest.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.ingest.Stop(); err != nil {
			t.Errorf("stop ingest: %v", err)
		}
	})
	return s
}

// read reads records until the context ends.
func (s *site) read(ctx context.Context) {
	all := map[int32]kafka.Range{}
	for p := range s.topics.Partitions {
		all[p] = kafka.Range{To: -1}
	}
	reader, err := kafka.NewReader(s.broker, s.topics.CDR, all)
	if err != nil {
		s.give(nil, err)
		return
	}
	defer reader.Close()
	for {
		messages, err := reader.Next(ctx)
		if err != nil {
			s.give(nil, fmt.Errorf("read records: %w", err))
			return
		}
		for _, message := range messages {
			r, err := avro.Decode(message.Value)
			if err != nil {
				s.give(nil, fmt.Errorf("read record %d of partition %d: %w", message.Offset, message.Partition, err))
				return
			}
			s.give(&r, nil)
		}
	}
}

// give hands a record, or the reason why there are no more, to those who wait.
func (s *site) give(r *cdr.Record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r != nil {
		s.records[r.SessionID] = append(s.records[r.SessionID], *r)
	} else if s.err == nil {
		s.err = err
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// session waits until a session is reported, and returns its legs and its summary.
func (s *site) session(t *testing.T, c *client) (legs []cdr.Record, summary cdr.Record) {
	t.Helper()
	records := s.await(t, c, cdr.SessionSummary)
	last := len(records) - 1
	t.Cleanup(func() {
		for _, r := range records {
			if t.Failed() {
				t.Logf("%s", avro.JSON(nil, &r))
			}
		}
	})
	return records[:last], records[last]
}

// await waits until the last record of a session is one of this type, and returns its records.
func (s *site) await(t *testing.T, c *client, last cdr.RecordType) []cdr.Record {
	t.Helper()
	deadline := time.After(patience)
	id := strconv.FormatUint(c.id, 10)
	for {
		s.mu.Lock()
		records, err, changed := s.records[id], s.err, s.changed
		s.mu.Unlock()
		if n := len(records); n > 0 && records[n-1].RecordType == last {
			return records
		}
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("wait for a %v record of session %s: it did not come in %v; there are %d others", last, id, patience,
				len(records))
		}
	}
}

// counted is how many events are counted in the SESSION records.
func (s *site) counted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, records := range s.records {
		for _, r := range records {
			if r.RecordType == cdr.SessionSummary {
				n += int(r.EventCount + r.DuplicateCount)
			}
		}
	}
	return n
}

// count is how many events of sessions lie in the log, and how many are parked.
func (s *site) count(t *testing.T) (events, parked int) {
	t.Helper()
	var parser janus.Parser
	for topic, count := range map[string]func(kind string, value []byte){
		s.topics.Events: func(kind string, value []byte) {
			if kind != "" && kind != kafka.KindEvent {
				return
			}
			if e, err := parser.Parse(value); err != nil {
				t.Errorf("parse %s: %v", value, err)
			} else if e.Session != 0 {
				events++
			}
		},
		s.topics.DLQ: func(_ string, value []byte) {
			t.Logf("parked: %s", value)
			parked++
		},
	} {
		s.whole(t, topic, count)
	}
	return events, parked
}

// whole calls f for each message that a topic holds.
func (s *site) whole(t *testing.T, topic string, f func(kind string, value []byte)) {
	t.Helper()
	client, err := kafka.NewClient(s.broker)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	whole, err := kafka.CommittedRanges(t.Context(), client, topic)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := kafka.NewReader(s.broker, topic, whole)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for {
		messages, err := reader.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range messages {
			kind, _ := kafka.Header(message, kafka.HeaderKind)
			f(string(kind), message.Value)
		}
	}
}
