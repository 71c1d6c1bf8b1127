package pipeline

import (
	"maps"
	"slices"
	"sync"
	"time"

	"januscdr/cdr"
	"januscdr/kafka"
)

// State says what becomes of a partition in this process.
type State string

// The states of a partition.
const (
	Restoring State = "restoring" // its states are being read back from the changelog
	Running   State = "running"
	Lost      State = "lost" // Kafka was away: whose it is by now, the group has to say
)

// PartitionStatus is what this process knows of one of its partitions.
type PartitionStatus struct {
	Partition    int32 `json:"partition"`
	Worker       int   `json:"-"`
	State        State `json:"state"`
	Position     int64 `json:"position"` // next offset to read; -1 when none is known
	Lag          int64 `json:"lag"`      // records behind the end of the log, as of the last fetch; -1 when not known
	OpenSessions int   `json:"open_sessions"`
	Restored     int64 `json:"-"` // changelog records read so far by a restore
	ToRestore    int64 `json:"-"` // changelog records there are to read, about

	known    known    // what the gauges show
	progress *float64 // of a restore that runs, 0 to 1
}

// known is what was known of a partition last, in this process.
type known struct {
	at       time.Time // as of when; zero: nothing is
	position int64
	lag      int64
	open     int
	heard    []cdr.Heard // of the emitters; of some seconds ago
}

// Details are what /readyz of a processor shows besides whether it is ready.
type Details struct {
	Tasks []PartitionStatus `json:"tasks"` // those of the process
}

// Status is what a Processor knows of itself.
type Status struct {
	Ready      bool              // see Processor.Ready
	Partitions []PartitionStatus // in order; those of this process only
	Away       string            // since when, and why, Kafka counts as away; empty: it is there
}

// Status tells how things are.
func (p *Processor) Status() Status {
	p.board.mu.Lock()
	defer p.board.mu.Unlock()
	s := Status{Ready: p.board.ready(), Away: p.board.contact.Away()}
	for _, partition := range slices.Sorted(maps.Keys(p.board.partitions)) {
		s.Partitions = append(s.Partitions, *p.board.partitions[partition])
	}
	return s
}

// Ready tells whether Kafka answers, and each worker has learned from the group which partitions it has, and has
// restored them all. It is false while partitions move.
func (p *Processor) Ready() bool {
	p.board.mu.Lock()
	defer p.board.mu.Unlock()
	return p.board.ready()
}

// board is where workers write down how things are, for others to read.
type board struct {
	contact    *kafka.Contact
	mu         sync.Mutex
	joined     []bool // by worker
	partitions map[int32]*PartitionStatus
}

func newBoard(contact *kafka.Contact) *board {
	return &board{contact: contact, partitions: map[int32]*PartitionStatus{}}
}

func (b *board) ready() bool {
	for _, joined := range b.joined {
		if !joined {
			return false
		}
	}
	for _, s := range b.partitions {
		if s.State != Running {
			return false
		}
	}
	return len(b.joined) > 0 && b.contact.Away() == ""
}

// heard is when a broker answered last: what was known then of the end of the log was true.
func (b *board) heard() time.Time {
	silence, ever := b.contact.Silence()
	if !ever {
		return time.Time{}
	}
	return time.Now().Add(-silence)
}

func (b *board) reset(workers int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.joined, b.partitions = make([]bool, workers), map[int32]*PartitionStatus{}
}

func (b *board) join(worker int, joined bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.joined[worker] = joined
}

// put changes the status of a partition that a worker has; the first one to put is the owner.
func (b *board) put(worker int, partition int32, f func(*PartitionStatus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.partitions[partition]
	if s == nil || s.Worker != worker {
		var last known
		if s != nil {
			last = s.known
		}
		s = &PartitionStatus{Partition: partition, Worker: worker, State: Restoring, Position: -1, Lag: -1, known: last}
		b.partitions[partition] = s
	}
	f(s)
}

// change changes the status of a partition that a worker still has.
func (b *board) change(worker int, partition int32, f func(*PartitionStatus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.partitions[partition]; s != nil && s.Worker == worker {
		f(s)
	}
}

// drop forgets a partition, unless another worker has it by now.
func (b *board) drop(worker int, partition int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.partitions[partition]; s != nil && s.Worker == worker {
		delete(b.partitions, partition)
	}
}

// workerBoard is where one worker writes.
type workerBoard struct {
	board  *board
	worker int
}

func (b workerBoard) join(joined bool) { b.board.join(b.worker, joined) }

func (b workerBoard) put(partition int32, f func(*PartitionStatus)) {
	b.board.put(b.worker, partition, f)
}

func (b workerBoard) change(partition int32, f func(*PartitionStatus)) {
	b.board.change(b.worker, partition, f)
}

func (b workerBoard) drop(partition int32) { b.board.drop(b.worker, partition) }

// lose says that nobody knows any more whose a partition is.
func (b workerBoard) lose(partition int32) {
	b.change(partition, func(s *PartitionStatus) { s.State, s.progress = Lost, nil })
}
