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
	aliveAtOnce = 100              // new emitters that earn a sign at once, within aliveEvery
	evictLooks  = 100              // at how many we look for one that may make room
)

// alive decides when a sign of life is due. Each task of the processor must know that an emitter lives, also one that
// holds only silent sessions of it: silence means an end only where others can be heard.
//
// A sign is a record in each partition, and a name is quickly invented: a body can have thousands. So an emitter earns
// its signs by what no body can do: it has events at moments that lie apart. The first few of a time need not wait for
// that, since a fleet starts with us.
type alive struct {
	mu       sync.Mutex
	emitters map[string]*pulse
	gifts    int       // signs that were not earned, since
	since    time.Time // when their count began anew
}

type pulse struct {
	first  time.Time // event that was acknowledged
	event  time.Time // last one
	sign   time.Time // last sign of life that was appended
	earned bool      // signs are
}

func newAlive() *alive { return &alive{emitters: map[string]*pulse{}} }

// saw notes that an event of an emitter is safe in the log.
func (a *alive) saw(emitter string, now time.Time) {
	if len(emitter) > maxEmitter {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.emitters[emitter]
	if !ok {
		if len(a.emitters) >= maxEmitters && !a.evict() {
			return
		}
		p = &pulse{first: now, earned: a.gift(now)}
		a.emitters[strings.Clone(emitter)] = p // the body it stands in is not kept for it
	}
	p.earned = p.earned || now.Sub(p.first) >= aliveEvery
	p.event = now
}

// gift tells whether a new emitter has its signs at once.
func (a *alive) gift(now time.Time) bool {
	if now.Sub(a.since) >= aliveEvery {
		a.since, a.gifts = now, 0
	}
	a.gifts++
	return a.gifts <= aliveAtOnce
}

// evict forgets an emitter that has earned nothing, if it finds one.
func (a *alive) evict() bool {
	looks := 0
	for emitter, p := range a.emitters {
		if !p.earned {
			delete(a.emitters, emitter)
			return true
		}
		if looks++; looks == evictLooks {
			break
		}
	}
	return false
}

// due returns the emitters that get a sign of life now: those that have earned it, with an event since the last one,
// which is 30 s old or older. They count as signed. Emitters that have been silent for long are forgotten.
func (a *alive) due(now time.Time) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var due []string
	for emitter, p := range a.emitters {
		switch {
		case p.earned && p.event.After(p.sign) && now.Sub(p.sign) >= aliveEvery:
			p.sign = now
			due = append(due, emitter)
		case now.Sub(p.event) >= aliveForget:
			delete(a.emitters, emitter)
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
			for _, emitter := range p.alive.due(now) {
				p.signOfLife(emitter)
			}
		}
	}
}

// signOfLife appends one to each partition. One that fails is not repeated: the next comes soon, and silence is
// measured in hours.
func (p *KafkaPublisher) signOfLife(emitter string) {
	size := int64(p.partitions) * int64(len(emitter)+recordOverhead)
	if size > p.size || !p.inflight.TryAcquire(size) {
		p.metrics.alive.WithLabelValues("failed").Add(float64(p.partitions))
		return
	}
	each := size / int64(p.partitions)
	for partition := range p.partitions {
		r := &kgo.Record{Topic: p.events, Partition: partition, Key: []byte(emitter), Headers: aliveHeaders}
		p.producer.TryProduce(context.Background(), r, func(_ *kgo.Record, err error) {
			p.inflight.Release(each)
			if err != nil {
				p.metrics.alive.WithLabelValues("failed").Inc()
				p.log.Debug("sign of life not written", "emitter", emitter, "partition", partition, "error", err)
				return
			}
			p.metrics.alive.WithLabelValues("acknowledged").Inc()
		})
	}
}
