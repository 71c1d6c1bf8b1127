//go:build synctests

package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/internal/fixtures/broker"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
	"januscdr/pipeline"
	"januscdr/statestore"
)

const (
	group      = "januscdr"
	brokerAt   = "127.0.0.1:9092"
	partitions = 4
)

// topics are what every run has.
var topics = kafka.Topics{
	Events: "events", CDR: "cdr", State: "state", DLQ: "dlq", Partitions: partitions,
	EventsRetention: 365 * 24 * time.Hour, Embedded: true,
}

// world is one run: a broker, hosts with processors, a feeder, and the one who breaks things. It lives in a bubble with
// a clock of its own.
type world struct {
	t      testing.TB
	seed   uint64
	rng    *rand.Rand // of the main goroutine
	dir    string
	policy cdr.Policy

	wires     *kfake.VirtualNetwork
	broker    *embedded.Broker
	static    *broker.Keeper
	brokerDir string
	direct    *line // for looking on: never harmed
	admin     *kgo.Client
	hosts     []*host
	gone      []*process // killed, and not yet noticed to be
	all       []*process
	feeder    *feeder
	ordinal   int // of directories
	answers   []*kfake.FaultHandle

	mu       sync.Mutex
	began    time.Time
	told     bytes.Buffer
	counts   map[string]int
	failures []string
	excused  []error // how a processor may end by itself
}

// host is a machine: a name, a disk, and one processor at a time.
type host struct {
	name    string
	workers int
	dir     string   // the disk as the next start finds it
	kept    []string // images of it, older ones too; nobody works on them
	lives   int
	up      *process
	again   time.Time // when to start again, if it is not up
}

// process is one life of a processor.
type process struct {
	world  *world
	host   *host
	name   string
	dir    string
	line   *line
	cancel context.CancelFunc
	done   chan struct{}
	err    error
	log    *syncBuffer
	runs   *pipeline.Processor

	mu   sync.Mutex
	dead bool
	stop *halt
	disk diskFault

	emits atomic.Bool // the transaction that is being made has records; with one worker
}

// halt is a place where a process stands still until it is let go.
type halt struct {
	at      string
	nth     int
	linger  time.Duration
	when    func() bool // counts only if so; nil: always
	reached chan struct{}
	goOn    chan struct{}
}

// diskFault is what the disk does to the next write of a store.
type diskFault struct {
	err  error
	slow time.Duration
}

func newWorld(t testing.TB, seed uint64, dir string) *world {
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), dir: dir, wires: &kfake.VirtualNetwork{},
		began: time.Now(), counts: map[string]int{}, brokerDir: filepath.Join(dir, "broker-0"), policy: policy(seed),
	}
	w.direct = newLine(w, "onlooker", seed)
	w.startBroker()
	var err error
	if w.admin, err = kafka.NewClient(w.kafka(w.direct)); err != nil {
		t.Fatal(err)
	}
	w.keepStatic()
	if _, err := kafka.CreateTopics(context.Background(), w.admin, topics); err != nil {
		t.Fatal(err)
	}
	return w
}

// policy has short limits, so that much becomes due in a minute, and more than one thing at a time.
func policy(seed uint64) cdr.Policy {
	rng := rand.New(rand.NewPCG(seed, 2))
	const second = 1_000_000
	p := cdr.DefaultPolicy()
	p.StubRetention = second * 10
	p.EmitterSilence = second * 25
	p.LegSilence = second * 8
	p.LegSilenceWithoutStatistics = second * 12
	if rng.IntN(2) == 0 {
		p.Partial.Every = second * 4
	}
	p.Grace = second / 2 * (1 + janus.Micros(rng.IntN(3)))
	return p
}

func (w *world) kafka(l *line) kafka.Options {
	return kafka.Options{Brokers: []string{brokerAt}, Dialer: l.dial, Compression: "none"}
}

// tell writes a line into the log of the faults.
func (w *world) tell(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.told, "%9.3fs ", time.Since(w.began).Seconds())
	fmt.Fprintf(&w.told, format+"\n", args...)
}

func (w *world) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

// fail notes that a promise was broken. The run goes on to its end.
func (w *world) fail(format string, args ...any) {
	w.tell("FAILED: "+format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *world) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.failures) > 0
}

func (w *world) excuse(err error) { w.excused = append(w.excused, err) }

func (w *world) startBroker() {
	level := hclog.Error
	log := hclog.New(&hclog.LoggerOptions{Level: level, Output: &syncBuffer{}})
	started, err := embedded.Start(embedded.Options{Dir: w.brokerDir, Listen: brokerAt, Log: log, Kfake: []kfake.Opt{
		kfake.ListenFn(w.wires.Listen), kfake.GroupMinSessionTimeout(time.Second),
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.broker = started; w.admin != nil {
		w.keepStatic()
	}
}

// keepStatic lets the broker treat static members as Apache Kafka does.
func (w *world) keepStatic() {
	w.static = broker.KeepStatic(w.broker.Cluster(), w.admin, map[string]int32{topics.Events: partitions})
}

// restartBroker lets the broker die and come back on what its disk has: in order, or without a chance to write
// anything more.
func (w *world) restartBroker(killed bool) {
	for _, l := range w.lines() {
		l.cut(false)
	}
	old := w.broker
	if killed {
		// It comes back with the transactions that were open aborted and their producers fenced, which cannot be told from
		// what another process under the same name does. Other brokers remember them.
		w.excuse(pipeline.ErrFenced)
		synctest.Wait()
		w.ordinal++
		next := filepath.Join(w.dir, fmt.Sprintf("broker-%d", w.ordinal))
		w.copyDir(w.brokerDir, next)
		w.brokerDir = next
	}
	if err := old.Close(); err != nil {
		w.t.Fatal(err)
	}
	for _, l := range w.lines() {
		l.cut(false)
	}
	time.Sleep(time.Duration(w.rng.Int64N(int64(6 * time.Second))))
	w.startBroker()
}

func (w *world) lines() []*line {
	all := []*line{w.direct}
	if w.feeder != nil {
		all = append(all, w.feeder.line)
	}
	for _, h := range w.hosts {
		if h.up != nil {
			all = append(all, h.up.line)
		}
	}
	for _, p := range w.gone {
		all = append(all, p.line)
	}
	return all
}

// start starts the processor of a host on its disk.
func (w *world) start(h *host, change ...func(*pipeline.Options)) *process {
	h.lives++
	p := w.process(h, fmt.Sprintf("%s#%d", h.name, h.lives), h.dir)
	h.up = p
	w.launch(p, change...)
	return p
}

func (w *world) process(h *host, name, dir string) *process {
	p := &process{world: w, host: h, name: name, dir: dir, done: make(chan struct{}), log: &syncBuffer{}}
	p.line = newLine(w, p.name, w.rng.Uint64())
	w.all = append(w.all, p)
	return p
}

// lags are for how long states may lag behind what is told, by seed.
var lags = []time.Duration{300 * time.Millisecond, time.Second, 0, 3 * time.Second}

func (w *world) launch(p *process, change ...func(*pipeline.Options)) {
	o := pipeline.Options{
		Kafka: w.kafka(p.line), Topics: topics, Group: group, Instance: p.host.name, Workers: p.host.workers, StateDir: p.dir,
		Policy: w.policy, CommitInterval: 100 * time.Millisecond, TransactionTimeout: 10 * time.Second,
		SessionTimeout: 12 * time.Second, Headers: pipeline.HeaderNames{Version: "simulation", Policy: "policy"},
		Encode: p.encode,
		Log:    hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: p.log}),
	}
	o.ChangelogLag = lags[w.seed%uint64(len(lags))]
	o.OnCrashPoint(p.probe)
	o.OnStoreCrashPoint(p.storeProbe)
	if w.seed%3 == 0 {
		o.RewriteAfter = 150
	}
	for _, f := range change {
		f(&o)
	}
	processor, err := pipeline.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	p.runs = processor
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	w.count("lives")
	w.tell("%s: starts", p.name)
	go func() {
		defer close(p.done)
		p.err = processor.Run(ctx)
		w.tell("%s: ended: %v", p.name, p.err)
	}()
}

// probe is where the processor tells how far it came. It stands still at its halt.
func (p *process) probe(step pipeline.CrashPoint) {
	if step == pipeline.AfterEnd || step == pipeline.BeforeAbort {
		p.emits.Store(false)
	}
	p.pass(string(step))
}

func (p *process) encode(r *cdr.Record) ([]byte, error) {
	p.emits.Store(true)
	return avro.Encode(r)
}

func (p *process) storeProbe(step statestore.CrashPoint) error {
	p.mu.Lock()
	fault := p.disk
	if p.dead {
		fault = diskFault{}
	}
	p.mu.Unlock()
	time.Sleep(fault.slow)
	p.pass("store " + string(step))
	return fault.err
}

func (p *process) pass(step string) {
	p.mu.Lock()
	s := p.stop
	if p.dead || s == nil || s.at != step || s.when != nil && !s.when() {
		p.mu.Unlock()
		return
	}
	s.nth--
	if s.nth != 0 {
		if s.nth < 0 {
			p.mu.Unlock()
			<-s.goOn // another worker comes to the same place while the process stands still
			return
		}
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	time.Sleep(s.linger)
	close(s.reached)
	<-s.goOn
}

// haltAt makes a process stand still when it comes to a step for the nth time from now on.
func (p *process) haltAt(step string, nth int, linger time.Duration) *halt {
	s := &halt{at: step, nth: nth, linger: linger, reached: make(chan struct{}), goOn: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop = s
	return s
}

// letGo lets a process go on.
func (p *process) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil {
		close(p.stop.goOn)
		p.stop = nil
	}
}

// kill ends a process as SIGKILL does: from now on nothing that it does reaches the broker, and what its disk has at
// this moment is what the next start finds. What still runs of it ends in its own time, unnoticed.
func (w *world) kill(p *process) {
	p.line.cut(true)
	synctest.Wait()
	image := w.newDisk(p.host, p.dir)
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.letGo()
	p.cancel()
	w.gone = append(w.gone, p)
	if p.host.up == p {
		p.host.kept = append(p.host.kept, image)
		p.host.dir, p.host.up = w.newDisk(p.host, image), nil // what still runs of it writes to the old one
	}
	w.count("kills")
}

// end stops a process in order and waits for it.
func (w *world) end(p *process) {
	p.line.thaw()
	p.letGo()
	p.cancel()
	<-p.done
	w.ended(p)
}

// ended takes note of a process that ended by itself, or because it was told to.
func (w *world) ended(p *process) {
	if p.host.up == p {
		p.host.up = nil
		p.host.kept = append(p.host.kept, w.newDisk(p.host, p.dir))
	}
	p.line.cut(true)
	if p.err == nil {
		return
	}
	w.count("ended by itself")
	if !slices.ContainsFunc(w.excused, func(err error) bool { return errors.Is(p.err, err) }) {
		w.fail("%s ended by itself: %v", p.name, p.err)
	}
}

// newDisk is a copy of a disk; an empty one when from is empty.
func (w *world) newDisk(h *host, from string) string {
	w.ordinal++
	dir := filepath.Join(w.dir, fmt.Sprintf("disk-%s-%d", h.name, w.ordinal))
	if from != "" {
		w.copyDir(from, dir)
	}
	return dir
}

// look notices processes that ended by themselves, and starts hosts again whose time has come.
func (w *world) look() {
	for _, h := range w.hosts {
		if h.up != nil {
			select {
			case <-h.up.done:
				w.ended(h.up)
				h.again = time.Now().Add(time.Second)
			default:
			}
		}
		if h.up == nil && !h.again.IsZero() && !time.Now().Before(h.again) {
			h.again = time.Time{}
			w.start(h)
		}
	}
}

// copyDir copies what a directory has, and leaves holes as holes: stores have large empty files.
func (w *world) copyDir(from, to string) {
	err := filepath.Walk(from, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if info.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		return copyFile(path, filepath.Join(to, rel), info.Size())
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
}

func copyFile(from, to string, size int64) error {
	const seekData, seekHole = 3, 4
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := out.Truncate(size); err != nil {
		return err
	}
	for at := int64(0); at < size; {
		begin, err := in.Seek(at, seekData)
		if err != nil {
			return nil // nothing but a hole follows
		}
		end, err := in.Seek(begin, seekHole)
		if err != nil {
			return err
		}
		if _, err := in.Seek(begin, io.SeekStart); err != nil {
			return err
		}
		if _, err := out.Seek(begin, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, end-begin); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// ends are the end offsets of the event log, committed the offsets of the group; false when the broker did not say.
func (w *world) ends() (ends, committed map[int32]int64, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	admin := kadm.NewClient(w.admin)
	listed, err := admin.ListEndOffsets(ctx, topics.Events)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, nil, false
	}
	offsets, err := admin.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil, false
	}
	ends, committed = map[int32]int64{}, map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	offsets.Each(func(o kadm.OffsetResponse) { committed[o.Partition] = o.At })
	return ends, committed, true
}

// tooLong is how long no broker but kfake lets a group wait for members: the rebalance timeout of our clients is 32 s.
// kfake begins it anew with each request to join, so members whose requests time out one after the other put it off for
// ever. It comes to that when all have joined and it counts one too few: it seems to take a static member that is
// replaced while it waits for its assignment off those that join.
const tooLong = time.Minute

// catchUp waits until all that is in the log now is committed.
func (w *world) catchUp(patience time.Duration) {
	var ends map[int32]int64
	until := time.Now().Add(patience)
	for joined := time.Now(); ; {
		w.look()
		if w.groupState() != preparing {
			joined = time.Now()
		} else if time.Since(joined) > tooLong {
			w.tell("broker: restarts, since its group has hung for %v", tooLong)
			w.count("groups that kfake left hanging")
			w.restartBroker(false)
			joined = time.Now()
		}
		if w.failed() {
			return // it would take long, and say no more
		}
		now, committed, ok := w.ends()
		if ok && ends == nil {
			ends = now
		}
		if ok && !slices.ContainsFunc(slices.Collect(maps.Keys(ends)), func(p int32) bool { return committed[p] < ends[p] }) {
			return
		}
		if time.Now().After(until) {
			var status strings.Builder
			for _, h := range w.hosts {
				if h.up != nil {
					fmt.Fprintf(&status, "; %s: %+v", h.up.name, h.up.runs.Status())
				}
			}
			w.fail("it does not catch up: committed %v of %v%s", committed, ends, status.String())
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
}

// syncBuffer is a buffer that several goroutines write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
