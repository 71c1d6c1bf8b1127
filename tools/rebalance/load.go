package main

import (
	"context"
	"iter"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/internal/fixtures/procs"
	"januscdr/internal/fixtures/traffic"
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
	for procs.Sleep(ctx, loadEvery) {
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
				most(&l.slowest, time.Since(at))
			})
		}
		if err := l.failed.Load(); err != nil {
			return *err
		}
	}
	return nil
}

func newLoad(o *options, to kafka.Options, topic string) (*load, error) {
	client, err := kafka.NewClient(to, kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	return &load{o: o, client: client, topic: topic}, nil
}

// stalls measures how long this machine does not let a process run that wants to, and how long its disk takes to write
// down a few bytes: a gap below that is nobody's fault.
type stalls struct{ cpu, disk atomic.Int64 } // nanoseconds, the longest

func (s *stalls) watchCPU(ctx context.Context) {
	for {
		before := time.Now()
		if !procs.Sleep(ctx, loadEvery) {
			return
		}
		most(&s.cpu, time.Since(before)-loadEvery)
	}
}

// diskEvery is often enough to meet a stall of the disk that others notice.
const diskEvery = 200 * time.Millisecond

func (s *stalls) watchDisk(ctx context.Context, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for procs.Sleep(ctx, diskEvery) {
		before := time.Now()
		if _, err := file.WriteAt([]byte(before.String()), 0); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
		most(&s.disk, time.Since(before))
	}
	return nil
}

// most keeps the longest.
func most(longest *atomic.Int64, d time.Duration) {
	for {
		before := longest.Load()
		if int64(d) <= before || longest.CompareAndSwap(before, int64(d)) {
			return
		}
	}
}
