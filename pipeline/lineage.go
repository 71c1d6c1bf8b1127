package pipeline

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A static member that misses a generation stays in the group under its member id: Apache Kafka removes only dynamic
// members that have not joined when the time for it is over (onCompleteJoin in its group coordinator). The leader gives
// partitions away by what the missing member said when it joined last, so one that it was given after that goes to
// another at once, without a revocation. The next generation takes the member in again under the same id.
//
// What tells is the number: each generation has the next one, and a member that joins each of them sees each.

// lineage is the chain of generations that a client has been in without missing one. A partition that was assigned in a
// chain was ours all the time, until it is revoked, or the chain breaks. The zero value is ready for a new client.
type lineage struct {
	mu    sync.Mutex
	last  int32 // generation; 0 for none
	chain int   // counts those that broke
}

// place is where a client is in the group: what the brokers are told with offsets, and what tells whether somebody else
// can have had our partitions since.
type place struct {
	member     string
	generation int32
	chain      int
}

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
	return place{member, generation, l.note(generation)}
}

// joins hears of the generation that the client is in when it asks for the next one. It is told of each before the
// client forgets it.
func (l *lineage) joins(generation int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(generation)
}

func (l *lineage) note(generation int32) (chain int) {
	//mutant:missed-generation
	if generation != l.last && generation != l.last+1 {
		l.chain++
	}
	l.last = generation
	return l.chain
}
