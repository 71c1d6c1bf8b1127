package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
	"januscdr/statestore"
)

// Positions are numbers, and mean something in one event log only. So each partition of the changelog says which one it
// belongs to, under originKey, beside the states.

// origin is the event log that a changelog belongs to, and the group that works on both.
type origin struct {
	Cluster    string `json:"cluster"`
	Topic      string `json:"topic"`
	TopicID    string `json:"topic_id"` // a topic that was deleted and made again has another one
	Partitions int32  `json:"partitions"`
	Group      string `json:"group"`
}

func (o origin) bytes() []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic("pipeline: " + err.Error()) // texts and numbers only
	}
	return b
}

// differs says what has become of the event log since the changelog was begun, and what to do; empty when nothing has.
func (o origin) differs(now origin, state string) (what, remedy string) {
	anew := "give the changelog and the group new names (topics.state, group) and delete the state directory; " +
		"sessions that were open will be reported from what comes"
	switch {
	case o.Cluster != now.Cluster:
		return fmt.Sprintf("it was written for cluster %s, and we are connected to %s", o.Cluster, now.Cluster),
			"connect to that cluster (kafka.brokers), or, if it is gone and " + state + " is a copy, " + anew
	case o.Topic != now.Topic:
		return fmt.Sprintf("it was written for the topic %s, not %s", o.Topic, now.Topic),
			"set topics.events to " + o.Topic + ", or give the changelog a name of its own (topics.state)"
	case o.TopicID != now.TopicID:
		return fmt.Sprintf("topic %s was deleted and made again since, and its offsets began anew", o.Topic), anew
	case o.Partitions != now.Partitions:
		return fmt.Sprintf("topic %s had %d partitions and has %d now, and sessions that were open then are continued in "+
				"other partitions", o.Topic, o.Partitions, now.Partitions),
			"if nothing was written since, finish with `cdr topics grow --partitions N`, else " + anew
	}
	return "", ""
}

// origin is that of what we work on.
func (r *restorer) origin() origin {
	return origin{
		Cluster: r.cluster.id, Topic: r.topics.Events, TopicID: kadm.TopicID(r.cluster.eventsID).String(),
		Partitions: r.cluster.partitions, Group: r.group,
	}
}

// claim makes sure that a changelog partition, as it is restored, belongs to our event log, and that no other group
// works on it. One that says nothing yet becomes ours.
func (r *restorer) claim(ctx context.Context, partition int32, store *statestore.Store, log hclog.Logger) error {
	b, err := store.Get([]byte(originKey))
	if err != nil {
		return fmt.Errorf("restore partition %d: %w", partition, err)
	}
	ours := r.origin()
	if b != nil {
		var was origin
		if err := json.Unmarshal(b, &was); err != nil {
			return fmt.Errorf("restore partition %d: read origin of %s: %w: %w: %w",
				partition, r.topics.State, ErrBroken, errStates, err)
		}
		if what, remedy := was.differs(ours, r.topics.State); what != "" {
			return fmt.Errorf("restore partition %d of %s: %w: %s: %s", partition, r.topics.State, ErrForeign, what, remedy)
		}
		if was == ours {
			return nil
		}
		if err := r.requireSoleGroup(ctx, partition, was.Group); err != nil {
			return err
		}
		log.Info("changelog is taken over from another group", "from", was.Group, "to", ours.Group)
	}
	// Whoever restores after us reads it from the log; it is before all we commit.
	record := &kgo.Record{Topic: r.topics.State, Partition: partition, Key: []byte(originKey), Value: ours.bytes()}
	if _, err := r.appendPlain(ctx, record); err != nil {
		return fmt.Errorf("restore partition %d: write origin to %s: %w", partition, r.topics.State, err)
	}
	one := func(yield func(key, value []byte) bool) { yield([]byte(originKey), ours.bytes()) }
	if err := store.Remember(one, store.Checkpoint()); err != nil {
		return fmt.Errorf("restore partition %d: %w", partition, err)
	}
	return nil
}

// requireSoleGroup is an error while another group has members: the two would each bring out every record. It is tried
// again, since those that stopped are members until their session timeout.
func (r *restorer) requireSoleGroup(ctx context.Context, partition int32, group string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	described, err := r.admin.DescribeGroups(ctx, group)
	if err != nil {
		return fmt.Errorf("restore partition %d: look at group %s: %w", partition, group, err)
	}
	if n := len(described[group].Members); n > 0 {
		return fmt.Errorf("restore partition %d: group %s has %d members and works on %s, too, so each record would come "+
			"out twice: stop it (and wait for its session timeout), or give group %s topics of its own",
			partition, group, n, r.topics.State, r.group)
	}
	return nil
}

// appendPlain writes a record without a transaction and returns its offset.
func (r *restorer) appendPlain(ctx context.Context, record *kgo.Record) (int64, error) {
	acked := make(chan error, 1)
	r.plain.Produce(ctx, record, func(_ *kgo.Record, err error) { acked <- kafka.WithRemedy(err) })
	select {
	case err := <-acked:
		return record.Offset, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// errPartitionsAdded is for a partition that was not there when we started.
func (r *restorer) errPartitionsAdded(partition int32) error {
	return fmt.Errorf("partition %d of %s: %w: the topic had %d partitions when we started and has more now, and a "+
		"session must stay in its partition: stop all processors and ingest, see `cdr topics grow --help`",
		partition, r.topics.Events, ErrForeign, r.cluster.partitions)
}

// errOtherVersion is for states that we cannot read. They stay as they are.
func (r *restorer) errOtherVersion(partition int32, why error) error {
	return fmt.Errorf("restore partition %d: %w, nothing was changed: start the version that wrote them, or a later "+
		"one; to go back to an earlier one, let that one finish first (docs/operations.md, upgrade): %w",
		partition, ErrVersion, why)
}
