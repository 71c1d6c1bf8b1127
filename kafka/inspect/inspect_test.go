package inspect

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/internal/fixtures/broker"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func ours() kafka.Topics {
	return kafka.Topics{Events: "e", CDR: "c", State: "s", DLQ: "d", Partitions: 3, EventsRetention: time.Hour,
		Embedded: true}
}

// production are topics as a real cluster has them, on three brokers.
func production(t *testing.T) (*embedded.Broker, *kgo.Client, kafka.Topics) {
	t.Helper()
	e := broker.Start(t, kfake.Ports(0, 0, 0))
	cl := broker.Client(t, kafka.Options{Brokers: e.Addrs()}, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	topics := kafka.Topics{
		Events: "e", CDR: "c", State: "s", DLQ: "d", Partitions: 2, Replication: 3,
		EventsRetention: 7 * 24 * time.Hour, CDRRetention: 90 * 24 * time.Hour, DLQRetention: 90 * 24 * time.Hour,
	}
	if _, err := kafka.CreateTopics(within(t, 10*time.Second), cl, topics); err != nil {
		t.Fatal(err)
	}
	return e, cl, topics
}

func find(findings []Finding, verdict Verdict, promise, words string) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool {
		return f.Verdict == verdict && f.Promise == promise && strings.Contains(f.Reason, words) &&
			(f.Remedy == "") == (verdict == OK)
	})
}

func TestASoundClusterKeepsEveryPromiseButThatSomebodyWorks(t *testing.T) {
	_, cl, topics := production(t)
	findings, err := Installation(within(t, 10*time.Second), cl, topics,
		ProcessorSettings{Group: "g", TransactionTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, f := range findings {
		said[f.Promise] = true
		if f.Verdict != OK && !strings.Contains(f.Reason, "no members") {
			t.Errorf("%+v", f)
		}
	}
	for _, promise := range []string{PromiseKept, PromiseOnce, PromiseState, PromiseTime, PromisePlace, PromiseFits,
		PromiseUnread, PromiseFollow, PromiseUnderstood} {
		if !said[promise] {
			t.Errorf("nothing is said of %q", promise)
		}
	}
	if !find(findings, Weak, PromiseFollow, "no members") {
		t.Error("nobody works, and that is not said")
	}
}

func TestEachSettingThatBreaksAPromiseIsFoundWithItsRemedy(t *testing.T) {
	for name, scene := range map[string]struct {
		topic, key, value string
		require           bool
		verdict           Verdict
		promise, words    string
	}{
		"changelog not compacted": {"s", "cleanup.policy", "delete", false, Broken, PromiseState,
			"would delete states of open sessions by age"},
		"changelog compacted and deleted": {"s", "cleanup.policy", "compact,delete", false, Broken, PromiseState,
			"cleanup.policy=compact,delete"},
		"deletions forgotten early": {"s", "delete.retention.ms", "86400000", false, Broken, PromiseState,
			"delete.retention.ms=86400000"},
		"time of the senders": {"e", "message.timestamp.type", "CreateTime", false, Broken, PromiseTime,
			"CreateTime"},
		"small messages": {"d", "max.message.bytes", "1000", false, Broken, PromiseFits,
			"max.message.bytes=1000"},
		"events kept for a day": {"e", "retention.ms", "86400000", false, Weak, PromiseUnread, "1 day"},
		"events cut by size": {"e", "retention.bytes", "1000000", false, Weak, PromiseUnread,
			"retention.bytes=1000000"},
		"records kept for a day": {"c", "retention.ms", "86400000", false, Weak, PromiseUnread, "1 day"},
		"one broker acknowledges": {"c", "min.insync.replicas", "1", false, Weak, PromiseKept,
			"min.insync.replicas=1"},
		"the same where it must not be": {"c", "min.insync.replicas", "1", true, Broken, PromiseKept,
			"min.insync.replicas=1"},
		"all brokers must be there": {"c", "min.insync.replicas", "3", false, Weak, PromiseKept,
			"min.insync.replicas=3 of 3 copies"},
		"unclean elections": {"e", "unclean.leader.election.enable", "true", true, Broken, PromiseKept,
			"unclean.leader.election.enable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, cl, topics := production(t)
			topics.RequireDurable = scene.require
			ctx := within(t, 20*time.Second)
			answers, err := kadm.NewClient(cl).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: scene.key, Value: &scene.value}},
				scene.topic)
			if err == nil {
				_, err = answers.On(scene.topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
			}
			if err != nil {
				t.Fatal(err)
			}
			findings, err := Topics(ctx, cl, topics)
			if err != nil || !find(findings, scene.verdict, scene.promise, scene.words) {
				t.Fatalf("%v, %+v", err, findings)
			}
			if err := CheckTopics(ctx, cl, topics); (err != nil) != (scene.verdict == Broken) {
				t.Fatalf("a start is refused with %v, want that only for what is broken", err)
			}
		})
	}
}

func TestOneCopyIsWeakUnlessDurabilityIsRequired(t *testing.T) {
	cl := broker.Client(t, kafka.Options{Brokers: broker.Start(t).Addrs()})
	ctx := within(t, 10*time.Second)
	topics := ours()
	topics.Embedded = false
	if _, err := kafka.CreateTopics(ctx, cl, topics); err != nil {
		t.Fatal(err)
	}
	if err := CheckTopics(ctx, cl, topics); err != nil {
		t.Fatal(err)
	}
	topics.RequireDurable = true
	if err := CheckTopics(ctx, cl, topics); err == nil || strings.Count(err.Error(), "has 1 copy of each partition") != 4 {
		t.Fatalf("got %v, want four topics that have one copy", err)
	}
}

func TestWhatTheGroupHasNotReadIsTold(t *testing.T) {
	e, cl, topics := production(t)
	ctx := within(t, 20*time.Second)
	old := time.Now().Add(-time.Hour)
	for range 10 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "e", Timestamp: old},
			&kgo.Record{Topic: "d", Timestamp: old}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(at int64) {
		var offsets kadm.Offsets
		offsets.AddOffset("e", 0, at, -1)
		if _, err := kadm.NewClient(cl).CommitOffsets(ctx, "g", offsets); err != nil {
			t.Fatal(err)
		}
	}
	look := func(verdict Verdict, promise, words string) {
		t.Helper()
		findings, err := Installation(ctx, cl, topics, ProcessorSettings{Group: "g", TransactionTimeout: 10 * time.Second})
		if err != nil || !find(findings, verdict, promise, words) {
			t.Fatalf("%v, want %v of %q with %q in %+v", err, verdict, promise, words, findings)
		}
	}
	look(Weak, PromiseFollow, "10 events are not read, 10 of them older")
	look(Weak, PromiseUnderstood, "up to 10 events")
	commit(10)
	look(OK, PromiseFollow, "0 events are not read")
	commit(4)
	look(Weak, PromiseFollow, "6 events are not read, 6 of them older")
	if err := e.Cluster().DeleteRecords("e", 0, 7); err != nil {
		t.Fatal(err)
	}
	look(Broken, PromiseUnread, "3 events were deleted before they were read")
	commit(11)
	look(Broken, PromiseUnread, "its offsets are 1 beyond the end of e")
}

func TestATransactionThatNobodyEndsIsFoundWithTheCommandThatEndsIt(t *testing.T) {
	e, cl, topics := production(t)
	ctx := within(t, 20*time.Second)
	writer := broker.Client(t, kafka.Options{Brokers: e.Addrs()}, kgo.TransactionalID("w"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(10*time.Minute))
	if err := writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := writer.ProduceSync(ctx, &kgo.Record{Topic: "c", Partition: 1}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	findings, err := Installation(ctx, cl, topics, ProcessorSettings{Group: "g", TransactionTimeout: time.Millisecond})
	if err != nil || !find(findings, Broken, PromiseFollow, "left a transaction open at offset 0 of partition 1") {
		t.Fatalf("%v, %+v", err, findings)
	}
	if err := writer.EndTransaction(ctx, kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	findings, err = Installation(ctx, cl, topics, ProcessorSettings{Group: "g", TransactionTimeout: time.Millisecond})
	if err != nil || !find(findings, OK, PromiseFollow, "none is left open") {
		t.Fatalf("%v, %+v", err, findings)
	}
}

func TestATransactionTimeoutAboveThatOfTheBrokersIsFound(t *testing.T) {
	_, cl, topics := production(t)
	findings, err := Installation(within(t, 10*time.Second), cl, topics,
		ProcessorSettings{Group: "g", TransactionTimeout: time.Hour})
	if err != nil || !find(findings, Broken, PromiseOnce, "transaction.max.timeout.ms is 15m0s") {
		t.Fatalf("%v, %+v", err, findings)
	}
}

func TestASessionTimeoutThatDoesNotFitIsFound(t *testing.T) {
	_, cl, topics := production(t)
	for session, want := range map[time.Duration]string{
		time.Second: "group.min.session.timeout.ms is",
		time.Hour:   "group.max.session.timeout.ms is",
	} {
		findings, err := Installation(within(t, 10*time.Second), cl, topics,
			ProcessorSettings{Group: "g", TransactionTimeout: 10 * time.Second, SessionTimeout: session})
		if err != nil || !find(findings, Broken, PromiseOnce, want) {
			t.Errorf("%v: %v, %+v", session, err, findings)
		}
	}
	findings, err := Installation(within(t, 10*time.Second), cl, topics,
		ProcessorSettings{Group: "g", TransactionTimeout: 20 * time.Second, SessionTimeout: 15 * time.Second})
	if err != nil || !find(findings, Weak, PromiseOnce, "waits for its transaction") {
		t.Errorf("%v, %+v", err, findings)
	}
}

func TestBrokersOfTwoClustersAreFound(t *testing.T) {
	one, two := broker.Start(t), broker.Start(t)
	ctx := within(t, 10*time.Second)
	if id, err := kafka.ClusterID(ctx, broker.Client(t, kafka.Options{Brokers: one.Addrs()})); err != nil || id == "" {
		t.Fatalf("%q, %v", id, err)
	}
	both := broker.Client(t, kafka.Options{Brokers: append(one.Addrs(), two.Addrs()...)})
	findings, err := Installation(ctx, both, ours(), ProcessorSettings{})
	if err != nil || !find(findings, Broken, PromiseOnce, "different clusters") {
		t.Fatalf("%v, %+v", err, findings)
	}
}
