//go:build synctests

package simulation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/internal/fixtures/broker"
	"januscdr/kafka"
	"januscdr/pipeline"
	"januscdr/statestore"
)

// These scenes are of brokers that do less than they should, and of what they and clocks have done to a changelog.

// Without a fence, who has lost its partitions can commit what another one has committed, too.
func TestSceneBrokersThatFenceNobodyAreRefused(t *testing.T) {
	scene(t, func(w *world, p *process) {
		w.excuse(pipeline.ErrNoFence)
		w.end(p)
		upgrade := broker.FenceNobody(w.broker.Cluster())
		p.host.workers = 1
		w.start(p.host)
		w.nextHost()
		w.pass(30 * time.Second)
		if w.counts["ended by itself"] == 0 {
			w.fail("processors work with brokers that fence nobody")
			w.outrun()
		}
		upgrade()
		w.pass(5 * time.Second)
	})
}

// outrun lets a process commit what it has folded when its partitions are another's.
func (w *world) outrun() {
	p := w.busy()
	release := make(chan struct{})
	p.line.arm(armed{key: kmsg.Produce, nth: 1, when: p.emits.Load, hold: release})
	w.until("a transaction with records is on its way", p.emits.Load)
	w.pass(time.Second)
	w.takeOut(p)
	w.pass(5 * time.Second)
	close(release)
	w.pass(10 * time.Second)
}

// Other brokers than Apache Kafka may not take offsets while the group looks for its next generation.
func TestSceneOffsetsThatAreNotTakenDuringARebalanceAreWrittenAgain(t *testing.T) {
	scene(t, func(w *world, p *process) {
		var clients atomic.Int32
		w.alone(p, func(o *pipeline.Options) {
			o.OnCrashPoint(func(step pipeline.CrashPoint) {
				if step == pipeline.AfterInit {
					clients.Add(1)
				}
			})
		})
		had := clients.Load()
		w.answers = append(w.answers, w.broker.Cluster().Fault(
			kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RebalanceInProgress, Count: 20}))
		w.pass(10 * time.Second)
		if n := clients.Load() - had; n > 0 {
			w.fail("a client and all its tasks were dropped %d times for what passes", n)
		}
	})
}

// Below level 2 of transactions an end begins no epoch. One that was on its way when the client lost the connection, and
// asked again, arrives in the next transaction: by then the partitions are another's, and its offsets would be refused.
func TestSceneAnEndThatIsLateDoesNotEndTheNextTransaction(t *testing.T) {
	scene(t, func(w *world, p *process) {
		older := kadm.FeatureUpdate{Feature: "transaction.version", MaxVersionLevel: 1, UpgradeType: 3}
		updated, err := kadm.NewClient(w.admin).UpdateFeatures(context.Background(), false, older)
		for _, f := range updated {
			err = errors.Join(err, f.Err)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		p = w.alone(p)
		end, messages := make(chan struct{}), make(chan struct{})
		p.line.arm(armed{key: kmsg.EndTxn, nth: 1, harm: outlived, hold: end})
		w.pass(3 * time.Second)
		p.line.arm(armed{key: kmsg.Produce, nth: 1, when: p.emits.Load, hold: messages})
		w.until("a transaction with records is on its way", p.emits.Load)
		other := w.nextHost()
		w.takeOut(p)
		w.until("another one has its partitions", func() bool {
			has := other.runs.Status().Partitions
			return len(has) == partitions && !slices.ContainsFunc(has, func(s pipeline.PartitionStatus) bool {
				return s.State != pipeline.Running || s.Lag > 0
			})
		})
		stands := p.haltAt(string(pipeline.BeforeOffsets), 1, 0)
		close(messages)
		<-stands.reached // all is behind the barrier of the next owner
		close(end)
		w.pass(time.Second)
		w.kill(p)
	})
}

// A transaction of somebody else is open in the changelog, and stays so.
func TestSceneATransactionThatHangsHoldsNobodyElseUp(t *testing.T) {
	scene(t, func(w *world, p *process) {
		ends, _, _ := w.ends()
		busy := int32(0)
		for partition, end := range ends {
			if end > ends[busy] {
				busy = partition
			}
		}
		w.end(p)
		var hang []int32
		for partition := range int32(partitions) {
			if partition != busy {
				hang = append(hang, partition)
			}
		}
		leave := w.leavesOpen(hang...)
		p.host.workers = 1
		p = w.start(p.host, func(o *pipeline.Options) { o.Restores = 1 })
		w.pass(40 * time.Second)
		if _, committed, ok := w.ends(); !ok || committed[busy] <= ends[busy] {
			w.fail("partition %d, which is well, stands still at %d with those that wait", busy, committed[busy])
		}
		for _, partition := range hang {
			if !p.says("restore waits for an open transaction", fmt.Sprintf("partition=%d", partition)) {
				w.fail("the restore of partition %d does not begin", partition)
			}
		}
		w.pass(30 * time.Second)
		for _, said := range []string{"restore waits for an open transaction", "transactional id stranger, Ongoing",
			"its transaction timeout of 15m0s", "a partition stands still"} {
			if !p.says(said) {
				w.fail("nothing was said of %q", said)
			}
		}
		leave()
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

// leavesOpen leaves a transaction open in partitions of the changelog, until it is told to abort it.
func (w *world) leavesOpen(in ...int32) (abort func()) {
	ctx := context.Background()
	stranger, err := kafka.NewClient(w.kafka(w.direct), kgo.TransactionalID("stranger"),
		kgo.TransactionTimeout(15*time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err == nil {
		err = stranger.BeginTransaction()
	}
	for _, partition := range in {
		if err == nil {
			never := &kgo.Record{Topic: topics.State, Partition: partition, Key: []byte("snever"), Value: []byte("committed")}
			err = stranger.ProduceSync(ctx, never).FirstErr()
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if err := stranger.EndTransaction(ctx, kgo.TryAbort); err != nil {
			w.fail("end the transaction of a stranger: %v", err)
		}
		stranger.Close()
	}
}

// A transaction has an offset of the group in hand, and the group gives none.
func TestSceneOffsetsOfTheGroupThatAreNotStableAreWaitedForAloud(t *testing.T) {
	scene(t, func(w *world, p *process) {
		w.end(p)
		unstable := w.broker.Cluster().Fault(
			kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: group, Err: kerr.UnstableOffsetCommit, Count: 1 << 20})
		w.answers = append(w.answers, unstable)
		p = w.start(p.host)
		w.pass(20 * time.Second)
		unstable.Remove()
		if !p.says("task waits for the group's offset") {
			w.fail("a task waits for the group's offset, and nobody says so")
		}
		w.pass(5 * time.Second)
	})
}

// It hears that the group looks for its next generation, and says nothing more. It is another's when it comes back.
func TestSceneAMemberThatSaysNothingIsThrownOutBeforeTheGroupGoesOn(t *testing.T) {
	scene(t, func(w *world, p *process) {
		p = w.alone(p)
		release := make(chan struct{})
		p.line.arm(armed{key: kmsg.JoinGroup, nth: 1, hold: release})
		w.nextHost()
		w.until("the group waits for its members", func() bool { return w.groupState() == preparing })
		w.pass(1500 * time.Millisecond) // it hears of it
		p.line.freeze()
		w.until("the group goes on", func() bool { return w.groupState() == "Stable" })
		described, err := kadm.NewClient(w.admin).DescribeGroups(context.Background(), group)
		if err != nil {
			w.fail("look at the group: %v", err)
		}
		for _, m := range described[group].Members {
			if m.InstanceID != nil && *m.InstanceID == fmt.Sprintf("%s-%s-0", group, p.host.name) {
				w.fail("it is a member still, under the same id")
			}
		}
		close(release)
		p.line.thaw()
		w.pass(10 * time.Second)
	})
}

// eachStore does something to the stores on a disk that nobody uses.
func (w *world) eachStore(dir string, f func(*statestore.Store) error) {
	meta, err := kadm.NewClient(w.admin).Metadata(context.Background(), topics.State)
	if err != nil {
		w.t.Fatal(err)
	}
	for partition := range int32(partitions) {
		store, err := statestore.Open(statestore.Options{
			Dir: filepath.Join(dir, topics.State, fmt.Sprint(partition)), MinFree: 1,
			Identity: statestore.Identity{
				Cluster: meta.Cluster, Topic: topics.State, TopicID: meta.Topics[topics.State].ID.String(), Partition: partition,
			},
		})
		if err == nil {
			err = f(store)
		}
		if err == nil {
			err = store.Close()
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// inTheFuture is a checkpoint as a clock wrote it that was wrong by this much.
func inTheFuture(checkpoint []byte, by time.Duration) []byte {
	_, n := binary.Uvarint(checkpoint[1:])
	at, m := binary.Varint(checkpoint[1+n:])
	b := binary.AppendVarint(append([]byte(nil), checkpoint[:1+n]...), at+by.Milliseconds())
	return append(b, checkpoint[1+n+m:]...)
}

// cleaned lets the changelog be cleaned, and what was deleted in it be forgotten.
func (w *world) cleaned() {
	admin := kadm.NewClient(w.admin)
	set := func(key, value string) {
		answers, err := admin.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Name: key, Value: &value}}, topics.State)
		if err == nil {
			_, err = answers.On(topics.State, func(r *kadm.AlterConfigsResponse) error { return r.Err })
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	set("delete.retention.ms", "0")
	set("cleanup.policy", "compact")
	w.broker.Cluster().Compact()
	set("cleanup.policy", "delete")
}

// A disk that was away for long, whose clock was wrong then: what was closed since is not told any more.
func TestSceneADiskWhoseClockWasWrongStartsEmpty(t *testing.T) {
	scene(t, func(w *world, p *process) {
		whole := func(o *pipeline.Options) { o.RewriteAfter = 1 << 40 }
		w.end(p)
		p = w.start(p.host, whole)
		w.pass(12 * time.Second) // each store writes every 5 s
		w.kill(p)
		old := w.newDisk(p.host, p.host.kept[len(p.host.kept)-1])
		p = w.start(p.host, whole)
		<-w.feeder.done
		w.pass(90 * time.Second) // all is closed, and nothing comes by which time would go on
		w.end(p)
		w.eachStore(old, func(s *statestore.Store) error {
			if s.Checkpoint() == nil {
				return nil
			}
			return s.Remember(func(func(k, v []byte) bool) {}, inTheFuture(s.Checkpoint(), 30*24*time.Hour))
		})
		w.cleaned()
		p.host.dir = old
		w.start(p.host, whole)
		w.pass(60 * time.Second)
	})
}

// The brokers lose the end of all that they have, as by the election of a leader that lacks it, and it grows again. A
// disk of before knows what is gone.
func TestSceneAChangelogThatRegrewIsReadFromItsBeginning(t *testing.T) {
	scene(t, func(w *world, p *process) {
		whole := func(o *pipeline.Options) { o.RewriteAfter = 1 << 40 }
		w.end(p)
		p.host.workers = 1
		p = w.start(p.host, whole)
		<-w.feeder.done
		w.pass(2 * time.Second)
		w.end(p)
		before := w.brokerImage()
		again := func(times int) { // each leaves barriers, and lets little time pass
			for range times {
				p = w.start(p.host, whole)
				w.until("it works", p.runs.Ready)
				w.end(p)
			}
		}
		again(12)
		disk := p.host.dir
		w.restartBrokerOn(before)
		p.host.dir = w.newDisk(p.host, "")
		p = w.start(p.host, whole)
		w.pass(60 * time.Second) // what was open is closed by then
		w.end(p)
		again(15)
		p.host.dir = disk
		p = w.start(p.host, whole)
		w.pass(30 * time.Second)
		if !p.says("kafka has lost the end of the changelog") {
			w.fail("nothing was said of what is gone")
		}
	})
}

// brokerImage is what the disk of the broker has when it is stopped in order.
func (w *world) brokerImage() string {
	w.ordinal++
	dir := filepath.Join(w.dir, fmt.Sprintf("broker-%d", w.ordinal))
	w.restartBroker(false)
	w.copyDir(w.brokerDir, dir)
	return dir
}

// restartBrokerOn lets the broker come back on what it had before, under leaders of a new epoch.
func (w *world) restartBrokerOn(image string) {
	if err := w.broker.Close(); err != nil {
		w.t.Fatal(err)
	}
	for _, l := range w.lines() {
		l.cut(false)
	}
	w.brokerDir = image
	w.startBroker()
	for partition := range int32(partitions) {
		if err := w.broker.Cluster().MoveTopicPartition(topics.State, partition, 0); err != nil {
			w.t.Fatal(err)
		}
	}
}
