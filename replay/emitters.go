package replay

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/pipeline"
)

// mostSilent is how many sessions of an emitter are named whose end may have been lost.
const mostSilent = 20

// Emitter is what a stretch of the log says of a Janus server.
type Emitter struct {
	Name    string
	Balance cdr.Balance // what is open by the log against what it counts itself, at its heartbeats
	// Silent are sessions of which nothing came since a surplus began, some at most: those whose end may have been lost.
	Silent   []janus.SessionID
	LastSign time.Time     // when its last sign of life was appended: they come while its events come
	Steps    int32         // of its clock, that were noticed
	Behind   time.Duration // from the timestamp of its newest event to its append; 0: not known

	Legs    int64            // of records in the stretch
	Missing map[string]int64 // of these, without "start", "interim" or "end", or with a "clock" that was set
}

// Emitters folds a stretch of the log, all partitions, and says of each emitter what is missing. From the topic of
// records it takes what legs lacked.
func Emitters(ctx context.Context, o Options, records string) ([]Emitter, error) {
	client, err := kafka.NewClient(o.Kafka)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ranges, err := o.ranges(ctx, client)
	if err != nil {
		return nil, err
	}
	s := &emitterSurvey{sums: map[string]map[janus.Micros]*tallySum{}, all: map[string]*Emitter{}}
	partitions := slices.Sorted(maps.Keys(ranges))
	for _, n := range partitions {
		if err := s.fold(ctx, o, n, ranges[n]); err != nil {
			return nil, err
		}
	}
	if err := s.judge(len(partitions)); err != nil {
		return nil, err
	}
	if records != "" {
		if err := s.records(ctx, o, client, records); err != nil {
			return nil, err
		}
	}
	found := make([]Emitter, 0, len(s.all))
	for _, e := range s.all {
		found = append(found, *e)
	}
	slices.SortFunc(found, func(a, b Emitter) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}

// emitterSurvey collects over partitions what is said of emitters.
type emitterSurvey struct {
	sums  map[string]map[janus.Micros]*tallySum // by emitter and heartbeat
	all   map[string]*Emitter
	folds []*cdr.Fold
}

// tallySum is a heartbeat, as far as partitions have seen it.
type tallySum struct {
	cdr.Tally
	partitions int
}

func (s *emitterSurvey) emitter(name string) *Emitter {
	e := s.all[name]
	if e == nil {
		e = &Emitter{Name: name, Missing: map[string]int64{}}
		s.all[name] = e
	}
	return e
}

func (s *emitterSurvey) fold(ctx context.Context, o Options, partition int32, r kafka.Range) error {
	fold, err := cdr.NewFold(o.Policy, cdr.Source{Topic: o.Events, Partition: partition})
	if err != nil {
		return err
	}
	s.folds = append(s.folds, fold)
	fold.OnTally(func(emitter string, t cdr.Tally) {
		of := s.sums[emitter]
		if of == nil {
			of = map[janus.Micros]*tallySum{}
			s.sums[emitter] = of
		}
		if of[t.At] == nil {
			of[t.At] = &tallySum{Tally: cdr.Tally{At: t.At, Janus: t.Janus}}
		}
		of[t.At].Here = of[t.At].Here.Add(t.Here)
		of[t.At].partitions++
	})
	reader, err := kafka.NewReader(o.Kafka, o.Events, map[int32]kafka.Range{partition: r})
	if err != nil {
		return err
	}
	defer reader.Close()
	err = reader.Each(ctx, func(records []*kgo.Record) error {
		for _, record := range records {
			in := pipeline.Input(record)
			if in.Kind == cdr.KindAlive {
				name, _ := janus.EmitterName(string(in.Key))
				if e := s.emitter(name); record.Timestamp.After(e.LastSign) {
					e.LastSign = record.Timestamp
				}
			}
			if _, err := fold.Apply(in); err != nil {
				return fmt.Errorf("fold partition %d at offset %d: %w", partition, record.Offset, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	fold.Step()
	for _, h := range fold.Heard() {
		e := s.emitter(h.Emitter)
		e.Steps = max(e.Steps, h.Steps)
		if behind := time.Duration(h.Behind) * time.Microsecond; behind != 0 && (e.Behind == 0 || behind < e.Behind) {
			e.Behind = behind
		}
	}
	return nil
}

// judge holds the sums against what was counted. Heartbeats that some partition has not seen are left out.
func (s *emitterSurvey) judge(partitions int) error {
	for name, of := range s.sums {
		e := s.emitter(name)
		for _, at := range slices.Sorted(maps.Keys(of)) {
			if of[at].partitions == partitions {
				e.Balance.Reconcile(at, of[at].Here, of[at].Janus)
			}
		}
		if e.Balance.Sessions.Surplus <= 0 {
			continue
		}
		for _, fold := range s.folds {
			ids, err := fold.Silent(name, e.Balance.Sessions.Since, mostSilent-len(e.Silent))
			if err != nil {
				return err
			}
			e.Silent = append(e.Silent, ids...)
		}
		slices.Sort(e.Silent)
	}
	return nil
}

// records counts what the legs of the stretch lack.
func (s *emitterSurvey) records(ctx context.Context, o Options, client *kgo.Client, topic string) error {
	ranges, err := kafka.CommittedRanges(ctx, client, topic)
	if err == nil {
		ranges, err = kafka.Since(ctx, client, topic, ranges, o.Since)
	}
	if err != nil {
		return err
	}
	reader, err := kafka.NewReader(o.Kafka, topic, ranges)
	if err != nil {
		return err
	}
	defer reader.Close()
	return reader.Each(ctx, func(records []*kgo.Record) error {
		for _, k := range records {
			r, err := avro.DecodeMessage(k.Value, kafka.Schema(k))
			if err != nil {
				return fmt.Errorf("read %s, partition %d, offset %d: %w", topic, k.Partition, k.Offset, err)
			}
			if r.RecordType == cdr.Leg && r.IsFinal && r.Revision == 0 {
				s.emitter(r.Emitter).lacks(&r)
			}
		}
		return nil
	})
}

func (e *Emitter) lacks(r *cdr.Record) {
	e.Legs++
	for what, is := range map[string]bool{"start": r.StartMissing, "interim": r.InterimMissing == cdr.InterimYes,
		"end": r.EndMissing, "clock": r.ClockSuspect} {
		if is {
			e.Missing[what]++
		}
	}
}
