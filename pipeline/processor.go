// Package pipeline is how it flows: it reads the event log, folds it, and writes records, states and positions, each
// exactly once.
//
// It promises that whoever reads the record topic with read_committed sees what the fold says of the log, no less and
// nothing twice, though processes are killed, connections cut and partitions moved on the way. The changelog topic is
// the truth about states and positions; the state store is a cache of it that never runs ahead; the offsets of the
// consumer group are a copy, for fencing and for graphs.
//
// A Processor has workers; a worker is one goroutine with one transactional client of the consumer group; it owns tasks,
// one for each partition it was assigned. It touches Kafka, and the disk through the state store.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/kafka"
	"januscdr/kafka/inspect"
	"januscdr/statestore"
)

// Options of a Processor. Zero values take the defaults named.
type Options struct {
	Kafka  kafka.Options
	Topics kafka.Topics // checked at start

	Group    string // consumer group; "januscdr"
	Instance string // the name of this process among those of the group, the same at each start; required
	Workers  int    // goroutines with a client each; the number of cores

	StateDir string      // where the state stores live; required
	MinFree  uint64      // bytes of that disk that must stay free; the state store's default
	Policy   cdr.Policy  // what the operator decided about the fold
	Encode   EncodeFunc  // how a record is written; avro.Encode
	Headers  HeaderNames // what stands in the headers of each record, besides what is of the record

	CommitInterval     time.Duration // 200 ms: how long a transaction collects
	CommitBytes        int           // 16 MiB: or until so much has been collected
	TransactionTimeout time.Duration // 10 s: when the brokers give up a transaction of a dead process
	SessionTimeout     time.Duration // 30 s: when the group gives the partitions of a dead process to others
	RewriteAfter       int64         // 200 000: records of a changelog partition after which the embedded broker's is rewritten

	// Leave makes a stop leave the group, so that others take over at once: for scaling in. Without it, a restart within
	// the session timeout moves nothing.
	Leave bool
	// AcceptLoss lets a task go on at the log start when events were deleted before it came to read them.
	AcceptLoss bool

	Registerer prometheus.Registerer // nil: counted in vain
	Log        hclog.Logger          // nil: silent

	hooks hooks // of tests
}

// EncodeFunc writes a record down as the value of a message.
type EncodeFunc func(*cdr.Record) ([]byte, error)

// HeaderNames are facts about this process that each record carries in its headers, since they must not stand in it.
type HeaderNames struct {
	Schema  string // fingerprint of the schema; avro.Fingerprint()
	Version string // of this program
	Policy  string // fingerprint of the policy
}

// Errors that end a Processor and that a caller may choose by.
var (
	ErrFenced     = errors.New("another process has taken over our instance name")
	ErrOutOfRange = errors.New("events were deleted before they were read")
	ErrAhead      = errors.New("kafka has lost data that it acknowledged")
	ErrBroken     = errors.New("state is broken")
	ErrTooLarge   = errors.New("record is too large for its topic")
	ErrForeign    = errors.New("changelog belongs to another event log")
	ErrVersion    = errors.New("states are of another version of this program")
)

const (
	defaultGroup          = "januscdr"
	defaultCommitInterval = 200 * time.Millisecond
	defaultCommitBytes    = 16 << 20
	defaultTxnTimeout     = 10 * time.Second
	defaultSessionTimeout = 30 * time.Second
	defaultRewriteAfter   = 200_000

	restoresAtOnce = 4
)

// Processor runs the workers of one process.
type Processor struct {
	opts    Options
	log     hclog.Logger
	metrics *metrics
	board   *board

	// Of a run.
	place    place
	side     *kgo.Client // without transactions: barriers and ticks
	admin    *kadm.Client
	slots    map[int32]chan struct{} // one task of this process per partition: its state directory is used by one
	restores chan struct{}           // bounds restores at once
	workers  []*worker
}

// place is what must be known of the cluster before work begins.
type place struct {
	cluster    string
	eventsID   [16]byte
	stateID    string
	partitions int32
	dlq        int32 // partitions of the DLQ
}

// New makes a Processor. An error says which option is missing or wrong.
func New(o Options) (*Processor, error) {
	set := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	if o.Group == "" {
		o.Group = defaultGroup
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.CommitBytes <= 0 {
		o.CommitBytes = defaultCommitBytes
	}
	if o.RewriteAfter <= 0 {
		o.RewriteAfter = defaultRewriteAfter
	}
	set(&o.CommitInterval, defaultCommitInterval)
	set(&o.TransactionTimeout, defaultTxnTimeout)
	set(&o.SessionTimeout, defaultSessionTimeout)
	if o.Encode == nil {
		o.Encode = avro.Encode
	}
	if o.Headers.Schema == "" {
		o.Headers.Schema = avro.Fingerprint()
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	switch {
	case !legal.MatchString(o.Instance) || len(o.Instance) > 200:
		return nil, fmt.Errorf("make processor: instance name %q is not possible: give 1 to 200 letters, digits, dots, dashes or underscores", o.Instance)
	case !legal.MatchString(o.Group) || len(o.Group) > 200:
		return nil, fmt.Errorf("make processor: group name %q is not possible: give 1 to 200 letters, digits, dots, dashes or underscores", o.Group)
	case o.StateDir == "":
		return nil, errors.New("make processor: the state directory is missing")
	case o.Topics.Events == "" || o.Topics.CDR == "" || o.Topics.State == "" || o.Topics.DLQ == "":
		return nil, errors.New("make processor: topic names are missing: events, cdr, state and dlq are needed")
	}
	if _, err := o.Kafka.ClientOpts(); err != nil {
		return nil, fmt.Errorf("make processor: %w", err)
	}
	log := o.Log.Named("pipeline")
	if o.Kafka.Log == nil {
		o.Kafka.Log = log.Named("kafka")
	}
	return &Processor{opts: o, log: log, metrics: newMetrics(o.Registerer), board: newBoard()}, nil
}

var legal = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// Run works until the context ends, and returns nil then: what was read is committed, or left to the next start, and
// the stores are closed. It waits for Kafka as long as it takes. Any other end is an error that needs a person: topics
// that do not fit, wrong credentials, a full disk, ErrFenced, ErrOutOfRange, ErrAhead, ErrBroken, ErrTooLarge,
// ErrForeign, ErrVersion.
func (p *Processor) Run(ctx context.Context) error {
	p.board.reset(p.opts.Workers)
	side, err := kafka.NewClient(p.opts.Kafka,
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
		kgo.DisableIdempotentWrite(), // a barrier or a tick more does no harm, and an id that cannot be had spoils a client for good
	)
	if err != nil {
		return fmt.Errorf("run processor: %w", err)
	}
	defer side.Close()
	p.side, p.admin = side, kadm.NewClient(side)
	if err := kafka.WaitReady(ctx, side, p.log); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if err := p.arrive(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	p.slots, p.restores = map[int32]chan struct{}{}, make(chan struct{}, restoresAtOnce)
	for partition := range p.place.partitions {
		p.slots[partition] = make(chan struct{}, 1)
	}
	p.log.Info("processor starts", "group", p.opts.Group, "instance", p.opts.Instance, "workers", p.opts.Workers,
		"partitions", p.place.partitions, "topic", p.opts.Topics.Events)

	// The first worker that fails for good stops the others.
	running, stop := context.WithCancel(ctx)
	defer stop()
	failures := make(chan error, p.opts.Workers)
	p.workers = nil
	for i := range p.opts.Workers {
		p.workers = append(p.workers, newWorker(p, i))
	}
	for _, w := range p.workers {
		go func() { failures <- w.run(running) }()
	}
	var failed error
	for range p.opts.Workers {
		if err := <-failures; err != nil {
			stop()
			if failed == nil {
				failed = err
			} else {
				p.log.Error("another worker failed, too", "error", err)
			}
		}
	}
	if failed != nil {
		return fmt.Errorf("run processor: %w", failed)
	}
	if p.opts.Leave {
		p.leave()
	}
	p.log.Info("processor has stopped")
	return nil
}

// arrive looks at the topics until the brokers can tell of them: they may be gone again, and after a change of leaders it
// takes a moment.
func (p *Processor) arrive(ctx context.Context) error {
	if _, err := kafka.ClusterID(ctx, p.side); err != nil {
		return err
	}
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, maxBackoff) {
		err := p.look(ctx)
		var said *kerr.Error
		if err == nil || errors.Is(err, inspect.ErrTopics) || errors.As(err, &said) && !said.Retriable {
			return err
		}
		p.log.Warn("the brokers cannot tell of the topics yet, asking again", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		if err := kafka.WaitReady(ctx, p.side, p.log); err != nil {
			return err
		}
	}
}

// look looks at the topics and learns what identifies them.
func (p *Processor) look(ctx context.Context) error {
	if err := inspect.CheckTopics(ctx, p.side, p.opts.Topics); err != nil {
		return err
	}
	t := p.opts.Topics
	meta, err := p.admin.Metadata(ctx, t.Events, t.State, t.DLQ)
	if err != nil {
		return fmt.Errorf("look at topics: %w", err)
	}
	for _, name := range []string{t.Events, t.State, t.DLQ} {
		if err := meta.Topics[name].Err; err != nil {
			return fmt.Errorf("look at topic %s: %w", name, err)
		}
	}
	p.place = place{
		cluster:    meta.Cluster,
		eventsID:   meta.Topics[t.Events].ID,
		stateID:    meta.Topics[t.State].ID.String(),
		partitions: int32(len(meta.Topics[t.Events].Partitions)),
		dlq:        int32(len(meta.Topics[t.DLQ].Partitions)),
	}
	return nil
}

// settleAtMost bounds how long a stop waits for the group.
const settleAtMost = 5 * time.Second

// settle waits until the group has answered all our workers. A member that goes away while the group waits for it to
// join makes everybody wait, also our own next start, until the group gives it up.
func (p *Processor) settle() {
	joining := func(w *worker) bool { return w.inbox.joining(time.Now()) }
	for until := time.Now().Add(settleAtMost); slices.ContainsFunc(p.workers, joining) && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
}

// leave takes our members out of the group: static members do not leave by closing.
func (p *Processor) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	var instances []string
	for i := range p.opts.Workers {
		instances = append(instances, p.opts.name(i))
	}
	left, err := p.admin.LeaveGroup(ctx, kadm.LeaveGroup(p.opts.Group).InstanceIDs(instances...).Reason("scaled in"))
	if err == nil {
		err = left.Error()
	}
	if err != nil {
		p.log.Warn("group could not be left, others take over after the session timeout", "error", err)
		return
	}
	p.log.Info("group was left", "group", p.opts.Group)
}

// name is the identity of a worker, as a static member of the group and as a transactional producer: the same at each
// start, so that a start puts an end to what its predecessor left open.
func (o Options) name(worker int) string {
	return o.Group + "-" + o.Instance + "-" + strconv.Itoa(worker)
}

func (p *Processor) storeOptions(partition int32) statestore.Options {
	o := statestore.Options{
		Dir: filepath.Join(p.opts.StateDir, p.opts.Topics.State, strconv.Itoa(int(partition))),
		Identity: statestore.Identity{
			Cluster: p.place.cluster, Topic: p.opts.Topics.State, TopicID: p.place.stateID, Partition: partition,
		},
		MinFree: p.opts.MinFree,
		Log:     p.log.Named("statestore").With("partition", partition),
	}
	if p.opts.hooks.store != nil {
		p.opts.hooks.store(&o)
	}
	return o
}
