package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// words are what a member said when it asked for a place, in short. They are others for each generation in which it was
// told what is its own, as it names that.
type words [8]byte

func wordsOf(metadata []byte) (w words) {
	sum := sha256.Sum256(metadata)
	copy(w[:], sum[:])
	return w
}

// voucher is what comes with an assignment: the words of the member that a leader had before it when it gave partitions
// away, by generation. The leader has those of the generations before that it has led, too: a member that does not hear
// of one, because the next begins so soon, has not missed it.
type voucher struct {
	seen map[int32]words
	none bool // the leader says nothing of it: it is of a version of before
}

// knew tells whether the member was in a generation with these words. Of a leader that says nothing, nothing is known
// but that the number is the next one.
func (v *voucher) knew(generation int32, with words, next bool) bool {
	if v.none {
		return next
	}
	seen, ok := v.seen[generation]
	//mutant:leader-saw
	if !ok || seen != with {
		return false
	}
	return true
}

const (
	voucherVersion = 1
	vouchedFor     = 4 // generations at most
)

// bytes are the version, and then generation and words, again and again.
func (v voucher) bytes() []byte {
	b := []byte{voucherVersion}
	for _, generation := range slices.Sorted(maps.Keys(v.seen)) {
		with := v.seen[generation]
		b = append(binary.BigEndian.AppendUint32(b, uint32(generation)), with[:]...)
	}
	return b
}

// readVoucher reads what comes with an assignment. Anything else than ours says nothing.
func readVoucher(b []byte) voucher {
	const one = 4 + len(words{})
	if len(b) == 0 || b[0] != voucherVersion || (len(b)-1)%one != 0 || (len(b)-1)/one > vouchedFor {
		return voucher{none: true}
	}
	v := voucher{seen: map[int32]words{}}
	for b = b[1:]; len(b) > 0; b = b[one:] {
		v.seen[int32(binary.BigEndian.Uint32(b))] = words(b[4:one])
	}
	return v
}

// leadership is what a client knows of members as their leader.
type leadership struct {
	seen map[int32]map[string]words // by generation, of those that it has led, and by member
	plan struct {                   // of a generation that may not begin
		generation int32
		seen       map[string]words
		self       string // its member id
		own        []byte // its own assignment
	}
}

// leads notes a plan, and puts a voucher into each assignment but the leader's own. A leader that starts again is shown
// what it had, and asks for another generation when that is not the same to the byte as it would be now.
func (l *lineage) leads(self string, of *kgo.ConsumerBalancer, plan []kmsg.SyncGroupRequestGroupAssignment) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.led.plan
	p.generation, p.self, p.own, p.seen = of.Info().Generation, "", nil, map[string]words{}
	of.EachMember(func(member *kmsg.JoinGroupResponseMember, _ *kmsg.ConsumerMemberMetadata) {
		p.seen[member.MemberID] = wordsOf(member.ProtocolMetadata)
		if member.InstanceID != nil && *member.InstanceID == self {
			p.self = member.MemberID
		}
	})
	for i := range plan {
		a := &plan[i]
		if a.MemberID == p.self {
			p.own = a.MemberAssignment
			continue
		}
		var assignment kmsg.ConsumerMemberAssignment
		if err := assignment.ReadFrom(a.MemberAssignment); err != nil {
			return err
		}
		assignment.UserData = l.led.voucher(a.MemberID).bytes()
		a.MemberAssignment = assignment.AppendTo(nil)
	}
	return nil
}

// voucher is that of a member, in the generation that is planned.
func (l *leadership) voucher(member string) voucher {
	v := voucher{seen: map[int32]words{}}
	for generation, seen := range l.seen {
		if with, ok := seen[member]; ok && generation < l.plan.generation {
			v.seen[generation] = with
		}
	}
	if with, ok := l.plan.seen[member]; ok {
		v.seen[l.plan.generation] = with
	}
	return v
}

// vouchedBy reads the voucher of an assignment. When it is the one that we have planned, the generation has begun as we
// saw it.
func (l *lineage) vouchedBy(assignment []byte) (voucher, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := &l.led.plan; p.own != nil && bytes.Equal(p.own, assignment) {
		v := l.led.voucher(p.self)
		l.led.begun()
		p.own = nil
		return v, nil
	}
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(assignment); err != nil {
		return voucher{}, err
	}
	return readVoucher(a.UserData), nil
}

// begun keeps what was seen in the generation that was planned, and in the last ones before it.
func (l *leadership) begun() {
	if l.seen == nil {
		l.seen = map[int32]map[string]words{}
	}
	now := l.plan.generation
	maps.DeleteFunc(l.seen, func(n int32, _ map[string]words) bool { return n >= now || n <= now-vouchedFor+1 })
	l.seen[now] = l.plan.seen
}

// vouching balances as another one does, and lets the lineage put vouchers into the plan.
type vouching struct {
	kgo.ConsumerBalancerBalance
	lineage *lineage
	name    string // of the member, among the static ones
}

// Balance makes a plan.
func (v vouching) Balance(of *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	into := v.ConsumerBalancerBalance.Balance(of, topics)
	if into == nil {
		return nil
	}
	plan := into.IntoSyncAssignment()
	if err := v.lineage.leads(v.name, of, plan); err != nil {
		of.SetError(err)
		return nil
	}
	return vouched(plan)
}

// vouched is a plan with vouchers.
type vouched []kmsg.SyncGroupRequestGroupAssignment

// IntoSyncAssignment gives the plan away.
func (v vouched) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment { return v }
