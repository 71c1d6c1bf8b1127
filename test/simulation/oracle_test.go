//go:build synctests

package simulation

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/janus"
	"januscdr/kafka"
)

// truth is what the fold says of a partition of the log.
type truth struct {
	records [][]byte
	parked  [][]byte
	states  cdr.MemoryStates
}

// fold says what should have come out of a partition of the log up to an offset: one record after the other, without
// Kafka, stores, batches and crashes.
func fold(policy cdr.Policy, partition int32, log []*kgo.Record, to int64) (truth, error) {
	var t truth
	f, err := cdr.NewFold(policy, cdr.Source{Topic: topics.Events, Partition: partition})
	if err != nil {
		return t, err
	}
	take := func(step cdr.Step, err error) error {
		if err != nil {
			return err
		}
		for i := range step.Records {
			value, err := avro.Encode(&step.Records[i])
			if err != nil {
				return err
			}
			t.records = append(t.records, value)
		}
		for _, parked := range step.Parked {
			t.parked = append(t.parked, parked.Input.Value)
		}
		return nil
	}
	for _, r := range log {
		if r.Offset >= to {
			break
		}
		if err := take(f.Apply(input(r))); err != nil {
			return t, err
		}
		if err := take(f.Step(), nil); err != nil {
			return t, err
		}
	}
	t.states = f.States()
	return t, nil
}

// input reads a record of the log, by the words of the design rather than by the code of the pipeline.
func input(r *kgo.Record) cdr.Input {
	in := cdr.Input{Offset: r.Offset, Append: janus.Micros(r.Timestamp.UnixMicro()), Key: r.Key, Value: r.Value}
	kinds := map[string]cdr.Kind{"event": cdr.KindEvent, "copy": cdr.KindCopy, "tick": cdr.KindTick, "alive": cdr.KindAlive}
	for _, h := range r.Headers {
		switch h.Key {
		case "januscdr-kind":
			in.Kind = kinds[string(h.Value)]
		case "januscdr-emitter":
			in.Emitter = string(h.Value)
		}
	}
	return in
}

// verdict is what the oracle found, and over how much.
type verdict struct {
	events, records, parked, states int
	complaints                      []string
}

func (v *verdict) complain(format string, args ...any) {
	v.complaints = append(v.complaints, fmt.Sprintf(format, args...))
}

// judge compares what is committed in the topics with what the fold says of the event log up to the offsets that the
// group has committed: the records and the parked events in order and byte for byte, and the states that the changelog
// leaves.
func judge(client *kgo.Client, o kafka.Options, policy cdr.Policy, committed map[int32]int64) (v verdict, err error) {
	log, err := read(client, o, topics.Events)
	if err != nil {
		return v, err
	}
	got, err := read(client, o, topics.CDR)
	if err != nil {
		return v, err
	}
	changes, err := read(client, o, topics.State)
	if err != nil {
		return v, err
	}
	dlq, err := read(client, o, topics.DLQ)
	if err != nil {
		return v, err
	}
	for partition := range topics.Partitions {
		want, err := fold(policy, partition, log[partition], committed[partition])
		if err != nil {
			return v, err
		}
		v.events += len(log[partition])
		v.records += len(want.records)
		v.parked += len(want.parked)
		v.states += len(want.states)
		compare(&v, "records", partition, got[partition], want.records)
		compare(&v, "parked events", partition, dlq[partition], want.parked)
		gapless(&v, partition, got[partition])

		have := cdr.MemoryStates{}
		for _, r := range changes[partition] {
			switch {
			case string(r.Key) == "b", string(r.Key) == "o": // a barrier; whose changelog it is
			case r.Value == nil:
				delete(have, string(r.Key))
			default:
				have[string(r.Key)] = r.Value
			}
		}
		states, err := left(policy, partition, log[partition], have, committed[partition])
		if err != nil {
			return v, err
		}
		if !maps.EqualFunc(have, states, bytes.Equal) {
			v.complain("partition %d: the changelog leaves %d states, want %d: %s", partition, len(have), len(states), firstDifference(have, states))
		}
	}
	return v, nil
}

// left are the states that a changelog should leave: those of the fold up to the position that it names, which may lie
// before what was told. Of a position that lags only the offsets are looked at, which are not of the fold.
func left(policy cdr.Policy, partition int32, log []*kgo.Record, have cdr.MemoryStates, committed int64) (cdr.MemoryStates, error) {
	if have["p"] == nil {
		want, err := fold(policy, partition, log, committed)
		return want.states, err
	}
	next, told, err := cdr.PositionOf(have["p"])
	if err != nil {
		return nil, err
	}
	want, err := fold(policy, partition, log, next)
	if err == nil && told > next {
		if told != committed {
			return nil, fmt.Errorf("partition %d: records are told up to %d, and %d are committed", partition, told, committed)
		}
		want.states["p"] = have["p"]
	}
	return want.states, err
}

func firstDifference(have, want cdr.MemoryStates) string {
	keys := slices.Collect(maps.Keys(have))
	for key := range want {
		if have[key] == nil {
			keys = append(keys, key)
		}
	}
	for _, key := range slices.Sorted(slices.Values(keys)) {
		if !bytes.Equal(have[key], want[key]) {
			return fmt.Sprintf("%q is %d bytes, want %d", key, len(have[key]), len(want[key]))
		}
	}
	return "none"
}

func compare(v *verdict, what string, partition int32, got []*kgo.Record, want [][]byte) {
	if len(got) != len(want) {
		v.complain("partition %d: %d %s came out, want %d", partition, len(got), what, len(want))
	}
	for i := range min(len(got), len(want)) {
		if bytes.Equal(got[i].Value, want[i]) {
			continue
		}
		r, _ := avro.Decode(got[i].Value)
		w, _ := avro.Decode(want[i])
		v.complain("partition %d: number %d of the %s, at offset %d, is\n%+v\nwant\n%+v", partition, i, what, got[i].Offset, r, w)
		return
	}
}

// gapless looks at what a reader of the records can see without the log: that none is missing and none is twice.
func gapless(v *verdict, partition int32, got []*kgo.Record) {
	var last int64
	seen := map[string]bool{}
	for i, r := range got {
		record, err := avro.Decode(r.Value)
		if err != nil {
			v.complain("partition %d: number %d of the records: %v", partition, i, err)
			return
		}
		if n := record.LocalRecordSequenceNumber; i > 0 && n != last+1 {
			v.complain("partition %d: record %d of the sequence follows record %d", partition, n, last)
			return
		}
		last = record.LocalRecordSequenceNumber
		if id := record.RecordID.String(); seen[id] {
			v.complain("partition %d: record %s came out twice", partition, id)
		} else {
			seen[id] = true
		}
	}
}

// read reads what is committed in a topic, by partition, up to the last stable offset. It does not use the reader of
// package kafka: that is on trial, too.
func read(client *kgo.Client, o kafka.Options, topic string) (map[int32][]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	begin, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, end.Partition)
		if start.Offset < end.Offset {
			begin[end.Partition], left[end.Partition] = kgo.NewOffset().At(start.Offset), end.Offset
		}
	})
	all := map[int32][]*kgo.Record{}
	if len(left) == 0 {
		return all, nil
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(o.Brokers...), kgo.Dialer(o.Dialer),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: begin}), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	defer reader.Close()
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, more := left[r.Partition]
			if more && r.Offset < end && !r.Attrs.IsControl() {
				all[r.Partition] = append(all[r.Partition], r)
			}
			if r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		})
	}
	return all, nil
}
