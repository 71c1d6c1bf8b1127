package interleavings

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/pipeline"
)

// stalls is how long the group waits for a member in these tests.
const stalls = 3 * time.Second

func stalling() *wire {
	w := newWire()
	w.rebalanceTimeout = stalls
	return w
}

// missing brings two processes to where the group has begun a generation without the first, which is a static member
// and stays one, and has given one of its partitions to the second. The first one's question for a place is on the way,
// and what it reads is held back.
func missing(t *testing.T) (s *site, a, b *process, join, fetch *rule) {
	s = newSite(t)
	// What comes from several brokers is to be in one transaction.
	a = s.start("a", stalling(), func(o *pipeline.Options) { o.CommitInterval = time.Second })
	s.load(10)
	s.caughtUp()
	join = a.wire.hold(kmsg.JoinGroup, nil)
	b = s.start("b", stalling(), func(o *pipeline.Options) { o.Leave = true })
	s.reaches("the first asks for its place in the next generation", join)
	fetch = a.wire.holdAnswers(kmsg.Fetch)
	s.load(10)
	return s, a, b, join, fetch
}

func TestAStaticMemberThatMissedAGenerationCommitsNothingOfBeforeInTheNext(t *testing.T) {
	t.Parallel()
	s, a, b, join, fetch := missing(t)
	missed(s, a, b, join, fetch, func() {})
}

// The next coordinator knows the member by what the one before has written down.
func TestAStaticMemberThatMissedAGenerationIsKnownToTheNextCoordinator(t *testing.T) {
	forSeveral(t)
	t.Parallel()
	for _, of := range coordinators {
		t.Run(of, func(t *testing.T) {
			t.Parallel()
			s, a, b, join, fetch := missing(t)
			missed(s, a, b, join, fetch, func() { s.move(of, "a") })
		})
	}
}

// missed lets the first commit what it has folded in the generation after the one that it has missed.
func missed(s *site, a, b *process, join, fetch *rule, between func()) {
	produce := a.wire.hold(kmsg.Produce, transactional)
	answered := a.wire.passes(kmsg.TxnOffsetCommit, nil)
	fetch.release()
	s.reaches("its messages are on the way", produce)
	b.has()
	between()
	produce.release() // behind the barrier of the second
	s.reaches("its offsets are refused", answered)
	join.release()
	s.judge()
}

func TestAStaticMemberThatMissedAGenerationRestoresWhatItKeeps(t *testing.T) {
	t.Parallel()
	s, _, b, join, fetch := missing(t)
	b.has()
	b.cancel() // leaves
	<-b.done
	join.release()
	s.eventually("the group is stable", func() bool { return s.groupState() == "Stable" })
	fetch.release()
	s.judge()
}
