package consume

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Status is how far a sink is.
type Status struct {
	Ready      bool // it has once had all that the topic held, and nothing troubles it
	Trouble    string
	Records    int64 // written since the start
	Left       int64 // offsets between the target and the end of the topic
	Partitions []PartitionStatus
}

// PartitionStatus is a partition in the target.
type PartitionStatus struct {
	Partition int32 `json:"partition"`
	Position  int64 `json:"position"` // the next offset
	End       int64 `json:"end"`      // of the topic, when it was last looked at
}

// status is written by the sink and read by whoever asks.
type status struct {
	written atomic.Int64

	mu       sync.Mutex
	reached  bool
	trouble  string
	position map[int32]int64
	ends     map[int32]int64
}

func (s *status) begin(position, ends map[int32]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.position, s.ends, s.trouble = maps.Clone(position), maps.Clone(ends), ""
}

func (s *status) wrote(records int, steps map[int32]Step) {
	s.written.Add(int64(records))
	s.mu.Lock()
	defer s.mu.Unlock()
	for partition, step := range steps {
		s.position[partition] = step.To
		s.ends[partition] = max(s.ends[partition], step.To)
	}
}

// caughtUp notes that the end was reached, and tells whether that is news.
func (s *status) caughtUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := !s.reached
	s.reached = true
	return news
}

func (s *status) sees(ends map[int32]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = ends
}

func (s *status) troubled(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = err.Error()
}

func (s *status) get() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := Status{Ready: s.reached && s.trouble == "", Trouble: s.trouble, Records: s.written.Load()}
	for _, partition := range slices.Sorted(maps.Keys(s.position)) {
		p := PartitionStatus{Partition: partition, Position: s.position[partition], End: s.ends[partition]}
		all.Left += max(0, p.End-p.Position)
		all.Partitions = append(all.Partitions, p)
	}
	return all
}
