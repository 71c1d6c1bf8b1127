package ingest

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

const (
	aliveEvery  = 30 * time.Second // between signs of life of an emitter, while its events come
	aliveTick   = time.Second      // how often we look
	aliveForget = 10 * time.Minute // an emitter without events for so long needs no memory
	maxEmitters = 10_000           // emitters that are watched: a name is what a sender says it is
	maxOfSender = 1000             // of them, those that came from one sender first
	aliveAtOnce = 100              // new emitters that earn a sign at once, within aliveEvery
	evictLooks  = 100              // at how many we look for one that may make room
	maxBeat     = 1 << 10          // bytes of a heartbeat that is carried
)

// alive decides when a sign of life is due. Each task of the processor must know that an emitter lives, also one that
// holds only silent sessions of it: silence means an end only where others can be heard.
//
// A sign is a record in each partition, and a name is quickly invented: a body can have thousands. So an emitter earns
// its signs by what no body can do: it has events at moments that lie apart. The first few of a time need not wait for
// that, since a fleet starts with us. One sender has a bound of its own, or it could earn signs for all names that are
// watched, by sending them again: 10 000 records each 30 s to each partition.
//
// A sign carries the newest heartbeat of its emitter, in which Janus counts what is open, to where it is held against
// what is open by the log.
type alive struct {
	mu       sync.Mutex
	emitters map[string]*pulse
	of       map[party]int // how many of them came from each sender first
	gifts    int           // signs that were not earned, since
	since    time.Time     // when their count began anew
}

// sign is a sign of life that is due.
type sign struct {
	emitter string
	beat    []byte // heartbeat; nil for none
}

type pulse struct {
	of     party     // sender from which it came first
	first  time.Time // event that was acknowledged
	event  time.Time // last one
	sign   time.Time // last sign of life that was appended
	earned bool      // signs are
	beat   []byte    // the last heartbeat that no sign has carried yet
}

func newAlive() *alive { return &alive{emitters: map[string]*pulse{}, of: map[party]int{}} }

// saw notes that an event of an emitter is safe in the log, and who sent it. Beat is its heartbeat, if that was among
// them. False: there is no room for it, so it gets no signs.
func (a *alive) saw(of party, emitter string, beat []byte, now time.Time) bool {
	if len(emitter) > maxEmitter {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.emitters[emitter]
	if !ok {
		if a.of[of] >= maxOfSender && !a.evict(func(p *pulse) bool { return p.of == of }) {
			return false
		}
		if len(a.emitters) >= maxEmitters && !a.evict(func(*pulse) bool { return true }) {
			return false
		}
		p = &pulse{of: of, first: now, earned: a.gift(now)}
		a.emitters[strings.Clone(emitter)] = p // the body it stands in is not kept for it
		a.of[of]++
	}
	p.earned = p.earned || now.Sub(p.first) >= aliveEvery
	p.event = now
	if len(beat) > 0 && len(beat) <= maxBeat {
		p.beat = append(p.beat[:0], beat...)
	}
	return true
}

// gift tells whether a new emitter has its signs at once.
func (a *alive) gift(now time.Time) bool {
	if now.Sub(a.since) >= aliveEvery {
		a.since, a.gifts = now, 0
	}
	a.gifts++
	return a.gifts <= aliveAtOnce
}

// evict forgets an emitter that has earned nothing, of those that may go, if it finds one.
func (a *alive) evict(may func(*pulse) bool) bool {
	looks := 0
	for emitter, p := range a.emitters {
		if !p.earned && may(p) {
			a.forget(emitter, p)
			return true
		}
		if looks++; looks == evictLooks {
			break
		}
	}
	return false
}

func (a *alive) forget(emitter string, p *pulse) {
	delete(a.emitters, emitter)
	if a.of[p.of]--; a.of[p.of] == 0 {
		delete(a.of, p.of)
	}
}

// due returns the emitters that get a sign of life now: those that have earned it, with an event since the last one,
// which is 30 s old or older. They count as signed. Emitters that have been silent for long are forgotten.
func (a *alive) due(now time.Time) []sign {
	a.mu.Lock()
	defer a.mu.Unlock()
	var due []sign
	for emitter, p := range a.emitters {
		switch {
		case p.earned && p.event.After(p.sign) && now.Sub(p.sign) >= aliveEvery:
			p.sign = now
			due = append(due, sign{emitter, p.beat})
			p.beat = nil
		case now.Sub(p.event) >= aliveForget:
			a.forget(emitter, p)
		}
	}
	return due
}

var aliveHeaders = []kgo.RecordHeader{{Key: kafka.HeaderKind, Value: []byte(kafka.KindAlive)}}

// keepAlive appends the signs of life that are due, until the context ends.
func (p *KafkaPublisher) keepAlive(ctx context.Context) {
	ticker := time.NewTicker(aliveTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, s := range p.alive.due(now) {
				p.signOfLife(s)
			}
		}
	}
}

// signOfLife appends one to each partition. One that fails is not repeated: the next comes soon, and silence is
// measured in hours.
func (p *KafkaPublisher) signOfLife(s sign) {
	size := int64(p.partitions) * int64(len(s.emitter)+len(s.beat)+recordOverhead)
	if size > p.size || !p.inflight.TryAcquire(size) {
		p.metrics.alive.WithLabelValues("failed").Add(float64(p.partitions))
		return
	}
	each := size / int64(p.partitions)
	for partition := range p.partitions {
		r := &kgo.Record{Topic: p.events, Partition: partition, Key: []byte(s.emitter), Value: s.beat, Headers: aliveHeaders}
		p.producer.TryProduce(context.Background(), r, func(_ *kgo.Record, err error) {
			p.inflight.Release(each)
			if err != nil {
				p.metrics.alive.WithLabelValues("failed").Inc()
				p.log.Debug("sign of life not written", "emitter", s.emitter, "partition", partition, "error", err)
				return
			}
			p.metrics.alive.WithLabelValues("acknowledged").Inc()
		})
	}
}
