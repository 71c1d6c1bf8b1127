package interleavings

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/pipeline"
)

// Somebody has left a transaction open in most of the changelog's partitions, more of them than are restored at once.
func TestATransactionThatSomebodyLeavesOpenHoldsNobodyElseUp(t *testing.T) {
	t.Parallel()
	s := newHangingSite(t)
	stranger, _ := s.stranger()
	s.hangs(func() {
		if err := stranger.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
	}, "transactional id "+s.group+"-stranger, Ongoing", "its transaction timeout of 15m0s")
}

// Nothing runs beside it: others move coordinators, too.
func TestATransactionThatNoCoordinatorKnowsHoldsNobodyElseUp(t *testing.T) {
	forSeveral(t)
	s := newHangingSite(t)
	stranger, id := s.stranger()
	stranger.Close()
	s.forget(id)
	s.hangs(s.abortAll, "no coordinator knows it, so it hangs: end it with `kafka-transactions.sh")
}

const (
	hangingOf    = 12 // partitions, as many as by default
	hang         = 8  // of them
	hangingAfter = 34 * time.Second
)

func newHangingSite(t *testing.T) *site {
	t.Helper()
	if len(brokers) == 0 {
		t.Skip("JANUSCDR_INTERLEAVINGS_BROKERS names no Kafka")
	}
	return newSiteOn(t, brokers, hangingOf)
}

// hangs shows what becomes of the partitions, with the setting of 2 s: those that are well go on, those that are held
// are told of, counted after twice the setting and 30 s, and go on when the transaction is ended.
func (s *site) hangs(end func(), whoEnds ...string) {
	s.t.Helper()
	s.load(30)
	metrics := prometheus.NewRegistry()
	began := time.Now()
	a := s.start("a", newWire(), func(o *pipeline.Options) {
		o.TransactionTimeout, o.Registerer = 2*time.Second, metrics
	})
	well := func() bool {
		s.t.Helper()
		ends, committed := s.ends(), s.committed()
		for partition := int32(hang); partition < hangingOf; partition++ {
			if committed[partition] < ends[partition] {
				return false
			}
		}
		return true
	}
	s.eventually("the partitions that are well are worked on", well)
	s.eventually("each that is held has been told of", func() bool {
		for partition := range int32(hang) {
			if !a.says(append(whoEnds, "restore waits for an open transaction", partitionSaid(partition))...) {
				return false
			}
		}
		return true
	})
	s.eventually("each that is held stands still, and is counted", func() bool {
		for partition := range int32(hang) {
			if !a.says("a partition stands still", partitionSaid(partition)) {
				return false
			}
		}
		return counted(s.t, metrics, "januscdr_restores_hanging_total") >= hang
	})
	if after := time.Since(began); after < hangingAfter {
		s.t.Errorf("a partition was given up after %v", after)
	}
	if got := len(a.running()); got != hangingOf-hang {
		s.t.Errorf("%d partitions are worked on, want %d", got, hangingOf-hang)
	}
	s.load(10)
	s.eventually("the partitions that are well go on", well)
	end()
	s.judge()
}

func partitionSaid(partition int32) string { return fmt.Sprintf("partition=%d ", partition) }

// counted is the value of a counter without labels.
func counted(t *testing.T, metrics prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no counter %s", name)
	return 0
}

// stranger leaves a transaction open in partitions of the changelog.
func (s *site) stranger() (stranger *kgo.Client, id string) {
	s.t.Helper()
	id = s.group + "-stranger"
	stranger, err := kgo.NewClient(kgo.SeedBrokers(s.opts.Brokers...), kgo.TransactionalID(id),
		kgo.TransactionTimeout(15*time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(stranger.Close)
	if err := stranger.BeginTransaction(); err != nil {
		s.t.Fatal(err)
	}
	for partition := range int32(hang) {
		never := &kgo.Record{Topic: s.topics.State, Partition: partition, Key: []byte("snever"), Value: []byte("committed")}
		if err := stranger.ProduceSync(s.t.Context(), never).FirstErr(); err != nil {
			s.t.Fatal(err)
		}
	}
	return stranger, id
}

// forget makes the brokers forget a transactional id while its transaction is open, as a defect of theirs would: it is
// deleted from what the coordinators have written down, and the next coordinator reads that.
func (s *site) forget(id string) {
	s.t.Helper()
	const topic = "__transaction_state"
	described, err := s.admin.ListTopics(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	// The brokers let only this client write there.
	client, err := kgo.NewClient(kgo.SeedBrokers(s.opts.Brokers...), kgo.ClientID("__admin_client"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	key := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(len(id))) // of version 0
	partition := coordinator(id, len(described[topic].Partitions))
	gone := &kgo.Record{Topic: topic, Partition: partition, Key: append(key, id...)}
	if err := client.ProduceSync(s.t.Context(), gone).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	var moved time.Time
	s.eventually("no coordinator knows the transaction", func() bool {
		listed, err := s.admin.ListTransactions(s.t.Context(), nil, nil)
		_, known := listed[id]
		if err == nil && known && time.Since(moved) > 5*time.Second { // who leads may have been told wrongly before
			s.moveCoordinator(topic, id)
			moved = time.Now()
		}
		return err == nil && !known
	})
}

// abortAll ends the transactions that are open in the changelog as `kafka-transactions.sh abort` does.
func (s *site) abortAll() {
	s.t.Helper()
	var set kadm.TopicsSet
	for partition := range int32(hang) {
		set.Add(s.topics.State, partition)
	}
	producers, err := s.admin.DescribeProducers(s.t.Context(), set)
	if err != nil {
		s.t.Fatal(err)
	}
	producers.EachProducer(func(d kadm.DescribedProducer) {
		if d.CurrentTxnStartOffset < 0 {
			return
		}
		var of kadm.TopicsSet
		of.Add(d.Topic, d.Partition)
		written, err := s.admin.WriteTxnMarkers(context.Background(), kadm.TxnMarkers{ProducerID: d.ProducerID,
			ProducerEpoch: d.ProducerEpoch, CoordinatorEpoch: max(0, d.CoordinatorEpoch), Topics: of})
		written.EachPartition(func(r kadm.TxnMarkersPartitionResponse) { err = errors.Join(err, r.Err) })
		if err != nil {
			s.t.Errorf("end the transaction in partition %d: %v", d.Partition, err)
		}
	})
}
