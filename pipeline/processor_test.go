package pipeline

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/kafka"
	"januscdr/kafka/inspect"
	"januscdr/statestore"
)

func TestEveryRecordComesOutOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4)
	c.load(300)
	p := c.start(t.TempDir())
	c.caughtUp(p)
	c.load(300)
	c.caughtUp(p)
	ends := c.ends("events")
	c.eventually("its status says that it has read everything", []*running{p}, func() bool {
		status := p.processor.Status()
		for _, s := range status.Partitions {
			if s.State != Running || s.Position < ends[s.Partition] || s.Lag > 1 { // a tick may be on its way
				return false
			}
		}
		return status.Ready && len(status.Partitions) == 4
	})
	p.stop(t)
	n := c.check()
	if n < 300 {
		t.Fatalf("%d records came out of 600 sessions", n)
	}
	if got := p.count(t, "records_emitted_total"); got != float64(n) {
		t.Errorf("%v records were counted, %d came out", got, n)
	}
	if p.count(t, "duplicates_total") == 0 || p.count(t, "dlq_total") == 0 {
		t.Error("the load has duplicates and broken events, and none was counted")
	}
	for _, records := range c.read("cdr") {
		for _, r := range records {
			record, err := avro.Decode(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			for header, want := range map[string]string{
				HeaderRecordID: record.RecordID.String(), HeaderRecordType: "SESSION", HeaderSchema: avro.Fingerprint(),
				HeaderVersion: "test", HeaderPolicy: "policy",
			} {
				if got, ok := kafka.Header(r, header); !ok || string(got) != want {
					t.Fatalf("header %s is %q, want %q", header, got, want)
				}
			}
			if string(r.Key) != record.SessionID {
				t.Fatalf("key is %q, want the session %s", r.Key, record.SessionID)
			}
		}
	}
}

func TestARestartLosesAndDoublesNothing(t *testing.T) {
	for _, scene := range []struct {
		name string
		dir  func(t *testing.T, kept, stale string) string
		kind string // of restores
	}{
		{"with the store it had", func(_ *testing.T, kept, _ string) string { return kept }, "warm"},
		{"with an empty store", func(t *testing.T, _, _ string) string { return t.TempDir() }, "cold"},
		{"with a stale copy of the store", func(_ *testing.T, _, stale string) string { return stale }, "warm"},
	} {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3)
			kept, stale := t.TempDir(), t.TempDir()
			c.load(100)
			p := c.start(kept)
			c.caughtUp(p)
			p.stop(t)
			copyDir(t, kept, stale)
			for round := range 3 {
				c.load(100)
				p = c.start(kept, func(o *Options) { o.Workers = 1 + round%2 })
				if round < 2 { // the last one is stopped wherever it is
					c.caughtUp(p)
				}
				p.stop(t)
			}
			c.load(100)
			p = c.start(scene.dir(t, kept, stale))
			c.caughtUp(p)
			if p.count(t, "restores_total", scene.kind) != 3 {
				t.Errorf("restores are not %s", scene.kind)
			}
			p.stop(t)
			if n := c.check(); n < 250 {
				t.Fatalf("%d records came out of 500 sessions", n)
			}
		})
	}
}

func TestALostAnswerToEndTxnDoublesNothing(t *testing.T) {
	final := errors.New("cut for good") // the client gives up; after the others it asks again
	for _, lost := range []error{final, io.EOF, net.ErrClosed} {
		t.Run(lost.Error(), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			cut := &cutter{key: int16(kmsg.EndTxn), err: lost}
			p := c.start(t.TempDir(), func(o *Options) { o.Kafka.Dialer = cut.dial })
			for round := range int64(3) {
				c.load(50)
				c.caughtUp(p)
				cut.armed.Store(1)
				c.load(50)
				c.eventually("an answer is lost", []*running{p}, func() bool { return cut.cuts.Load() > round })
				c.caughtUp(p)
			}
			p.stop(t)
			if n := p.count(t, "commits_total", unknown); lost == final && n != 3 {
				t.Errorf("%v commits were counted as unknown, want 3", n)
			}
			if n := c.check(); n < 150 {
				t.Fatalf("%d records came out of 300 sessions", n)
			}
		})
	}
}

func TestALostAnswerToAnyRequestLosesAndDoublesNothing(t *testing.T) {
	for _, key := range []kmsg.Key{
		kmsg.Produce, kmsg.Fetch, kmsg.TxnOffsetCommit, kmsg.InitProducerID, kmsg.JoinGroup, kmsg.Heartbeat, kmsg.OffsetFetch,
	} {
		t.Run(key.Name(), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			cut := &cutter{key: int16(key), err: io.EOF}
			cut.armed.Store(3)
			c.load(50)
			p := c.start(t.TempDir(), func(o *Options) { o.Kafka.Dialer = cut.dial })
			for range 3 {
				c.load(50)
				c.caughtUp(p)
			}
			c.eventually("answers are lost", []*running{p}, func() bool { return cut.cuts.Load() >= 1 })
			p.stop(t)
			if n := c.check(); n < 100 {
				t.Fatalf("%d records came out of 200 sessions", n)
			}
		})
	}
}

func TestAnUnknownServerErrorAtTheEndIsNotTakenForAnAnswer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	p := c.start(t.TempDir())
	c.load(50)
	c.caughtUp(p)
	c.broker.Cluster().ControlKey(int16(kmsg.EndTxn), func(request kmsg.Request) (kmsg.Response, error, bool) {
		response := request.ResponseKind().(*kmsg.EndTxnResponse)
		response.ErrorCode = kerr.UnknownServerError.Code
		return response, nil, true
	})
	c.load(50)
	c.caughtUp(p)
	if p.count(t, "commits_total", unknown) != 1 {
		t.Errorf("%v commits were counted as unknown, want 1", p.count(t, "commits_total", unknown))
	}
	p.stop(t)
	c.check()
}

func TestAFailedProduceAborts(t *testing.T) {
	for _, topic := range []string{"cdr", "state", "dlq"} {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			p := c.start(t.TempDir())
			c.load(50)
			c.caughtUp(p)
			var refused atomic.Bool
			broker := c.broker.Cluster()
			broker.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
				broker.KeepControl()
				produce := request.(*kmsg.ProduceRequest)
				concerned := slices.ContainsFunc(produce.Topics, func(t kmsg.ProduceRequestTopic) bool {
					return t.Topic == topic || t.TopicID == broker.TopicInfo(topic).TopicID
				})
				if produce.TransactionID == nil || !concerned || refused.Swap(true) {
					return nil, nil, false
				}
				response := produce.ResponseKind().(*kmsg.ProduceResponse)
				for _, t := range produce.Topics {
					answer := kmsg.NewProduceResponseTopic()
					answer.Topic, answer.TopicID = t.Topic, t.TopicID
					for _, p := range t.Partitions {
						part := kmsg.NewProduceResponseTopicPartition()
						part.Partition, part.ErrorCode = p.Partition, kerr.InvalidRecord.Code
						answer.Partitions = append(answer.Partitions, part)
					}
					response.Topics = append(response.Topics, answer)
				}
				return response, nil, true
			})
			c.load(50)
			c.caughtUp(p)
			if !refused.Load() {
				t.Fatal("nothing was refused")
			}
			if p.count(t, "commits_total", aborted) != 1 {
				t.Errorf("%v transactions were counted as aborted, want 1", p.count(t, "commits_total", aborted))
			}
			p.stop(t)
			c.check()
		})
	}
}

func TestEveryTransactionCarriesTheOffsetsOfWhatItTouches(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	c.policy.Grace = 200 * 1000 // 200 ms
	var mu sync.Mutex
	var offsets, commits int
	var last int64
	carried := map[string]bool{} // by the open transaction of a worker
	broker := c.broker.Cluster()
	broker.ControlKey(int16(kmsg.TxnOffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		carried[request.(*kmsg.TxnOffsetCommitRequest).TransactionalID] = true
		for _, topic := range request.(*kmsg.TxnOffsetCommitRequest).Topics {
			if len(topic.Partitions) != 1 { // of two, one is idle
				t.Errorf("a transaction carries the offsets of %d partitions, want that of one", len(topic.Partitions))
			}
			for _, p := range topic.Partitions {
				last = p.Offset
			}
		}
		return nil, nil, false
	})
	broker.ControlKey(int16(kmsg.EndTxn), func(request kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		end := request.(*kmsg.EndTxnRequest)
		if end.Commit {
			commits++
			if carried[end.TransactionalID] {
				offsets++
			}
		}
		delete(carried, end.TransactionalID)
		return nil, nil, false
	})
	p := c.start(t.TempDir())
	c.clock = time.Now()
	c.write(c.event(1, "created"), c.event(1, "destroyed"))
	// Only ticks follow: the transaction with the record is made of time alone.
	c.eventually("the session is reported", []*running{p}, func() bool { return p.count(t, "records_emitted_total") == 1 })
	p.stop(t)
	mu.Lock()
	defer mu.Unlock()
	partition := kafka.PartitionOf([]byte("1"), 2)
	if offsets != commits || commits < 2 || last != c.committed()[partition] || last <= 2 {
		t.Fatalf("%d transactions carried offsets of %d commits, the last one %d; want each, and past the ticks",
			offsets, commits, last)
	}
	c.check()
}

func TestTicksLetTheSessionsOfAnIdlePartitionEndAndThenItIsSilent(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.policy.Grace = 100 * 1000 // 100 ms
	c.clock = time.Now()
	p := c.start(t.TempDir())
	began := time.Now()
	c.write(c.event(1, "created"), c.event(1, "destroyed"))
	c.eventually("the session is reported", []*running{p}, func() bool { return p.count(t, "records_emitted_total") == 1 })
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the record came %v after the end, want grace and commit and a second or so", took)
	}
	c.eventually("the tick is read", []*running{p}, func() bool { return p.processor.Status().Partitions[0].Lag == 0 })
	ticks := p.count(t, "ticks_total", "appended")
	if s := p.processor.Status().Partitions[0]; s.OpenSessions != 0 {
		t.Fatalf("status %+v, want nothing open", s)
	}
	// Nothing is open, so nothing wants a tick any more, though there is a stub.
	if ticks < 1 || ticks > 5 {
		t.Errorf("%v ticks were appended", ticks)
	}
	p.stop(t)
	if n := c.check(); n != 1 {
		t.Fatalf("%d records came out", n)
	}
	for _, records := range c.read("events") {
		for _, r := range records[2:] {
			if kind, _ := kafka.Header(r, kafka.HeaderKind); string(kind) != kafka.KindTick || len(r.Value) > 0 {
				t.Fatalf("record %+v, want ticks only", r)
			}
		}
	}
}

func TestTwoProcessesShareTheWorkAndARebalanceLosesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 6)
	c.load(100)
	one := c.start(t.TempDir())
	c.caughtUp(one)
	two := c.start(t.TempDir(), func(o *Options) { o.Instance = "two"; o.Leave = true })
	c.load(100)
	share := func(r *running) int { return len(r.processor.Status().Partitions) }
	c.eventually("both have partitions", []*running{one, two}, func() bool {
		if n := share(two); n > 0 && n < 6 && share(one)+n == 6 && one.processor.Ready() && two.processor.Ready() {
			return true
		}
		c.load(5)
		return false
	})
	c.load(100)
	c.caughtUp(one, two)
	two.stop(t)
	c.load(100)
	c.caughtUp(one)
	if got := share(one); got != 6 {
		t.Errorf("after the other has left, one has %d partitions", got)
	}
	one.stop(t)
	if n := c.check(); n < 200 {
		t.Fatalf("%d records came out of 400 sessions and more", n)
	}
	if one.count(t, "commits_total", unknown)+two.count(t, "commits_total", unknown) > 0 {
		t.Error("a rebalance made the outcome of a transaction unknown: clients were dropped for nothing")
	}
}

func TestASecondProcessOfTheSameNameStopsTheFirst(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	first := c.start(t.TempDir())
	c.load(20)
	c.caughtUp(first)
	second := c.start(t.TempDir())
	if err := first.fails(t); !errors.Is(err, ErrFenced) || !strings.Contains(err.Error(), "januscdr-one-") {
		t.Fatalf("got %v, want fenced, with the name", err)
	}
	c.load(20)
	c.caughtUp(second)
	second.stop(t)
	c.check()
}

func TestEventsThatWereDeletedUnreadStopUsUnlessTheLossIsAccepted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	dir := t.TempDir()
	c.worked(dir)
	read := c.ends("events")[0]
	c.load(20)
	if err := c.broker.Cluster().DeleteRecords("events", 0, read+10); err != nil {
		t.Fatal(err)
	}
	p := c.start(dir)
	err := p.fails(t)
	if !errors.Is(err, ErrOutOfRange) || !strings.Contains(err.Error(), "10 events") ||
		!strings.Contains(err.Error(), "--accept-loss") {
		t.Fatalf("got %v, want out of range, how much, and the remedy", err)
	}
	p = c.start(dir, func(o *Options) { o.AcceptLoss = true })
	c.caughtUp(p)
	if p.count(t, "lost_events_total") != 10 {
		t.Errorf("%v events were counted as lost, want 10", p.count(t, "lost_events_total"))
	}
	p.stop(t)
}

func TestAChangelogThatIsGoneStopsUsBeforeAllRecordsComeOutAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.worked(t.TempDir())
	n := c.check()
	if err := c.broker.Cluster().DeleteRecords("state", 0, -1); err != nil {
		t.Fatal(err)
	}
	p := c.start(t.TempDir())
	if err := p.fails(t); !errors.Is(err, ErrAhead) || !strings.Contains(err.Error(), "delete the group") {
		t.Fatalf("got %v, want lost data, with the remedy", err)
	}
	if again := c.check(); again != n {
		t.Fatalf("%d records came out, want %d still", again, n)
	}
}

func TestABrokerThatForgotWhatItAcknowledgedStopsUs(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	dir := t.TempDir()
	p := c.worked(dir)
	p.inStore(t, 0, func(s *statestore.Store) error {
		return s.Remember(ofChanges(nil), checkpoint{next: 1 << 30, at: time.Now()}.bytes())
	})
	p = c.start(dir)
	if err := p.fails(t); !errors.Is(err, ErrAhead) {
		t.Fatalf("got %v, want lost data", err)
	}
}

func TestAFullDiskStopsUsAndLosesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	dir := t.TempDir()
	c.load(50)
	p := c.start(dir, func(o *Options) { o.MinFree = math.MaxUint64 / 2 })
	if err := p.fails(t); !errors.Is(err, statestore.ErrFull) {
		t.Fatalf("got %v, want a full disk", err)
	}
	p = c.start(dir)
	c.caughtUp(p)
	p.stop(t)
	if n := c.check(); n < 20 {
		t.Fatalf("%d records came out of 50 sessions", n)
	}
}

func TestAStoreThatMakesNoSenseIsBuiltAnew(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	dir := t.TempDir()
	c.load(50)
	p := c.start(dir)
	c.caughtUp(p)
	p.stop(t)

	p.inStore(t, 0, func(s *statestore.Store) error {
		var keys [][]byte
		err := s.Scan(nil, func(key, _ []byte) error { keys = append(keys, bytes.Clone(key)); return nil })
		rubbish := func(yield func([]byte, []byte) bool) {
			for _, key := range keys {
				if !yield(key, []byte("\xff\xff rubbish")) {
					return
				}
			}
		}
		return errors.Join(err, s.Remember(rubbish, s.Checkpoint()))
	})

	c.load(50)
	p = c.start(dir)
	c.caughtUp(p)
	if p.count(t, "stores_broken_total") != 1 || p.count(t, "restores_total", "cold") != 1 {
		t.Error("a broken store was not counted, or nothing was restored")
	}
	p.stop(t)
	c.check()
	if aside, _ := filepath.Glob(filepath.Join(dir, "*", "0", "broken-*")); len(aside) != 1 {
		t.Errorf("moved aside: %v", aside)
	}
}

func TestAStateDirectoryOfAnotherClusterIsRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	dir := t.TempDir()
	c.load(5)
	p := c.start(dir)
	c.caughtUp(p)
	p.stop(t)
	other := newCluster(t, 1)
	p = other.start(dir)
	if err := p.fails(t); !errors.Is(err, statestore.ErrForeign) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("got %v, want foreign, with the directory", err)
	}
}

func TestTheChangelogOfTheEmbeddedBrokerIsRewrittenBeforeItGrows(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	dir := t.TempDir()
	small := func(o *Options) { o.RewriteAfter = 200 }
	p := c.start(dir, small)
	for range 10 {
		c.load(50)
		c.caughtUp(p)
	}
	if p.count(t, "changelog_rewrites_total") == 0 {
		t.Fatal("nothing was rewritten")
	}
	p.stop(t)
	var left int
	for _, records := range c.read("state") {
		left = len(records)
	}
	if left > 3000 {
		t.Errorf("%d records are left in the changelog", left)
	}
	for _, scene := range []string{dir, t.TempDir()} { // the changelog begins after the empty store's, and after nobody's
		c.load(50)
		p = c.start(scene, small)
		c.caughtUp(p)
		p.stop(t)
	}
	if n := c.check(); n < 300 {
		t.Fatalf("%d records came out of 600 sessions", n)
	}
}

func TestTopicsThatDoNotFitAreRefusedAtStart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	p := c.start(t.TempDir(), func(o *Options) { o.Topics.Partitions = 3 })
	if err := p.fails(t); !errors.Is(err, inspect.ErrTopics) {
		t.Fatalf("got %v, want topics that do not fit", err)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	topics := kafka.Topics{Events: "e", CDR: "c", State: "s", DLQ: "d"}
	for want, o := range map[string]Options{
		"instance name":   {Topics: topics, StateDir: "d", Instance: "with space"},
		"group name":      {Topics: topics, StateDir: "d", Instance: "i", Group: "a/b"},
		"state directory": {Topics: topics, Instance: "i"},
		"topic names":     {StateDir: "d", Instance: "i"},
		"brokers":         {Topics: topics, StateDir: "d", Instance: "i"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestAWaitForATickIsAMinuteUnlessADeadlineIsNearer(t *testing.T) {
	seen := time.Now()
	due := func(open, deadline bool, in time.Duration) (time.Duration, bool) {
		at, wanted := nextTick(cdr.Due{Open: open, Deadline: deadline, In: in}, seen, time.Time{})
		return at.Sub(seen), wanted
	}
	for _, scene := range []struct {
		open, deadline bool
		in, want       time.Duration
		wanted         bool
	}{
		{open: false, deadline: true, in: 0, wanted: false},
		{open: true, deadline: false, want: time.Minute, wanted: true},
		{open: true, deadline: true, in: 5 * time.Second, want: 5*time.Second + tickSlack, wanted: true},
		{open: true, deadline: true, in: time.Hour, want: time.Minute, wanted: true},
	} {
		got, wanted := due(scene.open, scene.deadline, scene.in)
		if wanted != scene.wanted || wanted && got != scene.want {
			t.Errorf("%+v: got %v, %v", scene, got, wanted)
		}
	}
	if at, _ := nextTick(cdr.Due{Open: true, Deadline: true}, seen, seen); at.Sub(seen) != time.Second {
		t.Errorf("a tick %v after the last one, want a second", at.Sub(seen))
	}
}
