package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topics are the topics of an installation and what they must be like. A topic whose name is empty is left out: ingest
// needs no changelog.
//
// Events holds what Janus said, keyed by session (header januscdr-kind, see HeaderKind); CDR the records; State the
// changelog of the open sessions; DLQ what could not be understood. Partition n of CDR and State belongs to partition n
// of Events, so the three have the same count.
type Topics struct {
	Events, CDR, State, DLQ string

	Partitions  int32 // of Events, CDR, State and DLQ; chosen once
	Replication int16 // copies of each partition; 0 or less: what the brokers do by default

	EventsRetention, CDRRetention, DLQRetention time.Duration // 0: keep forever

	EventsRetentionBytes int64 // bound of one partition of Events; 0: none

	// RequireDurable makes a check refuse topics that do not survive the loss of a broker.
	RequireDurable bool

	// Embedded is set for the embedded broker, whose compaction can lose committed states while a transaction is open:
	// there the changelog is not compacted, its owner rewrites it instead.
	Embedded bool
}

// TombstoneRetention is how long a deletion in the changelog is seen at least (delete.retention.ms): a kept state
// directory may be that old.
const TombstoneRetention = 7 * 24 * time.Hour

const (
	stateSegment  = 10 * time.Minute // only closed segments are compacted
	dirtyRatio    = "0.1"            // compact early: a restore reads what was not compacted
	embeddedCDR   = 64 << 20         // bytes per partition on the embedded broker
	embeddedDLQ   = 16 << 20
	embeddedSpare = 32 << 20 // of Events, when no bound is given
)

// TopicSpec is one topic, and what it must be like.
type TopicSpec struct {
	Name    string
	Role    string            // for people: "the event log"
	Configs map[string]string // what it is created with, besides the defaults of the brokers

	CleanupPolicy string // what cleanup.policy must be
	LogAppendTime bool   // message.timestamp.type must be LogAppendTime
	Aligned       bool   // it must have as many partitions as Events
}

// Specs are the topics that have a name.
func (t Topics) Specs() []TopicSpec {
	events := TopicSpec{Name: t.Events, Role: "the event log", CleanupPolicy: "delete", LogAppendTime: true, Aligned: true,
		Configs: map[string]string{
			"cleanup.policy":         "delete",
			"message.timestamp.type": "LogAppendTime",
			"retention.ms":           millis(t.EventsRetention),
			"max.message.bytes":      strconv.Itoa(MaxMessageBytes),
		}}
	if t.EventsRetentionBytes > 0 {
		events.Configs["retention.bytes"] = strconv.FormatInt(t.EventsRetentionBytes, 10)
	}
	cdr := TopicSpec{Name: t.CDR, Role: "the records", CleanupPolicy: "delete", Aligned: true, Configs: map[string]string{
		"cleanup.policy":         "delete",
		"message.timestamp.type": "LogAppendTime", // so that the age of a record is not that of its call
		"retention.ms":           millis(t.CDRRetention),
		"max.message.bytes":      strconv.Itoa(MaxMessageBytes),
	}}
	state := TopicSpec{Name: t.State, Role: "the changelog", CleanupPolicy: "compact", Aligned: true,
		Configs: map[string]string{
			"cleanup.policy":            "compact",
			"message.timestamp.type":    "LogAppendTime", // else brokers refuse the states of who has a clock of the future
			"delete.retention.ms":       millis(TombstoneRetention),
			"min.cleanable.dirty.ratio": dirtyRatio,
			"segment.ms":                millis(stateSegment),
			"max.message.bytes":         strconv.Itoa(MaxMessageBytes),
		}}
	dlq := TopicSpec{Name: t.DLQ, Role: "the parked events", CleanupPolicy: "delete", Configs: map[string]string{
		"cleanup.policy":         "delete",
		"message.timestamp.type": "LogAppendTime",
		"retention.ms":           millis(t.DLQRetention),
		"max.message.bytes":      strconv.Itoa(MaxMessageBytes),
	}}
	if t.Replication >= 3 {
		for _, topic := range []TopicSpec{events, cdr, state, dlq} {
			topic.Configs["min.insync.replicas"] = "2" // an acknowledged record survives the loss of a broker
		}
	}
	if t.Embedded {
		state.CleanupPolicy = "delete"
		state.Configs = map[string]string{
			"cleanup.policy":    "delete",
			"retention.ms":      "-1",
			"retention.bytes":   "-1",
			"segment.bytes":     strconv.Itoa(8 << 20),
			"max.message.bytes": strconv.Itoa(MaxMessageBytes),
		}
		bound := t.EventsRetentionBytes
		if bound <= 0 {
			bound = embeddedSpare
		}
		bounded(events.Configs, bound)
		bounded(cdr.Configs, embeddedCDR)
		bounded(dlq.Configs, embeddedDLQ)
	}
	return slices.DeleteFunc([]TopicSpec{events, cdr, state, dlq}, func(t TopicSpec) bool { return t.Name == "" })
}

func bounded(configs map[string]string, bytes int64) {
	configs["retention.bytes"] = strconv.FormatInt(bytes, 10)
	configs["segment.bytes"] = strconv.FormatInt(max(bytes/4, 1<<20), 10) // only whole segments are deleted
}

func millis(d time.Duration) string {
	if d <= 0 {
		return "-1"
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}

// CreateTopics makes the topics that do not exist yet, and returns their names. Those that exist stay as they are:
// kafka/inspect says whether they fit.
func CreateTopics(ctx context.Context, cl *kgo.Client, t Topics) (created []string, err error) {
	if t.Partitions <= 0 {
		return nil, fmt.Errorf("create topics: %d partitions are not possible: give a number of 1 or more", t.Partitions)
	}
	replication := t.Replication
	if replication <= 0 {
		replication = -1
	}
	admin := kadm.NewClient(cl)
	for _, topic := range t.Specs() {
		configs := make(map[string]*string, len(topic.Configs))
		for key, value := range topic.Configs {
			configs[key] = kadm.StringPtr(value)
		}
		response, err := admin.CreateTopic(ctx, t.Partitions, replication, configs, topic.Name)
		switch {
		case errors.Is(err, kerr.TopicAlreadyExists):
		case errors.Is(err, kerr.InvalidReplicationFactor):
			return created, fmt.Errorf("create topic %s: %w", topic.Name, tooFewBrokers(ctx, admin, replication))
		case err != nil && response.ErrMessage != "":
			return created, fmt.Errorf("create topic %s: %w: %s", topic.Name, err, response.ErrMessage)
		case err != nil:
			return created, fmt.Errorf("create topic %s: %w", topic.Name, err)
		default:
			created = append(created, topic.Name)
		}
	}
	// Also for those that were there: another process may have made them a moment ago.
	return created, visible(ctx, cl, t.names())
}

// tooFewBrokers says how many copies are possible.
func tooFewBrokers(ctx context.Context, admin *kadm.Client, replication int16) error {
	brokers, err := admin.ListBrokers(ctx)
	if err != nil || len(brokers) == 0 {
		return fmt.Errorf("%d copies are more than there are brokers: set topics.replication to at most their number",
			replication)
	}
	return fmt.Errorf("%d copies are wanted, and the cluster has %d of the brokers for that: set topics.replication to "+
		"%d, or to -1 for the default of the brokers", replication, len(brokers), len(brokers))
}

func (t Topics) names() (names []string) {
	for _, topic := range t.Specs() {
		names = append(names, topic.Name)
	}
	return names
}

const (
	visiblePause  = 50 * time.Millisecond
	visibleAnswer = 5 * time.Second // of one broker
	visibleAtMost = 30 * time.Second
)

// visible waits until each broker knows of the topics, with a leader for each partition: one learns a little later of
// them than the other, and whoever looks next may ask any. A broker that does not answer is not waited for: it will
// know when it is back.
func visible(ctx context.Context, cl *kgo.Client, names []string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, visibleAtMost,
		fmt.Errorf("not all brokers know of them after %v: are all brokers well?", visibleAtMost))
	defer cancel()
	brokers, err := kadm.NewClient(cl).ListBrokers(ctx)
	if err != nil {
		return fmt.Errorf("list brokers: %w", err)
	}
	ids := brokers.NodeIDs()
	for {
		for len(ids) > 0 && knows(ctx, cl.Broker(int(ids[0])), names) {
			ids = ids[1:]
		}
		if len(ids) == 0 && ctx.Err() == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for new topics %s: %w", strings.Join(names, ", "), context.Cause(ctx))
		case <-time.After(visiblePause):
		}
	}
}

func knows(ctx context.Context, broker *kgo.Broker, names []string) bool {
	ctx, cancel := context.WithTimeout(ctx, visibleAnswer)
	defer cancel()
	ask := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		ask.Topics = append(ask.Topics, topic)
	}
	answer, err := broker.RetriableRequest(ctx, ask)
	response, ok := answer.(*kmsg.MetadataResponse)
	if err != nil || !ok {
		return true
	}
	for _, topic := range response.Topics {
		if notYet(topic.ErrorCode) || slices.ContainsFunc(topic.Partitions,
			func(p kmsg.MetadataResponseTopicPartition) bool { return notYet(p.ErrorCode) }) {
			return false
		}
	}
	return true
}

func notYet(code int16) bool {
	return code == kerr.UnknownTopicOrPartition.Code || code == kerr.LeaderNotAvailable.Code
}
