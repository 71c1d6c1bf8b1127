package consume_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

const patience = 60 * time.Second

// cluster is an embedded broker with a topic of records, and what was written there.
type cluster struct {
	t         testing.TB
	opts      kafka.Options
	topic     string
	copyTopic string
	producer  *kgo.Client

	mu      sync.Mutex
	records []cdr.Record // committed
	numbers map[int32]int64
	made    int
}

const partitions = 3

func newCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{t: t, numbers: map[int32]int64{}, topic: "janus.cdr", copyTopic: "copies"}
	if brokers := os.Getenv("JANUSCDR_E2E_BROKERS"); brokers != "" { // a real Kafka, which others use, too
		unique := fmt.Sprintf("-%d-%d", os.Getpid(), time.Now().UnixNano())
		c.opts, c.topic, c.copyTopic = kafka.Options{Brokers: strings.Split(brokers, ",")}, c.topic+unique, c.copyTopic+unique
	} else {
		broker, err := embedded.Start(embedded.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { broker.Close() })
		c.opts = kafka.Options{Brokers: broker.Addrs()}
	}
	c.makeTopic()
	return c
}

func (c *cluster) makeTopic() {
	c.t.Helper()
	client, err := kafka.NewClient(c.opts, kgo.TransactionalID(c.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(client.Close)
	c.producer = client
	for limit := time.Now().Add(patience); ; { // one that is being deleted is there for a while
		created, err := kafka.CreateTopics(c.t.Context(), client, kafka.Topics{CDR: c.topic, Partitions: partitions})
		if err != nil {
			c.t.Fatal(err)
		}
		if len(created) > 0 {
			return
		}
		if time.Now().After(limit) {
			c.t.Fatal("the topic is not gone")
		}
	}
}

// again deletes the topic and makes it again, empty.
func (c *cluster) again() {
	c.t.Helper()
	if _, err := kadm.NewClient(c.producer).DeleteTopic(c.t.Context(), c.topic); err != nil {
		c.t.Fatal(err)
	}
	c.producer.Close()
	c.records, c.numbers = nil, map[int32]int64{}
	c.makeTopic()
}

// produce writes records as the processor does: in transactions, of which each third is aborted and its records come
// again.
func (c *cluster) produce(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n > 0 {
		size := min(n, 1+c.made%17)
		var batch []cdr.Record
		numbers := map[int32]int64{}
		for i := range size {
			r := aRecord(c.made + i)
			r.LocalRecordSequenceNumber = c.numbers[r.SourcePartition] + numbers[r.SourcePartition]
			numbers[r.SourcePartition]++
			batch = append(batch, r)
		}
		if c.made%3 == 0 {
			c.transaction(batch, kgo.TryAbort)
		}
		c.transaction(batch, kgo.TryCommit)
		for partition, n := range numbers {
			c.numbers[partition] += n
		}
		c.records = append(c.records, batch...)
		c.made += size
		n -= size
	}
}

func (c *cluster) transaction(batch []cdr.Record, how kgo.TransactionEndTry) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.producer.BeginTransaction(); err != nil {
		c.t.Error(err)
		return
	}
	var messages []*kgo.Record
	for i := range batch {
		value, err := avro.Encode(&batch[i])
		if err != nil {
			c.t.Error(err)
			return
		}
		messages = append(
			messages,
			&kgo.Record{Topic: c.topic, Partition: batch[i].SourcePartition, Key: []byte(batch[i].SessionID), Value: value,
				Headers: []kgo.RecordHeader{{Key: "policy_fingerprint", Value: []byte("00112233aabbccdd")}}},
		)
	}
	if err := c.producer.ProduceSync(ctx, messages...).FirstErr(); err != nil {
		c.t.Error(err)
	}
	if err := c.producer.EndTransaction(ctx, how); err != nil {
		c.t.Error(err)
	}
}

// bulk writes many records quickly.
func (c *cluster) bulk(n int) {
	const size = 5000
	for ; n > 0; n -= size {
		var batch []cdr.Record
		for range min(n, size) {
			batch = append(batch, aRecord(c.made))
			c.made++
		}
		c.transaction(batch, kgo.TryCommit)
	}
}

// aRecord is record n of a fleet: legs in one record and in parts, amended ones, sessions, with what hostile callers
// call themselves. One seventh of the legs has two parts, one fifth an amendment that takes a second off.
func aRecord(n int) cdr.Record {
	call := n / 4
	r := cdr.Record{
		SchemaVersion:         cdr.SchemaVersion,
		RecordType:            cdr.Leg,
		IdentityBasis:         cdr.Created,
		ChangeKind:            cdr.Original,
		CDRID:                 idOf("leg", call),
		SessionUID:            idOf("session", call),
		IsFinal:               true,
		Emitter:               fmt.Sprintf("janus-%d", call%2),
		SessionID:             fmt.Sprint(1_000_000 + call),
		HandleID:              fmt.Sprint(call),
		Plugin:                "janus.plugin.videoroom",
		OpaqueID:              fmt.Sprintf("acct-%d", call%5),
		LegKind:               cdr.PeerConnection,
		Chargeable:            call%4 != 3,
		SourceTopic:           "janus.events",
		SourcePartition:       int32(call % partitions),
		FirstOffset:           int64(n),
		LastOffset:            int64(n) + 7,
		EventCount:            9,
		DisplayName:           names[call%len(names)],
		Disposition:           cdr.Answered,
		CauseForRecordClosing: cdr.CauseNormalRelease,
		Confidence:            cdr.Exact,
	}
	r.StartTime = month + janus.Micros(call)*spacing
	r.AnswerTime, r.EndTime = r.StartTime+500_000, r.StartTime+90_000_001
	r.RecordOpeningTime, r.RecordClosureTime = r.StartTime, r.EndTime
	r.Duration = int64(r.EndTime - r.AnswerTime)
	r.CumulativeDuration = r.Duration
	stream := cdr.Stream{
		Mid:           "0",
		HasMid:        true,
		Media:         cdr.Audio,
		Codec:         "opus",
		BytesReceived: int64(n) * 1000,
		BytesSent:     5,
		RTT:           cdr.Quality{Known: true, Min: 1, Max: 9, MeanMilli: 4200, Last: 3},
	}
	switch n % 4 {
	case 0:
		if call%7 == 0 {
			r.RecordSequenceNumber, r.IsFinal, r.EndTime = 1, false, 0
			r.Duration, r.CumulativeDuration = 60_000_000, 60_000_000
		}
		r.Streams = []cdr.Stream{stream, {Media: cdr.Video}}
	case 1:
		if call%7 == 0 {
			r.RecordSequenceNumber, r.Duration = 2, r.Duration-60_000_000
		} else { // another leg, that is not charged
			r.CDRID, r.LegKind, r.Chargeable = idOf("membership", call), cdr.RoomMembership, false
		}
	case 2:
		r = session(r)
	case 3:
		if call%5 == 0 && call%7 != 0 {
			r.Revision, r.ChangeKind, r.Supersedes = 1, cdr.Amendment, recordID(r.CDRID, 0, 0).String()
			r.Duration -= 1_000_000
			r.CumulativeDuration = r.Duration
		} else {
			r.CDRID, r.Disposition, r.Chargeable, r.AnswerTime, r.Duration, r.CumulativeDuration = idOf("failed",
				call), cdr.NeverConnected, true, 0, 0, 0
		}
	}
	r.RecordID = recordID(r.CDRID, r.RecordSequenceNumber, r.Revision)
	return r
}

func session(r cdr.Record) cdr.Record {
	r.RecordType, r.CDRID, r.HandleID, r.LegKind, r.Chargeable = cdr.SessionSummary, idOf("summary",
		int(r.FirstOffset)), "", 0, false
	r.Streams, r.LegCount, r.AnsweredLegCount, r.LegIDs = nil, 2, 2, []cdr.ID{r.CDRID, r.SessionUID}
	return r
}

// month is where the calls begin, 2026-11-01, one each five hours: the last of 700 records are of December.
const (
	month   = janus.Micros(1_793_491_200_000_000)
	spacing = 5 * 3600 * 1_000_000
)

var names = []string{
	"Zoë",
	"",
	"=cmd|'/c calc'!A1",
	"nul\x00byte",
	`back\u0000slash`,
	"quo\"te, comma\nline",
	"not utf-8: \xff",
	"🎥",
}

func idOf(kind string, n int) cdr.ID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, n))
	return cdr.ID(sum[:16])
}

func recordID(id cdr.ID, part, revision int32) cdr.ID {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(id[:], uint32(part)), uint32(revision))
	sum := sha256.Sum256(b)
	return cdr.ID(sum[:16])
}

// ids are the records that were committed, each with how often.
func (c *cluster) ids() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]int{}
	for i := range c.records {
		all[c.records[i].RecordID.String()]++
	}
	return all
}

// charged is what each billing reference comes to, in microseconds, in calls that were answered within a span: of each
// part of a leg the highest revision counts.
func (c *cluster) charged(since, until janus.Micros) map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	type key struct {
		leg  cdr.ID
		part int32
	}
	newest := map[key]*cdr.Record{}
	for i := range c.records {
		r := &c.records[i]
		k := key{r.CDRID, r.RecordSequenceNumber}
		if r.RecordType == cdr.Leg && r.Chargeable && (newest[k] == nil || newest[k].Revision < r.Revision) {
			newest[k] = r
		}
	}
	sums := map[string]int64{}
	for _, r := range newest {
		if r.AnswerTime >= since && r.AnswerTime < until {
			sums[r.OpaqueID] += r.Duration
		}
	}
	return sums
}

// same compares what a target holds with what was committed.
func same(t *testing.T, got, want map[string]int) {
	t.Helper()
	missing, extra := 0, 0
	for id, n := range want {
		missing += max(0, n-got[id])
	}
	for id, n := range got {
		extra += max(0, n-want[id])
	}
	if missing+extra > 0 || len(want) == 0 {
		t.Errorf("of %d records the target misses %d and has %d too many", len(want), missing, extra)
	}
}
