package pipeline

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rebalancing are members of a group, each with its lineage, and what a coordinator has of them.
type rebalancing struct {
	t       *testing.T
	members map[string]*groupie
}

type groupie struct {
	name       string
	balancer   notifyingBalancer
	generation int32
	metadata   []byte // as the coordinator has it
}

func (m *groupie) GroupMetadata() (string, int32) { return m.name, m.generation }

func newRebalancing(t *testing.T, names ...string) *rebalancing {
	r := &rebalancing{t: t, members: map[string]*groupie{}}
	for _, name := range names {
		r.members[name] = &groupie{name: name, generation: -1, balancer: notifyingBalancer{
			kgo.CooperativeStickyBalancer(), name, &inbox{}, &lineage{}, func(map[string][]int32) {}}}
	}
	return r
}

// asks lets members ask for a place. What one that is not kept has said is forgotten, but for that it was told.
func (r *rebalancing) asks(generation int32, kept bool, names ...string) {
	for _, name := range names {
		m := r.members[name]
		metadata := m.balancer.JoinGroupMetadata([]string{"events"}, nil, m.generation)
		if kept {
			m.metadata = metadata
		}
		m.generation = generation
	}
}

// leads lets a member give partitions away, and the others hear of it.
func (r *rebalancing) leads(leader string, hear ...string) {
	r.t.Helper()
	var joined []kmsg.JoinGroupResponseMember
	for name, m := range r.members {
		one := kmsg.NewJoinGroupResponseMember()
		one.MemberID, one.InstanceID, one.ProtocolMetadata = name, &m.name, m.metadata
		joined = append(joined, one)
	}
	of, _, err := r.members[leader].balancer.MemberBalancer(joined)
	if err != nil {
		r.t.Fatal(err)
	}
	of.(kgo.GroupMemberBalancerInfo).SetBalanceInfo(kgo.BalanceInfo{Generation: r.members[leader].generation})
	plan, err := of.(kgo.GroupMemberBalancerOrError).BalanceOrError(map[string]int32{"events": 4})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, a := range plan.IntoSyncAssignment() {
		for _, name := range hear {
			if name == a.MemberID {
				if _, err := r.members[name].balancer.ParseSyncAssignment(a.MemberAssignment); err != nil {
					r.t.Fatal(err)
				}
			}
		}
	}
}

func (r *rebalancing) place(name string) place {
	m := r.members[name]
	return m.balancer.lineage.place(m)
}

func TestAChainGoesOnAsLongAsEachGenerationHadUsInIt(t *testing.T) {
	t.Parallel()
	both := []string{"a", "b"}
	for _, c := range []struct {
		name  string
		then  func(*rebalancing)
		whole bool
	}{
		{"the next one", func(r *rebalancing) { r.asks(4, true, both...); r.leads("b", both...) }, true},
		{"the next one, as its leader", func(r *rebalancing) { r.asks(4, true, both...); r.leads("a", both...) }, true},
		{"one that it does not hear of, since the next begins", func(r *rebalancing) {
			r.asks(4, true, both...)
			r.leads("b", "b")
			r.asks(5, true, both...)
			r.leads("b", both...)
		}, true},
		{"one that it does not hear of, and another leader", func(r *rebalancing) {
			r.asks(4, true, both...)
			r.leads("b", "b")
			r.asks(5, true, both...)
			r.leads("a", both...)
		}, false},
		{"one that nobody hears of", func(r *rebalancing) {
			r.asks(4, true, both...)
			r.asks(5, true, both...)
			r.leads("b", both...)
		}, false},
		{"one that it misses", func(r *rebalancing) {
			r.asks(4, true, "b")
			r.leads("b", "b")
			r.asks(5, true, both...)
			r.leads("b", both...)
		}, false},
		{"one of which it was told and which was forgotten, and another of that number", func(r *rebalancing) {
			r.asks(4, false, both...)
			r.members["b"].generation = 3
			r.asks(4, true, "b")
			r.leads("b", both...)
		}, false},
		{"the same, and then the next", func(r *rebalancing) {
			r.asks(4, false, both...)
			r.members["b"].generation = 3
			r.asks(4, true, "b")
			r.leads("b", "b")
			r.asks(5, true, both...)
			r.leads("b", both...)
		}, false},
		{"a group that counts anew", func(r *rebalancing) {
			for _, name := range both {
				r.members[name].metadata = nil
			}
			r.asks(1, true, both...)
			r.leads("b", both...)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRebalancing(t, both...)
			r.asks(2, true, both...)
			r.leads("b", both...)
			r.asks(3, true, both...)
			r.leads("b", both...)
			before := r.place("a")
			if !before.settled || before.generation != 3 {
				t.Fatalf("it is at %+v", before)
			}
			c.then(r)
			now := r.place("a")
			if !now.settled {
				t.Error("it has an assignment and does not know it")
			}
			if before.leadsTo(now) != c.whole {
				t.Errorf("from %+v to %+v it is one chain: %v", before, now, !c.whole)
			}
		})
	}
}

func TestAGenerationCountsWhenTheGroupHasSaidWhatIsOurs(t *testing.T) {
	t.Parallel()
	r := newRebalancing(t, "a", "b")
	if r.place("a").settled {
		t.Error("it has asked for nothing")
	}
	r.asks(3, true, "a", "b")
	if r.place("a").settled {
		t.Error("it has no assignment")
	}
	r.leads("b", "a", "b")
	if !r.place("a").settled {
		t.Error("it has one")
	}
	r.asks(4, true, "a", "b")
	if r.place("a").settled {
		t.Error("it has none in the next one")
	}
}

// A leader of a version of before says nothing of whom it saw: the number must do.
func TestALeaderThatVouchesForNobodyIsBelievedByTheNumber(t *testing.T) {
	t.Parallel()
	m := &groupie{name: "a", generation: -1}
	l := &lineage{}
	joins := func(generation int32) place {
		l.joins(m.generation, func(int32) []byte { return nil })
		m.generation = generation
		v, err := l.vouchedBy((&kmsg.ConsumerMemberAssignment{}).AppendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		l.assigned(v)
		return l.place(m)
	}
	first, next := joins(3), joins(4)
	if !first.leadsTo(next) {
		t.Error("the next one breaks the chain")
	}
	if next.leadsTo(joins(6)) {
		t.Error("one that is missing breaks no chain")
	}
}

func FuzzVoucher(f *testing.F) {
	f.Add(voucher{seen: map[int32]words{3: {1}, 4: {2}}}.bytes())
	f.Add([]byte{voucherVersion, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		v := readVoucher(b)
		if v.none {
			return
		}
		again := readVoucher(v.bytes())
		if len(again.seen) != len(v.seen) {
			t.Errorf("%v is written as %v", v, again)
		}
		for generation, with := range v.seen {
			if !again.knew(generation, with, false) {
				t.Errorf("generation %d is lost", generation)
			}
		}
	})
}
