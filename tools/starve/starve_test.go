package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"januscdr/internal/fixtures/procs"
	"januscdr/kafka/embedded"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// started is an ingest of its own process on an embedded broker of this one.
func started(t *testing.T) *site {
	t.Helper()
	o := &options{senders: 4}
	o.Dir = t.TempDir()
	b, err := embedded.Start(embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	o.brokers, o.Root = b.Addrs()[0], "../.."
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := startSite(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// Each attack is in full swing when good senders begin to post. Whatever it is, all of them are answered, and when it
// is over nothing is left of it.
func TestGoodSendersAreAnsweredBesideEachAttack(t *testing.T) {
	if testing.Short() {
		t.Skip("processes under attack take a while")
	}
	s := started(t)
	for _, by := range []string{"", known} {
		for _, a := range attacks {
			t.Run(fmt.Sprintf("%s/%s", a.name, by), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				attacking, stop := context.WithCancel(ctx)
				var opened atomic.Int64
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					a.run(attacking, target{addr: s.addr, user: by, from: attackerAddress(&options{})}, func() { opened.Add(1) })
				}()
				for opened.Load() < int64(a.number) && procs.Sleep(ctx, time.Millisecond) {
				}
				for n := range 4 {
					from := newSender(s.addr, n)
					for range 10 {
						if err := from.post(ctx, []byte(event(int64(n+1), posted.Add(1)))); err != nil {
							t.Errorf("a good sender has no answer: %v", err)
						}
					}
				}
				stop()
				<-ended
				if err := s.settle(ctx); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestDamagedRequestsHaveAnEndAndLeaveTheirNeighboursAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of requests take a while")
	}
	if err := started(t).hostile(t.Context(), 1, t.TempDir(), 3000, 8); err != nil {
		t.Error(err)
	}
}

func TestADamagedRequestIsTheSameEachTime(t *testing.T) {
	kinds := map[string]bool{}
	for number := range int64(1000) {
		one, two := makeRequest(7, number), makeRequest(7, number)
		if string(one.bytes) != string(two.bytes) {
			t.Fatalf("request %d is another one", number)
		}
		kinds[one.kind] = true
	}
	if len(kinds) != 8 {
		t.Errorf("%d kinds, want 8", len(kinds))
	}
}
