package interleavings

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// An end whose request or answer is lost has an outcome that only the changelog knows.
func TestAnEndThatIsNotAnsweredIsAskedOfTheChangelog(t *testing.T) {
	t.Parallel()
	for name, done := range map[string]bool{"it was not done": false, "it was done": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unanswered(newSite(t), done, func() {})
		})
	}
}

func TestTheCoordinatorsMoveWhenAnEndIsNotAnswered(t *testing.T) {
	forSeveral(t)
	t.Parallel()
	for _, of := range coordinators {
		for name, done := range map[string]bool{"it was not done": false, "it was done": true} {
			t.Run(name+", that of "+of, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				unanswered(s, done, func() { s.move(of, "a") })
			})
		}
		for name, key := range lates {
			t.Run(name+" of a dead process, late, that of "+of, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				late(s, key, func() { s.move(of, "a") })
			})
		}
	}
}

func unanswered(s *site, done bool, between func()) {
	a := s.start("a", newWire())
	s.load(6)
	s.caughtUp()
	for range 2 {
		cut := a.wire.cutAt(kmsg.EndTxn, done)
		s.load(6)
		s.reaches("the end is not answered", cut)
		between()
		s.caughtUp()
	}
	s.judge()
}

// lates are what a dead process has sent and what arrives when the next one of its name has begun.
var lates = map[string]kmsg.Key{"messages": kmsg.Produce, "offsets": kmsg.TxnOffsetCommit, "an end": kmsg.EndTxn}

func TestWhatADeadProcessHasSentComesWhenTheNextOfItsNameHasBegun(t *testing.T) {
	t.Parallel()
	for name, key := range lates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			late(newSite(t), key, func() {})
		})
	}
}

func late(s *site, key kmsg.Key, between func()) {
	a := s.start("a", newWire())
	s.load(6)
	s.caughtUp()
	held := a.wire.hold(key, nil)
	if key == kmsg.Produce {
		held.release()
		held = a.wire.hold(key, s.toRecords)
	}
	s.load(6)
	s.reaches("something is on the way", held)
	a.kill()
	w := newWire()
	begun, asks := w.passes(kmsg.InitProducerID, nil), w.hold(kmsg.OffsetFetch, nil)
	next := s.start("a", w)
	s.reaches("the next one has its id", begun)
	s.reaches("it asks for the offsets of the group", asks)
	between()
	held.release()
	s.eventually("what was late has arrived", func() bool { return a.wire.idle() })
	asks.release()
	next.has()
	s.judge()
}

// The level of the cluster says how transactions go: below 2, an end does not begin a new epoch, and what is late is
// not told from what is not by that.
func TestTransactionsOfLevel1(t *testing.T) {
	s := newSite(t)
	s.level(1)
	t.Cleanup(func() { s.level(2) })
	t.Run("all", func(t *testing.T) {
		for name, key := range lates {
			t.Run(name+" of a dead process, late", func(t *testing.T) {
				t.Parallel()
				late(newSite(t), key, func() {})
			})
		}
		t.Run("an end that was asked twice does not go around the fence", func(t *testing.T) {
			t.Parallel()
			aroundTheFence(newSite(t))
		})
		twice := maps.Clone(again)
		maps.Copy(twice, atLevel1)
		for name, key := range twice {
			t.Run(name+", asked twice", func(t *testing.T) {
				t.Parallel()
				askedTwice(newSite(t), key)
			})
		}
		for name, done := range map[string]bool{"it was not done": false, "it was done": true} {
			t.Run("an end that is not answered: "+name, func(t *testing.T) {
				t.Parallel()
				unanswered(newSite(t), done, func() {})
			})
		}
	})
}

// level sets the level of transactions, and waits until each broker goes by it.
func (s *site) level(level int16) {
	s.t.Helper()
	const feature = "transaction.version"
	ctx := context.Background() // also when the test has ended
	kind := int8(1)
	if level == 1 {
		kind = 2 // a safe downgrade
	}
	updated, err := s.admin.UpdateFeatures(ctx, false,
		kadm.FeatureUpdate{Feature: feature, MaxVersionLevel: level, UpgradeType: kind})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range updated {
		if f.Err != nil {
			s.t.Fatal(f.Err)
		}
	}
	listed, err := s.admin.ListBrokers(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, node := range listed.NodeIDs() {
		s.eventually(fmt.Sprintf("broker %d goes by level %d", node, level), func() bool {
			ask := kmsg.NewPtrApiVersionsRequest()
			ask.ClientSoftwareName, ask.ClientSoftwareVersion = "test", "1"
			resp, err := s.client.Broker(int(node)).Request(ctx, ask)
			return err == nil && slices.ContainsFunc(resp.(*kmsg.ApiVersionsResponse).FinalizedFeatures,
				func(f kmsg.ApiVersionsResponseFinalizedFeature) bool {
					return f.Name == feature && f.MaxVersionLevel == level
				})
		})
	}
}
