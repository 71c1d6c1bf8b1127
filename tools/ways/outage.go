package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"januscdr/internal/fixtures/procs"
)

// outage stops Kafka under load, kills ingest meanwhile, and looks what became of each event.
func outage(ctx context.Context, o *options, c *procs.Cluster) error {
	ingest := c.Ingests[0]
	l := startLoad(ctx, o, c.IngestAddress(0))
	defer l.end()
	fmt.Printf("%d senders, %g events a second; Kafka is away for %v, ingest is killed %d times\n", o.senders, o.rate,
		o.away, o.kills)
	procs.Sleep(ctx, min(o.away/4, 30*time.Second))

	l.fault()
	if err := c.Kafka.Stop(); err != nil {
		return err
	}
	l.fault()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	m := &memory{ingest: ingest}
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { m.watch(watching) })
	each := o.away / time.Duration(o.kills+1)
	for range o.kills {
		if !procs.Sleep(ctx, each) {
			return ctx.Err()
		}
		l.fault()
		ingest.Kill()
		l.fault()
		if err := ingest.Start(); err != nil {
			return err
		}
	}
	procs.Sleep(ctx, each)
	stop()
	work.Wait()
	fmt.Println(m)
	m.judge(&c.Complaints)
	return catchUp(ctx, o, c, l)
}

// catchUp starts Kafka, measures how long it takes until nothing waits any more, and accounts for all events.
func catchUp(ctx context.Context, o *options, c *procs.Cluster, l *load) error {
	waited, err := waiting(ctx, c.Ingests[0])
	if err != nil {
		return err
	}
	if err := c.Kafka.Start(ctx); err != nil {
		return err
	}
	began, before := time.Now(), l.answered.Load()
	var took time.Duration
	for {
		n, err := waiting(ctx, c.Ingests[0])
		if err != nil {
			return err
		}
		if took = time.Since(began); n == 0 {
			break
		}
		if !procs.Sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
	brought := waited + float64(l.answered.Load()-before)
	times := brought / took.Seconds() / o.rate
	fmt.Printf("%.0f events had waited; %.0f were in Kafka %.1f s after it was there: %.0f a second, %.1f times live\n",
		waited, brought, took.Seconds(), brought/took.Seconds(), times)
	if times < o.catchUp {
		c.Complaints.Add("what waited went to Kafka at %.1f times the rate, not at %g", times, o.catchUp)
	}
	procs.Sleep(ctx, 2*time.Second)
	l.end()
	longest := time.Duration(0)
	for _, s := range l.senders {
		longest = max(longest, s.longest)
	}
	fmt.Printf("%d events answered; the longest wait for an answer, with all its tries: %v\n", l.answered.Load(),
		longest.Round(time.Millisecond))
	a, err := account(ctx, c, l)
	if err != nil {
		return err
	}
	fmt.Println(a)
	return nil
}

// waiting is how many events are in the spool.
func waiting(ctx context.Context, s *procs.Service) (float64, error) {
	m, err := s.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	n, ok := m["januscdr_ingest_spool_events"]
	if !ok {
		return 0, fmt.Errorf("%s does not tell what is in its spool", s.Name)
	}
	return n, nil
}

// memory is what ingest takes of it, each second.
type memory struct {
	ingest *procs.Service
	lives  [][]int64 // of each process: bytes that were resident, from one second to the next
}

func (m *memory) watch(ctx context.Context) {
	pid := 0
	for procs.Sleep(ctx, time.Second) {
		now := m.ingest.PID()
		bytes := resident(now)
		if bytes == 0 {
			continue
		}
		if now != pid {
			pid = now
			m.lives = append(m.lives, nil)
		}
		m.lives[len(m.lives)-1] = append(m.lives[len(m.lives)-1], bytes)
	}
}

// resident is the memory of a process, in bytes; 0 when it cannot be told.
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if f := strings.Fields(string(text)); err == nil && len(f) > 1 {
		pages, _ := strconv.ParseInt(f[1], 10, 64)
		return pages * int64(os.Getpagesize())
	}
	return 0
}

// halves are the most that a life took in its first half, the first seconds left out, and in its second.
func halves(life []int64) (first, second int64) {
	life = life[min(len(life), 5):]
	for i, bytes := range life {
		if i < len(life)/2 {
			first = max(first, bytes)
		} else {
			second = max(second, bytes)
		}
	}
	return first, second
}

// judge complains of memory that grows.
func (m *memory) judge(complaints *procs.Complaints) {
	for i, life := range m.lives {
		first, second := halves(life)
		if first > 0 && second > first+first/4+16<<20 {
			complaints.Add("process %d of ingest took %d MiB at first and %d MiB later", i+1, first>>20, second>>20)
		}
	}
}

// String tells the most of each process, in its first half and its second.
func (m *memory) String() string {
	var b strings.Builder
	b.WriteString("memory of each process of ingest, MiB at the most, first and second half:")
	for _, life := range m.lives {
		first, second := halves(life)
		fmt.Fprintf(&b, " %d/%d", first>>20, second>>20)
	}
	return b.String()
}
