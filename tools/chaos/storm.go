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
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"januscdr/internal/fixtures/procs"
	"januscdr/kafka"
)

// storm is one run.
type storm struct {
	o       *options
	kafka   *procs.Kafka
	brokers []string
	topics  kafka.Topics
	group   string
	client  *kgo.Client
	admin   *kadm.Client

	processors, ingests []*procs.Service

	ledger *ledger
	faults *faults
	watch  *watch

	mu         sync.Mutex
	complaints []string
}

// complain notes what should not have happened. The verdict is bad then, but the storm goes on.
func (s *storm) complain(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := fmt.Sprintf(format, args...)
	s.complaints = append(s.complaints, what)
	if len(s.complaints) <= maxTold {
		fmt.Println("BAD  ", what)
	}
}

// maxTold bounds how many complaints are printed. All are in a file.
const maxTold = 20

func (s *storm) bad() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.complaints)
}

func (s *storm) kafkaOptions() kafka.Options { return kafka.Options{Brokers: s.brokers} }

// run is a storm from the first process to the verdict.
func run(ctx context.Context, o options) (err error) {
	if err := o.complete(); err != nil {
		return err
	}
	fmt.Printf("storm: seed %d, %v, %d broker(s), %d processors, %d ingest, folder %s\n", o.Seed, o.duration, o.Brokers, o.processors, o.ingests, o.Dir)
	s := &storm{o: &o, group: "storm", ledger: newLedger()}
	defer func() {
		if s.bad() > 0 {
			text := strings.Join(s.complaints, "\n") + "\n"
			err = errors.Join(err, os.WriteFile(filepath.Join(o.Dir, "complaints"), []byte(text), 0o644))
		}
		if err == nil && s.bad() == 0 && !o.Keep {
			err = os.RemoveAll(o.Dir)
			return
		}
		fmt.Println("storm: kept:", o.Dir)
		if err == nil && s.bad() > 0 {
			err = fmt.Errorf("%d complaints, see %s; seed %d", s.bad(), filepath.Join(o.Dir, "complaints"), o.Seed)
		}
	}()

	if err := o.Build(ctx, "cdr", "ingest"); err != nil {
		return err
	}
	if s.kafka, err = o.Kafka(); err != nil {
		return err
	}
	s.brokers = s.kafka.Addresses()
	defer func() { err = errors.Join(err, s.kafka.Stop()) }()
	if err := s.kafka.Start(ctx); err != nil {
		return err
	}
	if err := s.makeTopics(ctx); err != nil {
		return err
	}
	defer s.client.Close()
	if err := s.makeServices(); err != nil {
		return err
	}
	defer func() {
		for _, service := range append(s.processors, s.ingests...) {
			service.Close()
		}
	}()

	if err := s.rage(ctx); err != nil {
		return err
	}
	if err := s.calm(ctx); err != nil {
		return err
	}
	return s.judge(ctx)
}

// makeTopics makes the topics. The changelog is compacted as often as the brokers can, so that restores see it.
func (s *storm) makeTopics(ctx context.Context) (err error) {
	s.topics = procs.Topics(s.o.partitions, s.o.Brokers)
	if s.client, err = kafka.NewClient(s.kafkaOptions()); err != nil {
		return err
	}
	s.admin = kadm.NewClient(s.client)
	if err := kafka.WaitReady(ctx, s.client, nil); err != nil {
		return err
	}
	if _, err := kafka.CreateTopics(ctx, s.client, s.topics); err != nil {
		return err
	}
	set := func(name, value string) kadm.AlterConfig {
		return kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value}
	}
	altered, err := s.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{
		set("segment.bytes", strconv.Itoa(1<<20)), set("segment.ms", "10000"), set("min.cleanable.dirty.ratio", "0.01"),
	}, s.topics.State)
	for _, r := range altered {
		err = errors.Join(err, r.Err)
	}
	return err
}

func (s *storm) makeServices() error {
	o := s.o
	shared := procs.Settings(s.brokers, s.topics)
	died := func(p *procs.Service, err error) {
		s.complain("%s ended by itself: %v, see %s", p.Name, err, p.Log)
		time.Sleep(time.Second) // as whoever supervises it would
		if err := p.Start(); err != nil {
			s.complain("%v", err)
		}
	}
	for i := range o.processors {
		p, err := o.Service(fmt.Sprintf("cdr-%d", i+1), i, "cdr", "run")
		if err != nil {
			return err
		}
		p.Died, p.Env = died, procs.Environment(shared, o.policySettings(), map[string]string{
			"GROUP": s.group, "INSTANCE": p.Name, "WORKERS": strconv.Itoa(o.workers), "STATE_DIR": p.State, "ADMIN_LISTEN": p.Admin,
			"SESSION_TIMEOUT": o.sessionTimeout.String(), "TRANSACTION_TIMEOUT": o.transactionTimeout.String(), "COMMIT_INTERVAL": o.commitInterval.String(),
		})
		s.processors = append(s.processors, p)
	}
	for i := range o.ingests {
		p, err := o.Service(fmt.Sprintf("ingest-%d", i+1), 20+i, "ingest")
		if err != nil {
			return err
		}
		p.Died, p.Env = died, procs.Environment(shared, map[string]string{"INGEST_LISTEN": s.ingestAddress(i), "ADMIN_LISTEN": p.Admin})
		s.ingests = append(s.ingests, p)
	}
	return nil
}

func (s *storm) ingestAddress(i int) string { return fmt.Sprintf("127.0.0.1:%d", s.o.Port+90+i) }

// owner is the processor that has a partition, as far as they know.
func (s *storm) owner(partition int32) *procs.Service {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	for _, p := range s.processors {
		if !p.Runs() {
			continue
		}
		r, err := p.Readiness(ctx)
		if err != nil {
			continue
		}
		for _, task := range r.Details.Tasks {
			if task.Partition == partition && task.State == "running" {
				return p
			}
		}
	}
	return nil
}

// rage is the storm itself.
func (s *storm) rage(ctx context.Context) error {
	log, err := os.Create(filepath.Join(s.o.Dir, "faults"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.faults = &faults{s: s, log: log, open: make(chan int32, 1)}
	for _, service := range append(s.processors, s.ingests...) {
		if err := service.Start(); err != nil {
			return err
		}
	}
	for _, service := range append(s.processors, s.ingests...) {
		if err := service.AwaitReady(ctx, 2*time.Minute); err != nil {
			return err
		}
	}
	fmt.Println("storm: all processes are ready")

	s.watch = newWatch(s)
	watching, done := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { s.watch.run(watching) })
	beside.Go(func() {
		if err := s.faults.spy(watching); err != nil {
			s.complain("watch the changelog: %v", err)
		}
	})
	defer beside.Wait()
	defer done()

	var stopped atomic.Bool
	traffic, sending := errgroup.WithContext(ctx)
	for i := range s.o.emitters {
		e := &emitter{number: i + 1, url: "http://" + s.ingestAddress(i%s.o.ingests) + "/events", rate: s.o.rate / float64(s.o.emitters),
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
	strike(2, o.killsIngest, func(ctx context.Context, chance *rand.Rand) error { return f.killIngest(ctx, chance, &healing) })
	strike(3, o.killsBroker, f.killBroker)
	strike(4, o.pausesCDR, func(ctx context.Context, chance *rand.Rand) error {
		return f.pause(ctx, chance, s.processors, o.transactionTimeout+o.sessionTimeout)
	})
	strike(5, o.pausesIngest, func(ctx context.Context, chance *rand.Rand) error {
		return f.pause(ctx, chance, s.ingests, ingestPause)
	})
	strike(6, o.pausesBroker, f.pauseBroker)
	plan.Go(func() error {
		if !procs.Sleep(striking, o.duration) {
			return striking.Err()
		}
		return nil
	})
	failed := plan.Wait()
	healing.Wait()
	stopped.Store(true)
	if err := traffic.Wait(); err != nil && !errors.Is(failed, err) && (failed == nil || errors.Is(failed, context.Canceled)) {
		failed = err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return failed
}

// calm waits until all is consumed and nothing is open, and ends the processes in order.
func (s *storm) calm(ctx context.Context) error {
	fmt.Println("storm: over; waiting until all is consumed and closed")
	for _, p := range s.ingests {
		if err := p.Stop(30 * time.Second); err != nil {
			s.complain("%v", err)
		}
	}
	watching, done := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { s.watch.run(watching) })
	began := time.Now()
	err := s.settle(ctx)
	done()
	beside.Wait()
	if err != nil {
		return err
	}
	fmt.Printf("storm: settled after %v\n", time.Since(began).Round(time.Second))
	for _, p := range s.processors {
		if err := p.Stop(30 * time.Second); err != nil {
			s.complain("%v", err)
		}
	}
	return nil
}

// settledFor is how often in a row it must look settled.
const settledFor = 4

func (s *storm) settle(ctx context.Context) error {
	until := time.Now().Add(s.o.settle)
	for calm := 0; calm < settledFor; {
		why := s.unsettled(ctx)
		if calm++; why != "" {
			calm = 0
			s.watch.waitsFor(why)
		}
		if why != "" && time.Now().After(until) {
			s.complain("not settled after %v: %s", s.o.settle, why)
			return nil // what is there can be compared all the same
		}
		if !procs.Sleep(ctx, time.Second) {
			return ctx.Err()
		}
	}
	return nil
}

// unsettled says what is still to be done; empty: nothing.
func (s *storm) unsettled(ctx context.Context) string {
	end, at, err := s.offsets(ctx)
	if err != nil {
		return err.Error()
	}
	for p := range end {
		if at[p] != end[p] {
			return fmt.Sprintf("partition %d is consumed up to %d of %d", p, at[p], end[p])
		}
	}
	owners := map[int32]string{}
	for _, p := range s.processors {
		r, err := p.Readiness(ctx)
		if err != nil {
			return fmt.Sprintf("%s does not answer: %v", p.Name, err)
		}
		for _, task := range r.Details.Tasks {
			if other := owners[task.Partition]; other != "" {
				return fmt.Sprintf("partition %d is with %s and with %s", task.Partition, other, p.Name)
			}
			owners[task.Partition] = p.Name
			if task.State != "running" || task.OpenSessions > 0 {
				return fmt.Sprintf("partition %d is %s at %s, %d sessions are open", task.Partition, task.State, p.Name, task.OpenSessions)
			}
		}
	}
	if len(owners) != len(end) {
		return fmt.Sprintf("%d of %d partitions have an owner", len(owners), len(end))
	}
	return ""
}
