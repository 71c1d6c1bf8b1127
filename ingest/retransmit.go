package ingest

import (
	"container/list"
	"crypto/sha256"
	"net/netip"
	"sync"
)

const (
	// rememberedBodies is how many acknowledged bodies are known again, for each sender. Janus repeats only its last
	// one; several of them can stand behind one address.
	rememberedBodies = 64
	// rememberedSenders is how many senders are remembered; the one that was silent for longest is forgotten.
	rememberedSenders = 1024
)

// sight identifies a sender for the purpose of knowing its bodies again.
type sight struct {
	address    netip.Addr
	user, path string
}

// flight is a body that is being made safe.
type flight struct {
	done chan struct{} // closed when its fate is known
	safe bool          // valid after that
}

// retransmissions knows bodies again. Janus sends a body again, byte for byte, when it got no answer: the repetition is
// joined to the first one instead of being written twice, as long as the first one is on its way, and afterwards if that
// one became safe. What failed is forgotten, so that the repetition is written.
type retransmissions struct {
	mu      sync.Mutex
	senders map[sight]*list.Element // of *history
	recent  *list.List              // the sender that was heard last in front
}

type history struct {
	who    sight
	bodies map[[sha256.Size]byte]*flight
	order  [][sha256.Size]byte // of those that are safe, the oldest first
}

func newRetransmissions() *retransmissions {
	return &retransmissions{senders: map[sight]*list.Element{}, recent: list.New()}
}

// begin returns the flight of a body. If it is new, the caller must end it; else it is joined to the earlier one.
func (r *retransmissions) begin(who sight, hash [sha256.Size]byte) (f *flight, isNew bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.history(who)
	if f, ok := h.bodies[hash]; ok {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	h.bodies[hash] = f
	return f, true
}

// end tells the fate of a body.
func (r *retransmissions) end(who sight, hash [sha256.Size]byte, f *flight, safe bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.safe = safe
	close(f.done)
	element, ok := r.senders[who]
	if !ok {
		return // forgotten meanwhile
	}
	h := element.Value.(*history)
	if h.bodies[hash] != f {
		return
	}
	if !safe {
		delete(h.bodies, hash)
		return
	}
	h.order = append(h.order, hash)
	if len(h.order) > rememberedBodies {
		delete(h.bodies, h.order[0])
		h.order = append(h.order[:0], h.order[1:]...)
	}
}

// history of a sender, which is the last to be forgotten from now on.
func (r *retransmissions) history(who sight) *history {
	if element, ok := r.senders[who]; ok {
		r.recent.MoveToFront(element)
		return element.Value.(*history)
	}
	if r.recent.Len() >= rememberedSenders {
		oldest := r.recent.Back()
		delete(r.senders, oldest.Value.(*history).who)
		r.recent.Remove(oldest)
	}
	h := &history{who: who, bodies: map[[sha256.Size]byte]*flight{}}
	r.senders[who] = r.recent.PushFront(h)
	return h
}
