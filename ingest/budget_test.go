package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	janus1, janus2 = party{"user janus-1", true}, party{"user janus-2", true}
	alice, bob     = party{name: "192.0.2.1"}, party{name: "192.0.2.2"}
)

const mib = 1 << 20

// sharing is a budget of 64 MiB for bodies of up to 1 MiB.
func sharing() *budget {
	return newBudget(64*mib, 2*mib+1, true, prometheus.NewGauge(prometheus.GaugeOpts{}))
}

// takes tells whether a new claim gets so much at once.
func takes(b *budget, of party, n int64) bool {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	return b.open(of, func() {}).take(now, n) == nil
}

func TestRoomIsDividedAmongSenders(t *testing.T) {
	for _, scene := range []struct {
		name string
		held map[party]int64 // in claims of 1 MiB that cannot be cut
		who  party
		n    int64
		want bool
	}{
		{"one sender has no more than half", map[party]int64{janus1: 32}, janus1, 1, false},
		{"and leaves the rest to others", map[party]int64{janus1: 32}, janus2, mib, true},
		{"strangers together have a quarter", map[party]int64{alice: 8, bob: 8}, alice, 1, false},
		{"which is not taken from those who are known", map[party]int64{alice: 8, bob: 8}, janus1, mib, true},
		{"large bodies leave an eighth", map[party]int64{janus1: 32, janus2: 24}, janus2, smallBody + 1, false},
		{"which small ones have", map[party]int64{janus1: 32, janus2: 24}, janus2, smallBody, true},
	} {
		b := sharing()
		for of, n := range scene.held {
			for range n {
				if err := b.open(of, nil).take(t.Context(), mib); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := takes(b, scene.who, scene.n); got != scene.want {
			t.Errorf("%s: %v, want %v", scene.name, got, scene.want)
		}
	}
}

func TestWhereNobodyCanBeKnownStrangersHaveItAll(t *testing.T) {
	b := newBudget(64*mib, 2*mib+1, false, prometheus.NewGauge(prometheus.GaugeOpts{}))
	for range 28 {
		if !takes(b, alice, mib) {
			t.Fatal("a stranger has no room")
		}
	}
}

// A body that grows is a goroutine here: it takes more and more until it has what it wants, or has to pay.
func TestOfBodiesThatWaitForEachOtherOneAlwaysGetsThrough(t *testing.T) {
	for range 20 {
		b := newBudget(4*mib, 2*mib+1, true, prometheus.NewGauge(prometheus.GaugeOpts{}))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		var bodies sync.WaitGroup
		var through, paid atomic.Int64
		for i := range 64 {
			of := []party{janus1, janus2, alice, bob}[i%4]
			bodies.Go(func() {
				cut := make(chan struct{})
				c := b.open(of, func() { close(cut) })
				defer c.close()
				for size := int64(firstRoom); c.held < 2*mib; size *= roomFactor {
					if err := c.take(ctx, min(size, 2*mib)-c.held); err != nil {
						if !errors.Is(err, errBusy) || ctx.Err() != nil {
							t.Errorf("holds %d bytes and waits for ever", c.held)
						}
						paid.Add(1)
						return
					}
				}
				if c.came() == nil {
					through.Add(1)
				}
			})
		}
		bodies.Wait()
		cancel()
		if through.Load() == 0 {
			t.Errorf("none of them, and %d paid", paid.Load())
		}
		if len(b.claims) > 0 || len(b.by) > 0 || b.sum != (held{}) || len(b.waiting) > 0 {
			t.Errorf("left behind: %+v", b)
		}
	}
}

func TestTheBoundsHoldWhateverComes(t *testing.T) {
	b := sharing()
	claims := map[*claim]bool{}
	r := rand.New(rand.NewPCG(1, 2))
	now, cancel := context.WithCancel(t.Context())
	cancel()
	for range 4_000 {
		if r.IntN(3) > 0 || len(claims) == 0 {
			claims[b.open([]party{janus1, janus2, alice, bob}[r.IntN(4)], func() {})] = true
		}
		for c := range claims {
			if r.IntN(4) == 0 || c.take(now, 1<<r.IntN(21)) != nil {
				c.close()
				delete(claims, c)
			}
			break
		}
		var want held
		for c := range b.claims {
			want.all += c.held
			if isLarge(c.held) {
				want.large += c.held
			}
			if !c.of.known {
				want.strangers += c.held
			}
		}
		if b.sum != want || want.all > b.size || want.large > b.large || want.strangers > b.strangers ||
			b.by[janus1] > b.share {
			t.Fatalf("counted %+v, is %+v", b.sum, want)
		}
	}
}

func TestBodiesThatGrowDoNotBlockEachOther(t *testing.T) {
	const limit, growing = 1 << 20, 8
	s := open(t, func(o *Options) {
		o.BodyLimit, o.EventLimit, o.InflightMax, o.Delivery = limit, limit, 2*limit, 5*time.Second
	})
	body := attached(1, 1) + strings.Repeat(" ", limit-len(attached(1, 1)))
	const begun = limit / 4 // where each needs more, and all together have all
	var answered atomic.Int64
	var senders sync.WaitGroup
	all := make(chan struct{}) // have begun
	for range growing {
		conn := s.dial(fmt.Sprintf("POST /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
			limit, body[:begun]))
		senders.Go(func() {
			<-all
			io.WriteString(conn, body[begun:])
			if said, _ := io.ReadAll(conn); strings.HasPrefix(string(said), "HTTP/1.1 200 ") {
				answered.Add(1)
			}
		})
	}
	s.until("all have begun", func() bool { return s.count("inflight_bytes", "") >= 2*limit-begun })
	close(all) // once for all: the first that gets through makes room
	s.until("one gets through", func() bool { return s.count("bodies_total", "acknowledged") > 0 })
	senders.Wait()
	if answered.Load() == 0 {
		t.Error("none is answered")
	}
}
