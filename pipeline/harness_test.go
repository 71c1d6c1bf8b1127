package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
	"januscdr/statestore"
)

// cluster is an embedded broker with topics, and what was written to them.
type cluster struct {
	t        *testing.T
	broker   *embedded.Broker
	opts     kafka.Options
	topics   kafka.Topics
	client   *kgo.Client
	clock    time.Time
	policy   cdr.Policy
	sessions int
}

const patience = 30 * time.Second

func newCluster(t *testing.T, partitions int32) *cluster {
	t.Helper()
	broker, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Kfake: []kfake.Opt{
		kfake.GroupMinSessionTimeout(time.Second),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	c := &cluster{
		t: t, broker: broker, opts: kafka.Options{Brokers: broker.Addrs()},
		topics: kafka.Topics{Events: "events", CDR: "cdr", State: "state", DLQ: "dlq", Partitions: partitions,
			EventsRetention: 365 * 24 * time.Hour, Embedded: true},
		clock:  time.Now().Add(-24 * time.Hour).Truncate(time.Second),
		policy: cdr.DefaultPolicy(),
	}
	c.client, err = kafka.NewClient(c.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	if _, err := kafka.CreateTopics(t.Context(), c.client, c.topics); err != nil {
		t.Fatal(err)
	}
	return c
}

// event writes one event of a session. Each one lets a second pass in the log.
func (c *cluster) event(session int, name string) *kgo.Record {
	c.clock = c.clock.Add(time.Second)
	key := fmt.Append(nil, session)
	return &kgo.Record{Topic: "events", Key: key, Timestamp: c.clock, Value: fmt.Appendf(nil,
		`{"emitter":"janus","type":1,"timestamp":%d,"session_id":%d,"event":{"name":%q,"transport":`+
			`{"transport":"janus.transport.http","id":"0"}}}`,
		c.clock.UnixMicro(), session, name)}
}

// load writes sessions that come and go, some of them overlapping, some events twice, some that are no events. They all
// end, but the ends of the last ones need time to pass.
func (c *cluster) load(sessions int) {
	c.t.Helper()
	var records []*kgo.Record
	for range sessions {
		c.sessions++
		records = append(records, c.event(c.sessions, "created"))
		if c.sessions > 5 {
			records = append(records, c.event(c.sessions-5, "destroyed"))
		}
		if c.sessions%7 == 0 {
			again := *records[len(records)-1]
			records = append(records, &again)
		}
		if c.sessions%11 == 0 {
			records = append(records, &kgo.Record{
				Topic: "events", Key: fmt.Append(nil, c.sessions), Timestamp: c.clock, Value: []byte(`{"emitter":`),
			})
		}
	}
	c.write(records...)
}

func (c *cluster) write(records ...*kgo.Record) {
	c.t.Helper()
	if err := c.client.ProduceSync(c.t.Context(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// ends are the end offsets of a topic, by partition. A broker that cannot tell them yet is asked again.
func (c *cluster) ends(topic string) (ends map[int32]int64) {
	c.t.Helper()
	c.eventually("the brokers tell the ends of "+topic, nil, func() bool {
		listed, err := kadm.NewClient(c.client).ListEndOffsets(c.t.Context(), topic)
		if err != nil {
			c.t.Fatal(err)
		}
		ends = map[int32]int64{}
		listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
		return listed.Error() == nil && len(ends) > 0
	})
	return ends
}

// committed are the offsets of the group, by partition.
func (c *cluster) committed() map[int32]int64 {
	c.t.Helper()
	offsets, err := kadm.NewClient(c.client).FetchOffsets(c.t.Context(), defaultGroup)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		c.t.Fatal(err)
	}
	committed := map[int32]int64{}
	offsets.Each(func(o kadm.OffsetResponse) { committed[o.Partition] = o.At })
	return committed
}

// caughtUp waits until all that is written now is committed.
func (c *cluster) caughtUp(running ...*running) {
	c.t.Helper()
	ends := c.ends("events")
	c.eventually("the group has read everything", running, func() bool {
		committed := c.committed()
		for partition, end := range ends {
			if committed[partition] < end {
				return false
			}
		}
		return true
	})
}

func (c *cluster) eventually(what string, running []*running, done func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		for _, r := range running {
			select {
			case <-r.done:
				c.t.Fatalf("while waiting until %s: the processor ended: %v\n%s", what, r.err, r.log)
			default:
			}
		}
		if time.Now().After(deadline) {
			var logs strings.Builder
			for _, r := range running {
				fmt.Fprintf(&logs, "%+v\n%s\n", r.processor.Status(), r.log)
			}
			c.t.Fatalf("waited in vain until %s\ncommitted %v\n%s", what, c.committed(), logs.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// read reads what is committed in a topic, by partition.
func (c *cluster) read(topic string) map[int32][]*kgo.Record {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	ranges, err := kafka.CommittedRanges(ctx, c.client, topic)
	if err != nil {
		c.t.Fatal(err)
	}
	reader, err := kafka.NewReader(c.opts, topic, ranges)
	if err != nil {
		c.t.Fatal(err)
	}
	defer reader.Close()
	all := map[int32][]*kgo.Record{}
	for {
		records, err := reader.Next(ctx)
		if err == io.EOF {
			return all
		}
		if err != nil {
			c.t.Fatal(err)
		}
		for _, r := range records {
			all[r.Partition] = append(all[r.Partition], r)
		}
	}
}

// oracle folds the log of a partition up to an offset, without Kafka, stores, batches and crashes.
func (c *cluster) oracle(partition int32, log []*kgo.Record, to int64) (records [][]byte, parked [][]byte) {
	c.t.Helper()
	fold, err := cdr.NewFold(c.policy, cdr.Source{Topic: "events", Partition: partition})
	if err != nil {
		c.t.Fatal(err)
	}
	take := func(step cdr.Step, err error) {
		if err != nil {
			c.t.Fatal(err)
		}
		for i := range step.Records {
			value, err := avro.Encode(&step.Records[i])
			if err != nil {
				c.t.Fatal(err)
			}
			records = append(records, value)
		}
		for _, p := range step.Parked {
			parked = append(parked, p.Input.Value)
		}
	}
	for _, r := range log {
		if r.Offset >= to {
			break
		}
		take(fold.Apply(Input(r)))
		take(fold.Step(), nil)
	}
	return records, parked
}

// check compares what came out with what the oracle says of the log up to what is committed, byte for byte and in
// order. It returns how many records came out.
func (c *cluster) check() (n int) {
	c.t.Helper()
	committed, log, got, dlq := c.committed(), c.read("events"), c.read("cdr"), c.read("dlq")
	for partition := range c.topics.Partitions {
		want, parked := c.oracle(partition, log[partition], committed[partition])
		n += len(want)
		compare(c.t, "records", partition, got[partition], want)
		compare(c.t, "parked events", partition, dlq[partition], parked)
	}
	return n
}

func compare(t *testing.T, what string, partition int32, got []*kgo.Record, want [][]byte) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("partition %d: %d %s came out, want %d", partition, len(got), what, len(want))
		case i >= len(want):
			t.Fatalf("partition %d: %d %s came out, want %d; the first one too much is at offset %d",
				partition, len(got), what, len(want), got[i].Offset)
		case !bytes.Equal(got[i].Value, want[i]):
			r, _ := avro.Decode(got[i].Value)
			w, _ := avro.Decode(want[i])
			t.Fatalf("partition %d: number %d of the %s is\n%+v\nwant\n%+v", partition, i, what, r, w)
		}
	}
}

// running is a processor at work.
type running struct {
	cluster   *cluster
	processor *Processor
	registry  *prometheus.Registry
	cancel    context.CancelFunc
	done      chan struct{}
	err       error
	log       *syncBuffer
}

func (c *cluster) options(dir string) Options {
	return Options{
		Kafka: c.opts, Topics: c.topics, Instance: "one", Workers: 2, StateDir: dir, Policy: c.policy,
		CommitInterval: 20 * time.Millisecond, SessionTimeout: 3 * time.Second,
		Headers: HeaderNames{Version: "test", Policy: "policy"},
	}
}

func (c *cluster) start(dir string, change ...func(*Options)) *running {
	c.t.Helper()
	r := &running{cluster: c, registry: prometheus.NewRegistry(), done: make(chan struct{}), log: &syncBuffer{}}
	o := c.options(dir)
	o.Registerer = r.registry
	o.Log = hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: r.log})
	for _, f := range change {
		f(&o)
	}
	p, err := New(o)
	if err != nil {
		c.t.Fatal(err)
	}
	r.processor = p
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.err = p.Run(ctx)
	}()
	c.t.Cleanup(func() {
		cancel()
		<-r.done
		if c.t.Failed() || os.Getenv("LOGS") != "" {
			c.t.Logf("log of the processor:\n%s", r.log)
		}
	})
	return r
}

// stop stops a processor in order.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	<-r.done
	if r.err != nil {
		t.Fatalf("processor: %v\n%s", r.err, r.log)
	}
}

// inStore does something to the state store that a processor which has stopped left of a partition.
func (r *running) inStore(t *testing.T, partition int32, f func(s *statestore.Store) error) {
	t.Helper()
	cluster, err := loadTopics(t.Context(), r.cluster.client, r.cluster.topics)
	if err != nil {
		t.Fatal(err)
	}
	s, err := statestore.Open(storeOptions(r.processor.opts, cluster, partition, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f(s), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// fails waits until a processor ends by itself.
func (r *running) fails(t *testing.T) error {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		t.Fatalf("the processor did not end\n%s", r.log)
	}
	if r.err == nil || strings.Contains(r.err.Error(), "\n") {
		t.Fatalf("got %v, want an error in one line", r.err)
	}
	return r.err
}

// count is the value of a counter, over all labels.
func (r *running) count(t *testing.T, name string, label ...string) (n float64) {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "januscdr_"+name {
			continue
		}
		for _, m := range family.GetMetric() {
			wanted := len(label) == 0
			for _, pair := range m.GetLabel() {
				wanted = wanted || pair.GetValue() == label[0]
			}
			if wanted {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.Walk(from, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if info.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}
