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

// forgotten are how a member goes on that was told of a generation which the coordinator has not written down.
var forgotten = []string{"it waits for its assignment still", "it gets its assignment", "it is sent to join again"}

// A generation stands in no log before its leader has given partitions away. When the coordinator moves before, the
// next one counts the same number again, and that generation can begin without a static member that takes it for its
// own.
func TestAGenerationThatTheCoordinatorHasForgottenIsNotTheNextOfItsNumber(t *testing.T) {
	forSeveral(t)
	t.Parallel()
	for _, how := range forgotten {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			wire := func() *wire { // the group waits so long for those who join, and then for those who ask what is theirs
				w := newWire()
				w.rebalanceTimeout = 2 * stalls
				return w
			}
			late := func(o *pipeline.Options) {
				if how != forgotten[0] { // what it has folded goes out when it must: the client waits with a move
					o.CommitInterval = 20 * time.Second
				}
			}
			a := s.start("a", wire(), late)
			s.load(10)
			s.caughtUp()
			fetch, sync := a.wire.holdAnswers(kmsg.Fetch), a.wire.hold(kmsg.SyncGroup, nil)
			s.load(10)
			b := s.start("b", wire())
			s.reaches("it asks for its assignment in the next generation", sync)
			s.move("__consumer_offsets", "a")
			b.has() // in another generation of that number
			read := a.wire.passes(kmsg.Fetch, nil)
			fetch.release()
			s.eventually("it has the same events, or has lost its place for good", func() bool {
				select {
				case <-read.reached:
					return true
				default:
					return len(a.running()) == 0
				}
			})
			switch how {
			case forgotten[0]:
				s.eventually("it is thrown out", func() bool { return len(b.running()) == partitions })
			case forgotten[2]:
				join := b.wire.hold(kmsg.JoinGroup, nil)
				s.start("c", wire())
				s.reaches("the group looks for its next generation", join)
				asks := a.wire.hold(kmsg.JoinGroup, nil)
				sync.release()
				s.reaches("it joins", asks)
				asks.release()
				join.release()
			}
			sync.release()
			s.judge()
		})
	}
}
