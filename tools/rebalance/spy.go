package main

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// sign is something that stands in a partition of the changelog.
type sign struct {
	at       time.Time // by the broker's clock, which is ours
	producer int64     // whose transaction was committed; each worker has one
	restore  bool      // it is no commit but the barrier with which a restore begins
}

// barrierKey is the key of a barrier in the changelog.
const barrierKey = "b"

// spy reads the changelog as it is written. All that it says of a partition is in the order of the log.
type spy struct {
	mu    sync.Mutex
	signs map[int32][]sign

	aborts, restores int
}

// run reads until the context ends.
func (s *spy) run(ctx context.Context, brokers []string, topic string) error {
	client, err := kafka.NewClient(kafka.Options{Brokers: brokers}, kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(time.Second), kgo.FetchMinBytes(1<<16)) // seldom: the times are in the records, and reading costs
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		s.mu.Lock()
		fetches.EachRecord(s.saw)
		s.mu.Unlock()
	}
	return nil
}

// saw takes a record. A commit is the mark that the brokers write, not the position: that can still be taken back.
func (s *spy) saw(r *kgo.Record) {
	switch {
	case r.Attrs.IsControl():
		if len(r.Key) < 4 { // version and type, 16 bits each: 0 abort, 1 commit
			return
		}
		switch r.Key[3] {
		case 0:
			s.aborts++
		case 1:
			s.signs[r.Partition] = append(s.signs[r.Partition], sign{at: r.Timestamp, producer: r.ProducerID})
		}
	case string(r.Key) == barrierKey:
		s.restores++
		s.signs[r.Partition] = append(s.signs[r.Partition], sign{at: r.Timestamp, restore: true})
	}
}

// committedSince tells whether each of so many partitions has a commit after a moment.
func (s *spy) committedSince(partitions int, at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range int32(partitions) {
		signs := s.signs[p]
		if len(signs) == 0 || signs[len(signs)-1].restore || !signs[len(signs)-1].at.After(at) {
			return false
		}
	}
	return true
}
