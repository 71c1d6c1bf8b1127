package main

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/internal/stage"
	"januscdr/internal/traffic"
	"januscdr/kafka"
)

// A load is made of so many clients at once, whose sessions spread over the partitions, in as many rounds as ids allow.
const (
	clients   = 200
	maxRounds = 40
	loadEvery = 10 * time.Millisecond
)

// load writes events as ingest would, at a steady rate. It reports how long the longest write took to be acknowledged.
type load struct {
	o      *options
	client *kgo.Client
	topic  string

	slowest atomic.Int64 // nanoseconds
	failed  atomic.Pointer[error]
}

// run writes until the context ends.
func (l *load) run(ctx context.Context) error {
	next, end := iter.Pull(traffic.Copies(traffic.Recordings, clients, maxRounds))
	defer func() { end() }()
	began, sent := time.Now(), 0
	for stage.Sleep(ctx, loadEvery) {
		for due := int(time.Since(began).Seconds() * l.o.rate); sent < due; sent++ {
			e, ok := next()
			if !ok { // from the beginning: repetitions move the position just as well
				end()
				next, end = iter.Pull(traffic.Copies(traffic.Recordings, clients, maxRounds))
				continue
			}
			at := time.Now()
			record := &kgo.Record{Topic: l.topic, Key: []byte(e.Session), Value: e.Value}
			l.client.Produce(context.WithoutCancel(ctx), record, func(_ *kgo.Record, err error) {
				if err != nil {
					l.failed.CompareAndSwap(nil, &err)
					return
				}
				l.took(time.Since(at))
			})
		}
		if err := l.failed.Load(); err != nil {
			return *err
		}
	}
	return nil
}

func (l *load) took(d time.Duration) {
	for {
		before := l.slowest.Load()
		if int64(d) <= before || l.slowest.CompareAndSwap(before, int64(d)) {
			return
		}
	}
}

func newLoad(o *options, brokers []string, topic string) (*load, error) {
	client, err := kafka.NewClient(kafka.Options{Brokers: brokers}, kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	return &load{o: o, client: client, topic: topic}, nil
}

// stalls measures how long this machine does not let a process run that wants to: a gap below that is nobody's fault.
type stalls struct{ longest atomic.Int64 } // nanoseconds

func (s *stalls) run(ctx context.Context) {
	for {
		before := time.Now()
		if !stage.Sleep(ctx, loadEvery) {
			return
		}
		late := int64(time.Since(before) - loadEvery)
		if late > s.longest.Load() {
			s.longest.Store(late)
		}
	}
}
