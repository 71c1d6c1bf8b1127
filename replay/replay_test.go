package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
	"januscdr/pipeline"
)

const group = "processors"

// rig is an embedded broker with topics and a client.
type rig struct {
	t       *testing.T
	ctx     context.Context
	client  *kgo.Client
	options VerifyOptions
	topics  kafka.Topics
}

func open(t *testing.T) *rig {
	t.Helper()
	broker, err := embedded.Start(embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	h := &rig{t: t, ctx: ctx, topics: kafka.Topics{
		Events: "events", CDR: "records", State: "state", DLQ: "dlq", Partitions: 2, Replication: 1, Embedded: true,
	}}
	h.options = VerifyOptions{Records: "records", Group: group, Options: Options{
		Kafka: kafka.Options{Brokers: broker.Addrs()}, Events: "events", Policy: cdr.DefaultPolicy(), From: Earliest,
	}}
	if h.client, err = kafka.NewClient(h.options.Kafka, kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.client.Close)
	if _, err := kafka.CreateTopics(ctx, h.client, h.topics); err != nil {
		t.Fatal(err)
	}
	return h
}

// happens appends recorded events, those of one session to one partition, and a tick long after them.
func (h *rig) happens(recording string) {
	h.t.Helper()
	var parser janus.Parser
	var records []*kgo.Record
	var last time.Time
	for _, b := range recordings.Events(recording) {
		e, err := parser.Parse(b)
		if err != nil {
			h.t.Fatal(err)
		}
		last = time.UnixMicro(int64(e.Time))
		key := []byte(e.Session.String())
		records = append(records, &kgo.Record{
			Topic: "events", Partition: kafka.PartitionOf(key, 2), Key: key, Value: b, Timestamp: last,
		})
	}
	for partition := range int32(2) {
		for i := range 3 {
			records = append(records, &kgo.Record{
				Topic: "events", Partition: partition, Timestamp: last.Add(time.Duration(i+1) * time.Minute),
				Headers: []kgo.RecordHeader{{Key: kafka.HeaderKind, Value: []byte(kafka.KindTick)}},
			})
		}
	}
	h.append(records...)
}

func (h *rig) append(records ...*kgo.Record) {
	h.t.Helper()
	if err := h.client.ProduceSync(h.ctx, records...).FirstErr(); err != nil {
		h.t.Fatal(err)
	}
}

// process does what a processor does: it writes the records of the log and commits how far it is. What change makes of
// a record is written instead of it; nil leaves it out.
func (h *rig) process(change func(n int, r cdr.Record) []cdr.Record) (written int) {
	h.t.Helper()
	ranges, err := kafka.CommittedRanges(h.ctx, h.client, "events")
	if err != nil {
		h.t.Fatal(err)
	}
	reader, err := kafka.NewReader(h.options.Kafka, "events", ranges)
	if err != nil {
		h.t.Fatal(err)
	}
	defer reader.Close()
	folds := map[int32]*cdr.Fold{}
	for p := range ranges {
		if folds[p], err = cdr.NewFold(h.options.Policy, cdr.Source{Topic: "events", Partition: p}); err != nil {
			h.t.Fatal(err)
		}
	}
	emit := func(p int32, step cdr.Step) {
		for _, r := range step.Records {
			for _, r := range change(written, r) {
				value, err := avro.Encode(&r)
				if err != nil {
					h.t.Fatal(err)
				}
				h.append(&kgo.Record{Topic: "records", Partition: p, Value: value})
			}
			written++
		}
	}
	for {
		records, err := reader.Next(h.ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			h.t.Fatal(err)
		}
		for _, k := range records {
			step, err := folds[k.Partition].Apply(pipeline.Input(k))
			if err != nil {
				h.t.Fatal(err)
			}
			emit(k.Partition, step)
		}
	}
	var offsets kadm.Offsets
	for p, f := range folds {
		emit(p, f.Step())
		offsets.Add(kadm.Offset{Topic: "events", Partition: p, At: ranges[p].To, LeaderEpoch: -1})
	}
	if err := kadm.NewClient(h.client).CommitAllOffsets(h.ctx, group, offsets); err != nil {
		h.t.Fatal(err)
	}
	return written
}

func (h *rig) verify() (Report, []Finding) {
	h.t.Helper()
	var findings []Finding
	report, err := Verify(h.ctx, h.options, func(f Finding) error { findings = append(findings, f); return nil })
	if err != nil {
		h.t.Fatal(err)
	}
	return report, findings
}

func asItIs(_ int, r cdr.Record) []cdr.Record { return []cdr.Record{r} }

func TestARecordedCallComesOutTheSameAgain(t *testing.T) {
	h := open(t)
	h.happens("1.1-c_videoroom")
	written := h.process(asItIs)
	if written == 0 {
		t.Fatal("nothing came out at all")
	}
	report, findings := h.verify()
	if all := int64(written); !report.Same() || len(findings) != 0 || report.Count[Identical] != all ||
		report.Summary.Records != all {
		t.Errorf("%d were written; %+v, %+v", written, report, findings)
	}

	var again bytes.Buffer
	sum, err := Run(h.ctx, h.options.Options, func(r *cdr.Record) error {
		_, err := fmt.Fprintf(&again, "%s\n", avro.JSON(nil, r))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Records != int64(written) || bytes.Count(again.Bytes(), []byte("\n")) != written || sum.Partitions != 2 ||
		sum.Inputs != report.Summary.Inputs {
		t.Errorf("%+v", sum)
	}
}

func TestEachKindOfDifferenceIsFound(t *testing.T) {
	for name, scene := range map[string]struct {
		change func(n int, r cdr.Record) []cdr.Record
		want   map[Verdict]int64
		check  func(Finding) bool
	}{
		"a record that was changed": {
			func(n int, r cdr.Record) []cdr.Record {
				if n == 2 {
					r.Duration++
					r.Diagnostics = "forged"
				}
				return []cdr.Record{r}
			},
			map[Verdict]int64{Different: 1},
			func(f Finding) bool {
				return slices.Equal(f.Fields, []string{"diagnostics", "duration"}) && f.Offset >= 0
			},
		},
		"a record that was lost": {
			func(n int, r cdr.Record) []cdr.Record {
				if n == 0 {
					return nil
				}
				return []cdr.Record{r}
			},
			map[Verdict]int64{Missing: 1},
			func(f Finding) bool { return f.Offset == -1 && len(f.Record) == 32 },
		},
		"a record that was emitted twice": {
			func(n int, r cdr.Record) []cdr.Record {
				if n == 0 {
					return []cdr.Record{r, r}
				}
				return []cdr.Record{r}
			},
			map[Verdict]int64{Extra: 1, Gap: 1},
			func(f Finding) bool { return f.Offset == 1 },
		},
		"a running number that jumps": {
			func(n int, r cdr.Record) []cdr.Record {
				if n > 0 {
					r.LocalRecordSequenceNumber += 5
				}
				return []cdr.Record{r}
			},
			map[Verdict]int64{Gap: 1},
			func(f Finding) bool { return strings.Contains(f.Why, " follows ") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.happens("1.1-a_echotest")
			h.process(scene.change)
			report, findings := h.verify()
			if report.Same() {
				t.Error("they are told to be the same")
			}
			for v := Different; v < verdicts; v++ {
				if report.Count[v] != scene.want[v] {
					t.Errorf("%d %s, want %d: %+v", report.Count[v], v, scene.want[v], findings)
				}
			}
			for _, f := range findings {
				if !scene.check(f) {
					t.Errorf("finding %+v", f)
				}
			}
		})
	}
}

func TestWhatIsNoRecordOfOursIsNamed(t *testing.T) {
	h := open(t)
	h.happens("1.1-a_echotest")
	h.process(asItIs)
	h.append(&kgo.Record{Topic: "records", Partition: 1, Value: []byte("hello")})
	report, findings := h.verify()
	if report.Count[Unreadable] != 1 || len(findings) != 1 || findings[0].Why == "" || report.Same() {
		t.Errorf("%+v %+v", report, findings)
	}
}

func TestWhatTheProcessorsHaveNotReadYetIsNotMissing(t *testing.T) {
	h := open(t)
	h.happens("1.1-a_echotest")
	written := h.process(asItIs)
	h.happens("1.1-b_abnormal_ends")
	report, findings := h.verify()
	if !report.Same() || report.Count[Identical] != int64(written) {
		t.Errorf("%+v %+v", report, findings)
	}
}

func TestWhatBeganBeforeTheStretchIsNotJudged(t *testing.T) {
	h := open(t)
	h.happens("1.1-g_parallel")
	written := h.process(asItIs)
	ranges, err := kafka.CommittedRanges(h.ctx, h.client, "events")
	if err != nil {
		t.Fatal(err)
	}
	h.options.Partitions, h.options.From = []int32{0}, ranges[0].To/2
	report, findings := h.verify()
	if !report.Same() || report.Count[Outside] == 0 || report.Count[Identical] >= int64(written) {
		t.Errorf("%+v %+v", report, findings)
	}
}

func TestAnotherPolicyShows(t *testing.T) {
	h := open(t)
	h.happens("1.1-b_abnormal_ends")
	h.process(asItIs)
	p := &h.options.Policy
	p.LegSilence, p.LegSilenceWithoutStatistics, p.EmitterSilence = 1e6, 1e6, 1e6
	if report, _ := h.verify(); report.Same() {
		t.Errorf("%+v", report)
	}
}

func TestMistakesOfTheOperatorAreNamedWithARemedy(t *testing.T) {
	h := open(t)
	h.happens("1.1-a_echotest")
	h.process(asItIs)
	ranges, err := kafka.CommittedRanges(h.ctx, h.client, "events")
	if err != nil {
		t.Fatal(err)
	}
	for name, scene := range map[string]struct {
		change func(*VerifyOptions)
		want   string
	}{
		"a partition that does not exist": {func(o *VerifyOptions) { o.Partitions = []int32{7} },
			"replay partition 7 of events: it has partitions 0 to 1 only"},
		"an offset that is not there yet": {func(o *VerifyOptions) { o.Partitions, o.From = []int32{0}, ranges[0].To+1 },
			fmt.Sprintf("replay partition 0 of events from offset %d: the log ends at %d; begin before",
				ranges[0].To+1, ranges[0].To)},
		"a group that never was": {func(o *VerifyOptions) { o.Group, o.Partitions = "grup", []int32{busiest(ranges)} },
			fmt.Sprintf("verify partition %d: there are records, but group grup has no position in events; "+
				"name the group of the processors, or their changelog", busiest(ranges))},
	} {
		t.Run(name, func(t *testing.T) {
			o := h.options
			scene.change(&o)
			_, err := Verify(h.ctx, o, func(Finding) error { return nil })
			if err == nil || err.Error() != scene.want {
				t.Errorf("got %v, want %s", err, scene.want)
			}
		})
	}
	h.options.Partitions, h.options.From = []int32{0}, 1
	admin := kadm.NewClient(h.client)
	var until kadm.Offsets
	until.Add(kadm.Offset{Topic: "events", Partition: 0, At: 2})
	if _, err := admin.DeleteRecords(h.ctx, until); err != nil {
		t.Fatal(err)
	}
	_, err = Run(h.ctx, h.options.Options, func(*cdr.Record) error { return nil })
	if err == nil || !strings.HasSuffix(err.Error(), "the log begins at 2, what was before is deleted; begin there") {
		t.Errorf("got %v", err)
	}
}

func busiest(ranges map[int32]kafka.Range) (partition int32) {
	for p, r := range ranges {
		if r.To > ranges[partition].To {
			partition = p
		}
	}
	return partition
}

func TestAnErrorOfTheReaderOfTheRecordsEndsTheReplay(t *testing.T) {
	h := open(t)
	h.happens("1.1-a_echotest")
	full := errors.New("disk is full")
	if _, err := Run(h.ctx, h.options.Options, func(*cdr.Record) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}
