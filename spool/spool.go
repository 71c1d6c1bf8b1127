package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Errors that a caller may choose by.
var (
	ErrFull     = errors.New("spool is full")
	ErrTooLarge = errors.New("entry is too large")
	ErrInvalid  = errors.New("entry is not valid")
	ErrClosed   = errors.New("spool is closed")
	ErrInUse    = errors.New("spool is used by another process")
	ErrKey      = errors.New("key of the spool is missing")
)

// Options say where a spool is and how much it may hold.
type Options struct {
	Dir          string           // of this spool alone; made if needed
	MaxBytes     int64            // of all segments on disk; 0: 1 GiB. What is kept of damage is not in it
	MaxAge       time.Duration    // when the oldest entry is older, nothing more is taken; 0: no bound
	SegmentBytes int64            // of records, when a new segment begins; 0: an eighth of MaxBytes, 64 MiB at most
	Keys         []Key            // the first encrypts, all decrypt; none: not encrypted
	Now          func() time.Time // nil: time.Now
	Log          hclog.Logger     // nil: silent

	disk disk // in tests; nil: Dir
}

const (
	defaultMaxBytes = 1 << 30
	maxSegment      = 64 << 20
	minMaxBytes     = 64 << 10
)

func (o Options) withDefaults() (Options, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.MaxBytes < minMaxBytes {
		return o, fmt.Errorf("%d bytes are too few for a spool: give it %d at least", o.MaxBytes, minMaxBytes)
	}
	if o.MaxAge < 0 || o.SegmentBytes < 0 {
		return o, fmt.Errorf("a negative bound: age %v, segment %d bytes", o.MaxAge, o.SegmentBytes)
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = min(o.MaxBytes/8, maxSegment)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.disk == nil {
		if o.Dir == "" {
			return o, errors.New("the directory is missing")
		}
		o.disk = osDisk(o.Dir)
		if err := os.MkdirAll(o.Dir, dirMode); err != nil {
			return o, fmt.Errorf("make directory: %w; set spool.dir to a folder that this user may write to", err)
		}
	}
	return o, nil
}

// Spool is a queue on disk. See the package for what it promises.
type Spool struct {
	opts    Options
	disk    disk
	log     hclog.Logger
	unlock  func() error
	closing chan struct{}
	closed  sync.Once
	ended   error

	requests  chan *request
	committer sync.WaitGroup
	file      file // of the active segment; the committer's, and prune's while it rests

	acknowledging sync.Mutex // held while the position is written and segments are removed; before mu
	written       uint64     // the position on disk

	mu         sync.Mutex
	segments   []*segment // by id; the active one, if any, is the last
	active     *segment
	unsure     string // name of the last segment of an earlier process, until it is fsynced
	committing bool
	lastID     uint64 // of a segment
	next       uint64 // number of the next record
	onDisk     int64  // bytes of all segments
	arrived    chan struct{}

	reading      *segment // where the reader is; nil: before the first
	readFile     readable
	cursor       *cursor
	expect       uint64    // number of the next record to come
	ahead        *waiting  // the oldest that is not handed out
	marks        []waiting // handed out and not acknowledged; without their entries
	acknowledged uint64    // number of the first record that is not

	aside   aside
	in, out meter
	counts  Counts
	trouble struct{ append, position, read error }
	told    time.Time // when it was last told that nothing could be appended
}

// waiting is a record that is not acknowledged.
type waiting struct {
	entry    Entry
	segment  *segment
	sequence uint64
	size     int64
	at       int64
	arrived  time.Time
}

// Open opens a spool, or begins one, and locks its directory. It takes what an earlier process left, and never writes
// to its segments. ErrInUse and ErrKey are the errors to choose by; others are of the options or of the disk, also
// those of reading what is there. A directory that cannot be written opens all the same, to be read: ask Check.
func Open(o Options) (*Spool, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	unlock, err := o.disk.lock()
	if err != nil {
		return nil, fmt.Errorf("open spool: lock directory %s: %w", o.Dir, err)
	}
	s := &Spool{
		opts: o, disk: o.disk, log: o.Log, unlock: unlock,
		closing:  make(chan struct{}),
		requests: make(chan *request),
		arrived:  make(chan struct{}),
		aside:    aside{disk: o.disk, log: o.Log, known: map[string]bool{}},
	}
	if err := s.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool %s: %w", o.Dir, err), unlock())
	}
	s.mu.Lock()
	s.trouble.read = s.fill()
	s.mu.Unlock()
	s.acknowledging.Lock()
	s.prune()
	s.acknowledging.Unlock()
	s.committer.Go(s.commits)
	return s, nil
}

// recover learns what is there.
func (s *Spool) recover() error {
	files, err := s.disk.list()
	if err != nil {
		return fmt.Errorf("list directory: %w", err)
	}
	at, err := readPosition(s.disk)
	if errors.Is(err, errPosition) {
		s.log.Warn("position of the spool is damaged: all that is there is handed out again")
		s.counts.Positions++
	} else if err != nil {
		return fmt.Errorf("read position: %w", err)
	}
	s.written, s.acknowledged, s.lastID = at.acknowledged, at.acknowledged, at.segment
	for _, f := range files {
		s.aside.remember(f)
		var id uint64
		if n, _ := fmt.Sscanf(f.name, segmentName, &id); n != 1 || f.name != fmt.Sprintf(segmentName, id) {
			continue
		}
		s.lastID = max(s.lastID, id)
		if err := s.adopt(id, f); err != nil {
			return err
		}
	}
	slices.SortFunc(s.segments, func(a, b *segment) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	s.next = max(1, s.acknowledged)
	if s.acknowledged == 0 {
		s.acknowledged = 1
		if len(s.segments) > 0 {
			s.acknowledged = s.segments[0].first
		}
	}
	s.expect = s.acknowledged
	if len(s.segments) == 0 {
		return nil
	}
	last := s.segments[len(s.segments)-1]
	s.unsure = last.name()
	return s.survey(last)
}

// adopt takes a segment of an earlier process, or sets it aside.
func (s *Spool) adopt(id uint64, f stored) error {
	r, err := s.disk.open(f.name)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	defer r.Close()
	h, err := readHeader(r)
	switch {
	case errors.Is(err, errHeader) && f.size <= dataStart: // its header was never fsynced, so nothing came after it
		if err := s.disk.remove(f.name); err != nil {
			s.log.Warn("a segment without records could not be removed", "file", f.name, "error", err)
		}
		return nil
	case errors.Is(err, errHeader):
		s.counts.Damaged.add(0, f.size)
		s.aside.whole(f)
		return nil
	case err != nil:
		return fmt.Errorf("read segment %s: %w", f.name, err)
	}
	h.id = id
	sealer, err := sealerOf(h, s.opts.Keys)
	if err != nil {
		return err
	}
	s.segments = append(s.segments, &segment{header: h, sealer: sealer, size: f.size, disk: f.size})
	s.onDisk += f.size
	return nil
}

// survey walks over the last segment of an earlier process: what is its last record, and what is torn? Torn is what no
// later record confirms as fsynced.
func (s *Spool) survey(last *segment) error {
	r, err := s.disk.open(last.name())
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	defer r.Close()
	type hole struct {
		region
		from uint64
	}
	var (
		holes  []hole
		end    = last.first
		synced = last.first
		c      = last.cursor(r)
	)
	for {
		f, skipped, err := c.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read segment %s: %w", last.name(), err)
		}
		if !skipped.empty() {
			holes = append(holes, hole{skipped, end})
		}
		if err != nil {
			break
		}
		end, synced = f.sequence+1, max(synced, f.synced)
	}
	for _, h := range holes {
		if h.from >= synced && h.from >= s.acknowledged {
			s.torn(r, last, h.region)
		}
	}
	s.next = max(s.next, end)
	return nil
}

// Check tries the disk: it writes the position down once more, as an Acknowledge would. An error says why nothing could
// be kept here.
func (s *Spool) Check() error {
	s.acknowledging.Lock()
	defer s.acknowledging.Unlock()
	if s.isClosed() {
		return ErrClosed
	}
	s.mu.Lock()
	at := position{s.acknowledged, s.lastID}
	s.mu.Unlock()
	return s.remember(at)
}

// Close waits for what is being written, lets no more in, and frees the directory. Whoever waits in Append or Next gets
// ErrClosed. What waits on disk stays there. Closing again does nothing.
func (s *Spool) Close() error {
	s.closed.Do(func() {
		close(s.closing)
		s.committer.Wait()
		s.acknowledging.Lock()
		defer s.acknowledging.Unlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		var errs []error
		if s.file != nil {
			errs = append(errs, s.file.Close())
		}
		if s.readFile != nil {
			errs = append(errs, s.readFile.Close())
		}
		s.file, s.readFile, s.cursor, s.reading = nil, nil, nil, nil
		s.ended = errors.Join(append(errs, s.unlock())...)
	})
	return s.ended
}

func (s *Spool) isClosed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}
