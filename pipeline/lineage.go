package pipeline

import (
	"maps"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A static member that misses a generation stays in the group under its member id: Apache Kafka removes only dynamic
// members that have not joined when the time for it is over (onCompleteJoin in its group coordinator). The leader
// gives partitions away by what the missing member said when it joined last, so one that it was given after that goes
// to another at once, without a revocation. The next generation takes the member in again under the same id.
//
// What tells is the number: each generation has the next one, and a member that joins each of them sees each. But the
// number counts only when the leader has given partitions away, since that is when the coordinator writes it down.
// Until then it stands in memory, and whoever coordinates next counts it again: for a generation that can begin
// without a member that was told of the first one, and takes this for it. So a leader says with each assignment which
// words of the member it had before it, and the member sees whether those are its last ones (vouch.go).

// lineage is the chain of generations that a client has been in without missing one. A partition that was assigned in a
// chain was ours all the time, until it is revoked, or the chain breaks. The zero value is ready for a new client.
type lineage struct {
	mu    sync.Mutex
	last  int32 // generation in which the group has said last what is ours; 0 for none
	chain int   // counts those that broke

	asked struct { // the last time that we asked for a place
		in    int32 // this generation
		words words
	}
	said   map[int32]words // with which we came into a generation
	synced *voucher        // of the present generation, whose number is to be seen still; nil for none
	led    leadership
}

// place is where a client is in the group: what the brokers are told with offsets, and what tells whether somebody else
// can have had our partitions since.
type place struct {
	member     string
	generation int32
	chain      int
	settled    bool // the group has said what is ours in this generation
}

// leadsTo tells whether nobody else can have had in between what was ours here.
func (p place) leadsTo(now place) bool { return p.member == now.member && p.chain == now.chain }

// groupMember is a client that knows its place as it was told last.
type groupMember interface {
	GroupMetadata() (member string, generation int32)
}

var _ groupMember = (*kgo.Client)(nil)

// place asks a client where it is. It asks under the lock, so that an answer cannot be overtaken by a later one.
func (l *lineage) place(client groupMember) place {
	l.mu.Lock()
	defer l.mu.Unlock()
	member, generation := client.GroupMetadata()
	l.settle(generation)
	return place{member, generation, l.chain, generation == l.last}
}

// joins hears of the generation that the client is in when it asks for the next one, and returns the metadata with
// which it asks, made for the generation in which the group has said last what is ours: what another one was given in
// a later one is not ours any more. It is told of each before the client forgets it.
func (l *lineage) joins(generation int32, metadata func(generation int32) []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle(generation)
	l.comesInto(generation)
	asks := metadata(min(generation, l.last))
	l.asked.in, l.asked.words = generation, wordsOf(asks)
	return asks
}

// assigned hears that the group has said what is ours in the present generation.
func (l *lineage) assigned(v voucher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.synced = &v
}

// comesInto notes with which words we came into a generation, if it is another one than that in which we asked.
func (l *lineage) comesInto(generation int32) {
	if l.said == nil {
		l.said = map[int32]words{}
	}
	if generation != l.asked.in {
		l.said[generation] = l.asked.words
	}
}

// settle looks at what the group has said is ours in a generation, once it is known which one that was: the chain
// goes on when each one from the last on had us in it.
func (l *lineage) settle(generation int32) {
	if l.synced == nil {
		return
	}
	l.comesInto(generation)
	whole, next := generation >= l.last, generation == l.last+1
	for n := l.last + 1; whole && n <= generation; n++ {
		whole = l.synced.knew(n, l.said[n], next)
	}
	//mutant:missed-generation
	if !whole || l.last == 0 {
		l.chain++
	}
	maps.DeleteFunc(l.said, func(n int32, _ words) bool { return n <= generation })
	l.last, l.synced = generation, nil
}
