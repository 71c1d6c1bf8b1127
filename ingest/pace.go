package ingest

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// slowGrace is what a body may take before its speed counts, or half of the delivery timeout if that is less.
const slowGrace = 3 * time.Second

var errSlow = errors.New("body comes too slowly")

// pace is a body that is read from a connection, and ends when it comes too slowly or has to make room. Only the time
// in which it is read counts, not that in which it waits for memory.
type pace struct {
	in       io.Reader
	deadline func(time.Time) error // of reading from the connection
	end      time.Time             // by then it is over in any case
	grace    time.Duration
	rate     int64 // bytes a second; 0: any

	took time.Duration
	got  int64

	mu    sync.Mutex
	isCut bool
}

// Read reads, as long as there is time. The error is errSlow when there is none.
func (p *pace) Read(b []byte) (int, error) {
	now := time.Now()
	slow := p.end
	if p.rate > 0 {
		slow = now.Add(p.grace + time.Duration(float64(p.got)/float64(p.rate)*float64(time.Second)) - p.took)
	}
	if err := p.allow(slow); err != nil {
		return 0, err
	}
	n, err := p.in.Read(b)
	p.took += time.Since(now)
	p.got += int64(n)
	if errors.Is(err, os.ErrDeadlineExceeded) && slow.Before(p.end) {
		err = errSlow
	}
	return n, err
}

// allow lets the connection be read until then.
func (p *pace) allow(until time.Time) error {
	if until.After(p.end) {
		until = p.end
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isCut {
		return os.ErrDeadlineExceeded
	}
	_ = p.deadline(until) // a connection without deadlines ends by itself
	return nil
}

// cut ends a read at once, and those after it.
func (p *pace) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = true
	_ = p.deadline(time.Unix(1, 0))
}

// laneGrace is what a message may take before its speed counts, where nobody sends it again: many times slowGrace.
const laneGrace = 30 * time.Second

// brisk is a message that is read from a connection that stays, which is cut when the message comes too slowly.
// Whatever else comes meanwhile, such as a pong, earns it no time.
type brisk struct {
	in   io.Reader
	cut  func()
	rate int64 // bytes a second

	took time.Duration
	got  int64
}

// Read reads, as long as there is time. The error is errSlow when there is none.
func (b *brisk) Read(p []byte) (int, error) {
	began := time.Now()
	left := laneGrace + time.Duration(float64(b.got)/float64(b.rate)*float64(time.Second)) - b.took
	late := time.AfterFunc(left, b.cut)
	n, err := b.in.Read(p)
	if !late.Stop() && err != nil {
		err = errSlow
	}
	b.took += time.Since(began)
	b.got += int64(n)
	return n, err
}
