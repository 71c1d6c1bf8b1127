package spool

import (
	"context"
	"fmt"
	"time"
)

// request is one call of Append on its way to the disk.
type request struct {
	bodies [][]byte
	size   int64      // bytes of all frames
	done   chan error // takes one
}

// maxGroup is about how many bytes one write and one fsync serve.
const maxGroup = 8 << 20

// tellEvery is how often at most it is told that the disk takes nothing.
const tellEvery = 10 * time.Second

// Append returns nil when all entries are on disk and fsynced. It refuses with ErrFull when they do not fit in the
// bound of bytes or the disk, or the oldest that waits is too old. It does not keep the entries. All entries of a
// call are written with one write, so give what belongs together at once; no entries are fine. A context that ends
// makes it return the context's error; the entries may be written all the same.
func (s *Spool) Append(ctx context.Context, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	r := &request{bodies: make([][]byte, len(entries)), done: make(chan error, 1)}
	var all []byte
	ends := make([]int, len(entries))
	for i, e := range entries {
		if err := e.check(); err != nil {
			return fmt.Errorf("append entry %d of %d: %w", i+1, len(entries), err)
		}
		all = e.append(all)
		ends[i] = len(all)
	}
	from := 0
	for i, end := range ends {
		r.bodies[i] = all[from:end]
		r.size += frameHead + int64(end-from)
		if len(s.opts.Keys) > 0 {
			r.size += 16
		}
		from = end
	}
	if s.isClosed() {
		return ErrClosed
	}
	select {
	case s.requests <- r:
	case <-s.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("fate of the entries is not known: %w", ctx.Err())
	}
}

// commits writes group after group until the spool closes.
func (s *Spool) commits() {
	for {
		select {
		case first := <-s.requests:
			s.commit(s.group(first))
		case <-s.closing:
			return
		}
	}
}

// group is a request with those that wait already: they came while the last group was written. It waits for nobody, so
// that one caller alone pays for one fsync and nothing more.
func (s *Spool) group(first *request) []*request {
	group := []*request{first}
	for size := first.size; size < maxGroup; {
		select {
		case r := <-s.requests:
			group = append(group, r)
			size += r.size
		default:
			return group
		}
	}
	return group
}

// commit makes a group durable and tells its callers. Whom there is no room for is refused before anything is written.
func (s *Spool) commit(group []*request) {
	group, fresh := s.admit(group)
	if len(group) == 0 {
		return
	}
	var size int64
	var err error
	if fresh {
		err = s.roll()
	}
	if err == nil {
		size, err = s.write(group)
	}
	s.publish(group, size, err)
	for _, r := range group {
		r.done <- err
	}
}

// admit refuses whom there is no room for, and tells whether the others need a new segment.
func (s *Spool) admit(group []*request) (admitted []*request, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh = s.active == nil || s.active.size-dataStart >= s.opts.SegmentBytes
	need := s.onDisk
	if fresh {
		need += dataStart
	}
	old := s.tooOld()
	admitted = group[:0]
	for _, r := range group {
		switch {
		case old > 0:
			s.counts.Refused += uint64(len(r.bodies))
			r.done <- fmt.Errorf("%w: the oldest entry has waited for %v, at most %v are allowed",
				ErrFull, old, s.opts.MaxAge)
		case need+r.size > s.opts.MaxBytes:
			s.counts.Refused += uint64(len(r.bodies))
			r.done <- fmt.Errorf("%w: %d bytes are on disk, %d more do not fit in %d",
				ErrFull, s.onDisk, r.size, s.opts.MaxBytes)
		default:
			need += r.size
			admitted = append(admitted, r)
		}
	}
	s.committing = len(admitted) > 0
	return admitted, fresh
}

// tooOld is the age of the oldest entry if it is beyond the bound, or 0.
func (s *Spool) tooOld() time.Duration {
	if s.opts.MaxAge == 0 {
		return 0
	}
	s.trouble.read = s.fill()
	if age, waits := s.age(s.opts.Now()); waits && age > s.opts.MaxAge {
		return age
	}
	return 0
}

// roll begins a new segment. Whatever the one before holds from now on is void, so what an earlier process wrote is
// fsynced first: it may have been handed out, and must not be missed later as if it had been lost.
func (s *Spool) roll() error {
	s.mu.Lock()
	s.lastID++
	id, first, unsure := s.lastID, s.next, s.unsure
	s.unsure, s.active = "", nil
	s.mu.Unlock()
	if s.file != nil {
		if err := s.file.Close(); err != nil { // all of it is fsynced
			s.log.Warn("segment did not close", "error", err)
		}
		s.file = nil
	}
	if unsure != "" {
		if err := s.disk.sync(unsure); err != nil {
			s.log.Warn("segment of an earlier process could not be fsynced", "file", unsure, "error", err)
		}
	}
	seg, f, err := createSegment(s.disk, id, first, s.opts.Keys)
	if err != nil {
		return disking("append", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file, s.active = f, seg
	s.segments = append(s.segments, seg)
	s.onDisk += seg.disk
	return nil
}

// write appends a group to the active segment and fsyncs it.
func (s *Spool) write(group []*request) (size int64, err error) {
	var total int64
	for _, r := range group {
		total += r.size
	}
	frames := make([]byte, 0, total)
	sequence, synced := s.next, s.next // both change in publish only
	for _, r := range group {
		for _, body := range r.bodies {
			frames = appendFrame(frames, s.active.seed(), s.active.sealer, sequence, synced, body)
			sequence++
		}
	}
	n, err := s.file.Write(frames)
	if err != nil {
		return int64(n), disking("append: write segment "+s.active.name(), err)
	}
	if err := s.file.Sync(); err != nil {
		return int64(n), disking("append: fsync segment "+s.active.name(), err)
	}
	return int64(n), nil
}

// publish lets the reader see what was written, or gives up the segment.
func (s *Spool) publish(group []*request, size int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committing = false
	s.trouble.append = err
	var records uint64
	for _, r := range group {
		records += uint64(len(r.bodies))
	}
	if err != nil {
		s.counts.Failed += records
		if now := s.opts.Now(); now.Sub(s.told) >= tellEvery { // each body is tried again and again
			s.told = now
			s.log.Error("entries could not be spooled", "entries", records, "error", err)
		}
		s.abandon(size)
		return
	}
	s.active.size += size
	s.active.disk += size
	s.onDisk += size
	s.next += records
	s.counts.Appended += records
	s.counts.Groups++
	s.in.add(s.opts.Now(), float64(records), float64(size))
	close(s.arrived)
	s.arrived = make(chan struct{})
}

// abandon ends the active segment after a write or an fsync that failed. After the latter, the kernel may have dropped
// what it could not write, and a second fsync would succeed over it: so nothing beyond the last good fsync is believed,
// and nothing is written to this file again. Cutting that part off only saves room, and only if it works.
func (s *Spool) abandon(wrote int64) {
	seg := s.active
	if seg == nil {
		return // it could not even begin
	}
	s.active = nil
	if err := s.file.Truncate(seg.size); err != nil {
		seg.disk += wrote
		s.onDisk += wrote
	}
	_ = s.file.Close() // what is safe is safe, what is not was told
	s.file = nil
	if seg.size > dataStart || s.disk.remove(seg.name()) != nil {
		return
	}
	if s.reading == seg {
		s.leave()
	}
	s.segments = s.segments[:len(s.segments)-1]
	s.onDisk -= seg.disk
}
