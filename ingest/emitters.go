package ingest

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"januscdr/janus"
)

const (
	maxKnown     = 500              // emitters that are known by name; what more there are is counted as one
	knownFor     = time.Hour        // one that has been silent for so long makes room for another one
	introduction = 30 * time.Second // after its first event, what an emitter sends is told
	introTick    = time.Second
	enough       = 10               // of what must come with something else, to conclude that it is not sent
	aheadAtMost  = 10 * time.Second // of the clock of an emitter
	coarsePeriod = 30               // seconds between statistics that are too many
)

// defaultServerName is what Janus calls itself when nobody gave it a name.
const defaultServerName = "MyJanusInstance"

// emitters are the Janus servers that send events: what is known of each, to introduce it in the log when it comes for
// the first time, with what of its configuration is bad for billing. It asks what Janus says, and never decides what
// becomes of an event.
type emitters struct {
	log hclog.Logger
	now func() time.Time

	mu     sync.Mutex
	known  map[string]*emitter
	others emitterCounts // of all that found no room
	full   bool          // and that was told
}

// emitterCounts are what is counted of an emitter for its metrics.
type emitterCounts struct {
	seen     time.Time // last event that came
	events   int64     // that are safe
	sessions int64     // of them, those that say that a session was created
}

// emitter is what is known of a Janus server.
type emitter struct {
	emitterCounts
	first      time.Time
	from       Sender
	moved      bool   // it came from another address since
	twoPlaces  bool   // and from the first one again
	compressed bool   // its bodies were
	version    string // empty: it did not say
	types      typeSet
	attached   int // sessions that attached a handle, one after the other
	lastOf     janus.SessionID
	offers     int
	up         int          // PeerConnections
	period     statsPeriod  // between statistics
	ahead      janus.Micros // how far its clock was ahead, at the most
	timeout    janus.Gauge  // session_timeout, in seconds
	introduced bool
	touched    bool // since its faults were looked for
	told       map[fault]bool
}

// typeSet is a set of types of events, by their bits.
type typeSet uint32

func (s typeSet) has(t janus.Type) bool { return s&typeSet(t) != 0 }

// names are the types of the set in words, in the order of their bits.
func (s typeSet) names() []string {
	var names []string
	for _, t := range janus.Types {
		if s.has(t) {
			names = append(names, t.String())
		}
	}
	return names
}

// statsPeriod learns how often statistics come: by what Janus says, else by those of one stream.
type statsPeriod struct {
	said    janus.Gauge // seconds
	reports int         // of any stream
	session janus.SessionID
	handle  janus.HandleID
	mid     string
	media   janus.Media
	last    janus.Micros
	least   janus.Micros // between two
}

func (p *statsPeriod) report(e *janus.Event, r *janus.MediaReport) {
	p.reports++
	if len(r.Streams) == 0 {
		return
	}
	st := &r.Streams[0]
	if p.session != e.Session || p.handle != e.Handle || p.mid != st.Mid || p.media != st.Media {
		if p.last != 0 && e.Time-p.last < 120e6 {
			return // the one that is watched goes on
		}
		p.session, p.handle, p.mid, p.media = e.Session, e.Handle, strings.Clone(st.Mid), st.Media
		p.last = e.Time
		return
	}
	if gap := e.Time - p.last; gap > 500_000 && (p.least == 0 || gap < p.least) { // a report at the end comes any time
		p.least = gap
	}
	p.last = e.Time
}

// seconds is the period; false when it is not known.
func (p *statsPeriod) seconds() (int, bool) {
	switch {
	case p.said.Known:
		return int(p.said.Value), true
	case p.least > 0:
		return int((p.least + 500_000) / 1e6), true
	}
	return 0, false
}

func newEmitters(log hclog.Logger) *emitters {
	return &emitters{log: log, now: time.Now, known: map[string]*emitter{}}
}

// meet finds an emitter, or gets to know it; nil when there is no room. The lock is held.
func (m *emitters) meet(name string, from Sender, now time.Time) *emitter {
	k := m.known[name]
	if k != nil || len(name) > maxEmitter {
		return k
	}
	if len(m.known) >= maxKnown {
		longest := ""
		for other, k := range m.known {
			if silent := now.Sub(k.seen); silent >= knownFor && (longest == "" || k.seen.Before(m.known[longest].seen)) {
				longest = other
			}
		}
		if longest == "" {
			if !m.full {
				m.full = true
				m.log.Warn("there are more emitters than are known by name; the others are counted together",
					"emitters", maxKnown)
			}
			return nil
		}
		delete(m.known, longest)
	}
	name = strings.Clone(name) // the body it stands in is not kept for it
	from.Path, from.User, from.Certificate = "", strings.Clone(from.User), ""
	k = &emitter{first: now, from: from, told: map[fault]bool{}}
	m.known[name] = k
	m.log.Info("a new Janus sends events", "emitter", name, "sender", from.String(), "source", from.Source)
	return k
}

// notice takes note of an event that came.
func (m *emitters) notice(name string, from Sender, compressed bool, e *janus.Event) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.meet(name, from, now)
	if k == nil {
		m.others.seen = now
		return
	}
	k.seen, k.touched = now, true
	k.compressed = k.compressed || compressed
	elsewhere := k.from.Address.IsValid() && from.Address.IsValid() && k.from.Address != from.Address
	k.moved, k.twoPlaces = k.moved || elsewhere, k.twoPlaces || k.moved && !elsewhere
	if bits.OnesCount(uint(e.Type)) == 1 {
		k.types |= typeSet(e.Type)
	}
	k.ahead = max(k.ahead, e.Time-janus.Micros(now.UnixMicro()))
	switch b := e.Body.(type) {
	case *janus.HandleAttached:
		if e.Session != k.lastOf {
			k.attached, k.lastOf = k.attached+1, e.Session
		}
	case *janus.JSEP:
		if b.Offer {
			k.offers++
		}
	case *janus.PeerConnectionUp:
		k.up++
	case *janus.MediaReport:
		k.period.report(e, b)
	case *janus.ServerUpdate:
		k.period.said = b.StatsPeriod
	case *janus.ServerStarted:
		k.timeout = b.SessionTimeout
		if k.introduced && k.version != b.Version {
			m.log.Info("a Janus has another version now", "emitter", name, "version", b.Version)
		}
		k.version = strings.Clone(b.Version)
	}
}

// acknowledged counts events of an emitter that are safe.
func (m *emitters) acknowledged(name string, events, sessions int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := &m.others
	if k := m.known[name]; k != nil {
		counts = &k.emitterCounts
	}
	counts.events += events
	counts.sessions += sessions
}

// watch introduces emitters and tells their faults, until the context ends.
func (m *emitters) watch(ctx context.Context) {
	ticker := time.NewTicker(introTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.introduce()
		}
	}
}

// introduce says what each emitter is that has been there for a while, once, and each fault of its configuration, once.
func (m *emitters) introduce() {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, k := range m.known {
		if !k.touched || now.Sub(k.first) < introduction {
			continue
		}
		k.touched = false
		if !k.introduced {
			k.introduced = true
			m.log.Info("what a new Janus sends", k.introduction(name)...)
		}
		for _, f := range faults {
			if !k.told[f.is] && f.of(name, k) {
				k.told[f.is] = true
				m.log.Warn("a Janus is not configured for billing", "emitter", name, "fault", string(f.is), "remedy", f.remedy)
			}
		}
	}
}

func (k *emitter) introduction(name string) []any {
	version, period := "not said: it is told when Janus starts", "not seen yet"
	if k.version != "" {
		version = k.version
	}
	if s, ok := k.period.seconds(); ok {
		period = fmt.Sprintf("%ds", s)
	}
	return []any{"emitter", name, "version", version, "types", strings.Join(k.types.names(), ","), "stats_period", period}
}

// snapshot are the counts of each emitter by name, in order, and of all others together.
func (m *emitters) snapshot() (names []string, counts []emitterCounts, others emitterCounts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.known {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		counts = append(counts, m.known[name].emitterCounts)
	}
	return names, counts, m.others
}
