package consume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// Options say what is brought, and how.
type Options struct {
	Kafka kafka.Options
	Topic string // of the records
	Name  string // of the target, for logs and metrics: postgres, sqlite

	BatchRecords int           // a batch has at most so many records, and those that came with the last; 0: 5000
	BatchDelay   time.Duration // a record waits at most so long for others; 0: 1s
	Group        string        // consumer group that positions are copied to; empty: none

	Once       bool          // end where the topic ends at the start
	Patience   time.Duration // with Once, how long a target that is away is waited for; 0: as long as it takes
	NewTopic   bool          // a target that was filled from another topic goes on with ours, from its beginning
	AcceptLoss bool          // records that were deleted before they were read are given up

	Registerer prometheus.Registerer // nil: no metrics
	Log        hclog.Logger          // nil: silent
}

// Waits that are no settings.
const (
	watchEvery   = 5 * time.Second  // ends of the topic, for the lag
	tellEvery    = 10 * time.Second // progress, in the log
	firstPause   = 200 * time.Millisecond
	longestPause = 30 * time.Second
	stopPatience = 20 * time.Second // to flush when told to stop
)

// Sink brings records to a target.
type Sink struct {
	o       Options
	target  Target
	metrics *metrics
	status  status
}

// New makes a sink. The caller closes the target after Run has ended.
func New(o Options, target Target) *Sink {
	if o.BatchRecords <= 0 {
		o.BatchRecords = 5000
	}
	if o.BatchDelay <= 0 {
		o.BatchDelay = time.Second
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return &Sink{o: o, target: target, metrics: newMetrics(o.Registerer, o.Name)}
}

// Status tells how far the sink is. It may be called from any goroutine.
func (s *Sink) Status() Status { return s.status.get() }

// Run works until the context ends, which is no error, or, with Options.Once, until the end of the topic is reached. A
// target or a broker that is away is waited for, with Once for as long as Options.Patience says; what waiting does not
// mend is an error.
func (s *Sink) Run(ctx context.Context) error {
	pause, well := firstPause, time.Now()
	for {
		before := s.status.written.Load()
		err := s.session(ctx)
		switch {
		case ctx.Err() != nil && !final(err):
			return nil
		case err == nil || final(err):
			return err
		}
		if s.status.written.Load() > before {
			pause, well = firstPause, time.Now()
		}
		if s.o.Once {
			left := s.o.Patience - time.Since(well)
			if errors.Is(err, errNoTopic) || s.o.Patience > 0 && left <= 0 {
				return err
			}
			if s.o.Patience > 0 {
				pause = min(pause, left)
			}
		}
		s.status.troubled(err)
		s.metrics.failures.Inc()
		s.o.Log.Warn("the target or kafka is away, we try again from what the target holds", "target", s.o.Name, "error", err,
			"pause", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// session is one life between two failures: it begins with what the target holds, as the first one does.
func (s *Sink) session(ctx context.Context) error {
	origin, held, err := s.target.Positions(ctx)
	if err != nil {
		return fmt.Errorf("ask %s for its position: %w", s.o.Name, err)
	}
	client, err := kafka.NewClient(s.o.Kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := kafka.WaitReady(ctx, client, s.o.Log); err != nil {
		return err
	}
	now, ranges, err := look(ctx, client, s.o.Topic)
	if err != nil {
		return err
	}
	if origin != (Origin{}) && origin != now {
		if !s.o.NewTopic {
			return origin.foreign(s.o.Name, now)
		}
		s.o.Log.Warn("the target goes on with another topic", "was", origin, "now", now)
		held = nil
	}
	from, err := s.begin(held, ranges)
	if err != nil {
		return err
	}
	f, err := newFeed(s.o, from)
	if err != nil {
		return err
	}
	defer f.client.Close()

	w := &writer{
		Sink: s, origin: now, admin: client, feed: f, began: time.Now(),
		from: from, position: map[int32]int64{}, goal: map[int32]int64{},
	}
	for partition, r := range ranges {
		w.position[partition] = Fresh
		if offset, ok := held[partition]; ok {
			w.position[partition] = offset
		}
		w.goal[partition] = r.To
	}
	s.status.begin(from, w.goal)
	reading, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.read(reading)
	}()
	defer func() {
		stop()
		<-ended
	}()
	return w.work(ctx)
}

// errNoTopic says that there is nothing to read. Who goes on waits until there is.
var errNoTopic = errors.New("there is none")

// look asks which topic this is and what each of its partitions holds.
func look(ctx context.Context, client *kgo.Client, topic string) (Origin, map[int32]kafka.Range, error) {
	cluster, err := kafka.ClusterID(ctx, client)
	if err != nil {
		return Origin{}, nil, err
	}
	if cluster == "" {
		return Origin{}, nil, errors.New("look at the cluster: no broker told its id in time")
	}
	listed, err := kadm.NewClient(client).ListTopics(ctx, topic)
	if err != nil {
		return Origin{}, nil, fmt.Errorf("look at topic %s: %w", topic, err)
	}
	detail := listed[topic]
	if errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
		return Origin{}, nil, fmt.Errorf("look at topic %s: %w; `cdr topics create` makes it", topic, errNoTopic)
	}
	if detail.Err != nil {
		return Origin{}, nil, fmt.Errorf("look at topic %s: %w", topic, detail.Err)
	}
	ranges, err := kafka.CommittedRanges(ctx, client, topic)
	return Origin{Cluster: cluster, Topic: topic, TopicID: detail.ID.String()}, ranges, err
}

// begin is where each partition is read from.
func (s *Sink) begin(held map[int32]int64, ranges map[int32]kafka.Range) (map[int32]int64, error) {
	from := map[int32]int64{}
	for _, partition := range slices.Sorted(maps.Keys(ranges)) {
		r := ranges[partition]
		offset, ok := held[partition]
		switch {
		case ok && offset == Latest:
			offset = r.To
		case !ok:
			offset = r.From
			if r.From > 0 {
				s.o.Log.Info("the beginning of a partition is not in the topic any more", "partition", partition, "first_offset",
					r.From)
			}
		case offset < r.From && !s.o.AcceptLoss:
			return nil, fmt.Errorf(
				"%s partition %d: %w: the target has all up to offset %d, the topic begins at %d; go on without them with "+
					"--accept-loss",
				s.o.Topic, partition, ErrLost, offset, r.From)
		case offset < r.From:
			s.o.Log.Error("records are given up that were deleted before they were read", "partition", partition, "from", offset,
				"to", r.From)
			offset = r.From
		case offset > r.To:
			return nil, fmt.Errorf(
				"%s partition %d: %w: the target has all up to offset %d, the topic ends at %d: records that were committed are "+
					"gone from it",
				s.o.Topic, partition, ErrLost, offset, r.To)
		}
		from[partition] = offset
	}
	for partition := range held {
		if _, ok := ranges[partition]; !ok {
			return nil, fmt.Errorf("%s partition %d: %w: the target holds records of it, and the topic has no such partition",
				s.o.Topic, partition, ErrForeign)
		}
	}
	return from, nil
}
