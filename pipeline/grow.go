package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// More partitions mean that most sessions get another one: what comes next of a call that lasts would be folded where
// nobody knows its beginning. So partitions are added only while nothing is open and nothing is unread, and nobody
// reads or writes.

// ErrNotDrained is what an error of Grow wraps when there is still something in the partitions that would be lost.
var ErrNotDrained = errors.New("partitions cannot be added now")

// Growth says what to grow, and to what.
type Growth struct {
	Kafka      kafka.Options
	Topics     kafka.Topics // Topics.Partitions does not count: the topics say how many they have
	Group      string
	Partitions int32
}

// Grow adds partitions to all topics, up to the same number. The error wraps ErrNotDrained, and says in one line
// everything that stands in the way, when sessions are open, events unread, or processors at work; then nothing was
// changed. It cannot see whether ingest runs: the caller stops it before, and starts it after. A Grow that was
// interrupted is finished by calling it again.
func Grow(ctx context.Context, g Growth) error {
	client, err := kafka.NewClient(g.Kafka, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return fmt.Errorf("grow topics: %w", err)
	}
	defer client.Close()
	admin, t := kadm.NewClient(client), g.Topics
	meta, err := admin.Metadata(ctx, t.Events, t.CDR, t.State, t.DLQ)
	if err != nil {
		return fmt.Errorf("grow topics: look at topics: %w", err)
	}
	have := map[string]int32{}
	for _, name := range []string{t.Events, t.CDR, t.State, t.DLQ} {
		if err := meta.Topics[name].Err; err != nil {
			return fmt.Errorf("grow topics: topic %s: %w: create missing topics with `cdr topics create`", name, err)
		}
		have[name] = int32(len(meta.Topics[name].Partitions))
	}
	before := have[t.Events]
	if g.Partitions <= before {
		return fmt.Errorf("grow topics: %s has %d partitions, and Kafka cannot take any away: "+
			"give a larger number than that, or take new topic names", t.Events, before)
	}
	for _, name := range []string{t.CDR, t.State} {
		if have[name] != before && have[name] != g.Partitions { // the latter: we were interrupted
			return fmt.Errorf("grow topics: %s has %d partitions and %s has %d, which do not belong together: "+
				"see `cdr topics check`", t.Events, before, name, have[name])
		}
	}
	if err := g.drained(ctx, client, admin, before); err != nil {
		return err
	}

	for _, name := range []string{t.State, t.CDR, t.DLQ} {
		if have[name] < g.Partitions {
			if err := update(ctx, admin, name, g.Partitions); err != nil {
				return err
			}
		}
	}
	// From here on a processor that is started by mistake refuses to work, until the event log has grown too.
	now := origin{
		Cluster: meta.Cluster, Topic: t.Events, TopicID: meta.Topics[t.Events].ID.String(),
		Partitions: g.Partitions, Group: g.Group,
	}
	for partition := range before {
		record := &kgo.Record{Topic: t.State, Partition: partition, Key: []byte(originKey), Value: now.bytes()}
		if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
			return fmt.Errorf("grow topics: write origin to %s partition %d: %w: nothing is lost, run it again",
				t.State, partition, kafka.WithRemedy(err))
		}
	}
	return update(ctx, admin, t.Events, g.Partitions)
}

func update(ctx context.Context, admin *kadm.Client, topic string, partitions int32) error {
	answers, err := admin.UpdatePartitions(ctx, int(partitions), topic)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("grow topics: give %s %d partitions: %w: nothing is lost, mend the reason and run it again",
			topic, partitions, err)
	}
	return nil
}

// drained is an error while something is open, unread, or at work.
func (g Growth) drained(ctx context.Context, client *kgo.Client, admin *kadm.Client, before int32) error {
	var hindrances []string
	described, err := admin.DescribeGroups(ctx, g.Group)
	if err == nil {
		err = described[g.Group].Err
	}
	switch {
	case err != nil && !errors.Is(err, kerr.GroupIDNotFound):
		return fmt.Errorf("grow topics: look at group %s: %w", g.Group, err)
	case err == nil && len(described[g.Group].Members) > 0:
		hindrances = append(hindrances, fmt.Sprintf("group %s has %d members (when nothing is open and unread, stop the "+
			"processors, and wait for their session timeout, or stop them with --leave)",
			g.Group, len(described[g.Group].Members)))
	}
	partitions, err := survey(ctx, g.Kafka, client, g.Topics)
	if err != nil {
		return fmt.Errorf("grow topics: %w", err)
	}
	var open int
	var unread int64
	for _, s := range partitions {
		if s.Partition >= before {
			continue // of an earlier try, empty
		}
		open, unread = open+s.OpenSessions, unread+s.unread()
		if s.origin == nil {
			continue
		}
		expected := origin{
			Cluster: s.origin.Cluster, Topic: g.Topics.Events, TopicID: s.origin.TopicID,
			Partitions: before, Group: s.origin.Group,
		}
		if again := expected; *s.origin != expected {
			if again.Partitions = g.Partitions; *s.origin != again {
				return fmt.Errorf("grow topics: partition %d of %s: %w: it was written for %s with %d partitions",
					s.Partition, g.Topics.State, ErrForeign, s.origin.Topic, s.origin.Partitions)
			}
		}
	}
	if unread > 0 {
		hindrances = append(hindrances, fmt.Sprintf("%d events are not read yet (stop ingest, and let the processors "+
			"read them)", unread))
	}
	if open > 0 {
		hindrances = append(hindrances, fmt.Sprintf("%d sessions are open (stop ingest when no Janus has any, and let "+
			"the processors close what is left: a Janus that is silent is given up after policy.emitter_silence)", open))
	}
	if len(hindrances) > 0 {
		return fmt.Errorf("grow topics: %w: a session must stay in its partition, and with %d instead of %d most move: %s",
			ErrNotDrained, g.Partitions, before, strings.Join(hindrances, "; "))
	}
	return nil
}
