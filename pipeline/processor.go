package pipeline

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/kafka"
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
	CommitBacklog      time.Duration // 1 s: the same while a worker is far behind the log; if it is longer
	CommitBytes        int           // 16 MiB: or until so much has been collected
	ChangelogLag       time.Duration // 0: how long the states in the changelog may lag behind the records that are out
	TransactionTimeout time.Duration // 10 s: when the brokers give up a transaction of a dead process
	SessionTimeout     time.Duration // 30 s: when the group gives the partitions of a dead process to others
	RewriteAfter       int64         // 200 000 records: then an embedded broker's changelog is rewritten
	Restores           int           // 4: how many partitions are restored at once

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

// Errors that end a Processor and that a caller may choose by. They are permanent: to try again would not help.
var (
	ErrFenced     = permanent("another process has taken over our instance name")
	ErrOutOfRange = permanent("events were deleted before they were read")
	ErrAhead      = permanent("kafka has lost data that it acknowledged")
	ErrBroken     = permanent("state is broken")
	ErrTooLarge   = permanent("record is too large for its topic")
	ErrForeign    = permanent("changelog belongs to another event log")
	ErrNoFence    = permanent("the brokers do not keep those out who have lost their partitions")
	ErrVersion    = permanent("states are of another version of this program")
)

const (
	defaultGroup          = "januscdr"
	defaultCommitInterval = 200 * time.Millisecond
	defaultCommitBacklog  = time.Second
	defaultCommitBytes    = 16 << 20
	defaultTxnTimeout     = 10 * time.Second
	defaultSessionTimeout = 30 * time.Second
	defaultRewriteAfter   = 200_000
	defaultRestores       = 4
)

// Processor runs the workers of one process.
type Processor struct {
	opts    Options
	log     hclog.Logger
	metrics *metrics
	board   *board
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
	if o.Restores <= 0 {
		o.Restores = defaultRestores
	}
	if o.RewriteAfter <= 0 {
		o.RewriteAfter = defaultRewriteAfter
	}
	set(&o.CommitInterval, defaultCommitInterval)
	set(&o.CommitBacklog, defaultCommitBacklog)
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
	case !validName.MatchString(o.Instance) || len(o.Instance) > 200:
		return nil, fmt.Errorf("make processor: instance name %q is not possible: "+
			"give 1 to 200 letters, digits, dots, dashes or underscores", o.Instance)
	case !validName.MatchString(o.Group) || len(o.Group) > 200:
		return nil, fmt.Errorf("make processor: group name %q is not possible: "+
			"give 1 to 200 letters, digits, dots, dashes or underscores", o.Group)
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
	if o.Kafka.Contact == nil {
		o.Kafka.Contact = new(kafka.Contact)
	}
	b := newBoard(o.Kafka.Contact)
	return &Processor{opts: o, log: log, metrics: newMetrics(o.Registerer, b, o.Topics.Partitions), board: b}, nil
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// Run works until the context ends, and returns nil then: what was read is committed, or left to the next start, and
// the stores are closed. It waits for Kafka as long as it takes. Any other end is an error that needs a person: topics
// that do not fit, wrong credentials, a full disk, ErrFenced, ErrOutOfRange, ErrAhead, ErrBroken, ErrTooLarge,
// ErrForeign, ErrNoFence, ErrVersion.
func (p *Processor) Run(ctx context.Context) error {
	if err := statestore.Writable(p.opts.StateDir); err != nil {
		return fmt.Errorf("run processor: %w", err)
	}
	p.board.reset(p.opts.Workers)
	plain, err := kafka.NewClient(p.opts.Kafka, append(ClientMetrics(p.opts.Registerer, "plain"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
		kgo.DisableIdempotentWrite(), // a barrier or a tick more does no harm, and an id that cannot be had spoils a client
	)...)
	if err != nil {
		return fmt.Errorf("run processor: %w", err)
	}
	defer plain.Close()
	cluster, err := awaitTopics(ctx, plain, p.opts.Topics, p.log)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return p.newRun(plain, cluster).work(ctx)
}

// name is the identity of a worker, as a static member of the group and as a transactional producer: the same at each
// start, so that a start puts an end to what its predecessor left open.
func (o Options) name(worker int) string {
	return o.Group + "-" + o.Instance + "-" + strconv.Itoa(worker)
}
