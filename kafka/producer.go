package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// renewPause is the time between two looks at topics that are not there, and between two clients.
const renewPause = time.Second

// Producer writes records, for as long as its process lives. A client of franz-go never adopts a topic that was deleted
// and made again, and so is of no more use for it: then a Producer looks at the topics, waits until they are as they
// should be, and begins anew with another client. What was under way fails with the old one, and is its sender's to
// repeat. Its methods may be called by several goroutines.
type Producer struct {
	make  func() (*kgo.Client, error)
	check func(context.Context) error
	log   hclog.Logger

	mu      sync.RWMutex
	client  *kgo.Client
	closed  bool
	trouble error // of the last look at the topics, while one is wanted

	wanted chan struct{} // a new client is
	stop   context.CancelFunc
	work   sync.WaitGroup
}

// NewProducer makes a producer with the clients of a function; they connect when there is something to write. Before
// another one than the first, check says whether the topics may be written, nil: they may. The caller closes it.
func NewProducer(client func() (*kgo.Client, error), check func(context.Context) error,
	log hclog.Logger) (*Producer, error) {
	first, err := client()
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &Producer{make: client, check: check, log: log, client: first, wanted: make(chan struct{}, 1), stop: stop}
	p.work.Go(func() { p.renew(ctx) })
	return p, nil
}

// TryProduce writes a record, and calls promise with its fate, once.
func (p *Producer) TryProduce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	p.client.TryProduce(ctx, r, func(r *kgo.Record, err error) {
		if errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition) {
			p.want()
		}
		promise(r, err)
	})
}

func (p *Producer) want() {
	select {
	case p.wanted <- struct{}{}:
	default:
	}
}

// Ping asks a broker for a sign of life.
func (p *Producer) Ping(ctx context.Context) error {
	p.mu.RLock()
	client := p.client
	p.mu.RUnlock()
	return client.Ping(ctx)
}

// Trouble is why the topics may not be written at present, as far as that was looked at; else nil.
func (p *Producer) Trouble() error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.trouble
}

// renew makes a new client when one is wanted, until the context ends.
func (p *Producer) renew(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wanted:
		}
		p.log.Warn("topics were deleted, or made again; we look at them and begin anew")
		if !p.fit(ctx) {
			return
		}
		if err := p.replace(); err != nil {
			p.log.Error("no new client can be made", "error", err)
			p.want()
		}
		if !rest(ctx) {
			return
		}
	}
}

// fit waits until the topics may be written.
func (p *Producer) fit(ctx context.Context) bool {
	said := ""
	for {
		err := p.check(ctx)
		if ctx.Err() != nil {
			return false
		}
		p.mu.Lock()
		p.trouble = err
		p.mu.Unlock()
		if err == nil {
			return true
		}
		if said != err.Error() {
			said = err.Error()
			p.log.Error("topics cannot be written, we wait for them", "error", err)
		}
		if !rest(ctx) {
			return false
		}
	}
}

// replace puts a new client in the place of the old one, which is closed before: the two may have one set of metrics.
func (p *Producer) replace() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.client.Close()
	client, err := p.make()
	if err != nil {
		return err
	}
	select {
	case <-p.wanted: // by what failed with the old one
	default:
	}
	p.client = client
	p.log.Info("began anew with the topics as they are now")
	return nil
}

func rest(ctx context.Context) bool {
	timer := time.NewTimer(renewPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Close gives what is on its way up to the given time, then fails the rest. It returns how many records that were.
func (p *Producer) Close(wait time.Duration) (left int64) {
	p.stop()
	p.work.Wait()
	p.mu.Lock()
	p.closed = true
	client := p.client
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := client.Flush(ctx); err != nil {
		left = client.BufferedProduceRecords()
	}
	client.Close()
	return left
}
