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

// requestIdentity tells senders apart for the purpose of knowing their bodies again.
type requestIdentity struct {
	source     string
	address    netip.Addr
	user, path string
}

// pendingBody is a body that is being made safe, or was.
type pendingBody struct {
	done    chan struct{} // closed when its fate is known
	outcome Outcome       // valid after that
}

// outcomeNow is the outcome, or that of a body that must come again while it is not known.
func (p *pendingBody) outcomeNow() Outcome {
	select {
	case <-p.done:
		return p.outcome
	default:
		return Outcome{Result: TryAgain}
	}
}

// retransmissions knows bodies again. Janus sends a body again, byte for byte, when it got no answer: the repetition is
// joined to the first one instead of being written twice, as long as the first one is on its way, and afterwards if
// that one became safe. What failed is forgotten, so that the repetition is written.
type retransmissions struct {
	mu      sync.Mutex
	senders map[requestIdentity]*list.Element // of *history
	recent  *list.List                        // the sender that was heard last in front
}

type history struct {
	identity requestIdentity
	bodies   map[[sha256.Size]byte]*pendingBody
	order    [][sha256.Size]byte // of those that are safe, the oldest first
}

func newRetransmissions() *retransmissions {
	return &retransmissions{senders: map[requestIdentity]*list.Element{}, recent: list.New()}
}

// begin returns the body as it is pending. If it is new, the caller must end it; else it is joined to the earlier one.
func (r *retransmissions) begin(identity requestIdentity, hash [sha256.Size]byte) (p *pendingBody, isNew bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.history(identity)
	if p, ok := h.bodies[hash]; ok {
		return p, false
	}
	p = &pendingBody{done: make(chan struct{})}
	h.bodies[hash] = p
	return p, true
}

// end tells the fate of a body.
func (r *retransmissions) end(identity requestIdentity, hash [sha256.Size]byte, p *pendingBody, o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.outcome = o
	close(p.done)
	element, ok := r.senders[identity]
	if !ok {
		return // forgotten meanwhile
	}
	h := element.Value.(*history)
	if h.bodies[hash] != p {
		return
	}
	if !o.Safe() {
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
func (r *retransmissions) history(identity requestIdentity) *history {
	if element, ok := r.senders[identity]; ok {
		r.recent.MoveToFront(element)
		return element.Value.(*history)
	}
	if r.recent.Len() >= rememberedSenders {
		oldest := r.recent.Back()
		delete(r.senders, oldest.Value.(*history).identity)
		r.recent.Remove(oldest)
	}
	h := &history{identity: identity, bodies: map[[sha256.Size]byte]*pendingBody{}}
	r.senders[identity] = r.recent.PushFront(h)
	return h
}
