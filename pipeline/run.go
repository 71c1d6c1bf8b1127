package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/statestore"
)

const joinsAtMost = 5 * time.Second // a stop waits so long for the group

// run is one run of a Processor: what it knows of the cluster, what its workers share, and the workers. It is made when
// the brokers have told of the topics, and is worth nothing when its work has ended.
type run struct {
	opts    Options
	log     hclog.Logger
	metrics *metrics
	board   *board
	cluster clusterInfo
	plain   *kgo.Client // without transactions: barriers, origins and ticks
	admin   *kadm.Client

	slots    map[int32]chan struct{} // one task of this process per partition: its state directory is used by one
	restores chan struct{}           // bounds restores at once
	workers  []*worker
}

func (p *Processor) newRun(plain *kgo.Client, cluster clusterInfo) *run {
	r := &run{
		opts: p.opts, log: p.log, metrics: p.metrics, board: p.board,
		cluster: cluster, plain: plain, admin: kadm.NewClient(plain),
		slots: map[int32]chan struct{}{}, restores: make(chan struct{}, p.opts.Restores),
	}
	for partition := range cluster.partitions {
		r.slots[partition] = make(chan struct{}, 1)
	}
	for number := range p.opts.Workers {
		r.workers = append(r.workers, r.newWorker(number))
	}
	return r
}

// newWorker hands a worker and its parts what each of them needs.
func (r *run) newWorker(number int) *worker {
	o, name := r.opts, r.opts.name(number)
	log, board := r.log.With("worker", number), workerBoard{r.board, number}
	classify := classifier{
		group: o.Group, instance: o.Instance, name: name,
		transactionTimeout: o.TransactionTimeout, sessionTimeout: o.SessionTimeout,
	}
	w := &worker{
		name: name, group: o.Group, topic: o.Topics.Events, partitions: r.cluster.partitions,
		commitInterval: o.CommitInterval, commitBacklog: o.CommitBacklog, commitBytes: o.CommitBytes,
		changelogLag: o.ChangelogLag,
		log:          log, metrics: r.metrics, board: board, hooks: o.hooks, classify: classify,
		plain: r.plain, awaitJoins: r.awaitJoins,
		commitEnv: commitEnv{
			name: name, group: o.Group, topics: o.Topics, cluster: r.cluster, encode: o.Encode, headers: o.Headers,
			log: log, metrics: r.metrics, hooks: o.hooks, classify: classify,
		},
		rewriteEnv: rewriteEnv{embedded: o.Topics.Embedded, after: o.RewriteAfter, admin: r.admin},
	}
	w.member = &member{
		name: name, group: o.Group, topic: o.Topics.Events, kafka: o.Kafka,
		transactionTimeout: o.TransactionTimeout, sessionTimeout: o.SessionTimeout,
		plain: r.plain, classify: classify,
		more: func() []kgo.Opt { return ClientMetrics(o.Registerer, "worker-"+strconv.Itoa(number)) },
	}
	w.restorer = &restorer{
		name: name, group: o.Group, kafka: o.Kafka, topics: o.Topics, cluster: r.cluster,
		policy: o.Policy, acceptLoss: o.AcceptLoss,
		storeOptions: func(partition int32) statestore.Options {
			return storeOptions(o, r.cluster, partition, r.log.Named("statestore").With("partition", partition))
		},
		plain: r.plain, admin: r.admin, slots: r.slots, limit: r.restores, waits: hangingAfter(o.TransactionTimeout),
		metrics: r.metrics, board: board, hooks: o.hooks,
	}
	return w
}

// work lets the workers work until the context ends, or until one fails for good: that one stops the others.
func (r *run) work(ctx context.Context) error {
	r.log.Info("processor starts", "group", r.opts.Group, "instance", r.opts.Instance, "workers", r.opts.Workers,
		"partitions", r.cluster.partitions, "topic", r.opts.Topics.Events)
	running, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	var disk error
	watching.Go(func() { r.opts.Kafka.Contact.Watch(running, r.plain, r.log) })
	watching.Go(func() {
		if disk = statestore.WatchDisk(running, r.opts.StateDir, r.opts.MinFree); disk != nil {
			stop()
		}
	})
	defer watching.Wait()
	defer stop()
	failures := make(chan error, len(r.workers))
	for _, w := range r.workers {
		go func() { failures <- w.run(running) }()
	}
	var failed error
	for range r.workers {
		if err := <-failures; err != nil {
			stop()
			if failed == nil {
				failed = err
			} else {
				r.log.Error("another worker failed, too", "error", err)
			}
		}
	}
	stop()
	watching.Wait()
	if failed = cmp.Or(disk, failed); failed != nil { // of a disk, workers tell each in its own way
		return fmt.Errorf("run processor: %w", failed)
	}
	if r.opts.Leave {
		r.leave()
	}
	r.log.Info("processor has stopped")
	return nil
}

// awaitJoins waits until the group has answered all our workers. A member that goes away while the group waits for it
// to join makes everybody wait, also our own next start, until the group gives it up.
func (r *run) awaitJoins() {
	joining := func(w *worker) bool { return w.member.inbox.joining(time.Now()) }
	for until := time.Now().Add(joinsAtMost); slices.ContainsFunc(r.workers, joining) && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
}

// leave takes our members out of the group: static members do not leave by closing.
func (r *run) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	var instances []string
	for _, w := range r.workers {
		instances = append(instances, w.name)
	}
	left, err := r.admin.LeaveGroup(ctx, kadm.LeaveGroup(r.opts.Group).InstanceIDs(instances...).Reason("scaled in"))
	if err == nil {
		err = left.Error()
	}
	if err != nil {
		r.log.Warn("group could not be left, others take over after the session timeout", "error", err)
		return
	}
	r.log.Info("group was left", "group", r.opts.Group)
}

// storeOptions are those of the state store of a partition.
func storeOptions(o Options, cluster clusterInfo, partition int32, log hclog.Logger) statestore.Options {
	s := statestore.Options{
		Dir: filepath.Join(o.StateDir, o.Topics.State, strconv.Itoa(int(partition))),
		Identity: statestore.Identity{
			Cluster: cluster.id, Topic: o.Topics.State, TopicID: cluster.stateID, Partition: partition,
		},
		MinFree: o.MinFree,
		Log:     log,
	}
	if o.hooks.store != nil {
		o.hooks.store(&s)
	}
	return s
}
