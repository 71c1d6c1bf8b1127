package interleavings

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// asks are what a process asks of the brokers besides its transactions.
var asks = []kmsg.Key{
	kmsg.SyncGroup, kmsg.Heartbeat, kmsg.JoinGroup, kmsg.OffsetFetch, kmsg.InitProducerID, kmsg.ListOffsets, kmsg.Metadata,
	kmsg.FindCoordinator, kmsg.OffsetForLeaderEpoch,
}

// ways are how one of them comes late.
var ways = []struct {
	name string
	arm  func(*wire, kmsg.Key) *rule
}{
	{"held up", func(w *wire, key kmsg.Key) *rule { return w.hold(key, nil) }},
	{"its answer held up", func(w *wire, key kmsg.Key) *rule { return w.holdAnswers(key) }},
	{"asked twice", func(w *wire, key kmsg.Key) *rule { return w.lag(key, nil) }},
}

// Whatever of it comes late while others come and the group gives partitions away: it is let go when another one has
// gone on.
func TestWhateverComesLateWhileThePartitionsMove(t *testing.T) {
	t.Parallel()
	for _, key := range asks {
		for _, way := range ways {
			t.Run(fmt.Sprintf("%s, %s", key.Name(), way.name), func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				a := s.start("a", stalling())
				s.load(6)
				s.caughtUp()
				late := way.arm(a.wire, key)
				b := s.start("b", stalling())
				s.load(6)
				s.ended(late)
				s.load(4)
				b.has()
				late.release()
				s.judge()
			})
		}
	}
}
