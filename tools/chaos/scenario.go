package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"

	"januscdr/internal/fixtures/procs"
	"januscdr/pipeline"
)

// scenario is one run: traffic, faults, and the wait until all is settled.
type scenario struct {
	*procs.Cluster
	o *options

	ledger    *ledger
	faults    *faults
	changelog *procs.Changelog

	disk   string // that of the last processor; empty: it has none of its own
	remade int
	began  time.Time
	caught map[int32]time.Time // when a partition was first seen without a rest after the last fault
}

// run is a scenario from the first process to the verdict.
func run(ctx context.Context, o options) (err error) {
	if err := o.complete(); err != nil {
		return err
	}
	fmt.Printf("chaos: seed %d, %v, %d broker(s), %d processors, %d ingest, folder %s\n", o.Seed, o.duration, o.Brokers,
		o.processors, o.ingests, o.Dir)
	s := &scenario{o: &o, ledger: newLedger(), changelog: &procs.Changelog{}, caught: map[int32]time.Time{}}
	o.Through = o.strangers > 0
	s.Cluster, err = o.Cluster(ctx, "chaos", o.partitions, o.workers, "cdr", "ingest")
	defer func() {
		closed := s.Close()
		s.unmount()
		err = o.End("chaos", &s.Complaints, errors.Join(err, closed))
	}()
	if err != nil {
		return err
	}
	if err := s.compactOften(ctx); err != nil {
		return err
	}
	if err := s.makeServices(); err != nil {
		return err
	}
	if err := s.play(ctx); err != nil {
		return err
	}
	if err := s.judge(ctx); err != nil {
		return err
	}
	return s.remake(ctx)
}

// compactOften lets the changelog be compacted as often as the brokers can, so that restores see it.
func (s *scenario) compactOften(ctx context.Context) error {
	set := func(name, value string) kadm.AlterConfig {
		return kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value}
	}
	altered, err := s.Admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{
		set("segment.bytes", strconv.Itoa(1<<20)), set("segment.ms", "10000"), set("min.cleanable.dirty.ratio", "0.01"),
	}, s.Topics.State)
	for _, r := range altered {
		err = errors.Join(err, r.Err)
	}
	return err
}

func (s *scenario) makeServices() error {
	o := s.o
	settings := o.policySettings()
	settings["SESSION_TIMEOUT"], settings["TRANSACTION_TIMEOUT"] = o.sessionTimeout.String(), o.transactionTimeout.String()
	settings["COMMIT_INTERVAL"] = o.commitInterval.String()
	for range o.processors {
		if _, err := s.AddProcessor(settings); err != nil {
			return err
		}
	}
	if o.fills > 0 {
		if err := s.mount(); err != nil {
			return err
		}
	}
	for range o.ingests {
		if err := s.AddIngest(); err != nil {
			return err
		}
	}
	for _, p := range s.Services() {
		complain := p.Died
		p.Died = func(p *procs.Service, err error) {
			if s.disk != "" && strings.HasPrefix(p.State, s.disk) && strings.Contains(p.LastWords(), diskFull) {
				s.faults.inOrder.Add(1) // it noticed when there was room again: what was not written stays so
			} else {
				complain(p, err)
			}
			time.Sleep(time.Second) // as whoever supervises it would
			if err := p.Start(); err != nil {
				s.Complaints.Add("%v", err)
			}
		}
	}
	return nil
}

// play is the traffic, the faults, and what comes after them, watched from outside.
func (s *scenario) play(ctx context.Context) (err error) {
	log, err := os.Create(filepath.Join(s.o.Dir, "faults"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.faults = &faults{s: s, log: log, open: make(chan int32, 1)}
	s.changelog.Wrote = s.faults.wrote
	for _, service := range s.Services() {
		if err := service.Start(); err != nil {
			return err
		}
	}
	for _, service := range s.Services() {
		if err := service.AwaitReady(ctx, 2*time.Minute); err != nil {
			return err
		}
	}
	fmt.Println("chaos: all processes are ready")
	s.began = time.Now()

	watching, done := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() {
		if err := s.changelog.Watch(watching, s.Cluster, true); err != nil {
			s.Complaints.Add("watch the changelog: %v", err)
		}
	})
	beside.Go(func() { s.show(watching) })
	defer beside.Wait()
	defer done()
	if err := s.rage(ctx); err != nil {
		return err
	}
	return s.calm(ctx)
}

// rage is the time of faults.
func (s *scenario) rage(ctx context.Context) error {
	var stopped atomic.Bool
	traffic, sending := errgroup.WithContext(ctx)
	for i := range s.o.emitters {
		e := &emitter{number: i + 1, url: "http://" + s.IngestAddress(i%s.o.ingests) + "/events",
			rate:   s.o.rate / float64(s.o.emitters),
			copies: s.o.copies, shutdown: i%2 == 0, ledger: s.ledger, chance: rand.New(rand.NewPCG(s.o.Seed, uint64(100+i)))}
		traffic.Go(func() error { return e.run(sending, &stopped) })
	}

	var healing sync.WaitGroup
	plan, striking := errgroup.WithContext(sending)
	f, o := s.faults, s.o
	strike := func(number uint64, count int, one func(context.Context, *rand.Rand) error) {
		plan.Go(func() error { return f.strike(striking, rand.New(rand.NewPCG(o.Seed, number)), count, o.duration, one) })
	}
	strike(1, o.killsCDR, func(ctx context.Context, chance *rand.Rand) error { return f.killCDR(ctx, chance, &healing) })
	strike(2, o.killsIngest, func(ctx context.Context, chance *rand.Rand) error {
		return f.killIngest(ctx, chance, &healing)
	})
	strike(3, o.killsBroker, f.killBroker)
	strike(4, o.pausesCDR, func(ctx context.Context, chance *rand.Rand) error {
		return f.pause(ctx, chance, s.Processors, 0, o.transactionTimeout+o.sessionTimeout, &f.pauses)
	})
	strike(5, o.pausesIngest, func(ctx context.Context, chance *rand.Rand) error {
		return f.pause(ctx, chance, s.Ingests, 0, ingestPause, &f.pauses)
	})
	strike(6, o.pausesBroker, f.pauseBroker)
	for lane, count := range lanes(o.zombies, o.processors) {
		strike(zombieSeeds+uint64(lane), count, func(ctx context.Context, chance *rand.Rand) error {
			least := o.transactionTimeout + o.sessionTimeout
			return f.pause(ctx, chance, s.Processors, least, least+zombieMore, &f.zombies)
		})
	}
	strike(8, o.states, func(ctx context.Context, chance *rand.Rand) error { return f.spoil(ctx, chance, &healing) })
	strike(9, o.strangers, f.strange)
	strike(10, o.fills, f.fill)
	plan.Go(func() error {
		if !procs.Sleep(striking, o.duration) {
			return striking.Err()
		}
		return nil
	})
	failed := plan.Wait()
	healing.Wait()
	stopped.Store(true)
	if err := traffic.Wait(); err != nil && !errors.Is(failed, err) &&
		(failed == nil || errors.Is(failed, context.Canceled)) {
		failed = err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return failed
}

// calm waits until all is consumed and nothing is open, and ends the processes in order.
func (s *scenario) calm(ctx context.Context) error {
	fmt.Println("chaos: over; waiting until all is consumed and closed")
	for _, p := range s.Ingests {
		if err := p.Stop(30 * time.Second); err != nil {
			s.Complaints.Add("%v", err)
		}
	}
	began := time.Now()
	if err := s.settle(ctx); err != nil {
		return err
	}
	fmt.Printf("chaos: settled after %v\n", time.Since(began).Round(time.Second))
	for _, p := range s.Processors {
		if err := p.Stop(30 * time.Second); err != nil {
			s.Complaints.Add("%v", err)
		}
	}
	return nil
}

// zombieSeeds is the first number of what chooses zombies; each lane has its own.
const zombieSeeds = 100

// lanes divides faults that mostly wait among as many at a time as leave half of the processors to work.
func lanes(count, processors int) []int {
	each := make([]int, min(count, max(1, processors/2)))
	for i := range count {
		each[i%len(each)]++
	}
	return each
}

// zombieMore is how much longer than its time-outs a processor stands still at most.
const zombieMore = 4 * time.Second

// settledFor is how often in a row it must look settled.
const settledFor = 4

func (s *scenario) settle(ctx context.Context) error {
	until, told := time.Now().Add(s.o.settle), time.Now()
	for calm := 0; calm < settledFor; {
		why := s.unsettled(ctx)
		if calm++; why != "" {
			calm = 0
		}
		if time.Since(told) >= tellEvery && why != "" {
			told = time.Now()
			fmt.Println("chaos:", why)
		}
		if why != "" && time.Now().After(until) {
			s.Complaints.Add("not settled after %v: %s", s.o.settle, why)
			return nil // what is there can be compared all the same
		}
		if !procs.Sleep(ctx, time.Second) {
			return ctx.Err()
		}
	}
	return nil
}

// unsettled says what is still to be done; empty: nothing.
func (s *scenario) unsettled(ctx context.Context) string {
	end, at, err := s.Offsets(ctx)
	if err != nil {
		return err.Error()
	}
	why := ""
	for p := range end {
		switch {
		case at[p] != end[p]:
			why = fmt.Sprintf("partition %d is consumed up to %d of %d", p, at[p], end[p])
		case s.caught[p].IsZero():
			s.caught[p] = time.Now()
		}
	}
	if why != "" {
		return why
	}
	owners := map[int32]string{}
	for _, p := range s.Processors {
		r, err := p.Readiness(ctx)
		if err != nil {
			return fmt.Sprintf("%s does not answer: %v", p.Name, err)
		}
		for _, task := range r.Details.Tasks {
			if other := owners[task.Partition]; other != "" {
				return fmt.Sprintf("partition %d is with %s and with %s", task.Partition, other, p.Name)
			}
			owners[task.Partition] = p.Name
			if task.State != pipeline.Running || task.OpenSessions > 0 {
				return fmt.Sprintf("partition %d is %s at %s, %d sessions are open", task.Partition, task.State, p.Name,
					task.OpenSessions)
			}
		}
	}
	if len(owners) != len(end) {
		return fmt.Sprintf("%d of %d partitions have an owner", len(owners), len(end))
	}
	return ""
}

const tellEvery = 5 * time.Second

// show tells now and then how it goes.
func (s *scenario) show(ctx context.Context) {
	for procs.Sleep(ctx, tellEvery) {
		f, o := s.faults, s.o
		_, answered, _, repeats := s.ledger.counts()
		rest := "unknown"
		if end, at, err := s.Offsets(ctx); err == nil {
			rest = strconv.FormatInt(sum(end)-sum(at), 10)
		}
		fmt.Printf("%5.0fs  killed cdr %d/%d ingest %d/%d broker %d/%d paused %d/%d "+
			"zombies %d/%d states %d/%d strangers %d/%d fills %d/%d  answered %d (tried again %d)  lag %s  "+
			"last commit %.1fs ago\n",
			time.Since(s.began).Seconds(), f.cdr.Load(), o.killsCDR, f.ingest.Load(), o.killsIngest, f.broker.Load(),
			o.killsBroker, f.pauses.Load(), o.pausesCDR+o.pausesIngest+o.pausesBroker, f.zombies.Load(), o.zombies,
			f.spoiled.all(), o.states, f.strangers.Load(), o.strangers, f.fills.Load(), o.fills, answered, repeats, rest,
			time.Since(s.changelog.LastCommit()).Seconds())
	}
}

func sum(offsets map[int32]int64) (n int64) {
	for _, o := range offsets {
		n += o
	}
	return n
}
