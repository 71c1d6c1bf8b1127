package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/kafka"
	"januscdr/pipeline"
)

// Verdict is what a comparison says of one record.
type Verdict uint8

// The verdicts. All but Identical and Outside are differences.
const (
	Identical  Verdict = iota // emitted and made again, byte for byte
	Different                 // emitted and made again, with other bytes
	Missing                   // made again, but never emitted
	Extra                     // emitted, but not made again; a record that was emitted twice is one
	Unreadable                // emitted, but no record of ours
	Gap                       // the running number of the emitted records jumps: a reader would take one for lost
	Outside                   // its session began before the stretch that was replayed: nothing can be said
	verdicts
)

// String is the verdict in a word.
func (v Verdict) String() string {
	return [...]string{"identical", "different", "missing", "extra", "unreadable", "gap", "outside"}[v]
}

// Finding is a difference.
type Finding struct {
	Verdict   Verdict
	Partition int32
	Offset    int64    // on the topic of the records; -1 for Missing
	Record    string   // its record_id; empty for Unreadable
	Fields    []string // of Different: the fields that differ; none if they differ in their encoding only
	Why       string   // of Unreadable and Gap: what is wrong
}

// Report counts verdicts.
type Report struct {
	Summary Summary
	Count   [verdicts]int64 // by Verdict
}

// Same tells whether no difference was found.
func (r Report) Same() bool {
	for v := Different; v < Outside; v++ {
		if r.Count[v] > 0 {
			return false
		}
	}
	return true
}

// VerifyOptions say what is compared.
type VerifyOptions struct {
	Options
	Records string // topic of the records
	Group   string // group of the processors: how far they are is how far is replayed
	State   string // their changelog, which says the same where the group has forgotten it; empty: it is not asked
}

// maxCutTries bounds how often a moment is looked for in which the processors stand still. Asking takes milliseconds,
// and they commit a few times a second.
const maxCutTries = 100

// maxUnmatched bounds what does not match, on each side of one partition.
const maxUnmatched = 100_000

// Verify replays the log up to where the processors are, and compares what comes out with what is on the topic of the
// records, by record_id, bytes against bytes; only local_record_sequence_number is masked, and checked for gaps
// instead. It calls report for each difference. A log that begins late, or Options.From, leaves records whose session
// began before: they are Outside.
func Verify(ctx context.Context, o VerifyOptions, report func(Finding) error) (Report, error) {
	var rep Report
	client, err := kafka.NewClient(o.Kafka)
	if err != nil {
		return rep, err
	}
	defer client.Close()
	ranges, err := o.ranges(ctx, client)
	if err != nil {
		return rep, err
	}
	for _, partition := range slices.Sorted(maps.Keys(ranges)) {
		stretch, emitted, err := o.consistentCut(ctx, client, partition, ranges[partition])
		if err != nil {
			return rep, err
		}
		c := comparison{options: o, partition: partition, report: report, rep: &rep, from: stretch.From,
			refolded: map[cdr.ID]*cdr.Record{}, emitted: map[cdr.ID]record{}, before: map[session]bool{}}
		if err := c.run(ctx, stretch, emitted); err != nil {
			return rep, err
		}
	}
	return rep, nil
}

// consistentCut finds a moment in which the position of the processors and the end of the emitted records belong
// together: a transaction moves both, so they do when the position is the same before and after the end was asked for.
func (o VerifyOptions) consistentCut(ctx context.Context, client *kgo.Client, partition int32,
	stretch kafka.Range) (events, records kafka.Range, err error) {
	admin := kadm.NewClient(client)
	position := func() (int64, error) { // -1: none
		offsets, err := admin.FetchOffsetsForTopics(kadm.RequireStable(ctx), o.Group, o.Events)
		if err == nil {
			err = offsets.Error()
		}
		if errors.Is(err, kerr.GroupIDNotFound) {
			return o.inChangelog(ctx, client, partition)
		}
		if err != nil {
			return 0, fmt.Errorf("ask for the position of group %s: %w", o.Group, err)
		}
		at, ok := offsets.Lookup(o.Events, partition)
		if !ok || at.At < 0 {
			return o.inChangelog(ctx, client, partition)
		}
		return at.At, nil
	}
	before, err := position()
	for range maxCutTries {
		if err != nil {
			return events, records, err
		}
		var all map[int32]kafka.Range
		if all, err = kafka.CommittedRanges(ctx, client, o.Records); err != nil {
			return events, records, err
		}
		var after int64
		if after, err = position(); err != nil {
			return events, records, err
		}
		if before == after {
			r, ok := all[partition]
			if !ok {
				return events, records, fmt.Errorf("verify partition %d: %s has no such partition; "+
					"it must have as many as %s", partition, o.Records, o.Events)
			}
			if after < 0 && r.To > r.From {
				return events, records, fmt.Errorf("verify partition %d: there are records, but group %s has no position in %s; "+
					"name the group of the processors, or their changelog", partition, o.Group, o.Events)
			}
			return kafka.Range{From: stretch.From, To: max(stretch.From, after)}, r, nil
		}
		before = after
	}
	return events, records, fmt.Errorf("verify partition %d: group %s moved each time its position was asked for; "+
		"try again, or with a longer commit interval", partition, o.Group)
}

// inChangelog is the position that the changelog says, -1: none. It is the last record of each transaction, so it is
// looked for from the end on, in spans that grow.
func (o VerifyOptions) inChangelog(ctx context.Context, client *kgo.Client, partition int32) (int64, error) {
	if o.State == "" {
		return -1, nil
	}
	all, err := kafka.CommittedRanges(ctx, client, o.State)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	whole := all[partition]
	for span := int64(64); ; span *= 64 {
		last := int64(-1)
		some := kafka.Range{From: max(whole.From, whole.To-span), To: whole.To}
		reader, err := kafka.NewReader(o.Kafka, o.State, map[int32]kafka.Range{partition: some})
		if err != nil {
			return 0, err
		}
		err = reader.Each(ctx, func(records []*kgo.Record) error {
			for _, r := range records {
				next, ok, err := pipeline.Position(r)
				if err != nil {
					return fmt.Errorf("read the position of partition %d in %s: %w", partition, o.State, err)
				}
				if ok {
					last = next
				}
			}
			return nil
		})
		reader.Close()
		if err != nil || last >= 0 || some.From == whole.From {
			return last, err
		}
	}
}

// session is who a record belongs to, whichever incarnation.
type session struct{ emitter, id string }

func sessionOf(r *cdr.Record) session { return session{r.Emitter, r.SessionID} }

// record is an emitted one.
type record struct {
	offset  int64
	value   []byte
	schema  []byte // fingerprint, as its header says
	session session
}

// comparison walks along both sides of one partition at once. When they are the same, they have the same order, and
// next to nothing waits for its match.
type comparison struct {
	options   VerifyOptions
	partition int32
	from      int64
	report    func(Finding) error
	rep       *Report

	refolded map[cdr.ID]*cdr.Record // records that came out again, not matched yet
	emitted  map[cdr.ID]record      // records of the topic, not matched yet
	before   map[session]bool       // sessions that began before the stretch

	number  int64 // the last local_record_sequence_number
	counted bool  // there was one
}

func (c *comparison) run(ctx context.Context, stretch, emitted kafka.Range) error {
	again, err := c.options.open(c.partition, stretch)
	if err != nil {
		return err
	}
	defer again.close()
	reader, err := kafka.NewReader(c.options.Kafka, c.options.Records, map[int32]kafka.Range{c.partition: emitted})
	if err != nil {
		return fmt.Errorf("verify partition %d of %s: %w", c.partition, c.options.Records, err)
	}
	defer reader.Close()

	var queue []*kgo.Record
	for refoldedAll, readAll := false, false; !refoldedAll || !readAll; {
		if !refoldedAll {
			r, err := again.next(ctx)
			switch {
			case errors.Is(err, io.EOF):
				refoldedAll = true
			case err != nil:
				return err
			default:
				if err := c.takeRefolded(r); err != nil {
					return err
				}
			}
		}
		if !readAll && len(queue) == 0 {
			queue, err = reader.Next(ctx)
			if errors.Is(err, io.EOF) {
				readAll = true
			} else if err != nil {
				return err
			}
		}
		if len(queue) > 0 {
			if err := c.takeEmitted(queue[0]); err != nil {
				return err
			}
			queue = queue[1:]
		}
		if len(c.refolded) > maxUnmatched || len(c.emitted) > maxUnmatched {
			return fmt.Errorf("verify partition %d: more than %d records do not match; "+
				"were they made with another policy or another version?", c.partition, maxUnmatched)
		}
	}
	c.rep.Summary.add(again)
	return c.judgeUnmatched()
}

// takeRefolded takes a record that came out again.
func (c *comparison) takeRefolded(r *cdr.Record) error {
	c.rep.Summary.Records++
	if e, ok := c.emitted[r.RecordID]; ok {
		delete(c.emitted, r.RecordID)
		return c.compare(r, e)
	}
	if other := c.refolded[r.RecordID]; other != nil {
		return fmt.Errorf("verify partition %d: record %s is made twice; this is a mistake in the fold",
			c.partition, r.RecordID)
	}
	kept := *r
	c.refolded[r.RecordID] = &kept
	return nil
}

// takeEmitted takes a record that was emitted.
func (c *comparison) takeEmitted(k *kgo.Record) error {
	r, err := avro.DecodeMessage(k.Value, kafka.Schema(k))
	if err != nil {
		return c.finding(Finding{Verdict: Unreadable, Offset: k.Offset, Why: err.Error()})
	}
	if c.counted && r.LocalRecordSequenceNumber != c.number+1 {
		why := fmt.Sprintf("%d follows %d", r.LocalRecordSequenceNumber, c.number)
		if err := c.finding(Finding{Verdict: Gap, Offset: k.Offset, Record: r.RecordID.String(), Why: why}); err != nil {
			return err
		}
	}
	c.number, c.counted = r.LocalRecordSequenceNumber, true
	if r.FirstOffset < c.from {
		c.before[sessionOf(&r)] = true
		c.rep.Count[Outside]++
		return nil
	}
	e := record{offset: k.Offset, value: bytes.Clone(k.Value), schema: bytes.Clone(kafka.Schema(k)),
		session: sessionOf(&r)}
	if m := c.refolded[r.RecordID]; m != nil {
		delete(c.refolded, r.RecordID)
		return c.compare(m, e)
	}
	if _, twice := c.emitted[r.RecordID]; twice {
		return c.finding(Finding{Verdict: Extra, Offset: k.Offset, Record: r.RecordID.String()})
	}
	c.emitted[r.RecordID] = e
	return nil
}

// compare judges a pair: with the emitted running number, the bytes behind the framing must be the same.
func (c *comparison) compare(m *cdr.Record, e record) error {
	was, err := avro.DecodeMessage(e.value, e.schema)
	if err != nil {
		return fmt.Errorf("read record %s again: %w", m.RecordID, err)
	}
	m.LocalRecordSequenceNumber = was.LocalRecordSequenceNumber
	if c.from > 0 && m.EmitterVersion == "" {
		m.EmitterVersion = was.EmitterVersion // its server may have told it before the stretch
	}
	again, err := avro.Encode(m)
	if err != nil {
		return fmt.Errorf("write record %s again: %w", m.RecordID, err)
	}
	if bytes.Equal(avro.Body(again), avro.Body(e.value)) {
		c.rep.Count[Identical]++
		return nil
	}
	// Another program wrote it: what its schema had no words for is no difference.
	theirs, err := avro.As(avro.SchemaOf(e.value, e.schema), m)
	if err != nil {
		return fmt.Errorf("write record %s again: %w", m.RecordID, err)
	}
	if avro.SchemaOf(e.value, e.schema) != avro.Fingerprint() {
		theirs.SchemaVersion = was.SchemaVersion
	}
	fields := avro.Differing(&theirs, &was)
	if len(fields) == 0 && avro.SchemaOf(e.value, e.schema) != avro.Fingerprint() {
		c.rep.Count[Identical]++
		return nil
	}
	slices.Sort(fields)
	return c.finding(Finding{Verdict: Different, Offset: e.offset, Record: m.RecordID.String(), Fields: fields})
}

// judgeUnmatched judges what has found no match.
func (c *comparison) judgeUnmatched() error {
	if c.from > 0 {
		for _, m := range c.refolded {
			if m.IdentityBasis == cdr.FirstEvent {
				c.before[sessionOf(m)] = true
			}
		}
	}
	var findings []Finding
	for id, m := range c.refolded {
		if c.before[sessionOf(m)] {
			c.rep.Count[Outside]++
			continue
		}
		findings = append(findings, Finding{Verdict: Missing, Offset: -1, Record: id.String()})
	}
	for id, e := range c.emitted {
		if c.before[e.session] {
			c.rep.Count[Outside]++
			continue
		}
		findings = append(findings, Finding{Verdict: Extra, Offset: e.offset, Record: id.String()})
	}
	slices.SortFunc(findings, func(a, b Finding) int {
		if a.Offset != b.Offset {
			return int(a.Offset - b.Offset)
		}
		return bytes.Compare([]byte(a.Record), []byte(b.Record))
	})
	for _, f := range findings {
		if err := c.finding(f); err != nil {
			return err
		}
	}
	return nil
}

// finding counts a difference and reports it.
func (c *comparison) finding(f Finding) error {
	f.Partition = c.partition
	c.rep.Count[f.Verdict]++
	return c.report(f)
}
