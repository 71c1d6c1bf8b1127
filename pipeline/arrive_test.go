package pipeline

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAnElectionOfLeadersAtTheStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.load(20)
	election := c.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "events", Err: kerr.LeaderNotAvailable, Count: 2})
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
