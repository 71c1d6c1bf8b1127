// Package inspect looks at a cluster, its topics and the group of the processors, and says which promises they keep.
//
// It promises to change nothing, and to give a remedy with each finding that is not good. It touches the network.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/kafka"
)

// ProcessorSettings are what the processors ask of the cluster besides the topics.
type ProcessorSettings struct {
	Group              string
	TransactionTimeout time.Duration
	SessionTimeout     time.Duration // 0: not looked at
	Instance           string        // of which the transactional ids are; empty: not looked at
	CommitBytes        int           // that a transaction has at most, about; 0: the default

	ClientID, User string // by which quotas know us; the default, none
}

// What is no weakness yet.
const (
	lateAfter    = time.Minute // an event that has not been read for so long is behind
	largeState   = 4 << 30     // bytes of one partition of the changelog; a cold restore reads some 100 MB a second
	hangingAfter = 2           // times the transaction timeout
)

// What brokers must know: group metadata in transactions (KIP-447), static members (KIP-345), and producers that are
// fenced by epoch.
var needs = []struct {
	key     kmsg.Key
	version int16
}{{kmsg.TxnOffsetCommit, 3}, {kmsg.JoinGroup, 5}, {kmsg.InitProducerID, 3}}

// Installation looks at the cluster, the topics and the group of the processors, and says of each promise whether it
// can be kept. It changes nothing. An error means that the topics could not be looked at; what else could not is a
// finding.
func Installation(ctx context.Context, cl *kgo.Client, t kafka.Topics, want ProcessorSettings) ([]Finding, error) {
	var all findings
	admin := kadm.NewClient(cl)
	if id, err := kafka.ClusterID(ctx, cl); errors.Is(err, kafka.ErrTwoClusters) {
		all.add(PromiseOnce, "cluster", Broken, err.Error(), "correct kafka.brokers")
	} else if id != "" {
		all.add(PromiseOnce, "cluster", OK, "all brokers that answer are of cluster "+id, "")
	}
	all.brokers(ctx, admin, want)
	all.internals(ctx, admin, t)
	topics, err := Topics(ctx, cl, t)
	if err != nil {
		return nil, err
	}
	all = append(all, topics...)
	if slices.ContainsFunc(topics, func(f Finding) bool { return strings.Contains(f.Reason, "does not exist") }) {
		return all, nil // of what is not there, nothing more can be said
	}
	all.rights(ctx, cl, t, want)
	all.quotas(ctx, admin, want)
	all.group(ctx, admin, t, want)
	all.parked(ctx, admin, t)
	all.size(ctx, admin, t)
	all.hanging(ctx, admin, t, want)
	return all.paste(cl), nil
}

// unseen is what we were not let to look at.
func (f *findings) unseen(promise, subject string, err error) {
	remedy := "try again, and see whether all brokers are well"
	for _, denied := range []error{kerr.ClusterAuthorizationFailed, kerr.GroupAuthorizationFailed,
		kerr.TopicAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed} {
		if errors.Is(err, denied) {
			remedy = "grant us Describe and DescribeConfigs on the cluster, the topics and the group (kafka-acls --add)"
		}
	}
	f.add(promise, subject, Weak, "could not be looked at: "+oneLine(err), remedy)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func (f *findings) brokers(ctx context.Context, admin *kadm.Client, want ProcessorSettings) {
	versions, err := admin.ApiVersions(ctx)
	if err != nil && len(versions) == 0 {
		f.unseen(PromiseOnce, "brokers", err)
		return
	}
	guesses := map[string][]string{}
	var ids []int32
	versions.Each(func(b kadm.BrokerApiVersions) {
		name := fmt.Sprintf("broker %d", b.NodeID)
		if b.Err != nil {
			f.unseen(PromiseOnce, name, b.Err)
			return
		}
		ids = append(ids, b.NodeID)
		guesses[b.VersionGuess()] = append(guesses[b.VersionGuess()], strconv.Itoa(int(b.NodeID)))
		for _, need := range needs {
			if have, _ := b.KeyMaxVersion(need.key.Int16()); have < need.version {
				f.add(PromiseOnce, name, Broken,
					fmt.Sprintf("it knows %s only up to version %d, and %d is needed", need.key.Name(), have, need.version),
					"use Apache Kafka 2.5 or later, or what is compatible with it")
			}
		}
	})
	switch kinds := slices.Sorted(maps.Keys(guesses)); {
	case len(kinds) > 1:
		f.add(PromiseOnce, "brokers", Weak, "they are of different versions: "+strings.Join(kinds, ", "),
			"finish the upgrade of the cluster")
	case len(kinds) == 1:
		f.add(PromiseOnce, "brokers", OK,
			fmt.Sprintf("%s of version %s", plural(len(ids), "broker", "brokers"), strings.TrimPrefix(kinds[0], "v")), "")
	}

	f.limits(ctx, admin, ids, want)
}

// limits looks at what the brokers allow to a transaction and to a member of a group.
func (f *findings) limits(ctx context.Context, admin *kadm.Client, ids []int32, want ProcessorSettings) {
	configs, err := admin.DescribeBrokerConfigs(ctx, ids...)
	if err != nil {
		f.unseen(PromiseOnce, "brokers", err)
		return
	}
	var transactions, shortest, longest bound
	for _, broker := range configs {
		if broker.Err != nil {
			f.unseen(PromiseOnce, "broker "+broker.Name, broker.Err)
			continue
		}
		for _, config := range broker.Configs {
			switch config.Key {
			case "transaction.max.timeout.ms":
				transactions.atMost(config.MaybeValue())
			case "group.min.session.timeout.ms":
				shortest.atLeast(config.MaybeValue())
			case "group.max.session.timeout.ms":
				longest.atMost(config.MaybeValue())
			}
		}
	}
	switch {
	case !transactions.known:
	case transactions.d < want.TransactionTimeout:
		f.add(PromiseOnce, "brokers", Broken, fmt.Sprintf("transaction.max.timeout.ms is %v, and transaction_timeout is %v",
			transactions.d, want.TransactionTimeout), "lower transaction_timeout, or raise the brokers' setting")
	default:
		f.add(PromiseOnce, "brokers", OK,
			fmt.Sprintf("transaction.max.timeout.ms is %v, transaction_timeout %v", transactions.d, want.TransactionTimeout), "")
	}
	switch session := want.SessionTimeout; {
	case session == 0:
	case shortest.known && session < shortest.d:
		f.add(PromiseOnce, "brokers", Broken,
			fmt.Sprintf("group.min.session.timeout.ms is %v, and session_timeout is %v", shortest.d, session),
			"raise session_timeout, or lower the brokers' setting")
	case longest.known && session > longest.d:
		f.add(PromiseOnce, "brokers", Broken,
			fmt.Sprintf("group.max.session.timeout.ms is %v, and session_timeout is %v", longest.d, session),
			"lower session_timeout, or raise the brokers' setting")
	case session < want.TransactionTimeout:
		f.add(PromiseOnce, "group "+want.Group, Weak, fmt.Sprintf("session_timeout is %v, and transaction_timeout is %v: "+
			"who takes over from a dead process waits for its transaction", session, want.TransactionTimeout),
			"let session_timeout be longer than transaction_timeout")
	}
}

// bound is the strictest limit that any of the brokers has.
type bound struct {
	d     time.Duration
	known bool
}

func (b *bound) atMost(ms string)  { b.tighten(ms, func(d time.Duration) bool { return d < b.d }) }
func (b *bound) atLeast(ms string) { b.tighten(ms, func(d time.Duration) bool { return d > b.d }) }

func (b *bound) tighten(ms string, stricter func(time.Duration) bool) {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return
	}
	if d := time.Duration(n) * time.Millisecond; !b.known || stricter(d) {
		b.d, b.known = d, true
	}
}

// internals are the topics in which Kafka itself keeps offsets and transactions: they are worth as much as ours.
func (f *findings) internals(ctx context.Context, admin *kadm.Client, t kafka.Topics) {
	for _, name := range []string{"__consumer_offsets", "__transaction_state"} {
		details, err := admin.ListTopicsWithInternal(ctx, name)
		if err != nil || !details.Has(name) || details[name].Err != nil || len(details[name].Partitions) == 0 {
			continue // made at first use
		}
		described, err := admin.DescribeTopicConfigs(ctx, name)
		if err != nil || len(described) == 0 || described[0].Err != nil {
			continue
		}
		config := map[string]string{}
		for _, c := range described[0].Configs {
			config[c.Key] = c.MaybeValue()
		}
		f.durability(t, kafka.TopicSpec{Name: name, Role: "of Kafka itself"}, fmt.Sprintf("topic %s (of Kafka itself)", name),
			details[name], config)
	}
}

// group looks at who works, and how far.
func (f *findings) group(ctx context.Context, admin *kadm.Client, t kafka.Topics, want ProcessorSettings) {
	if want.Group == "" || t.Events == "" {
		return
	}
	subject := "group " + want.Group
	described, err := admin.DescribeGroups(ctx, want.Group)
	if err == nil {
		err = described[want.Group].Err
	}
	members := 0
	switch {
	case err != nil && !errors.Is(err, kerr.GroupIDNotFound):
		f.unseen(PromiseFollow, subject, err)
		return
	case err == nil:
		members = len(described[want.Group].Members)
	}
	switch state := described[want.Group].State; {
	case members == 0:
		f.add(PromiseFollow, subject, Weak, "has no members, so no records are made", "start `cdr run`")
	case state != "Stable":
		f.add(PromiseFollow, subject, Weak,
			fmt.Sprintf("has %s and is about to share the partitions anew (%s)", plural(members, "worker", "workers"), state),
			"look again in a minute")
	default:
		f.add(PromiseFollow, subject, OK, fmt.Sprintf("has %s at work", plural(members, "worker", "workers")), "")
	}
	if err := f.lag(ctx, admin, t, want, subject); err != nil {
		f.unseen(PromiseUnread, subject, err)
	}
}

func (f *findings) lag(ctx context.Context, admin *kadm.Client, t kafka.Topics, want ProcessorSettings,
	subject string) error {
	offsets, err := admin.FetchOffsets(ctx, want.Group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return err
	}
	starts, err := admin.ListStartOffsets(ctx, t.Events)
	if err != nil {
		return err
	}
	ends, err := admin.ListEndOffsets(ctx, t.Events)
	if err != nil {
		return err
	}
	now := time.Now()
	recent, err := admin.ListOffsetsAfterMilli(ctx, now.Add(-lateAfter).UnixMilli(), t.Events)
	if err != nil {
		return err
	}
	var lag, late, lost, ahead int64
	var failed error
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(t.Events, end.Partition)
		if failed = errors.Join(failed, end.Err, start.Err); failed != nil {
			return
		}
		at := start.Offset
		if committed, ok := offsets.Lookup(t.Events, end.Partition); ok && committed.At >= 0 {
			at = committed.At
			lost += max(start.Offset-at, 0)
		}
		ahead += max(at-end.Offset, 0)
		lag += max(end.Offset-max(at, start.Offset), 0)
		since := end.Offset // nothing came in the last minute: all that is unread is older
		if r, ok := recent.Lookup(t.Events, end.Partition); ok && r.Err == nil && r.Offset >= 0 {
			since = r.Offset
		}
		late += max(since-max(at, start.Offset), 0)
	})
	if failed != nil {
		return failed
	}
	switch {
	case lost > 0:
		f.add(PromiseUnread, subject, Broken,
			fmt.Sprintf("%s deleted before %s read", plural64(lost, "event was", "events were"),
				pick(lost, "it was", "they were")),
			"bring the topic back from a copy, or go on without them (`cdr run --accept-loss`); then keep events longer")
	case ahead > 0:
		f.add(PromiseUnread, subject, Broken,
			fmt.Sprintf("its offsets are %d beyond the end of %s: the brokers have lost its end, or it was made anew", ahead,
				t.Events),
			"see docs/operations.md, \"kafka has lost data that it acknowledged\"")
	default:
		f.add(PromiseUnread, subject, OK, "has lost nothing unread", "")
	}
	if late > 0 {
		f.add(PromiseFollow, subject, Weak,
			fmt.Sprintf("is behind: %s, %d of them older than %v", plural64(lag, "event is not read", "events are not read"),
				late, lateAfter),
			"see whether the processors are ready (/readyz), and add some if they are busy (docs/operations.md, scaling out)")
	} else {
		f.add(PromiseFollow, subject, OK,
			fmt.Sprintf("follows: %s, none older than %v", plural64(lag, "event is not read", "events are not read"), lateAfter),
			"")
	}
	return nil
}

func (f *findings) parked(ctx context.Context, admin *kadm.Client, t kafka.Topics) {
	if t.DLQ == "" {
		return
	}
	starts, err := admin.ListStartOffsets(ctx, t.DLQ)
	if err != nil {
		f.unseen(PromiseUnderstood, t.DLQ, err)
		return
	}
	ends, err := admin.ListEndOffsets(ctx, t.DLQ)
	if err != nil {
		f.unseen(PromiseUnderstood, t.DLQ, err)
		return
	}
	var n int64
	ends.Each(func(end kadm.ListedOffset) {
		if start, ok := starts.Lookup(t.DLQ, end.Partition); ok {
			n += max(end.Offset-start.Offset, 0) // marks of transactions count, too: it is some, not how many
		}
	})
	if n > 0 {
		f.add(PromiseUnderstood, t.DLQ, Weak,
			fmt.Sprintf("topic %s (the parked events) is not empty: up to %s could not be understood", t.DLQ,
				plural64(n, "event", "events")),
			"read them with `cdr tail --dlq --from earliest`")
		return
	}
	f.add(PromiseUnderstood, t.DLQ, OK, fmt.Sprintf("topic %s (the parked events) is empty", t.DLQ), "")
}

// size is how much a cold restore has to read.
func (f *findings) size(ctx context.Context, admin *kadm.Client, t kafka.Topics) {
	if t.State == "" {
		return
	}
	details, err := admin.ListTopics(ctx, t.State)
	if err != nil {
		f.unseen(PromiseState, t.State, err)
		return
	}
	dirs, err := admin.DescribeAllLogDirs(ctx, details.TopicsSet())
	if err != nil && len(dirs) == 0 {
		f.unseen(PromiseState, t.State, err)
		return
	}
	sizes := map[int32]int64{} // by partition, of its largest copy
	dirs.Each(func(d kadm.DescribedLogDir) {
		for _, p := range d.Topics[t.State] {
			sizes[p.Partition] = max(sizes[p.Partition], p.Size)
		}
	})
	var sum, most int64
	for _, size := range sizes {
		sum, most = sum+size, max(most, size)
	}
	called := fmt.Sprintf("topic %s (the changelog) has %d MiB, %d MiB in its largest partition", t.State, sum>>20,
		most>>20)
	if most > largeState {
		f.add(PromiseState, t.State, Weak, called+", so a restore without a state directory takes minutes",
			"see whether the brokers compact it (log.cleaner.enable, their log-cleaner.log)")
		return
	}
	f.add(PromiseState, t.State, OK, called, "")
}

// hanging finds transactions that nobody ends. Readers of what is committed wait for them.
func (f *findings) hanging(ctx context.Context, admin *kadm.Client, t kafka.Topics, want ProcessorSettings) {
	set := kadm.TopicsSet{}
	for _, name := range []string{t.CDR, t.State, t.DLQ} {
		if name == "" {
			continue
		}
		details, err := admin.ListTopics(ctx, name)
		if err != nil {
			f.unseen(PromiseFollow, name, err)
			return
		}
		set.Merge(details.TopicsSet())
	}
	producers, err := admin.DescribeProducers(ctx, set)
	if err != nil && len(producers) == 0 {
		f.unseen(PromiseFollow, "transactions", err)
		return
	}
	found := false
	producers.EachProducer(func(p kadm.DescribedProducer) {
		since := time.UnixMilli(p.LastTimestamp)
		if p.CurrentTxnStartOffset < 0 || time.Since(since) < hangingAfter*want.TransactionTimeout {
			return
		}
		found = true
		f.add(PromiseFollow, p.Topic, Broken,
			fmt.Sprintf("producer %d left a transaction open at offset %d of partition %d, and wrote last at %s: readers wait "+
				"for its end", p.ProducerID, p.CurrentTxnStartOffset, p.Partition, since.UTC().Format(time.RFC3339)),
			fmt.Sprintf("end it: `kafka-transactions abort --topic %s --partition %d --start-offset %d`", p.Topic, p.Partition,
				p.CurrentTxnStartOffset))
	})
	if !found {
		f.add(PromiseFollow, "transactions", OK, "transactions: none is left open", "")
	}
}

func plural64(n int64, one, many string) string { return plural(int(n), one, many) }

func pick(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
