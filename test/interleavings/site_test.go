package interleavings

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/kafka"
	"januscdr/pipeline"
)

const (
	partitions = 2
	patience   = 120 * time.Second // a member may have to expire, and once more
)

var brokers []string

var lag = flag.Duration("interleavings.lag", 0, "how long states in the changelog may lag behind the records")

func TestMain(m *testing.M) {
	if list := os.Getenv("JANUSCDR_INTERLEAVINGS_BROKERS"); list != "" {
		brokers = strings.Split(list, ",")
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "16") // they wait, mostly
	os.Exit(m.Run())
}

// site is topics and a group of their own, and the processors that work there.
type site struct {
	t      *testing.T
	opts   kafka.Options // also of the processors, besides their wire
	topics kafka.Topics
	group  string
	client *kgo.Client
	admin  *kadm.Client
	policy cdr.Policy
	cdrID  [16]byte // of the topic of records

	sessions int
	all      []*process
}

var sites atomic.Int64

func newSite(t *testing.T) *site {
	t.Helper()
	if len(brokers) == 0 {
		t.Skip("JANUSCDR_INTERLEAVINGS_BROKERS names no Kafka")
	}
	return newSiteOn(t, brokers, partitions)
}

// newSiteOn makes the topics, of some partitions each, on certain brokers.
func newSiteOn(t *testing.T, brokers []string, partitions int32) *site {
	t.Helper()
	name := fmt.Sprintf("il%d-%d", time.Now().UnixNano()%1e9, sites.Add(1))
	s := &site{
		t: t, opts: kafka.Options{Brokers: brokers}, group: name, policy: cdr.DefaultPolicy(),
		topics: kafka.Topics{
			Events: name + ".events", CDR: name + ".cdr", State: name + ".state", DLQ: name + ".dlq", Partitions: partitions,
		},
	}
	s.policy.Grace = 1_000 // a session is over when the next event of its partition comes
	var err error
	if s.client, err = kafka.NewClient(s.opts); err != nil {
		t.Fatal(err)
	}
	s.admin = kadm.NewClient(s.client)
	if _, err := kafka.CreateTopics(t.Context(), s.client, s.topics); err != nil {
		t.Fatal(err)
	}
	listed, err := s.admin.ListTopics(t.Context(), s.topics.CDR)
	if err != nil {
		t.Fatal(err)
	}
	s.cdrID = listed[s.topics.CDR].ID
	t.Cleanup(func() {
		for _, p := range s.all {
			p.cancel()
			p.wire.end()
			<-p.done
			if t.Failed() {
				t.Logf("log of %s:\n%s", p.name, p.log.String())
			}
		}
		_, _ = s.admin.DeleteTopics(context.Background(), s.topics.Events, s.topics.CDR, s.topics.State, s.topics.DLQ)
		s.client.Close()
	})
	return s
}

// process is a processor with one worker.
type process struct {
	site   *site
	name   string
	wire   *wire
	runs   *pipeline.Processor
	cancel context.CancelFunc
	done   chan struct{}
	err    error
	log    logBuffer
}

// start starts a processor on a wire that a test may have armed; on an empty disk.
func (s *site) start(name string, w *wire, change ...func(*pipeline.Options)) *process {
	s.t.Helper()
	p := &process{site: s, name: name, wire: w, done: make(chan struct{})}
	o := pipeline.Options{
		Kafka:  kafka.Options{Brokers: s.opts.Brokers, Dialer: w.dial},
		Topics: s.topics, Group: s.group, Instance: name, Workers: 1,
		StateDir: s.t.TempDir(), Policy: s.policy, CommitInterval: 200 * time.Millisecond,
		TransactionTimeout: 10 * time.Second, SessionTimeout: 25 * time.Second, ChangelogLag: *lag,
		Headers: pipeline.HeaderNames{Version: "test", Policy: "policy"},
		Log:     hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: &p.log}),
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if p.runs, err = pipeline.New(o); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	s.all = append(s.all, p)
	go func() {
		defer close(p.done)
		// It ends as fenced where its own request for a place is asked twice while a coordinator moves, be it for another
		// test, and whoever supervises it starts it again.
		for again := true; again; again = ctx.Err() == nil && errors.Is(p.err, pipeline.ErrFenced) {
			p.err = p.runs.Run(ctx)
		}
	}()
	return p
}

// kill ends a process as SIGKILL does, but for what it has sent already.
func (p *process) kill() {
	p.wire.kill()
	p.cancel()
}

// toRecords tells a request that writes records in a transaction.
func (s *site) toRecords(req kmsg.Request) bool {
	produce := req.(*kmsg.ProduceRequest)
	if produce.TransactionID == nil {
		return false
	}
	for _, topic := range produce.Topics {
		if topic.TopicID == s.cdrID || topic.Topic == s.topics.CDR {
			return true
		}
	}
	return false
}

// transactional tells a request that writes in a transaction, to any of the brokers.
func transactional(req kmsg.Request) bool { return req.(*kmsg.ProduceRequest).TransactionID != nil }

// plain tells a request that writes outside of transactions: a barrier, a tick.
func plain(req kmsg.Request) bool { return req.(*kmsg.ProduceRequest).TransactionID == nil }

// load writes sessions that come and go, each event on its own so that time passes in between.
func (s *site) load(sessions int) {
	s.t.Helper()
	for range sessions {
		s.sessions++
		s.event(s.sessions, "created")
		s.event(s.sessions, "destroyed")
	}
}

// event writes one of a session.
func (s *site) event(session int, name string) {
	s.t.Helper()
	r := &kgo.Record{Topic: s.topics.Events, Key: fmt.Append(nil, session), Value: fmt.Appendf(nil,
		`{"emitter":"janus","type":1,"timestamp":%d,"session_id":%d,"event":{"name":%q,"transport":`+
			`{"transport":"janus.transport.http","id":"0"}}}`, time.Now().UnixMicro(), session, name)}
	if err := s.client.ProduceSync(s.t.Context(), r).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) ends() map[int32]int64 {
	s.t.Helper()
	listed, err := s.admin.ListEndOffsets(s.t.Context(), s.topics.Events)
	if err = errors.Join(err, listed.Error()); err != nil {
		s.t.Fatal(err)
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends
}

func (s *site) committed() map[int32]int64 {
	committed := map[int32]int64{}
	offsets, err := s.admin.FetchOffsets(s.t.Context(), s.group)
	if err != nil {
		return committed // a coordinator moves
	}
	offsets.Each(func(o kadm.OffsetResponse) { committed[o.Partition] = o.At })
	return committed
}

// caughtUp waits until all that is written now is committed.
func (s *site) caughtUp() {
	s.t.Helper()
	ends := s.ends()
	s.eventually("all that is written is committed", func() bool {
		committed := s.committed()
		for partition, end := range ends {
			if committed[partition] < end {
				return false
			}
		}
		return true
	})
}

// has waits until a process has brought a partition as far as the log goes, and returns which.
func (p *process) has() (partition int32) {
	s := p.site
	s.t.Helper()
	ends := s.ends()
	s.eventually(p.name+" has brought a partition to its end", func() bool {
		committed := s.committed()
		for _, at := range p.runs.Status().Partitions {
			end := ends[at.Partition]
			if at.State == pipeline.Running && at.Position >= end && committed[at.Partition] >= end {
				partition = at.Partition
				return true
			}
		}
		return false
	})
	return partition
}

func (s *site) eventually(what string, done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// reaches waits for a rule to be reached.
func (s *site) reaches(what string, rules ...*rule) {
	s.t.Helper()
	s.eventually(what, func() bool {
		for _, r := range rules {
			select {
			case <-r.reached:
				return true
			default:
			}
		}
		return false
	})
}

// ended waits until one of the rules is reached, or all that is written is committed without.
func (s *site) ended(rules ...*rule) {
	s.t.Helper()
	ends := s.ends()
	s.eventually("something is late, or nothing is", func() bool {
		for _, r := range rules {
			select {
			case <-r.reached:
				return true
			default:
			}
		}
		committed := s.committed()
		for partition, end := range ends {
			if committed[partition] < end {
				return false
			}
		}
		return true
	})
}

// takeOut takes a process out of the group.
func (s *site) takeOut(name string) {
	s.t.Helper()
	instance := fmt.Sprintf("%s-%s-0", s.group, name)
	s.eventually(name+" is taken out of the group", func() bool {
		left, err := s.admin.LeaveGroup(s.t.Context(), kadm.LeaveGroup(s.group).InstanceIDs(instance))
		return err == nil && left.Error() == nil
	})
}

func (s *site) groupState() string {
	described, err := s.admin.DescribeGroups(s.t.Context(), s.group)
	if err != nil {
		return err.Error()
	}
	return described[s.group].State
}

// read reads what is committed in a topic, by partition.
func (s *site) read(topic string) map[int32][]*kgo.Record {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	ranges, err := kafka.CommittedRanges(ctx, s.client, topic)
	if err != nil {
		s.t.Fatal(err)
	}
	reader, err := kafka.NewReader(s.opts, topic, ranges)
	if err != nil {
		s.t.Fatal(err)
	}
	defer reader.Close()
	all := map[int32][]*kgo.Record{}
	for {
		records, err := reader.Next(ctx)
		if err == io.EOF {
			return all
		}
		if err != nil {
			s.t.Fatal(err)
		}
		for _, r := range records {
			all[r.Partition] = append(all[r.Partition], r)
		}
	}
}

// judge lets all be well, and compares the records with those of a fold of the log up to what is committed.
func (s *site) judge() {
	s.t.Helper()
	s.judgeThat(func(came []*kgo.Record) []*kgo.Record { return came })
}

// judgeThat does so with what counts of the records that came in a partition.
func (s *site) judgeThat(counts func(came []*kgo.Record) []*kgo.Record) {
	s.t.Helper()
	s.load(6)
	s.caughtUp()
	for _, p := range s.all {
		p.cancel()
		p.wire.end()
		<-p.done
		if p.err != nil && !errors.Is(p.err, pipeline.ErrFenced) {
			s.t.Errorf("%s ended: %v", p.name, p.err)
		}
	}
	s.noneOpen()
	log, got := s.read(s.topics.Events), s.read(s.topics.CDR)
	for partition, came := range got {
		got[partition] = counts(came)
	}
	var wrong string
	for deadline := time.Now().Add(patience / 4); ; time.Sleep(50 * time.Millisecond) {
		if wrong = s.compare(s.committed(), log, got); wrong == "" {
			return
		}
		if time.Now().After(deadline) { // the offsets of the group have their marks by now
			s.t.Error(wrong)
			return
		}
	}
}

// noneOpen waits until no transaction is open. An end is answered before its marks are written: in the records, in the
// changelog, and in the offsets of the group.
func (s *site) noneOpen() {
	s.t.Helper()
	s.eventually("no transaction is open", func() bool {
		ends, err1 := s.admin.ListEndOffsets(s.t.Context(), s.topics.CDR, s.topics.State)
		stable, err2 := s.admin.ListCommittedOffsets(s.t.Context(), s.topics.CDR, s.topics.State)
		if err := errors.Join(err1, err2, ends.Error(), stable.Error()); err != nil {
			return false
		}
		open := false
		ends.Each(func(o kadm.ListedOffset) {
			at, ok := stable.Lookup(o.Topic, o.Partition)
			open = open || !ok || at.Offset < o.Offset
		})
		return !open
	})
}

// compare says what is wrong with the records of a log that is read up to the offsets of the group.
func (s *site) compare(committed map[int32]int64, log, got map[int32][]*kgo.Record) string {
	s.t.Helper()
	total := 0
	for partition := range s.topics.Partitions {
		fold, err := cdr.NewFold(s.policy, cdr.Source{Topic: s.topics.Events, Partition: partition})
		if err != nil {
			s.t.Fatal(err)
		}
		var want [][]byte
		take := func(step cdr.Step, err error) {
			if err != nil {
				s.t.Fatal(err)
			}
			for i := range step.Records {
				value, err := avro.Encode(&step.Records[i])
				if err != nil {
					s.t.Fatal(err)
				}
				want = append(want, value)
			}
		}
		for _, r := range log[partition] {
			if r.Offset < committed[partition] {
				take(fold.Apply(pipeline.Input(r)))
				take(fold.Step(), nil)
			}
		}
		total += len(want)
		have := got[partition]
		if len(have) != len(want) {
			different := map[string]bool{}
			for _, r := range have {
				different[string(r.Value)] = true
			}
			return fmt.Sprintf("partition %d: %d records came out, %d of them different, want %d up to the group's offset %d",
				partition, len(have), len(different), len(want), committed[partition])
		}
		for i, r := range have {
			if !bytes.Equal(r.Value, want[i]) {
				return fmt.Sprintf("partition %d: record %d is another one than the log has", partition, i)
			}
		}
	}
	if closed := s.sessions - 2*int(s.topics.Partitions); total < closed/2 { // in each the last ones are open
		return fmt.Sprintf("%d records of %d sessions: too few to tell", total, s.sessions)
	}
	return ""
}

// moveCoordinator moves the leader of the partition that knows a group or a transactional id to another broker.
func (s *site) moveCoordinator(topic, id string) {
	s.t.Helper()
	described, err := s.admin.ListTopics(s.t.Context(), topic)
	if err != nil || described.Error() != nil {
		s.t.Fatal(errors.Join(err, described.Error()))
	}
	all := described[topic].Partitions
	partition := all[coordinator(id, len(all))]
	replicas := append(partition.Replicas[1:len(partition.Replicas):len(partition.Replicas)], partition.Replicas[0])
	for i, r := range replicas { // whoever leads now comes last
		if r == partition.Leader {
			replicas = append(append(replicas[:i:i], replicas[i+1:]...), r)
			break
		}
	}
	var assign kadm.AlterPartitionAssignmentsReq
	assign.Assign(topic, partition.Partition, replicas)
	if _, err := s.admin.AlterPartitionAssignments(s.t.Context(), assign); err != nil {
		s.t.Fatal(err)
	}
	var set kadm.TopicsSet
	set.Add(topic, partition.Partition)
	s.eventually("the coordinator has moved", func() bool {
		_, _ = s.admin.ElectLeaders(s.t.Context(), kadm.ElectPreferredReplica, set)
		now, err := s.admin.ListTopics(s.t.Context(), topic)
		leader := now[topic].Partitions[partition.Partition].Leader
		return err == nil && leader >= 0 && leader != partition.Leader
	})
}

// says tells whether a process has said all of these in one line.
func (p *process) says(words ...string) bool {
	for line := range strings.Lines(p.log.String()) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			return true
		}
	}
	return false
}

// coordinator is the partition of an internal topic that knows a group or a transactional id: the absolute value of
// what Java hashes it to, and not the hash without its sign.
func coordinator(id string, of int) int32 {
	var h int32
	for _, b := range []byte(id) {
		h = 31*h + int32(b)
	}
	return max(h, -h, 0) % int32(of)
}

// Of these, Java gives the last two a hash below 0, and the first of the two the least that there is.
func TestACoordinatorIsFoundAsKafkaFindsIt(t *testing.T) {
	for id, want := range map[string]int32{"": 0, "group": 2, "polygenelubricants": 0, "januscdr": 2} {
		if got := coordinator(id, 5); got != want {
			t.Errorf("%q is in partition %d, want %d", id, got, want)
		}
	}
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
