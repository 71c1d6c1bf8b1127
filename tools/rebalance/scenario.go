package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"januscdr/internal/fixtures/procs"
)

// scenario is one run.
type scenario struct {
	*procs.Cluster
	o *options

	leaves map[*procs.Service]bool // it leaves the group when it stops

	changelog *procs.Changelog
	load      *load
	stalls    *stalls

	mu    sync.Mutex
	file  *os.File
	notes []note // what was done, for those who ask what was near a gap
}

type note struct {
	at   time.Time
	what string
}

func (s *scenario) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := note{time.Now(), fmt.Sprintf(format, args...)}
	s.notes = append(s.notes, n)
	fmt.Fprintf(s.file, "%s %s\n", n.at.Format("15:04:05.000"), n.what)
}

// run is a measurement from the first process to the table.
func run(ctx context.Context, o options) (err error) {
	if err := o.complete(); err != nil {
		return err
	}
	fmt.Printf("rebalance: seed %d, %v still, %v moving, %d broker(s), %d processes of %d workers, %d partitions, %.0f "+
		"events/s, folder %s\n",
		o.Seed, o.still, o.moving, o.Brokers, o.processes, o.workers, o.partitions, o.rate, o.Dir)
	s := &scenario{o: &o, leaves: map[*procs.Service]bool{}, changelog: &procs.Changelog{}, stalls: &stalls{}}
	s.Cluster, err = o.Cluster(ctx, "rebalance", o.partitions, o.workers, "cdr")
	defer func() {
		err = o.End("rebalance", &s.Complaints, errors.Join(err, s.Close()))
	}()
	if err != nil {
		return err
	}
	if s.file, err = os.Create(filepath.Join(o.Dir, "moves")); err != nil {
		return err
	}
	defer s.file.Close()
	if s.load, err = newLoad(&o, s.Options(), s.Topics.Events); err != nil {
		return err
	}
	defer s.load.client.Close()
	for range o.processes {
		_, err := s.AddProcessor(map[string]string{
			"COMMIT_INTERVAL": o.commitInterval.String(), "SESSION_TIMEOUT": o.sessionTimeout.String(), "LOG_LEVEL": o.logLevel,
		})
		if err != nil {
			return err
		}
	}

	beside, watched := errgroup.WithContext(ctx)
	watching, done := context.WithCancel(watched)
	defer done()
	beside.Go(func() error { return s.changelog.Watch(watching, s.Cluster, false) }) // the times are in the records
	beside.Go(func() error { return s.load.run(watching) })
	beside.Go(func() error { s.stalls.watchCPU(watching); return nil })
	beside.Go(func() error { return s.stalls.watchDisk(watching, filepath.Join(o.Dir, "disk")) })
	still, moving, err := s.play(watching)
	done()
	if failed := beside.Wait(); failed != nil { // it is what ended the play
		err = failed
	}
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := s.Verify(ctx); err != nil {
		return err
	}
	return s.tell(ctx, still, moving)
}

// part is a part of the measurement, and how the machine was in it.
type part struct {
	spans         []procs.Span
	cpu, disk     time.Duration // for which this machine stood still
	slowest       time.Duration // write to the event log
	joins, leaves int
	restarts      int
}

// begin forgets what was before.
func (s *scenario) begin() {
	s.stalls.cpu.Store(0)
	s.stalls.disk.Store(0)
	s.load.slowest.Store(0)
}

func (s *scenario) end(p *part) {
	p.cpu = max(p.cpu, time.Duration(s.stalls.cpu.Load()))
	p.disk = max(p.disk, time.Duration(s.stalls.disk.Load()))
	p.slowest = max(p.slowest, time.Duration(s.load.slowest.Load()))
}

// play is both parts.
func (s *scenario) play(ctx context.Context) (still, moving part, err error) {
	o := s.o
	chance := rand.New(rand.NewPCG(o.Seed, 1))
	for i, p := range s.Processors {
		if err := s.start(chance, p); err != nil {
			return still, moving, err
		}
		if err := s.calm(ctx); err != nil {
			return still, moving, err
		}
		fmt.Printf("rebalance: still, %d process(es)\n", i+1)
		s.begin()
		in := procs.Span{From: time.Now()}
		if !procs.Sleep(ctx, o.still/time.Duration(o.processes)) {
			return still, moving, context.Cause(ctx)
		}
		in.To = time.Now()
		s.end(&still)
		still.spans = append(still.spans, in)
	}

	fmt.Println("rebalance: moving")
	s.begin()
	in := procs.Span{From: time.Now()}
	for {
		pause := o.soonest + time.Duration(chance.Float64()*float64(o.latest-o.soonest))
		if time.Since(in.From)+pause > o.moving {
			break
		}
		if !procs.Sleep(ctx, pause) {
			return still, moving, context.Cause(ctx)
		}
		if err := s.move(chance, &moving); err != nil {
			return still, moving, err
		}
	}
	if !procs.Sleep(ctx, o.moving-time.Since(in.From)) {
		return still, moving, context.Cause(ctx)
	}
	in.To = time.Now()
	s.end(&moving)
	moving.spans = []procs.Span{in}
	s.note("over")

	// The gaps under way come to their end.
	if err := s.calm(ctx); err != nil {
		return still, moving, err
	}
	for _, p := range s.Processors {
		if p.Runs() {
			if err := p.Stop(time.Minute); err != nil {
				return still, moving, err
			}
		}
	}
	return still, moving, nil
}

// patience is how long it may take until all partitions are at work.
const patience = 2 * time.Minute

// calm waits until all processes are ready, a while longer, and until each partition has been committed after that.
func (s *scenario) calm(ctx context.Context) error {
	for _, p := range s.Processors {
		if p.Runs() {
			if err := p.AwaitReady(ctx, patience); err != nil {
				return err
			}
		}
	}
	if !procs.Sleep(ctx, s.o.settleAfterStart) {
		return context.Cause(ctx)
	}
	for now := time.Now(); !s.changelog.CommittedSince(s.o.partitions, now); {
		if time.Since(now) > patience {
			return fmt.Errorf("wait for a commit of each partition: there is none after %v, see the logs in %s", patience,
				s.o.Dir)
		}
		if !procs.Sleep(ctx, 100*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	return nil
}

func (s *scenario) start(chance *rand.Rand, p *procs.Service) error {
	s.leaves[p] = chance.Float64() < s.o.leaves
	var more []string
	if s.leaves[p] {
		more = []string{"--leave"}
	}
	s.note("%s starts %v", p.Name, more)
	return p.Start(more...)
}

// move lets one process join, leave or be started again. There is always one left.
func (s *scenario) move(chance *rand.Rand, in *part) error {
	var up, down []*procs.Service
	for _, p := range s.Processors {
		if p.Runs() {
			up = append(up, p)
		} else {
			down = append(down, p)
		}
	}
	if died := s.Complaints.All(); len(died) > 0 {
		return errors.New(strings.Join(died, "; "))
	}
	if len(up) == 1 || len(down) > 0 && chance.IntN(2) == 0 {
		in.joins++
		return s.start(chance, down[chance.IntN(len(down))])
	}
	victim := up[chance.IntN(len(up))]
	s.note("%s stops, leaves: %v", victim.Name, s.leaves[victim])
	if err := victim.Stop(time.Minute); err != nil {
		return err
	}
	s.note("%s has stopped", victim.Name)
	if s.leaves[victim] {
		in.leaves++
		return nil
	}
	in.restarts++
	return s.start(chance, victim)
}

// tell prints the table, and judges the ratio.
func (s *scenario) tell(ctx context.Context, still, moving part) error {
	gaps, producers, err := s.Gaps(ctx, s.changelog)
	if err != nil {
		return err
	}
	var quiet, busy []procs.Gap
	for _, all := range gaps {
		quiet = append(quiet, procs.Within(all, still.spans...)...)
		busy = append(busy, procs.Beginning(all, moving.spans[0])...)
	}
	_, aborts, restores := s.changelog.Counts()
	if restores == 0 || len(procs.Of(busy, procs.Moved)) == 0 {
		return fmt.Errorf("tell who stayed: %d restores are in the changelog and no partition moved, which cannot be",
			restores)
	}
	fmt.Printf("\n%-42s %7s %9s %9s %9s %9s\n", "time between two commits of a partition", "gaps", "median", "p99",
		"p99.9", "longest")
	row := func(name string, gaps []procs.Gap) time.Duration {
		sorted := procs.LongestFirst(gaps)
		round := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
		fmt.Printf("%-42s %7d %9s %9s %9s %9s\n", name, len(sorted), round(procs.Quantile(sorted, 0.5)),
			round(procs.Quantile(sorted, 0.99)), round(procs.Quantile(sorted, 0.999)), round(procs.Quantile(sorted, 1)))
		return procs.Quantile(sorted, 1)
	}
	longestStill := row("A nothing moves", procs.Of(quiet, procs.Stayed))
	if odd := procs.Of(quiet, procs.Dropped, procs.Restarted, procs.Moved); len(odd) > 0 {
		row("A though nothing moves, not "+procs.Stayed.String(), odd)
	}
	untouched := procs.Of(busy, procs.Stayed, procs.Dropped)
	longestStayed := row("B stayed with its worker", untouched)
	if lost := procs.Of(busy, procs.Dropped); len(lost) > 0 {
		row("  of these: restored in place", lost)
	}
	row("B "+procs.Restarted.String(), procs.Of(busy, procs.Restarted))
	row("B "+procs.Moved.String(), procs.Of(busy, procs.Moved))
	fmt.Printf("\n%d joined, %d left, %d were started again, in %v; %d transactions were aborted\n", moving.joins,
		moving.leaves, moving.restarts,
		moving.spans[0].Length().Round(time.Second), aborts)
	for i, p := range []part{still, moving} {
		fmt.Printf("%s: the machine let nobody run for %v at the most, its disk took up to %v to write a few bytes, Kafka "+
			"up to %v to take an event\n",
			"AB"[i:i+1], p.cpu.Round(time.Millisecond), p.disk.Round(time.Millisecond), p.slowest.Round(time.Millisecond))
	}

	s.tellWorst("A", procs.LongestFirst(procs.Of(quiet, procs.Stayed)), producers)
	s.tellWorst("B", procs.LongestFirst(untouched), producers)
	s.tellWorst("B", procs.LongestFirst(procs.Of(busy, procs.Moved)), producers)
	s.tellWorst("B", procs.LongestFirst(procs.Of(busy, procs.Restarted)), producers)
	if longestStill == 0 || longestStayed == 0 {
		return errors.New("nothing was measured: no partition stayed for two commits")
	}
	ratio := float64(longestStayed) / float64(longestStill)
	usual := float64(procs.Quantile(procs.LongestFirst(untouched),
		0.999)) / float64(procs.Quantile(procs.LongestFirst(procs.Of(quiet, procs.Stayed)), 0.999))
	fmt.Printf("\nlongest gap of what stayed, to longest without moves: %.1f (good: at most %g); the same by p99.9, "+
		"which noise hits less: %.1f\n", ratio, s.o.most, usual)
	if ratio > s.o.most {
		return fmt.Errorf("partitions that stay wait %.1f times as long as without moves; see the logs in %s", ratio, s.o.Dir)
	}
	return nil
}

// around is how long before a gap something may have been its cause.
const around = 3 * time.Second

func (s *scenario) tellWorst(part string, sorted []procs.Gap, producers map[int64]procs.Producer) {
	for _, g := range sorted[:min(s.o.worst, len(sorted))] {
		fmt.Printf("%s: %v of partition %d at %s, %s from %s on;", part, g.Length().Round(time.Millisecond), g.Partition,
			producers[g.Producer].Name, g.Fate, g.From.Format("15:04:05.000"))
		for _, n := range s.notes {
			if n.at.After(g.From.Add(-around)) && n.at.Before(g.To) {
				fmt.Printf(" %s %s;", n.at.Format("05.000"), n.what)
			}
		}
		fmt.Println()
	}
}
