package ingest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// smallBody is what a body may hold and still be small, as those of Janus are: large ones never take the room of small
// ones.
const smallBody = 64 << 10

var errBusy = errors.New("too many bytes of bodies are held already")

// party is a sender as far as it shares room with others: those who have shown who they are, or come from where a rule
// expects them, go before strangers, who are told apart by their address.
type party struct {
	name  string
	known bool
}

// budget bounds the bytes of all bodies that are held, and divides them: what is large leaves an eighth to what is
// small, one sender leaves half to the others, and strangers leave three quarters to those who are known. Bodies grow
// while they come, so those that hold something may wait for more. Then the older one goes on and the younger one pays:
// it is cut, if what it holds is needed, and must come again. So one always gets to its end.
type budget struct {
	size, large, share, strangers int64 // bounds
	gauge                         prometheus.Gauge

	mu      sync.Mutex
	sum     held
	by      map[party]int64 // held by each, of those who hold any
	claims  map[*claim]struct{}
	waiting []*claim // in the order in which they are served
	begun   uint64
}

// held is what all bodies hold.
type held struct{ all, large, strangers int64 }

// newBudget divides a size; the largest body alone takes need bytes, and each bound lets it in. Without a way to be
// known there are only strangers, who have it all.
func newBudget(size, need int64, anyKnown bool, gauge prometheus.Gauge) *budget {
	size = max(size, need)
	b := &budget{size: size, large: max(size-size/8, need), share: max(size/2, need), strangers: max(size/4, need),
		gauge: gauge, by: map[party]int64{}, claims: map[*claim]struct{}{}}
	if !anyKnown {
		b.strangers = size
	}
	return b
}

// claim is what one body holds. It is used by one goroutine.
type claim struct {
	budget   *budget
	of       party
	age      uint64
	held     int64
	cut      func()        // makes the reading of the body end; nil when it cannot be cut
	wanted   int64         // more, for which it waits
	given    chan struct{} // closed when it has it
	lost     chan struct{} // closed when it must give back what it holds
	isLost   bool
	arriving bool // it may have to pay
}

// open begins a claim, which its owner closes. A body that cannot be cut never pays.
func (b *budget) open(of party, cut func()) *claim {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun++
	c := &claim{budget: b, of: of, age: b.begun, cut: cut, lost: make(chan struct{}), arriving: cut != nil}
	b.claims[c] = struct{}{}
	return c
}

// take waits for so many bytes more, as long as the context lives. After an error the claim is as it was, and what it
// holds is to be given back.
func (c *claim) take(ctx context.Context, n int64) error {
	b := c.budget
	b.mu.Lock()
	c.wanted = n
	switch {
	case c.isLost:
		b.mu.Unlock()
		return errBusy
	case len(b.waiting) == 0 && b.fits(c):
		b.grant(c)
		b.mu.Unlock()
		return nil
	}
	c.given = make(chan struct{})
	at, _ := slices.BinarySearchFunc(b.waiting, c, inOrder)
	b.waiting = slices.Insert(b.waiting, at, c)
	b.serve()
	b.mu.Unlock()
	select {
	case <-c.given:
		return nil
	case <-c.lost:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if at := slices.Index(b.waiting, c); at >= 0 {
		b.waiting = slices.Delete(b.waiting, at, at+1)
		c.wanted = 0
		b.serve() // who waited behind it
		return errBusy
	}
	if c.isLost {
		return errBusy
	}
	return nil // given at the last moment
}

// grant gives a claim what it wants.
func (b *budget) grant(c *claim) {
	n := c.wanted
	c.wanted = 0
	b.move(c, n)
}

// came says that all of the body is there: it goes its way, and does not pay any more.
func (c *claim) came() error {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	c.arriving = false
	if c.isLost {
		return errBusy
	}
	return nil
}

// wasCut tells whether it had to pay.
func (c *claim) wasCut() bool {
	select {
	case <-c.lost:
		return true
	default:
		return false
	}
}

// close gives all back. It may be called again, and of none.
func (c *claim) close() {
	if c == nil {
		return
	}
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.move(c, -c.held)
	delete(b.claims, c)
	b.serve()
}

// isLarge tells whether a body that holds so much is large.
func isLarge(n int64) bool { return n > smallBody }

// isLarge tells whether a body is large, or waits to be it.
func (c *claim) isLarge() bool { return isLarge(c.held + c.wanted) }

// move changes what a claim holds.
func (b *budget) move(c *claim, n int64) {
	before := c.held
	c.held += n
	b.sum.all += n
	switch {
	case isLarge(before):
		b.sum.large += n
		if !isLarge(c.held) {
			b.sum.large -= c.held
		}
	case isLarge(c.held):
		b.sum.large += c.held
	}
	if !c.of.known {
		b.sum.strangers += n
	}
	if b.by[c.of] += n; b.by[c.of] == 0 {
		delete(b.by, c.of)
	}
	b.gauge.Set(float64(b.sum.all))
}

// inOrder says who is served first: who wants little, who is known, who began earlier.
func inOrder(a, b *claim) int {
	less := func(first, second bool) int {
		switch {
		case first == second:
			return 0
		case first:
			return -1
		}
		return 1
	}
	return cmp.Or(less(!a.isLarge(), !b.isLarge()), less(a.of.known, b.of.known), cmp.Compare(a.age, b.age))
}

// broken is a bound that a claim would break.
type broken struct {
	name any // what is full, so that nobody overtakes who waits for the same
	over int64
	of   func(*claim) bool // whose room it is
}

// fits tells whether what a claim wants keeps all bounds.
func (b *budget) fits(c *claim) bool {
	n := c.wanted
	return b.sum.all+n <= b.size && b.by[c.of]+n <= b.share && (c.of.known || b.sum.strangers+n <= b.strangers) &&
		(!c.isLarge() || b.sum.large+c.nLarge() <= b.large)
}

// nLarge is how much more the large bodies hold, of which the one that waits will be one.
func (c *claim) nLarge() int64 {
	if isLarge(c.held) {
		return c.wanted
	}
	return c.held + c.wanted
}

// bounds are those that a claim would break with what it wants, and by how much.
func (b *budget) bounds(c *claim) (all []broken) {
	add := func(name any, held, n, most int64, of func(*claim) bool) {
		if over := held + n - most; over > 0 {
			all = append(all, broken{name, over, of})
		}
	}
	add("all", b.sum.all, c.wanted, b.size, func(*claim) bool { return true })
	add(c.of, b.by[c.of], c.wanted, b.share, func(other *claim) bool { return other.of == c.of })
	if !c.of.known {
		add("strangers", b.sum.strangers, c.wanted, b.strangers, func(other *claim) bool { return !other.of.known })
	}
	if c.isLarge() {
		add("large", b.sum.large, c.nLarge(), b.large, func(other *claim) bool { return isLarge(other.held) })
	}
	return all
}

// serve gives to who waits what there is, in order, and lets others pay for whom there is nothing. Nobody overtakes one
// that waits for the same room.
func (b *budget) serve() {
	full := map[any]bool{}
	for i := 0; i < len(b.waiting); {
		w := b.waiting[i]
		if w.isLost {
			i++ // it sees to it itself
			continue
		}
		if b.fits(w) && !full[w.of] && !full["all"] && (w.of.known || !full["strangers"]) &&
			(!w.isLarge() || !full["large"]) {
			b.grant(w)
			close(w.given)
			b.waiting = slices.Delete(b.waiting, i, i+1)
			continue
		}
		for _, bound := range b.bounds(w) {
			if !full[bound.name] { // who pays for a later one pays for this one, too
				b.collect(w, bound)
			}
			full[bound.name] = true
		}
		i++
	}
}

// collect cuts bodies that would be served later, until what they give back is enough for one that waits: the last of
// the order first.
func (b *budget) collect(w *claim, bound broken) {
	missing := bound.over
	var payers []*claim
	for c := range b.claims {
		switch {
		case c == w || c.held == 0 || !bound.of(c):
		case c.isLost:
			missing -= c.held // on its way
		case c.arriving && inOrder(w, c) < 0:
			payers = append(payers, c)
		}
	}
	slices.SortFunc(payers, func(x, y *claim) int { return inOrder(y, x) })
	for _, c := range payers {
		if missing <= 0 {
			return
		}
		missing -= c.held
		c.isLost = true
		close(c.lost)
		c.cut()
	}
}
