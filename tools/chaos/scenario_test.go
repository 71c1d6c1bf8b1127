package main

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/internal/fixtures/broker"
	"januscdr/internal/fixtures/procs"
	"januscdr/internal/fixtures/traffic"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/replay"
)

// world is a scenario after which all is as it should be, on an embedded broker: some events in the log, and their
// records.
type world struct {
	*scenario
	t *testing.T
}

func calmWorld(t *testing.T) *world {
	t.Helper()
	s := &scenario{o: &options{partitions: 3}, ledger: newLedger(),
		Cluster: &procs.Cluster{Brokers: broker.Start(t).Addrs(), Topics: kafka.Topics{
			Events: "events", CDR: "records", State: "state", DLQ: "dlq", Partitions: 3, Replication: 1, Embedded: true,
		}}}
	s.Client = broker.Client(t, s.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if _, err := kafka.CreateTopics(t.Context(), s.Client, s.Topics); err != nil {
		t.Fatal(err)
	}
	return &world{s, t}
}

// says sends some events that are answered, and makes what ingest makes of them pass through change.
func (w *world) says(count int, change func(n int, records []*kgo.Record) []*kgo.Record) {
	w.t.Helper()
	var parser janus.Parser
	next, stop := iter.Pull(traffic.Janus("chaos-1", []string{"1.1-c_videoroom"}, 2))
	defer stop()
	for n := range count {
		e, _ := next()
		if n == count-1 {
			e = traffic.Shutdown("chaos-1", e.At)
		}
		entries, err := w.ledger.sends(1, n, &parser, []traffic.Event{e})
		if err != nil {
			w.t.Fatal(err)
		}
		w.ledger.answers(entries)
		key := e.Session
		if key == "" {
			key = "chaos-1"
		}
		own := kafka.PartitionOf([]byte(key), 3)
		records := []*kgo.Record{{Topic: "events", Partition: own, Key: []byte(key), Value: e.Value}}
		for p := range int32(3) {
			if p != own && entries[0].everyone {
				records = append(records, &kgo.Record{Topic: "events", Partition: p, Key: []byte(key), Value: e.Value,
					Headers: []kgo.RecordHeader{{Key: kafka.HeaderKind, Value: []byte(kafka.KindCopy)}}})
			}
		}
		w.append(change(n, records)...)
	}
	at := time.UnixMicro(traffic.Begin)
	for p := range int32(3) {
		for range 3 { // the time that limits want
			at = at.Add(time.Minute)
			w.append(&kgo.Record{Topic: "events", Partition: p, Timestamp: at,
				Headers: []kgo.RecordHeader{{Key: kafka.HeaderKind, Value: []byte(kafka.KindTick)}}})
		}
	}
}

func (w *world) append(records ...*kgo.Record) {
	w.t.Helper()
	if err := w.Client.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// processes writes the records of the log, as change wants them.
func (w *world) processes(change func(n int, r cdr.Record) []cdr.Record) {
	w.t.Helper()
	n, numbers := 0, map[int32]int64{}
	_, err := replay.Run(w.t.Context(),
		replay.Options{Kafka: w.Options(), Events: "events", Policy: w.o.policy(), From: replay.Earliest},
		func(r *cdr.Record) error {
			for _, r := range change(n, *r) {
				numbers[r.SourcePartition]++
				r.LocalRecordSequenceNumber = numbers[r.SourcePartition]
				value, err := avro.Encode(&r)
				if err != nil {
					return err
				}
				w.append(&kgo.Record{Topic: "records", Partition: r.SourcePartition, Key: []byte(r.SessionID), Value: value})
			}
			n++
			return nil
		})
	if err != nil {
		w.t.Fatal(err)
	}
}

// isJudged compares all that the judge compares by itself, and returns the complaints.
func (w *world) isJudged() string {
	w.t.Helper()
	v := &verdict{}
	perSession, err := w.judgeLog(w.t.Context(), v)
	if err != nil {
		w.t.Fatal(err)
	}
	want, err := w.oracle(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := w.judgeRecords(w.t.Context(), v, want)
	if err != nil {
		w.t.Fatal(err)
	}
	w.judgeSums(v, got, perSession)
	if v.events == 0 || v.records == 0 {
		w.t.Fatalf("judged %d events and %d records: nothing to judge", v.events, v.records)
	}
	return strings.Join(w.Complaints.All(), "\n")
}

func asItIs(_ int, records []*kgo.Record) []*kgo.Record { return records }
func asTheyAre(_ int, r cdr.Record) []cdr.Record        { return []cdr.Record{r} }

// everyone changes the first event that concerns everyone.
func everyone(then func([]*kgo.Record) []*kgo.Record) func(int, []*kgo.Record) []*kgo.Record {
	done := false
	return func(_ int, records []*kgo.Record) []*kgo.Record {
		if len(records) == 1 || done {
			return records
		}
		done = true
		return then(records)
	}
}

// third changes the third record after the first.
func third(then func(cdr.Record) []cdr.Record) func(int, cdr.Record) []cdr.Record {
	return func(n int, r cdr.Record) []cdr.Record {
		if n != 3 {
			return []cdr.Record{r}
		}
		return then(r)
	}
}

func TestTheJudgeFindsWhatIsWrong(t *testing.T) {
	const events = 60
	var held []*kgo.Record
	for _, scene := range []struct {
		name   string
		log    func(int, []*kgo.Record) []*kgo.Record
		emit   func(int, cdr.Record) []cdr.Record
		before func(*world)
		want   string // empty: no complaint
	}{
		{name: "nothing", log: asItIs, emit: asTheyAre},
		{name: "an event came again", emit: asTheyAre, log: func(n int, records []*kgo.Record) []*kgo.Record {
			if n != 7 {
				return records
			}
			again := *records[0]
			return append(records, &again)
		}},
		{name: "an event is lost", emit: asTheyAre, want: "LOST event 7",
			log: func(n int, records []*kgo.Record) []*kgo.Record {
				if n == 7 {
					return nil
				}
				return records
			}},
		{name: "a copy is lost", emit: asTheyAre, want: "LOST copies",
			log: everyone(func(records []*kgo.Record) []*kgo.Record {
				return records[:len(records)-1]
			})},
		{name: "an event is another", emit: asTheyAre, want: "nobody sent",
			log: func(n int, records []*kgo.Record) []*kgo.Record {
				if n == 7 {
					records[0].Value = slices.Concat(records[0].Value, []byte(" "))
				}
				return records
			}},
		{name: "an event is late", emit: asTheyAre, want: "comes first after",
			log: func(n int, records []*kgo.Record) []*kgo.Record {
				switch n {
				case 20:
					held = records
					return nil
				case 40:
					return append(records, held...)
				}
				return records
			}},
		{name: "a record is lost", log: asItIs, want: "LOST record",
			emit: third(func(cdr.Record) []cdr.Record { return nil })},
		{name: "a record is doubled", log: asItIs, want: "DOUBLED record",
			emit: third(func(r cdr.Record) []cdr.Record { return []cdr.Record{r, r} })},
		{name: "a record is different", log: asItIs, want: "DIFFERENT record", emit: third(func(r cdr.Record) []cdr.Record {
			r.Duration++
			return []cdr.Record{r}
		})},
		{name: "a record is too much", log: asItIs, want: "none of the oracle's",
			emit: third(func(r cdr.Record) []cdr.Record {
				other := r
				other.RecordID[0]++
				return []cdr.Record{r, other}
			})},
		{name: "the numbers have a gap", log: asItIs, emit: asTheyAre, want: "running number 9", before: func(w *world) {
			r := cdr.Record{LocalRecordSequenceNumber: 7}
			for range 2 {
				value, err := avro.Encode(&r)
				if err != nil {
					w.t.Fatal(err)
				}
				w.append(&kgo.Record{Topic: "records", Value: value})
				r.LocalRecordSequenceNumber += 2
			}
		}},
	} {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			w := calmWorld(t)
			w.says(events, scene.log)
			w.processes(scene.emit)
			if scene.before != nil {
				scene.before(w)
			}
			switch got := w.isJudged(); {
			case scene.want == "" && got != "":
				t.Errorf("complaints about nothing:\n%s", got)
			case !strings.Contains(got, scene.want):
				t.Errorf("no complaint with %q:\n%s", scene.want, got)
			}
		})
	}
}

func TestThePlanIsThatOfTheSeed(t *testing.T) {
	plan := func(seed uint64) (numbers []uint64) {
		f := &faults{}
		err := f.strike(t.Context(), rand.New(rand.NewPCG(seed, 1)), 20, time.Millisecond,
			func(_ context.Context, chance *rand.Rand) error {
				numbers = append(numbers, chance.Uint64())
				return nil
			})
		if err != nil {
			t.Fatal(err)
		}
		return numbers
	}
	if a, b := plan(7), plan(7); len(a) != 20 || !slices.Equal(a, b) {
		t.Errorf("one seed, two plans: %v and %v", a, b)
	}
	if slices.Equal(plan(7), plan(8)) {
		t.Error("two seeds, one plan")
	}
}

func TestARecordThatWasAmendedCountsNoMore(t *testing.T) {
	s := scenario{Cluster: &procs.Cluster{}}
	v, of := &verdict{}, session{"janus-1", "7"}
	r := cdr.Record{RecordType: cdr.SessionSummary, CDRID: cdr.ID{7}, Emitter: of.emitter, SessionID: of.id,
		EventCount: 20}
	amended := r
	amended.Revision, amended.EventCount = 1, 25
	s.judgeSums(v, map[string]cdr.Record{"a": r, "b": amended}, map[session]int64{of: 26})
	if all := s.Complaints.All(); len(all) > 0 || v.sessions != 1 || v.late != 1 {
		t.Errorf("%d sessions, %d late events, complaints: %q; want 1, 1 and none", v.sessions, v.late, all)
	}
	s.judgeSums(v, map[string]cdr.Record{"a": r, "b": amended}, map[session]int64{of: 24})
	if all := s.Complaints.All(); len(all) != 1 {
		t.Errorf("a session of 24 events has 25 of them in its record, and the complaints are %q", all)
	}
}

func TestZombiesAreSpreadOverHalfOfTheProcessors(t *testing.T) {
	for _, scene := range []struct {
		count, processors int
		want              []int
	}{{0, 3, []int{}}, {1, 9, []int{1}}, {10, 9, []int{3, 3, 2, 2}}, {5, 1, []int{5}}} {
		if got := lanes(scene.count, scene.processors); !slices.Equal(got, scene.want) {
			t.Errorf("%d of %d: %v, want %v", scene.count, scene.processors, got, scene.want)
		}
	}
}
