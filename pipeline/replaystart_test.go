package pipeline

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/statestore"
)

func TestACheckpointIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, epoch := range []int32{-1, 0, 7, 1 << 30} {
		want := checkpoint{next: 1 << 40, at: time.UnixMilli(1_700_000_000_123), epoch: epoch}
		if got, ok := readCheckpoint(want.bytes()); !ok || got != want {
			t.Fatalf("got %+v, %v; want %+v", got, ok, want)
		}
	}
	// Of the version before: 300, and 5 ms.
	old := checkpoint{next: 300, at: time.UnixMilli(5), epoch: -1}
	if got, ok := readCheckpoint([]byte{1, 0xac, 0x02, 10}); !ok || got != old {
		t.Errorf("of the version before got %+v, %v; want %+v", got, ok, old)
	}
	for _, b := range [][]byte{nil, {}, {3, 1, 1, 1}, {1}, {1, 0x80}, {1, 5}, {2, 5, 2}, {2, 5, 2, 0x80}} {
		if _, ok := readCheckpoint(b); ok {
			t.Errorf("%v was taken for a checkpoint", b)
		}
	}
}

// An election of a leader that lacks records cuts the log; what is written then has the offsets of what is gone.
func TestAStoreOfAChangelogThatWasCutAndRegrewIsBuiltAnew(t *testing.T) {
	t.Parallel()
	for name, scene := range map[string]struct {
		epoch, behind int32 // what the leader says of the epoch of the checkpoint
		cold          bool
		why           string
	}{
		"it has all of it":                 {epoch: 0},
		"the epoch ends before":            {epoch: 0, behind: 1, cold: true, why: "was written, ends at offset"},
		"the epoch is not known":           {epoch: -1, cold: true, why: "knows nothing of epoch"},
		"the epoch of another one is told": {epoch: -2, cold: true, why: "knows nothing of epoch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			c.load(50)
			dir := t.TempDir()
			p := c.start(dir)
			c.caughtUp(p)
			p.stop(t)
			var had checkpoint
			p.inStore(t, 0, func(s *statestore.Store) error {
				had, _ = readCheckpoint(s.Checkpoint())
				if !scene.cold {
					return nil
				}
				other := func(yield func(k, v []byte) bool) {
					_ = yield([]byte("sghost"), []byte("x")) && yield([]byte("p"), []byte("of another history"))
				}
				return s.Remember(other, s.Checkpoint())
			})
			var asked atomic.Int32
			broker := c.broker.Cluster()
			broker.ControlKey(kmsg.OffsetForLeaderEpoch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
				broker.KeepControl()
				ask := req.(*kmsg.OffsetForLeaderEpochRequest)
				if len(ask.Topics) != 1 || ask.Topics[0].Topic != "state" {
					return nil, nil, false // of a client that reads
				}
				asked.Store(1 + ask.Topics[0].Partitions[0].LeaderEpoch)
				resp := ask.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
				topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
				topic.Topic = "state"
				one := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				one.LeaderEpoch, one.EndOffset = scene.epoch, had.next-int64(scene.behind)
				topic.Partitions = append(topic.Partitions, one)
				resp.Topics = append(resp.Topics, topic)
				return resp, nil, true
			})
			c.load(50)
			p = c.start(dir)
			c.caughtUp(p)
			p.stop(t)
			c.check()
			if asked.Load() != 1+had.epoch || had.epoch < 0 {
				t.Errorf("asked for epoch %d, want that of the checkpoint, %d", asked.Load()-1, had.epoch)
			}
			if cold := p.count(t, "restores_total", "cold") == 1; cold != scene.cold {
				t.Errorf("the restore was cold: %v, want %v", cold, scene.cold)
			}
			if said := p.count(t, "changelog_regrown_total") == 1; said != scene.cold || said &&
				!strings.Contains(p.log.String(), scene.why) {
				t.Errorf("counted: %v, want %v, and why: %s\n%s", said, scene.cold, scene.why, p.log)
			}
		})
	}
}

// A leader that has all of it may be another one than that of the checkpoint.
func TestAnElectionThatLosesNothingKeepsTheStoreWarm(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	elect := func() {
		if err := c.broker.Cluster().MoveTopicPartition("state", 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	c.load(50)
	dir := t.TempDir()
	for range 3 {
		p := c.start(dir)
		c.caughtUp(p)
		elect()
		c.load(50)
		c.caughtUp(p)
		elect() // the client does not hear of it
		p.stop(t)
		if n := p.count(t, "changelog_regrown_total"); n > 0 {
			t.Fatalf("%v restores were told that the changelog was cut\n%s", n, p.log)
		}
	}
	c.check()
}
