package consume

import (
	"context"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/kafka"
)

// Snapshot is what a topic holds at one time, to be read more than once.
type Snapshot struct {
	o      kafka.Options
	topic  string
	ranges map[int32]kafka.Range
}

// Now is what a topic holds now, committed records only.
func Now(ctx context.Context, o kafka.Options, topic string) (*Snapshot, error) {
	client, err := kafka.NewClient(o)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ranges, err := kafka.CommittedRanges(ctx, client, topic)
	return &Snapshot{o, topic, ranges}, err
}

// Each calls take with all records, those of one partition in order. The row is take's until it returns.
func (s *Snapshot) Each(ctx context.Context, take func(r *Row) error) error {
	reader, err := kafka.NewReader(s.o, s.topic, s.ranges)
	if err != nil {
		return err
	}
	defer reader.Close()
	return reader.Each(ctx, func(records []*kgo.Record) error {
		for _, k := range records {
			row, err := rowOf(k)
			if err != nil {
				return err
			}
			if err := take(&row); err != nil {
				return err
			}
		}
		return nil
	})
}

// Newest knows which records were replaced: of each part of a leg or session the highest revision counts.
type Newest struct{ revisions map[part]int32 }

type part struct {
	id     cdr.ID
	number int32
}

// See takes notice of a record. Only what was amended takes memory.
func (n *Newest) See(r *cdr.Record) {
	if r.Revision == 0 {
		return
	}
	if n.revisions == nil {
		n.revisions = map[part]int32{}
	}
	p := part{r.CDRID, r.RecordSequenceNumber}
	n.revisions[p] = max(n.revisions[p], r.Revision)
}

// Counts tells whether no record that was seen replaces this one.
func (n *Newest) Counts(r *cdr.Record) bool {
	return r.Revision >= n.revisions[part{r.CDRID, r.RecordSequenceNumber}]
}
