package consume_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/consume"
	"januscdr/kafka"
)

// copied makes a topic for copies and the task that fills it.
func (c *cluster) copied() task {
	c.t.Helper()
	_, err := kadm.NewClient(c.producer).CreateTopic(c.t.Context(), partitions, 1, nil, c.copyTopic)
	if err != nil {
		c.t.Fatal(err)
	}
	return task{Brokers: c.opts.Brokers, Topic: c.topic, Kind: "topic", Place: c.copyTopic, Records: 50}
}

// copies are what a reader sees that knows nothing of transactions, by partition and in order.
func (c *cluster) copies(topic string) map[int32][]*kgo.Record { return c.copiesFrom(topic, nil) }

func (c *cluster) copiesFrom(topic string, begin kadm.Offsets) map[int32][]*kgo.Record {
	c.t.Helper()
	ends, err := kadm.NewClient(c.producer).ListEndOffsets(c.t.Context(), topic)
	if err != nil {
		c.t.Fatal(err)
	}
	all := map[int32][]*kgo.Record{}
	left := 0
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		first, _ := begin.Lookup(topic, o.Partition)
		from[o.Partition] = kgo.NewOffset().At(first.At)
		left += int(o.Offset - first.At)
	})
	client, err := kafka.NewClient(c.opts, kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	for left > 0 {
		fetches := client.PollFetches(c.t.Context())
		if err := fetches.Err(); err != nil {
			c.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			all[r.Partition] = append(all[r.Partition], r)
			left--
		})
	}
	return all
}

// copiesAre compares copies with the records that were committed and are wanted: the same ones in the same order.
func (c *cluster) copiesAre(topic string, wanted func(r *cdr.Record) bool) {
	c.t.Helper()
	want := map[int32][]string{}
	for i := range c.records {
		if r := &c.records[i]; wanted(r) {
			want[r.SourcePartition] = append(want[r.SourcePartition], r.RecordID.String())
		}
	}
	for partition, records := range c.copies(topic) {
		var got []string
		for _, k := range records {
			var r struct {
				RecordID string `json:"record_id"`
			}
			if err := json.Unmarshal(k.Value, &r); err != nil {
				c.t.Fatal(err)
			}
			got = append(got, r.RecordID)
		}
		if !slices.Equal(got, want[partition]) {
			c.t.Errorf("partition %d has %d copies, %d of them distinct, of %d records, or they are not in order",
				partition, len(got), len(slices.Compact(slices.Sorted(slices.Values(got)))), len(want[partition]))
		}
		delete(want, partition)
	}
	if len(want) > 0 {
		c.t.Errorf("%d partitions have no copies", len(want))
	}
}

func every(*cdr.Record) bool { return true }

// A third of the transactions of the records is aborted, and who reads copies uncommitted sees nothing of them.
func TestCopiesHaveEachRecordOnceAndInOrderThoughTheirWriterIsKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	k := c.copied()
	c.storm(k, kills(t, 8), nil)
	c.copiesAre(c.copyTopic, every)
}

func TestOnlyWhatIsWantedIsCopied(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	k := c.copied()
	k.Where = []string{"record_type=LEG", "chargeable", "!end_time", "disposition!=BUSY"}
	for range 3 {
		c.produce(200)
		k.fill(t)
	}
	c.copiesAre(c.copyTopic, func(r *cdr.Record) bool { return r.RecordType == cdr.Leg && r.Chargeable && r.EndTime == 0 })
}

func TestACopyIsACloudEvent(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	k := c.copied()
	c.produce(1)
	k.fill(t)
	r := &c.records[0]
	copies := c.copies(c.copyTopic)[r.SourcePartition]
	if len(copies) != 1 {
		t.Fatalf("%d copies", len(copies))
	}
	headers := map[string]string{}
	for _, h := range copies[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	for key, want := range map[string]string{
		"ce_specversion": "1.0", "ce_id": r.RecordID.String(), "ce_source": "/januscdr/janus-0",
		"ce_type": "januscdr.leg.v" + fmt.Sprint(cdr.SchemaVersion),
		"ce_time": "2026-11-01T00:01:30.000001Z", "ce_subject": "acct-0", "content-type": "application/json",
		"januscdr-topic": c.topic, "januscdr-partition": "0", "januscdr-offset": "2",
	} {
		if headers[key] != want {
			t.Errorf("%s is %q, want %q", key, headers[key], want)
		}
	}
	if string(copies[0].Key) != r.SessionID {
		t.Errorf("key %q", copies[0].Key)
	}
}

func TestATopicThatIsNoCopyOrWasEmptiedIsNotGuessedAt(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	k := c.copied()
	c.produce(100)
	k.fill(t)
	admin := kadm.NewClient(c.producer)
	var ends kadm.Offsets
	listed, err := admin.ListEndOffsets(t.Context(), c.copyTopic)
	if err != nil {
		t.Fatal(err)
	}
	ends = listed.Offsets()
	if _, err := admin.DeleteRecords(t.Context(), ends); err != nil {
		t.Fatal(err)
	}
	k.Once = true
	if err := k.run(t); !errors.Is(err, consume.ErrLost) {
		t.Fatalf("emptied: %v", err)
	}
	k.FromAll = true
	k.fill(t)
	c.produce(10)
	k.FromAll = false
	k.fill(t)
	n := 0
	for _, records := range c.copiesFrom(c.copyTopic, ends) {
		n += len(records)
	}
	if n != 110 {
		t.Errorf("%d copies, want 110", n)
	}
	plain, err := kafka.NewClient(c.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := plain.ProduceSync(t.Context(), &kgo.Record{Topic: c.copyTopic, Value: []byte("{}")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := k.run(t); !errors.Is(err, consume.ErrForeign) || !strings.Contains(err.Error(), "no copy of ours") {
		t.Fatalf("foreign: %v", err)
	}
}

func TestOfTwoThatCopyToOneTopicNoneGoesOn(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	k := c.copied()
	c.produce(100)
	k.wakesFenced(t, c)
	c.copiesAre(c.copyTopic, every)
}

// A partition from which all was deleted has nothing to be waited for.
func TestAnEmptiedPartitionIsAtItsEnd(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.produce(50)
	admin := kadm.NewClient(c.producer)
	listed, err := admin.ListEndOffsets(t.Context(), c.topic)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.DeleteRecords(t.Context(), listed.Offsets()); err != nil {
		t.Fatal(err)
	}
	k := task{Brokers: c.opts.Brokers, Topic: c.topic, Kind: "csv", Place: t.TempDir(), Records: 50}
	k.fill(t)
}

// Positions are of one topic: made anew, it stops each target until somebody says that it is meant.
func TestATopicThatWasMadeAnewStopsCopiesTracesAndBuckets(t *testing.T) {
	t.Parallel()
	for kind, task := range map[string]func(t *testing.T, c *cluster) task{
		"topic":  func(_ *testing.T, c *cluster) task { return c.copied() },
		"traces": func(t *testing.T, c *cluster) task { return newCollector(t).task(t, c) },
		"bucket": func(t *testing.T, c *cluster) task { return newDepot(t).task(c) },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.produce(60)
			k := task(t, c)
			k.refusesAnother(t, c)
		})
	}
}
