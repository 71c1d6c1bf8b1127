package pipeline

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAnElectionOfLeadersAtTheStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.load(20)
	election := c.broker.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Metadata}, Topic: "events", Err: kerr.LeaderNotAvailable, Count: 2,
	})
	p := c.start(t.TempDir())
	c.caughtUp(p)
	p.stop(t)
	if election.Hits() != 2 {
		t.Fatalf("the brokers were in an election for %d requests, want 2", election.Hits())
	}
	if c.check() == 0 {
		t.Fatal("no record came out")
	}
}

// Of the requests by which a processor looks at the topics another one fails in each run.
func TestATopicOfWhichNothingIsToldAtTheStartIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for n := range 6 {
		c := newCluster(t, 1)
		c.load(20)
		asked := 0
		var over atomic.Bool // what is left of the fault is not for the readers of this test
		c.broker.Cluster().Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Metadata}, Topic: "dlq", Err: kerr.LeaderNotAvailable, Count: 1,
			When: func(kmsg.Request) bool { asked++; return asked > n && !over.Load() },
		})
		p := c.start(t.TempDir())
		c.caughtUp(p)
		over.Store(true)
		p.stop(t)
		if c.check() == 0 {
			t.Fatal("no record came out")
		}
	}
}

func TestBrokersThatGoAwayAtTheStartAreWaitedFor(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.load(20)
	cut := &cutter{key: int16(kmsg.DescribeConfigs), err: errors.New("cut for good")} // while the topics are looked at
	cut.armed.Store(1)
	p := c.start(t.TempDir(), func(o *Options) { o.Kafka.Dialer = cut.dial })
	c.caughtUp(p)
	p.stop(t)
	if cut.cuts.Load() != 1 {
		t.Fatalf("%d connections were cut, want 1", cut.cuts.Load())
	}
}

func TestABrokerThatGivesNoProducerIDKeepsNobodyFromBarriersAndTicks(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.load(20)
	c.broker.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Err: kerr.UnknownServerError, Count: -1,
		When: func(r kmsg.Request) bool { return r.(*kmsg.InitProducerIDRequest).TransactionalID == nil },
	})
	p := c.start(t.TempDir())
	c.caughtUp(p)
	p.stop(t)
	if c.check() == 0 {
		t.Fatal("no record came out")
	}
}
