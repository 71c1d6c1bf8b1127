package interleavings

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// atLevel1 are those of them that a client sends only there.
var atLevel1 = map[string]kmsg.Key{"partitions": kmsg.AddPartitionsToTxn, "the group": kmsg.AddOffsetsToTxn}

// again are what a client sends a second time when it loses the connection, while the first one is on its way still.
var again = map[string]kmsg.Key{
	"an end": kmsg.EndTxn, "offsets": kmsg.TxnOffsetCommit, "messages": kmsg.Produce,
}

// What was asked twice arrives the second time in the middle of the next transaction, and the process dies there.
func TestWhatWasAskedTwiceArrivesInTheNextTransaction(t *testing.T) {
	t.Parallel()
	for name, key := range again {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			askedTwice(newSite(t), key)
		})
	}
}

func askedTwice(s *site, key kmsg.Key) {
	a := s.start("a", newWire())
	s.load(6)
	s.caughtUp()
	var when func(kmsg.Request) bool
	if key == kmsg.Produce {
		when = s.toRecords
	}
	first := a.wire.lag(key, when)
	s.load(6)
	s.caughtUp()
	offsets := a.wire.hold(kmsg.TxnOffsetCommit, nil)
	s.load(6)
	s.reaches("the next transaction has its messages", offsets)
	first.release()
	s.eventually("what was late has arrived", func() bool { return a.wire.settled() })
	a.kill()
	s.start("a", newWire())
	s.judge()
}

// An end that was asked for twice arrives the second time when the one who asked has lost its partitions, and has the
// messages of its next transaction behind the barrier of the next owner: it must not end that one.
// Nothing runs beside it: the next owner must be there before the time of a flush is over.
func TestAnEndThatWasAskedTwiceDoesNotGoAroundTheFence(t *testing.T) {
	aroundTheFence(newSite(t))
}

func aroundTheFence(s *site) {
	a := s.start("a", newWire())
	s.load(6)
	s.caughtUp()
	first := a.wire.lag(kmsg.EndTxn, nil)
	s.load(6)
	s.reaches("an end is on its way, and asked again", first)
	s.caughtUp()
	fetch := a.wire.holdAnswers(kmsg.Fetch)
	s.load(6)
	produce := a.wire.hold(kmsg.Produce, transactional)
	fetch.release()
	s.reaches("the messages of the next transaction are on their way", produce)
	s.takeOut("a")
	b := s.start("b", newWire())
	b.has()
	offsets := a.wire.hold(kmsg.TxnOffsetCommit, nil)
	produce.release()
	s.reaches("they are behind the barrier of the next owner", offsets)
	first.release()
	s.eventually("what was late has arrived", func() bool { return a.wire.settled() })
	a.kill()
	s.judge()
}
