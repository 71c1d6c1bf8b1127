package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"januscdr/internal/fixtures/procs"
	"januscdr/kafka"
)

const group = "moves"

// moves is one run.
type moves struct {
	o       *options
	brokers []string
	topics  kafka.Topics
	client  *kgo.Client

	processes []*procs.Service
	leaves    map[*procs.Service]bool // it leaves the group when it stops
	started   map[*procs.Service][]time.Time

	spy    *spy
	load   *load
	stalls *stalls

	noteMu sync.Mutex
	notes  *os.File
	moved  []note // what was done, for those who ask what was near a gap

	mu   sync.Mutex
	died []string
}

type note struct {
	at   time.Time
	what string
}

func (m *moves) note(format string, args ...any) {
	m.noteMu.Lock()
	defer m.noteMu.Unlock()
	n := note{time.Now(), fmt.Sprintf(format, args...)}
	m.moved = append(m.moved, n)
	fmt.Fprintf(m.notes, "%s %s\n", n.at.Format("15:04:05.000"), n.what)
}

// run is a measurement from the first process to the table.
func run(ctx context.Context, o options) (err error) {
	if err := o.complete(); err != nil {
		return err
	}
	fmt.Printf("moves: seed %d, %v still, %v moving, %d broker(s), %d processes of %d workers, %d partitions, %.0f events/s, folder %s\n",
		o.Seed, o.still, o.moving, o.Brokers, o.processes, o.workers, o.partitions, o.rate, o.Dir)
	m := &moves{o: &o, leaves: map[*procs.Service]bool{}, started: map[*procs.Service][]time.Time{}, spy: &spy{signs: map[int32][]sign{}}, stalls: &stalls{}}
	defer func() {
		if err == nil && !o.Keep {
			err = os.RemoveAll(o.Dir)
			return
		}
		fmt.Println("moves: kept:", o.Dir)
	}()
	if m.notes, err = os.Create(filepath.Join(o.Dir, "moves")); err != nil {
		return err
	}
	defer m.notes.Close()
	if err := o.Build(ctx, "cdr"); err != nil {
		return err
	}
	k, err := o.Kafka()
	if err != nil {
		return err
	}
	m.brokers = k.Addresses()
	defer func() { err = errors.Join(err, k.Stop()) }()
	if err := k.Start(ctx); err != nil {
		return err
	}
	if err := m.prepare(ctx); err != nil {
		return err
	}
	defer m.client.Close()
	defer m.load.client.Close()
	defer func() {
		for _, p := range m.processes {
			p.Close()
		}
	}()

	beside, watched := errgroup.WithContext(ctx)
	watching, done := context.WithCancel(watched)
	defer done()
	beside.Go(func() error { return m.spy.run(watching, m.brokers, m.topics.State) })
	beside.Go(func() error { return m.load.run(watching) })
	beside.Go(func() error { m.stalls.watchCPU(watching); return nil })
	beside.Go(func() error { return m.stalls.watchDisk(watching, filepath.Join(o.Dir, "disk")) })
	still, moving, err := m.play(watching)
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
	return m.tell(ctx, still, moving)
}

// prepare makes topics, load and processes.
func (m *moves) prepare(ctx context.Context) (err error) {
	o := m.o
	m.topics = procs.Topics(o.partitions, o.Brokers)
	if m.client, err = kafka.NewClient(kafka.Options{Brokers: m.brokers}); err != nil {
		return err
	}
	if err := kafka.WaitReady(ctx, m.client, nil); err != nil {
		return err
	}
	if _, err := kafka.CreateTopics(ctx, m.client, m.topics); err != nil {
		return err
	}
	if m.load, err = newLoad(o, m.brokers, m.topics.Events); err != nil {
		return err
	}
	for i := range o.processes {
		p, err := o.Service(fmt.Sprintf("cdr-%d", i+1), i, "cdr", "run")
		if err != nil {
			return err
		}
		p.Env = procs.Environment(procs.Settings(m.brokers, m.topics), map[string]string{
			"GROUP": group, "INSTANCE": p.Name, "WORKERS": strconv.Itoa(o.workers), "STATE_DIR": p.State, "ADMIN_LISTEN": p.Admin,
			"COMMIT_INTERVAL": o.commitInterval.String(), "SESSION_TIMEOUT": o.sessionTimeout.String(), "LOG_FORMAT": "json", "LOG_LEVEL": o.logLevel,
		})
		p.Died = func(p *procs.Service, err error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.died = append(m.died, fmt.Sprintf("%s ended by itself: %v, see %s", p.Name, err, p.Log))
		}
		m.processes = append(m.processes, p)
	}
	return nil
}

// part is a stretch of the measurement, and how the machine was in it.
type part struct {
	spans         []span
	cpu, disk     time.Duration // for which this machine stood still
	slowest       time.Duration // write to the event log
	joins, leaves int
	restarts      int
}

// begin forgets what was before.
func (m *moves) begin() {
	m.stalls.cpu.Store(0)
	m.stalls.disk.Store(0)
	m.load.slowest.Store(0)
}

func (m *moves) end(p *part) {
	p.cpu = max(p.cpu, time.Duration(m.stalls.cpu.Load()))
	p.disk = max(p.disk, time.Duration(m.stalls.disk.Load()))
	p.slowest = max(p.slowest, time.Duration(m.load.slowest.Load()))
}

// play is both parts.
func (m *moves) play(ctx context.Context) (still, moving part, err error) {
	o := m.o
	chance := rand.New(rand.NewPCG(o.Seed, 1))
	for i, p := range m.processes {
		if err := m.start(chance, p); err != nil {
			return still, moving, err
		}
		if err := m.calm(ctx); err != nil {
			return still, moving, err
		}
		fmt.Printf("moves: still, %d process(es)\n", i+1)
		m.begin()
		s := span{from: time.Now()}
		if !procs.Sleep(ctx, o.still/time.Duration(o.processes)) {
			return still, moving, context.Cause(ctx)
		}
		s.to = time.Now()
		m.end(&still)
		still.spans = append(still.spans, s)
	}

	fmt.Println("moves: moving")
	m.begin()
	s := span{from: time.Now()}
	for {
		pause := o.soonest + time.Duration(chance.Float64()*float64(o.latest-o.soonest))
		if time.Since(s.from)+pause > o.moving {
			break
		}
		if !procs.Sleep(ctx, pause) {
			return still, moving, context.Cause(ctx)
		}
		if err := m.move(chance, &moving); err != nil {
			return still, moving, err
		}
	}
	if !procs.Sleep(ctx, o.moving-time.Since(s.from)) {
		return still, moving, context.Cause(ctx)
	}
	s.to = time.Now()
	m.end(&moving)
	moving.spans = []span{s}
	m.note("over")

	// The gaps under way come to their end.
	if err := m.calm(ctx); err != nil {
		return still, moving, err
	}
	for _, p := range m.processes {
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
func (m *moves) calm(ctx context.Context) error {
	for _, p := range m.processes {
		if p.Runs() {
			if err := p.AwaitReady(ctx, patience); err != nil {
				return err
			}
		}
	}
	if !procs.Sleep(ctx, m.o.settleAfterStart) {
		return context.Cause(ctx)
	}
	for now := time.Now(); !m.spy.committedSince(m.o.partitions, now); {
		if time.Since(now) > patience {
			return fmt.Errorf("wait for a commit of each partition: there is none after %v, see the logs in %s", patience, m.o.Dir)
		}
		if !procs.Sleep(ctx, 100*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	return nil
}

func (m *moves) start(chance *rand.Rand, p *procs.Service) error {
	m.leaves[p] = chance.Float64() < m.o.leaves
	var more []string
	if m.leaves[p] {
		more = []string{"--leave"}
	}
	m.started[p] = append(m.started[p], time.Now())
	m.note("%s starts %v", p.Name, more)
	return p.Start(more...)
}

// move lets one process join, leave or be started again. There is always one left.
func (m *moves) move(chance *rand.Rand, in *part) error {
	var up, down []*procs.Service
	for _, p := range m.processes {
		if p.Runs() {
			up = append(up, p)
		} else {
			down = append(down, p)
		}
	}
	m.mu.Lock()
	died := strings.Join(m.died, "; ")
	m.mu.Unlock()
	if died != "" {
		return errors.New(died)
	}
	if len(up) == 1 || len(down) > 0 && chance.IntN(2) == 0 {
		in.joins++
		return m.start(chance, down[chance.IntN(len(down))])
	}
	victim := up[chance.IntN(len(up))]
	m.note("%s stops, leaves: %v", victim.Name, m.leaves[victim])
	if err := victim.Stop(time.Minute); err != nil {
		return err
	}
	m.note("%s has stopped", victim.Name)
	if m.leaves[victim] {
		in.leaves++
		return nil
	}
	in.restarts++
	return m.start(chance, victim)
}

// history asks whose the transactions are, and the logs what was taken from whom.
func (m *moves) history(ctx context.Context) (history, map[int64]string, error) {
	h := history{started: map[int64][]time.Time{}, taken: map[int64]map[int32][]time.Time{}}
	names := map[int64]string{}
	for _, p := range m.processes {
		taken, err := takenFrom(p.Log)
		if err != nil {
			return h, nil, err
		}
		for worker := range m.o.workers {
			id := fmt.Sprintf("%s-%s-%d", group, p.Name, worker)
			described, err := kadm.NewClient(m.client).DescribeTransactions(ctx, id)
			if err != nil {
				return h, nil, err
			}
			one := described[id]
			if one.Err != nil {
				return h, nil, fmt.Errorf("ask whose transactions are those of %s: %w", id, one.Err)
			}
			names[one.ProducerID] = fmt.Sprintf("%s/%d", p.Name, worker)
			h.started[one.ProducerID] = m.started[p]
			if len(taken[worker]) > 0 {
				h.taken[one.ProducerID] = taken[worker]
			}
		}
	}
	return h, names, nil
}

// takenFrom reads in the log of a process when partitions were taken from its workers.
func takenFrom(path string) (map[int]map[int32][]time.Time, error) {
	log, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	taken := map[int]map[int32][]time.Time{}
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Time      time.Time `json:"@timestamp"`
			Message   string    `json:"@message"`
			Worker    int       `json:"worker"`
			Partition int32     `json:"partition"`
		}
		if json.Unmarshal(lines.Bytes(), &line) != nil || !strings.HasPrefix(line.Message, "partition was taken from us") {
			continue
		}
		if taken[line.Worker] == nil {
			taken[line.Worker] = map[int32][]time.Time{}
		}
		taken[line.Worker][line.Partition] = append(taken[line.Worker][line.Partition], line.Time)
	}
	return taken, lines.Err()
}

// tell prints the table, and judges the ratio.
func (m *moves) tell(ctx context.Context, still, moving part) error {
	h, names, err := m.history(ctx)
	if err != nil {
		return err
	}
	if len(h.taken) == 0 || m.spy.restores == 0 {
		return fmt.Errorf("tell who stayed: %d restores are in the changelog and %d workers lost a partition by their logs, which cannot be: is another word used for them now?", m.spy.restores, len(h.taken))
	}
	var quiet, busy []gap
	for p := range int32(m.o.partitions) {
		all := gapsOf(p, m.spy.signs[p], h)
		quiet = append(quiet, within(all, still.spans)...)
		busy = append(busy, beginning(all, moving.spans[0])...)
	}
	fmt.Printf("\n%-42s %7s %9s %9s %9s %9s\n", "time between two commits of a partition", "gaps", "median", "p99", "p99.9", "longest")
	row := func(name string, gaps []gap) time.Duration {
		sorted := longestFirst(gaps)
		round := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
		fmt.Printf("%-42s %7d %9s %9s %9s %9s\n", name, len(sorted), round(quantile(sorted, 0.5)), round(quantile(sorted, 0.99)), round(quantile(sorted, 0.999)), round(quantile(sorted, 1)))
		return quantile(sorted, 1)
	}
	longestStill := row("A nothing moves", of(quiet, stayed))
	if odd := of(quiet, dropped, restarted, moved); len(odd) > 0 {
		row("A though nothing moves, not "+stayed.String(), odd)
	}
	untouched := of(busy, stayed, dropped)
	longestStayed := row("B stayed with its worker", untouched)
	if lost := of(busy, dropped); len(lost) > 0 {
		row("  of these: restored in place", lost)
	}
	row("B "+restarted.String(), of(busy, restarted))
	row("B "+moved.String(), of(busy, moved))
	fmt.Printf("\n%d joined, %d left, %d were started again, in %v; %d transactions were aborted\n", moving.joins, moving.leaves, moving.restarts,
		moving.spans[0].to.Sub(moving.spans[0].from).Round(time.Second), m.spy.aborts)
	for i, p := range []part{still, moving} {
		fmt.Printf("%s: the machine let nobody run for %v at the most, its disk took up to %v to write a few bytes, Kafka up to %v to take an event\n",
			"AB"[i:i+1], p.cpu.Round(time.Millisecond), p.disk.Round(time.Millisecond), p.slowest.Round(time.Millisecond))
	}

	m.tellWorst("A", longestFirst(of(quiet, stayed)), names)
	m.tellWorst("B", longestFirst(untouched), names)
	m.tellWorst("B", longestFirst(of(busy, moved)), names)
	m.tellWorst("B", longestFirst(of(busy, restarted)), names)
	if longestStill == 0 || longestStayed == 0 {
		return errors.New("nothing was measured: no partition stayed for two commits")
	}
	ratio := float64(longestStayed) / float64(longestStill)
	usual := float64(quantile(longestFirst(untouched), 0.999)) / float64(quantile(longestFirst(of(quiet, stayed)), 0.999))
	fmt.Printf("\nlongest gap of what stayed, to longest without moves: %.1f (good: at most %g); the same by p99.9, which noise hits less: %.1f\n", ratio, m.o.most, usual)
	if ratio > m.o.most {
		return fmt.Errorf("partitions that stay wait %.1f times as long as without moves; see the logs in %s", ratio, m.o.Dir)
	}
	return nil
}

// around is how long before a gap something may have been its cause.
const around = 3 * time.Second

func (m *moves) tellWorst(part string, sorted []gap, names map[int64]string) {
	for _, g := range sorted[:min(m.o.worst, len(sorted))] {
		fmt.Printf("%s: %v of partition %d at %s, %s from %s on;", part, g.length().Round(time.Millisecond), g.partition, names[g.producer], g.fate, g.from.Format("15:04:05.000"))
		for _, n := range m.moved {
			if n.at.After(g.from.Add(-around)) && n.at.Before(g.to) {
				fmt.Printf(" %s %s;", n.at.Format("05.000"), n.what)
			}
		}
		fmt.Println()
	}
}
