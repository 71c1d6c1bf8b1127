package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/kafka"
)

// partitionSurvey is what the changelog says of one partition.
type partitionSurvey struct {
	Partition    int32
	OpenSessions int
	Position     int64 // next offset of the event log to read; where the log begins when nothing was read yet
	End          int64 // of the event log
	States       int   // records that a compacted changelog has: states, stubs, emitters, position
	origin       *origin
}

// unread is how many records of the event log are not folded yet.
func (s partitionSurvey) unread() int64 { return max(s.End-s.Position, 0) }

// survey reads the whole changelog, partition by partition, as it is committed now, and says what is in it. It changes
// nothing, and needs memory for the states of one partition.
func survey(ctx context.Context, o kafka.Options, client *kgo.Client, t kafka.Topics) ([]partitionSurvey, error) {
	events, err := kafka.CommittedRanges(ctx, client, t.Events)
	if err != nil {
		return nil, fmt.Errorf("survey changelog: %w", err)
	}
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, t.Events) // also what is not committed: it may be any minute
	if err != nil {
		return nil, fmt.Errorf("survey changelog: list end offsets of %s: %w", t.Events, err)
	}
	states, err := kafka.CommittedRanges(ctx, client, t.State)
	if err != nil {
		return nil, fmt.Errorf("survey changelog: %w", err)
	}
	var all []partitionSurvey
	for _, partition := range slices.Sorted(maps.Keys(states)) {
		held, err := readStates(ctx, o, t.State, partition, states[partition])
		if err != nil {
			return nil, fmt.Errorf("survey changelog: %w", err)
		}
		fold, err := cdr.Open(cdr.DefaultPolicy(), cdr.Source{Topic: t.Events, Partition: partition}, held)
		if err != nil {
			return nil, fmt.Errorf("survey changelog: partition %d: %w", partition, err)
		}
		s := partitionSurvey{
			Partition: partition, OpenSessions: fold.OpenSessions(), Position: fold.Next(), States: len(held),
		}
		if b := held[originKey]; b != nil {
			s.origin = &origin{}
			if err := json.Unmarshal(b, s.origin); err != nil {
				return nil, fmt.Errorf("survey changelog: partition %d: read origin: %w", partition, err)
			}
		}
		if s.Position < 0 {
			s.Position = events[partition].From
		}
		if end, ok := ends.Lookup(t.Events, partition); ok {
			if end.Err != nil {
				return nil, fmt.Errorf("survey changelog: list end offsets of %s: %w", t.Events, end.Err)
			}
			s.End = end.Offset
		}
		all = append(all, s)
	}
	return all, nil
}

func readStates(
	ctx context.Context, o kafka.Options, topic string, partition int32, span kafka.Range,
) (cdr.MemoryStates, error) {
	reader, err := kafka.NewReader(o, topic, map[int32]kafka.Range{partition: span}, kgo.FetchMaxPartitionBytes(8<<20))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	held := cdr.MemoryStates{}
	for {
		records, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			return held, nil
		}
		if err != nil {
			return nil, err
		}
		for key, value := range ofRecords(records) {
			held.Put(cdr.Change{Key: key, Value: value})
		}
	}
}
