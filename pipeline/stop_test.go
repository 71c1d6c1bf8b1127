package pipeline

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/statestore"
)

func TestAStopIsQuickAndARestartWithinTheSessionTimeoutMovesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 6)
	c.load(100)
	patient := func(o *Options) { o.SessionTimeout = 20 * time.Second; o.Workers = 1 }
	other := func(o *Options) { patient(o); o.Instance = "two" }
	one, dir := c.start(t.TempDir(), patient), t.TempDir()
	two := c.start(dir, other)
	share := func(r *running) (partitions []int32) {
		for _, s := range r.processor.Status().Partitions {
			partitions = append(partitions, s.Partition)
		}
		return partitions
	}
	settled := func() bool {
		return len(share(one)) == 3 && len(share(two)) == 3 && one.processor.Ready() && two.processor.Ready()
	}
	c.eventually("both have half of the partitions", []*running{one, two}, settled)
	c.caughtUp(one, two)
	had, kept := share(two), share(one)
	quiet := len(one.log.String())

	var left atomic.Int32
	broker := c.broker.Cluster()
	broker.ControlKey(int16(kmsg.LeaveGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		left.Add(1)
		return nil, nil, false
	})
	c.load(100)
	began := time.Now()
	two.stop(t)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %v, want 5s at most", took)
	}
	for _, partition := range had { // its stores are closed: others may open them
		two.inStore(t, partition, func(*statestore.Store) error { return nil })
	}
	c.load(100)
	two = c.start(dir, other)
	c.eventually("it has its partitions again", []*running{one, two}, func() bool {
		return len(share(two)) == 3 && two.processor.Ready()
	})
	for i, partition := range share(two) {
		if had[i] != partition {
			t.Errorf("after the restart it has %v, want %v as before", share(two), had)
		}
	}
	if left.Load() > 0 {
		t.Error("the stop left the group")
	}
	text := one.log.String()[quiet:]
	if strings.Contains(text, "was taken from us") || strings.Contains(text, "task restored") ||
		len(share(one)) != len(kept) {
		t.Errorf("the restart of one moved partitions of the other:\n%s", text)
	}
	if two.count(t, "restores_total", "warm") != 3 {
		t.Error("the restart did not use the stores it had")
	}
	c.caughtUp(one, two)
	one.stop(t)
	two.stop(t)
	if n := c.check(); n < 200 {
		t.Fatalf("%d records came out of 300 sessions", n)
	}
}
