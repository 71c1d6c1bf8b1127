package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/explain"
	"januscdr/internal/wiring"
	"januscdr/kafka"
	"januscdr/pipeline"
)

// ofKafka makes the story of a session on the topic of events. It reads with clients of its own, in no group. A session
// id leads to its partition; what else is known of a session is looked for in all of them.
func (o *explainOptions) ofKafka(ctx context.Context, k kafka.Options, p cdr.Policy, topic string,
	begin int64) (*told, error) {
	client, err := wiring.Connect(ctx, k, k.Log)
	if err != nil {
		return nil, err
	}
	ranges, err := kafka.CommittedRanges(ctx, client, topic)
	if err == nil {
		ranges, err = kafka.Since(ctx, client, topic, ranges, o.when.since)
	}
	if err == nil {
		ranges, err = kafka.Until(ctx, client, topic, ranges, o.when.until)
	}
	client.Close()
	if err != nil {
		return nil, err
	}
	partitions := slices.Sorted(maps.Keys(ranges))
	if len(partitions) == 0 {
		return nil, fmt.Errorf("read %s: it has no partitions; `cdr topics create` makes the topic", topic)
	}
	look := partitions
	if id := o.query.Session(); id != 0 {
		look = []int32{kafka.PartitionOf([]byte(id.String()), int32(len(partitions)))}
	}
	log := partitionLog{kafka: k, topic: topic, ranges: ranges, policy: p}
	survey, err := log.find(ctx, look, begin, o.query)
	if err != nil {
		return nil, err
	}
	if len(survey.Found) == 0 && len(look) < len(partitions) && begin < 0 {
		// All digits may be the beginning of another id, and for an unknown one the nearest is worth looking for.
		others := slices.DeleteFunc(slices.Clone(partitions), func(n int32) bool { return n == look[0] })
		more, err := log.find(ctx, others, begin, o.query)
		if err != nil {
			return nil, err
		}
		survey.Join(more)
	}
	if o.query.OfRoom() && len(survey.Found) > 0 {
		return toldRoom(explain.TellRoom(ctx, o.query, survey.Found,
			func(partition int32) (explain.Options, explain.Inputs) {
				return log.options(partition), log.inputs(partition, begin)
			}))
	}
	found, err := survey.One()
	if err != nil {
		return nil, err
	}
	span := log.span(found.Partition, begin)
	story, err := explain.TellOf(ctx, log.options(found.Partition), log.inputs(found.Partition, begin), found, o.query)
	if err == nil && span.From > 0 {
		story.Noticed = append(story.Noticed,
			fmt.Sprintf("The story begins at offset %d of the log: what was before is not in it.", span.From))
	}
	return toldSession(story, err)
}

// partitionLog is the topic of events as it is now.
type partitionLog struct {
	kafka  kafka.Options
	topic  string
	ranges map[int32]kafka.Range
	policy cdr.Policy
}

func (l *partitionLog) find(ctx context.Context, partitions []int32, begin int64,
	q explain.Query) (*explain.Survey, error) {
	all := &explain.Survey{Query: q}
	for _, n := range partitions {
		s, err := explain.Find(ctx, l.options(n), l.inputs(n, begin), q)
		if err != nil {
			return nil, err
		}
		all.Join(s)
	}
	return all, nil
}

func (l *partitionLog) options(partition int32) explain.Options {
	return explain.Options{Policy: l.policy, Source: cdr.Source{Topic: l.topic, Partition: partition},
		Name: fmt.Sprintf("%s, partition %d", l.topic, partition)}
}

// span is what is read of a partition: from the beginning that was asked for to where the log ends now.
func (l *partitionLog) span(partition int32, begin int64) kafka.Range {
	r := l.ranges[partition]
	if begin >= 0 {
		r.From = min(max(r.From, begin), r.To)
	}
	return r
}

func (l *partitionLog) inputs(partition int32, begin int64) explain.Inputs {
	return func(ctx context.Context, apply func(cdr.Input) error) error {
		reader, err := kafka.NewReader(l.kafka, l.topic, map[int32]kafka.Range{partition: l.span(partition, begin)})
		if err != nil {
			return err
		}
		defer reader.Close()
		return reader.Each(ctx, func(records []*kgo.Record) error {
			for _, r := range records {
				if err := apply(pipeline.Input(r)); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
