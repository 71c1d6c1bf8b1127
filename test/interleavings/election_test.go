package interleavings

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/internal/fixtures/procs"
	"januscdr/pipeline"
)

// A cluster of its own loses the end of a changelog: the follower dies, the leader goes on alone and dies, too, and the
// follower comes back and may lead. What is written then has the offsets of what is gone. A state store that knows what
// is gone ends the process first, and is built anew as soon as the changelog has grown beyond it.
func TestAnUncleanElectionThatCutsTheChangelogIsSeenWhenItHasRegrown(t *testing.T) {
	forSeveral(t)
	t.Parallel()
	k := &procs.Kafka{Root: filepath.Join("..", ".."), Dir: t.TempDir(), Size: 3, Port: 10000 + 100*rand.IntN(90)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := k.Stop(); err != nil {
			t.Error(err)
		}
	})
	must(k.Start(t.Context()))
	s := newSiteOn(t, k.Addresses(), 1)
	leader, follower := s.onTwo()

	dir := t.TempDir()
	metrics := prometheus.NewRegistry()
	a := func(dir string) *process {
		metrics = prometheus.NewRegistry()
		return s.start("a", newWire(), func(o *pipeline.Options) { o.StateDir, o.Registerer = dir, metrics })
	}
	p := a(dir)
	s.load(4)
	s.caughtUp()
	p.end() // and nothing is open that the follower would have without its mark
	s.noneOpen()

	must(k.Kill(int(follower)))
	s.eventually("the leader is alone", func() bool { return slices.Equal(s.changelog().ISR, []int32{leader}) })
	s.all = nil
	p = a(dir)
	s.sessions++
	open := s.sessions // in the store, and over in the changelog that grows then
	s.event(open, "created")
	s.load(4)
	s.caughtUp()
	p.end()
	had := s.changelogEnd()

	must(k.Kill(int(leader)))
	must(k.StartOne(t.Context(), int(follower)))
	s.eventually("the follower leads", func() bool {
		if s.changelog().Leader == follower {
			return true
		}
		var set kadm.TopicsSet
		set.Add(s.topics.State, 0)
		_, _ = s.admin.ElectLeaders(t.Context(), kadm.ElectLiveReplica, set)
		return false
	})
	if now := s.changelogEnd(); now >= had {
		t.Fatalf("the changelog ends at %d and ended at %d: nothing is lost", now, had)
	}

	p = a(dir) // the store is ahead
	<-p.done
	if !errors.Is(p.err, pipeline.ErrAhead) {
		t.Fatalf("with a store that is ahead of the changelog, it ended with %v", p.err)
	}
	s.all = slices.DeleteFunc(s.all, func(other *process) bool { return other == p })

	p = a(t.TempDir()) // whose disk is lost
	s.event(open, "destroyed")
	for s.changelogEnd() <= had+4 {
		s.load(4)
		s.caughtUp()
	}
	p.end()

	p = a(dir)
	s.load(4)
	s.caughtUp()
	s.event(open, "destroyed") // once more: it must be known that it is over
	s.load(4)
	s.caughtUp()
	if !p.says("kafka has lost the end of the changelog, and it has grown again since", "was written, ends at offset") {
		t.Error("nobody says that the changelog was cut")
	}
	if n := counted(t, metrics, "januscdr_changelog_regrown_total"); n != 1 {
		t.Errorf("it was counted %v times", n)
	}
	s.judgeThat(once)
}

// once is each record as it came first. What was committed with the end that is gone comes once more, the same to the
// byte.
func once(came []*kgo.Record) (first []*kgo.Record) {
	for _, r := range came {
		if !slices.ContainsFunc(first, func(f *kgo.Record) bool { return bytes.Equal(f.Value, r.Value) }) {
			first = append(first, r)
		}
	}
	return first
}

// end ends a process in order.
func (p *process) end() {
	p.site.t.Helper()
	p.cancel()
	<-p.done
	if p.err != nil {
		p.site.t.Fatalf("%s ended: %v", p.name, p.err)
	}
}

// onTwo brings the changelog to two of the brokers, one of which may lead without the other, and with less.
func (s *site) onTwo() (leader, follower int32) {
	s.t.Helper()
	all := s.changelog()
	leader = all.Leader
	for _, r := range all.Replicas {
		if r != leader {
			follower = r
		}
	}
	var assign kadm.AlterPartitionAssignmentsReq
	assign.Assign(s.topics.State, 0, []int32{leader, follower})
	moved, err := s.admin.AlterPartitionAssignments(s.t.Context(), assign)
	set, err2 := s.admin.AlterTopicConfigs(s.t.Context(), []kadm.AlterConfig{
		{Name: "unclean.leader.election.enable", Value: kadm.StringPtr("true")},
		{Name: "min.insync.replicas", Value: kadm.StringPtr("1")},
	}, s.topics.State)
	if err = errors.Join(err, err2, moved.Error()); err != nil {
		s.t.Fatal(err)
	}
	for _, of := range set {
		if of.Err != nil {
			s.t.Fatal(of.Err)
		}
	}
	s.eventually("two brokers have the changelog", func() bool {
		now := s.changelog()
		return len(now.Replicas) == 2 && len(now.ISR) == 2 && now.Leader == leader
	})
	return leader, follower
}

// changelog is what the brokers know of its only partition.
func (s *site) changelog() kadm.PartitionDetail {
	s.t.Helper()
	described, err := s.admin.ListTopics(s.t.Context(), s.topics.State)
	if err != nil {
		return kadm.PartitionDetail{Leader: -1}
	}
	return described[s.topics.State].Partitions[0]
}

func (s *site) changelogEnd() (end int64) {
	s.t.Helper()
	s.eventually("the changelog has an end", func() bool {
		listed, err := s.admin.ListEndOffsets(s.t.Context(), s.topics.State)
		at, ok := listed.Lookup(s.topics.State, 0)
		end = at.Offset
		return err == nil && ok && at.Err == nil
	})
	return end
}
