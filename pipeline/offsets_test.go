package pipeline

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ghost joins the group as a member that then says nothing more, and returns how to take it out again.
func (c *cluster) ghost() (leave func()) {
	c.t.Helper()
	const name = "ghost"
	balancer := kgo.CooperativeStickyBalancer()
	req := kmsg.NewPtrJoinGroupRequest()
	instance := name
	req.Group, req.InstanceID, req.ProtocolType = defaultGroup, &instance, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 300_000, 300_000
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = balancer.ProtocolName(), balancer.JoinGroupMetadata([]string{"events"}, nil, -1)
	req.Protocols = append(req.Protocols, protocol)
	resp, err := req.RequestWith(c.t.Context(), c.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return func() {
		left, err := kadm.NewClient(c.client).LeaveGroup(c.t.Context(), kadm.LeaveGroup(defaultGroup).InstanceIDs(name))
		if err := errors.Join(err, left.Error()); err != nil {
			c.t.Fatal(err)
		}
	}
}

const waits = "PreparingRebalance" // the state of a group that waits for its members to join

func (c *cluster) groupState() string {
	c.t.Helper()
	described, err := kadm.NewClient(c.client).DescribeGroups(c.t.Context(), defaultGroup)
	if err != nil {
		c.t.Fatal(err)
	}
	return described[defaultGroup].State
}

func TestPartitionsThatStayGoOnWhileTheGroupWaitsForAMember(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4)
	c.load(50)
	p := c.start(t.TempDir(), func(o *Options) { o.SessionTimeout = 20 * time.Second })
	c.caughtUp(p)
	c.eventually("both workers have partitions", []*running{p}, func() bool {
		return p.processor.Ready() && len(p.processor.Status().Partitions) == 4
	})
	leave := c.ghost()
	c.eventually("a partition is to go to the ghost, and the group waits for it", []*running{p}, func() bool {
		return strings.Contains(p.log.String(), "was taken from us") && c.groupState() == waits
	})
	c.load(200)
	ends, kept := c.ends("events"), p.processor.Status().Partitions
	if len(kept) == 0 || len(kept) == 4 {
		t.Fatalf("%d partitions of 4 stayed", len(kept))
	}
	c.eventually("what came for the partitions that stay is committed", []*running{p}, func() bool {
		committed := c.committed()
		for _, s := range kept {
			if committed[s.Partition] < ends[s.Partition] {
				return false
			}
		}
		return true
	})
	if state := c.groupState(); state != waits {
		t.Errorf("the group is %s, want that it waits still", state)
	}
	leave()
	c.caughtUp(p)
	p.stop(t)
	if n := c.check(); n < 150 {
		t.Fatalf("%d records came out of 250 sessions", n)
	}
	if p.count(t, "commits_total", unknown)+p.count(t, "commits_total", aborted) > 0 {
		t.Errorf("a transaction was not committed, want that the group is waited for\n%s", p.log)
	}
}

func TestOffsetsThatMissTheirGenerationAreWrittenInTheNext(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	c.load(50)
	p := c.start(t.TempDir(), func(o *Options) { o.SessionTimeout = 20 * time.Second; o.Workers = 1 })
	c.caughtUp(p)
	leave := c.ghost()
	c.eventually("the group waits for the ghost", []*running{p}, func() bool {
		return strings.Contains(p.log.String(), "was taken from us") && c.groupState() == waits
	})
	held, release := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	broker := c.broker.Cluster()
	broker.ControlKey(kmsg.TxnOffsetCommit.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		if once.CompareAndSwap(false, true) {
			broker.SleepControl(func() { close(held); <-release })
		}
		return nil, nil, false
	})
	c.load(50)
	<-held // offsets of the generation that ends are on the way
	leave()
	c.eventually("the next generation has begun", []*running{p}, func() bool { return c.groupState() != waits })
	close(release)
	c.caughtUp(p)
	p.stop(t)
	if p.count(t, "commits_total", unknown)+p.count(t, "commits_total", aborted) > 0 {
		t.Errorf("a transaction was not committed, want that its offsets are written again\n%s", p.log)
	}
	c.check()
}

func TestAWorkerThatTheGroupForgotInBetweenCommitsNothingOfBefore(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	c.load(50)
	p := c.start(t.TempDir(), func(o *Options) { o.Workers = 1 })
	c.caughtUp(p)
	// It asks for its place in the next generation, and is told that nobody knows it. It asks as somebody new, and gets
	// what it had: the client says nothing of that. In between, anybody could have had it.
	var refused atomic.Int32
	broker := c.broker.Cluster()
	broker.ControlKey(kmsg.JoinGroup.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		join := req.(*kmsg.JoinGroupRequest)
		if join.MemberID == "" || !refused.CompareAndSwap(0, 1) {
			return nil, nil, false
		}
		resp := join.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.ErrorCode = kerr.UnknownMemberID.Code
		return resp, nil, true
	})
	restored := p.count(t, "restores_total")
	leave := c.ghost()
	leave()
	c.eventually("the worker is not known", []*running{p}, func() bool {
		c.load(1)
		return refused.Load() == 1
	})
	c.load(50)
	c.eventually("it has restored what it had before", []*running{p}, func() bool {
		return p.count(t, "restores_total") >= restored+2
	})
	c.caughtUp(p)
	p.stop(t)
	if log := p.log.String(); !strings.Contains(log, "partition is restored: the group may have given it away") &&
		!strings.Contains(log, "but the group knows us as") {
		t.Errorf("want a word about what was in between\n%s", p.log)
	}
	c.check()
}

func TestAClusterOfOlderTransactionsIsServedInTheirWay(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	older := kadm.FeatureUpdate{Feature: transactionFeature, MaxVersionLevel: 1, UpgradeType: 3}
	features, err := kadm.NewClient(c.client).UpdateFeatures(t.Context(), false, older)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range features {
		if f.Err != nil {
			t.Fatal(f.Err)
		}
	}
	var implicit, added atomic.Int32
	broker := c.broker.Cluster()
	broker.ControlKey(kmsg.TxnOffsetCommit.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		if req.GetVersion() > offsetsExplicit {
			implicit.Add(1)
		}
		return nil, nil, false
	})
	broker.ControlKey(kmsg.AddOffsetsToTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		added.Add(1)
		return nil, nil, false
	})
	c.load(100)
	p := c.start(t.TempDir())
	c.caughtUp(p)
	p.stop(t)
	if n := c.check(); n < 90 {
		t.Fatalf("%d records came out of 100 sessions", n)
	}
	if implicit.Load() > 0 || added.Load() == 0 {
		t.Errorf("offsets were written %d times in the new way, and the group was added %d times",
			implicit.Load(), added.Load())
	}
}
