package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"januscdr/internal/fixtures/procs"
)

// Pauses of ingest and of brokers take up to so long: longer than a sender waits, and than a cluster waits for a
// leader.
const (
	ingestPause = 15 * time.Second
	brokerPause = 12 * time.Second

	strangeLeast, strangeMost = 5 * time.Second, 30 * time.Second

	brokerRest = 6 * time.Second // between two faults of brokers: without work there is nothing to disturb
)

// faults does what the plan says, and notes it. A fault can come before that of another service has healed, but not
// before the last one of the same service has.
type faults struct {
	s    *scenario
	log  *os.File
	open chan int32 // a partition of the changelog in which something was just written, not yet committed

	brokers sync.Mutex // one at a time has a fault

	cdr, ingest, broker, pauses, aimed, wiped, away atomic.Int64

	zombies, strangers, fills, inOrder atomic.Int64
	spoiled                            spoiled
}

func (f *faults) note(format string, args ...any) {
	fmt.Fprintf(f.log, "%s %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// strike calls one for each of so many moments, spread over a time at random.
func (f *faults) strike(ctx context.Context, chance *rand.Rand, count int, over time.Duration,
	one func(ctx context.Context, chance *rand.Rand) error) error {
	if count == 0 {
		return nil
	}
	moments := make([]time.Duration, count)
	for i := range moments {
		moments[i] = time.Duration(chance.Float64() * float64(over))
	}
	slices.Sort(moments)
	began := time.Now()
	for _, at := range moments {
		if !procs.Sleep(ctx, at-time.Since(began)) {
			return ctx.Err()
		}
		if err := one(ctx, rand.New(rand.NewPCG(chance.Uint64(), 1))); err != nil {
			return err
		}
	}
	return nil
}

// seize picks a service that is up and on which nobody works, and waits for one if it must.
func seize(ctx context.Context, chance *rand.Rand, from []*procs.Service,
	preferred *procs.Service) (*procs.Service, error) {
	for {
		if preferred != nil && preferred.Runs() && preferred.Struck.CompareAndSwap(false, true) {
			return preferred, nil
		}
		for _, i := range chance.Perm(len(from)) {
			if from[i].Runs() && from[i].Struck.CompareAndSwap(false, true) {
				return from[i], nil
			}
		}
		if !procs.Sleep(ctx, 20*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

// killCDR kills a processor. It heals beside us, so that several can be down at once.
func (f *faults) killCDR(ctx context.Context, chance *rand.Rand, healing *sync.WaitGroup) error {
	aimed, wiped, late := chance.Float64() < f.s.o.aim, chance.Float64() < f.s.o.wipe, chance.Float64() < f.s.o.away
	down := time.Duration(chance.Float64() * float64(500*time.Millisecond))
	if chance.IntN(4) == 0 {
		down = time.Duration(chance.Float64() * float64(3*time.Second))
	}
	if late {
		down = f.s.o.sessionTimeout + time.Duration(chance.Float64()*float64(4*time.Second))
	}
	what := "at random"
	var owner *procs.Service
	if aimed {
		if partition, ok := f.transaction(ctx); ok {
			what = fmt.Sprintf("in a transaction on partition %d", partition)
			owner = f.s.Owner(ctx, partition)
			f.aimed.Add(1)
			time.Sleep(time.Duration(chance.Float64() * float64(12*time.Millisecond))) // the rest of it takes about so long
		}
	}
	victim, err := seize(ctx, chance, f.s.ordinary(), owner)
	if err != nil {
		return err
	}
	if !victim.Kill() {
		victim.Struck.Store(false)
		return nil
	}
	f.cdr.Add(1)
	f.note("%s killed %s, down for %v, away %v, wiped %v", victim.Name, what, down.Round(time.Millisecond), late, wiped)
	if late {
		f.away.Add(1)
	}
	if wiped {
		f.wiped.Add(1)
		if err := os.RemoveAll(victim.State); err != nil {
			return fmt.Errorf("lose the state of %s: %w", victim.Name, err)
		}
	}
	f.heal(ctx, victim, down, healing)
	return nil
}

func (f *faults) heal(ctx context.Context, victim *procs.Service, down time.Duration, healing *sync.WaitGroup) {
	healing.Go(func() {
		defer victim.Struck.Store(false)
		procs.Sleep(ctx, down)
		if err := victim.Start(); err != nil {
			f.s.Complaints.Add("%v", err)
		}
		f.note("%s started", victim.Name)
	})
}

func (f *faults) killIngest(ctx context.Context, chance *rand.Rand, healing *sync.WaitGroup) error {
	down := time.Duration(chance.Float64() * float64(500*time.Millisecond))
	if chance.IntN(4) == 0 {
		down = time.Duration(chance.Float64() * float64(5*time.Second))
	}
	victim, err := seize(ctx, chance, f.s.Ingests, nil)
	if err != nil {
		return err
	}
	if !victim.Kill() {
		victim.Struck.Store(false)
		return nil
	}
	f.ingest.Add(1)
	f.note("%s killed, down for %v", victim.Name, down.Round(time.Millisecond))
	f.heal(ctx, victim, down, healing)
	return nil
}

// pause stops one of some services for a time, and lets it go on as if nothing had happened.
func (f *faults) pause(ctx context.Context, chance *rand.Rand, from []*procs.Service, least, most time.Duration,
	count *atomic.Int64) error {
	d := least + time.Duration(chance.Float64()*float64(most-least))
	victim, err := seize(ctx, chance, from, nil)
	if err != nil {
		return err
	}
	defer victim.Struck.Store(false)
	f.note("%s pauses for %v", victim.Name, d.Round(time.Millisecond))
	if victim.Pause(ctx, d) {
		count.Add(1)
	}
	f.note("%s goes on", victim.Name)
	return nil
}

// strange lets another cluster answer our processes.
func (f *faults) strange(ctx context.Context, chance *rand.Rand) error {
	f.brokers.Lock()
	defer f.brokers.Unlock()
	d := strangeLeast + time.Duration(chance.Float64()*float64(strangeMost-strangeLeast))
	f.note("another cluster answers for %v", d.Round(time.Millisecond))
	if err := f.s.Strange(ctx, d); err != nil {
		return err
	}
	f.strangers.Add(1)
	f.note("our cluster answers")
	procs.Sleep(ctx, brokerRest)
	return nil
}

// pauseBroker stops a broker for so long that others may lead in its place, and lets it go on.
func (f *faults) pauseBroker(ctx context.Context, chance *rand.Rand) error {
	f.brokers.Lock()
	defer f.brokers.Unlock()
	n, d := 1+chance.IntN(f.s.o.Brokers), time.Duration(chance.Float64()*float64(brokerPause))
	f.note("broker %d pauses for %v", n, d.Round(time.Millisecond))
	if err := f.s.Kafka.Pause(ctx, n, d); err != nil {
		return err
	}
	f.pauses.Add(1)
	f.note("broker %d goes on", n)
	procs.Sleep(ctx, brokerRest)
	return nil
}

// killBroker kills a broker, starts it again, and waits until all brokers run.
func (f *faults) killBroker(ctx context.Context, chance *rand.Rand) error {
	f.brokers.Lock()
	defer f.brokers.Unlock()
	n := 1 + chance.IntN(f.s.o.Brokers)
	if err := f.s.Kafka.Kill(n); err != nil {
		return err
	}
	f.broker.Add(1)
	down := time.Duration(chance.Float64() * float64(5*time.Second))
	f.note("broker %d killed, down for %v", n, down.Round(time.Millisecond))
	procs.Sleep(ctx, down)
	if err := f.s.Kafka.Start(ctx); err != nil {
		return err
	}
	f.note("broker %d started", n)
	procs.Sleep(ctx, brokerRest)
	return nil
}

// transaction waits until something is written to the changelog. It may be committed at any moment.
func (f *faults) transaction(ctx context.Context) (int32, bool) {
	for {
		select {
		case <-f.open: // old
			continue
		default:
		}
		break
	}
	select {
	case partition := <-f.open:
		return partition, true
	case <-ctx.Done():
	case <-time.After(5 * time.Second):
	}
	return 0, false
}

// wrote notes that something was written to the changelog.
func (f *faults) wrote(partition int32) {
	select {
	case f.open <- partition:
	default:
	}
}
