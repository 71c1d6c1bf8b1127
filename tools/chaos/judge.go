package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/consume"
	"januscdr/internal/fixtures/procs"
	"januscdr/kafka"
	"januscdr/replay"
)

// verdict is what is counted at the end.
type verdict struct {
	events, copies, ticks, alive int64 // in the log
	repeated                     int64 // events that are in the log more often than they were sent

	records, sessions int64 // emitted
	identical         int64
	late              int64 // events after the stub of their session, or without a record
}

// judge compares what is there with what should be.
func (s *scenario) judge(ctx context.Context) error {
	fmt.Println("chaos: comparing")
	began := time.Now()
	v := &verdict{}
	perSession, err := s.judgeLog(ctx, v)
	if err != nil {
		return err
	}
	want, err := s.oracle(ctx)
	if err != nil {
		return err
	}
	got, err := s.judgeRecords(ctx, v, want)
	if err != nil {
		return err
	}
	s.judgeSums(v, got, perSession)
	if err := s.Verify(ctx); err != nil {
		return err
	}
	if s.o.python != "" {
		if err := s.stranger(ctx, want); err != nil {
			return err
		}
	}
	if err := s.tell(ctx, v, len(want), time.Since(began)); err != nil {
		return err
	}
	return ctx.Err()
}

// session is whose events are counted.
type session struct {
	emitter string
	id      string
}

// judgeLog reads the event log. Each event that was answered must be in it, byte for byte, in each partition that it
// concerns; nothing else may be; and what one emitter said to one partition must first come in the order it was said
// in. It returns how many events the log has for each session.
func (s *scenario) judgeLog(ctx context.Context, v *verdict) (map[session]int64, error) {
	perSession := map[session]int64{}
	type stream struct {
		emitter   int
		partition int32
	}
	latest := map[stream]int{}
	partitions := int32(s.o.partitions)
	err := s.read(ctx, s.Topics.Events, func(r *kgo.Record) {
		kind, _ := kafka.Header(r, kafka.HeaderKind)
		switch string(kind) {
		case kafka.KindTick:
			v.ticks++
			return
		case kafka.KindAlive:
			v.alive++
			return
		}
		e := s.ledger.events[fingerprintOf(r.Value)]
		if e == nil {
			s.Complaints.Add("log: partition %d offset %d holds an event that nobody sent: %.200s", r.Partition, r.Offset,
				r.Value)
			return
		}
		if string(kind) == kafka.KindCopy {
			v.copies++
			if !e.everyone || kafka.PartitionOf(r.Key, partitions) == r.Partition {
				s.Complaints.Add("log: partition %d offset %d holds a copy that concerns nobody there", r.Partition, r.Offset)
			}
			e.copies |= 1 << r.Partition
			return
		}
		v.events++
		e.logged++
		if own := kafka.PartitionOf(r.Key, partitions); own != r.Partition || e.session != "" && e.session != string(r.Key) {
			s.Complaints.Add("log: partition %d offset %d holds an event with key %q, whose partition is %d", r.Partition,
				r.Offset, r.Key, own)
		}
		if e.everyone {
			e.copies |= 1 << r.Partition
		}
		if e.session != "" {
			perSession[session{fmt.Sprintf("chaos-%d", e.emitter), e.session}]++
		}
		if e.logged > 1 {
			return
		}
		from := stream{e.emitter, r.Partition}
		if before, ok := latest[from]; ok && before > e.index {
			s.Complaints.Add("log: partition %d offset %d: event %d of emitter %d comes first after its event %d", r.Partition,
				r.Offset, e.index, e.emitter, before)
		}
		latest[from] = max(latest[from], e.index)
	})
	if err != nil {
		return nil, err
	}
	for _, e := range s.ledger.events {
		if e.logged > e.sent {
			v.repeated += int64(e.logged - e.sent)
		}
		if e.answered == 0 {
			continue
		}
		if e.logged == 0 {
			s.Complaints.Add("log: LOST event %d of emitter %d, session %s: it was answered", e.index, e.emitter, e.session)
		}
		if all := uint64(1)<<partitions - 1; e.everyone && e.copies != all {
			s.Complaints.Add("log: LOST copies of event %d of emitter %d: partitions %b of %b have it", e.index, e.emitter,
				e.copies, all)
		}
	}
	return perSession, nil
}

// wanted is a record as the oracle has it, with 0 as its running number.
type wanted struct {
	partition int32
	value     []byte
	line      []byte // as JSON
}

// oracle folds the log from its beginning, each partition by itself, undisturbed.
func (s *scenario) oracle(ctx context.Context) (map[string]wanted, error) {
	want := map[string]wanted{}
	sum, err := replay.Run(ctx, replay.Options{Kafka: s.Options(), Events: s.Topics.Events, Policy: s.o.policy(),
		From: replay.Earliest},
		func(r *cdr.Record) error {
			id := r.RecordID.String()
			if _, twice := want[id]; twice {
				s.Complaints.Add("oracle: record %s comes twice", id)
			}
			masked := *r
			masked.LocalRecordSequenceNumber = 0
			value, err := avro.Encode(&masked)
			want[id] = wanted{r.SourcePartition, value, avro.JSON(nil, &masked)}
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("fold the log: %w", err)
	}
	if sum.Open > 0 {
		s.Complaints.Add("oracle: %d sessions are open at the end of the log", sum.Open)
	}
	if sum.Parked > 0 {
		s.Complaints.Add("oracle: %d events cannot be understood", sum.Parked)
	}
	return want, nil
}

// judgeRecords reads what a reader of committed messages sees, and compares it with the oracle.
func (s *scenario) judgeRecords(ctx context.Context, v *verdict,
	want map[string]wanted) (map[string]cdr.Record, error) {
	got := map[string]cdr.Record{}
	numbers := map[int32]int64{}
	err := s.read(ctx, s.Topics.CDR, func(k *kgo.Record) {
		v.records++
		where := fmt.Sprintf("records: partition %d offset %d", k.Partition, k.Offset)
		r, err := avro.DecodeMessage(k.Value, kafka.Schema(k))
		if err != nil {
			s.Complaints.Add("%s: %v", where, err)
			return
		}
		id := r.RecordID.String()
		if before, any := numbers[k.Partition]; any && r.LocalRecordSequenceNumber != before+1 {
			s.Complaints.Add("%s: running number %d follows %d", where, r.LocalRecordSequenceNumber, before)
		}
		numbers[k.Partition] = r.LocalRecordSequenceNumber
		if _, twice := got[id]; twice {
			s.Complaints.Add("%s: DOUBLED record %s", where, id)
			return
		}
		got[id] = r
		if string(k.Key) != r.SessionID || k.Partition != r.SourcePartition {
			s.Complaints.Add("%s: record %s has key %q and lies elsewhere than its events, partition %d", where, id, k.Key,
				r.SourcePartition)
		}
		w, ok := want[id]
		if !ok {
			s.Complaints.Add("%s: record %s is none of the oracle's", where, id)
			return
		}
		r.LocalRecordSequenceNumber = 0
		value, err := avro.Encode(&r)
		switch {
		case err != nil:
			s.Complaints.Add("%s: %v", where, err)
		case !bytes.Equal(value, w.value):
			expected, _ := avro.Decode(w.value) // we wrote it
			s.Complaints.Add("%s: DIFFERENT record %s in %v: it is %s, want %s", where, id,
				avro.Differing(&r, &expected), avro.JSON(nil, &r), w.line)
		default:
			v.identical++
		}
	})
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if _, ok := got[id]; !ok {
			s.Complaints.Add("records: LOST record %s of partition %d: %.300s", id, want[id].partition, want[id].line)
		}
	}
	return got, nil
}

// judgeSums compares the counts in the records with the log: each session that has events has a record, and no session
// counts more events than it has. A record that was amended counts no more.
func (s *scenario) judgeSums(v *verdict, got map[string]cdr.Record, perSession map[session]int64) {
	var newest consume.Newest
	for _, r := range got {
		newest.See(&r)
	}
	counted, reported := map[session]int64{}, map[session]bool{}
	for _, r := range got {
		if r.RecordType != cdr.SessionSummary || !newest.Counts(&r) {
			continue
		}
		v.sessions++
		of := session{r.Emitter, r.SessionID}
		counted[of] += int64(r.EventCount) + int64(r.DuplicateCount)
		reported[of] = true
	}
	for of, n := range perSession {
		if !reported[of] {
			s.Complaints.Add("sums: session %s of %s has %d events and no record", of.id, of.emitter, n)
		}
		if counted[of] > n {
			s.Complaints.Add("sums: session %s of %s has %d events, its records count %d", of.id, of.emitter, n, counted[of])
		}
		v.late += n - counted[of]
	}
	for of := range counted {
		if perSession[of] == 0 {
			s.Complaints.Add("sums: session %s of %s has a record and no events", of.id, of.emitter)
		}
	}
}

// read calls each for the committed records of a topic as it is now.
func (s *scenario) read(ctx context.Context, topic string, each func(*kgo.Record)) error {
	return kafka.ReadCommitted(ctx, s.Client, s.Options(), topic, func(records []*kgo.Record) error {
		for _, r := range records {
			each(r)
		}
		return nil
	})
}

// stranger reads the records with scripts/external_consumer.py, which has nothing of ours but the schema.
func (s *scenario) stranger(ctx context.Context, want map[string]wanted) error {
	cmd := exec.CommandContext(ctx, s.o.python, filepath.Join(s.o.Root, "scripts", "external_consumer.py"),
		"--brokers", strings.Join(s.Brokers, ","), "--topic", s.Topics.CDR)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		s.Complaints.Add("external consumer: %v: %s", err, bytes.TrimSpace(complaint.Bytes()))
		return ctx.Err()
	}
	seen := map[string]bool{}
	for line := range bytes.Lines(out) {
		id, same, err := sameRecord(line, want)
		switch {
		case err != nil:
			s.Complaints.Add("external consumer: %v in %.200s", err, line)
		case seen[id]:
			s.Complaints.Add("external consumer: DOUBLED record %s", id)
		case !same:
			s.Complaints.Add("external consumer: DIFFERENT record %s: %.300s", id, line)
		}
		seen[id] = true
	}
	for id := range want {
		if !seen[id] {
			s.Complaints.Add("external consumer: LOST record %s", id)
		}
	}
	fmt.Printf("chaos: the external consumer saw %d records\n", len(seen))
	return ctx.Err()
}

// sameRecord compares a line of JSON with the record of the same id, but for its running number.
func sameRecord(line []byte, want map[string]wanted) (id string, same bool, err error) {
	var got, expected map[string]any
	if err := decode(line, &got); err != nil {
		return "", false, err
	}
	id, _ = got["record_id"].(string)
	w, ok := want[id]
	if !ok {
		return id, false, fmt.Errorf("record %q is none of the oracle's", id)
	}
	if err := decode(w.line, &expected); err != nil {
		return id, false, err
	}
	got["local_record_sequence_number"] = expected["local_record_sequence_number"]
	a, errA := json.Marshal(got) // in one order
	b, errB := json.Marshal(expected)
	return id, bytes.Equal(a, b), errors.Join(errA, errB)
}

func decode(line []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	return d.Decode(into)
}

// tell prints the verdict.
func (s *scenario) tell(ctx context.Context, v *verdict, want int, took time.Duration) error {
	f := s.faults
	gaps, _, err := s.Gaps(ctx, s.changelog)
	if err != nil {
		return err
	}
	moved, dropped := 0, 0
	var waits []procs.Gap // while there was something to do
	for p, of := range gaps {
		moved += len(procs.Of(of, procs.Moved))
		dropped += len(procs.Of(of, procs.Dropped))
		waits = append(waits, procs.Within(of, procs.Span{From: s.began, To: s.caught[p]})...)
	}
	last := s.began
	for _, at := range s.caught {
		last = later(last, at)
	}
	none := procs.LongestFirst(procs.Within(procs.AnyGaps(s.changelog.Signs()), procs.Span{From: s.began, To: last}))
	waits = procs.LongestFirst(waits)
	longest := procs.Gap{Partition: -1}
	if len(waits) > 0 {
		longest = waits[0]
	}
	commits, aborts, restores := s.changelog.Counts()
	sent, answered, bodies, repeats := s.ledger.counts()
	strayed := s.strayed(ctx)
	how := "GOOD: nothing lost, doubled or different"
	if bad := len(s.Complaints.All()); bad > 0 {
		how = fmt.Sprintf("BAD: %d complaints", bad)
	}
	rows := [][2]string{
		{"verdict", how},
		{"seed", fmt.Sprint(s.o.Seed)},
		{"brokers", fmt.Sprint(s.o.Brokers)},
		{"kills of cdr", fmt.Sprintf("%d: %d in an open transaction, %d with others taking over, %d with the state lost",
			f.cdr.Load(), f.aimed.Load(), f.away.Load(), f.wiped.Load())},
		{"kills of ingest", fmt.Sprint(f.ingest.Load())},
		{"kills of brokers", fmt.Sprint(f.broker.Load())},
		{"pauses", fmt.Sprint(f.pauses.Load())},
		{"zombies", fmt.Sprint(f.zombies.Load())},
		{"states", f.spoiled.String()},
		{"other clusters", strayed},
		{"full disks", fmt.Sprintf("%d, %d ended a processor in order", f.fills.Load(), f.inOrder.Load())},
		{"events", fmt.Sprintf("%d sent, %d answered in %d bodies, %d tries more", sent, answered, bodies, repeats)},
		{"log", fmt.Sprintf("%d events (%d written again), %d copies, %d ticks, %d signs of life", v.events, v.repeated,
			v.copies, v.ticks, v.alive)},
		{"records", fmt.Sprintf("%d of %d, %d identical; %d sessions, %d late events", v.records, want, v.identical,
			v.sessions, v.late)},
		{"restores",
			fmt.Sprintf("%d of partitions begun; between two commits one moved %d times and was restored in place %d times",
				restores, moved, dropped)},
		{"transactions", fmt.Sprintf("%d committed and %d aborted, by their marks in the %d partitions of the changelog",
			commits, aborts, s.o.partitions)},
		{"longest gap", fmt.Sprintf("%.1f s without any commit, %.1f s of partition %d, which %s",
			procs.Quantile(none, 1).Seconds(), longest.Length().Seconds(), longest.Partition, longest.Fate)},
		{"time", fmt.Sprintf("%.0f s, compared in %.0f s", time.Since(s.began).Seconds(), took.Seconds())},
	}
	for _, row := range rows {
		fmt.Printf("%-18s%s\n", row[0], row[1])
	}
	return nil
}

// strayed tells how often another cluster answered, and what it got, which must be nothing.
func (s *scenario) strayed(ctx context.Context) string {
	if s.o.strangers == 0 {
		return "0"
	}
	n, err := s.Strayed(ctx)
	if err != nil || n > 0 {
		s.Complaints.Add("another cluster has %d records of ours: %v", n, err)
	}
	return fmt.Sprintf("%d, with %d records of ours", s.faults.strangers.Load(), n)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
