package interleavings

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/pipeline"
)

// stops are where the transaction of an old owner stands still: with nothing in the log, with all in the log and before
// its fence, behind its fence, and with its end on the way, there or back.
var stops = []struct {
	name  string
	key   kmsg.Key
	back  bool // the answer is held
	waits bool // all of the transaction is in the changelog: the next owner waits for its end
	done  bool // it has ended
}{
	{"its messages are on the way", kmsg.Produce, false, false, false},
	{"its offsets are on the way", kmsg.TxnOffsetCommit, false, true, false},
	{"its offsets are taken", kmsg.TxnOffsetCommit, true, true, false},
	{"its end is on the way", kmsg.EndTxn, false, true, false},
	{"its end is done and not answered", kmsg.EndTxn, true, false, true},
}

// nexts are how far the next owner is when the old one goes on.
var nexts = []struct {
	name string
	arm  func(*wire) *rule
}{
	{"its id is asked for", func(w *wire) *rule { return w.hold(kmsg.InitProducerID, nil) }},
	{"its barrier is on the way", func(w *wire) *rule { return w.hold(kmsg.Produce, plain) }},
	{"its barrier is written", func(w *wire) *rule { return w.passes(kmsg.Produce, plain) }},
	{"its first offsets are on the way", func(w *wire) *rule { return w.hold(kmsg.TxnOffsetCommit, nil) }},
}

// old brings a process to where its transaction stands still and the group has thrown it out.
func (s *site) old(stop kmsg.Key, back bool) (a *process, held *rule) {
	a = s.start("a", newWire())
	s.load(6)
	s.caughtUp()
	fetch := a.wire.holdAnswers(kmsg.Fetch) // so that all comes in one transaction
	s.load(6)
	switch {
	case stop == kmsg.Produce:
		held = a.wire.hold(stop, s.toRecords)
	case back:
		held = a.wire.holdAnswers(stop)
	default:
		held = a.wire.hold(stop, nil)
	}
	fetch.release()
	s.reaches("the old owner stands still", held)
	s.takeOut("a")
	return a, held
}

func TestTheTransactionOfAnOldOwnerAndTheRestoreOfTheNext(t *testing.T) {
	t.Parallel()
	for _, stop := range stops {
		for _, next := range nexts {
			t.Run(stop.name+", and of the next owner "+next.name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				_, held := s.old(stop.key, stop.back)
				w := newWire()
				at, barrier := next.arm(w), w.passes(kmsg.Produce, plain)
				b := s.start("b", w)
				s.load(2) // something of its own to commit
				if stop.done {
					s.reaches("the next owner is there", at)
				} else { // it comes no further than its barrier, if anything of the transaction is in its changelog
					s.reaches("the next owner is there, or waits", at, barrier)
				}
				if stop.waits && len(b.running()) > 0 {
					t.Errorf("the next owner works though the transaction of the old one is open")
				}
				held.release()
				at.release()
				s.judge()
			})
		}
	}
}

// running are the partitions that a process works on.
func (p *process) running() (all []int32) {
	for _, at := range p.runs.Status().Partitions {
		if at.State == pipeline.Running {
			all = append(all, at.Partition)
		}
	}
	return all
}

// A coordinator that moves while a transaction stands still knows of it, or says that it does not; then it is aborted.
// It moves when the next owner is there, or waits.
func TestTheCoordinatorsMoveWhileATransactionStandsStill(t *testing.T) {
	forSeveral(t)
	t.Parallel()
	for _, stop := range stops {
		for _, next := range nexts {
			for _, of := range coordinators {
				t.Run(fmt.Sprintf("%s, and of the next owner %s; that of %s", stop.name, next.name, of), func(t *testing.T) {
					t.Parallel()
					s := newSite(t)
					_, held := s.old(stop.key, stop.back)
					w := newWire()
					at, barrier := next.arm(w), w.passes(kmsg.Produce, plain)
					s.start("b", w)
					s.load(2)
					s.reaches("the next owner is there, or waits", at, barrier)
					s.move(of, "a")
					held.release()
					at.release()
					s.judge()
				})
			}
		}
	}
}

// coordinators are what can move: who knows of transactions, and who knows of the group.
var coordinators = []string{"__transaction_state", "__consumer_offsets"}

func forSeveral(t *testing.T) {
	t.Helper()
	if len(brokers) == 1 {
		t.Skip("one broker is every coordinator")
	}
}

// move moves the coordinator of the group, or of the transactions of a process.
func (s *site) move(topic, process string) {
	s.t.Helper()
	id := s.group
	if topic == "__transaction_state" {
		id += "-" + process + "-0"
	}
	s.moveCoordinator(topic, id)
}

// What a dead owner has left open is aborted by the brokers when its time is over, and the next one goes on then.
func TestARestoreWaitsNoLongerThanTheTransactionTimeout(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, _ := s.old(kmsg.EndTxn, false)
	a.kill() // its end never comes
	w := newWire()
	barrier := w.passes(kmsg.Produce, plain)
	b := s.start("b", w)
	s.reaches("the next owner is at its barrier", barrier)
	b.has() // in the patience of this test: 10 s, and as much again until the brokers look
	s.judge()
}
