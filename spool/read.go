package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Position is a place between two entries. Later places are greater; those of a spool go on where they were after it
// was opened again.
type Position uint64

// Next hands out the oldest entries that were not handed out since Open: at least one, for which it waits, and at most
// maxEntries; no more are taken once they have maxBytes together. The position is the one after them, for Acknowledge.
// An error of the disk leaves everything where it was: try again later. Others are those of the context, and ErrClosed.
func (s *Spool) Next(ctx context.Context, maxEntries, maxBytes int) ([]Entry, Position, error) {
	for {
		entries, after, arrived, err := s.take(maxEntries, maxBytes)
		if len(entries) > 0 || err != nil {
			return entries, after, err
		}
		select {
		case <-arrived:
		case <-s.closing:
			return nil, 0, ErrClosed
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// take is Next without waiting; arrived is closed when there may be more.
func (s *Spool) take(maxEntries, maxBytes int) (entries []Entry, after Position, arrived <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed() {
		return nil, 0, nil, ErrClosed
	}
	var size int64
	for {
		err := s.fill()
		s.trouble.read = err
		if err != nil && len(entries) == 0 {
			return nil, 0, nil, err
		}
		full := len(entries) >= max(1, maxEntries) || len(entries) > 0 && size >= int64(maxBytes)
		if err != nil || s.ahead == nil || full {
			return entries, after, s.arrived, nil
		}
		w := *s.ahead
		s.ahead = nil
		entries = append(entries, w.entry)
		after = Position(w.sequence + 1)
		size += w.size
		w.entry = Entry{}
		s.marks = append(s.marks, w)
	}
}

// Acknowledge says that all entries before a position, which Next returned, are safe elsewhere. When it returns nil
// they will not be handed out again, also after a crash, and the room of whole segments is free. An error says that
// this could not be written down: it holds as long as this process lives, and the next Acknowledge, of the same
// position too, tries again. A position that Next did not return yet is an error, too, and changes nothing.
func (s *Spool) Acknowledge(p Position) error {
	s.acknowledging.Lock()
	defer s.acknowledging.Unlock()
	if s.isClosed() {
		return ErrClosed
	}
	s.mu.Lock()
	handed := s.acknowledged
	if n := len(s.marks); n > 0 {
		handed = s.marks[n-1].sequence + 1
	}
	if uint64(p) > handed {
		s.mu.Unlock()
		return fmt.Errorf("acknowledge %d: only entries before %d were handed out", p, handed)
	}
	var records, size float64
	for len(s.marks) > 0 && s.marks[0].sequence < uint64(p) {
		records++
		size += float64(s.marks[0].size)
		s.marks = s.marks[1:]
	}
	s.acknowledged = max(s.acknowledged, uint64(p))
	s.counts.Acknowledged += uint64(records)
	s.out.add(s.opts.Now(), records, size)
	s.trouble.read = s.fill() // beyond what is acknowledged now may lie the end of a segment
	at := position{s.acknowledged, s.lastID}
	s.mu.Unlock()
	if s.written >= at.acknowledged && s.trouble.position == nil {
		return nil
	}
	err := s.remember(at)
	if errors.Is(err, ErrFull) { // the room is made by what is not needed any more
		s.prune()
		err = s.remember(at)
	}
	if err == nil {
		s.prune()
	}
	return err
}

// remember writes the position down.
func (s *Spool) remember(at position) error {
	err := writePosition(s.disk, at)
	if err != nil {
		err = disking("write position", err)
	} else {
		s.written = at.acknowledged
	}
	s.mu.Lock()
	s.trouble.position = err
	s.mu.Unlock()
	return err
}

// prune removes the segments that nobody needs any more.
func (s *Spool) prune() {
	for _, seg := range s.unneeded() {
		if err := s.disk.remove(seg.name()); err != nil {
			s.log.Warn("segment that was read could not be removed; it is skipped after the next start",
				"file", seg.name(), "error", err)
			continue
		}
		s.mu.Lock()
		s.onDisk -= seg.disk
		s.mu.Unlock()
	}
}

// unneeded takes the segments out of the list that the reader has left behind and that are acknowledged; when all is
// acknowledged, the last one, too.
func (s *Spool) unneeded() []*segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gone []*segment
	for len(s.segments) > 0 && s.reading != nil {
		first := s.segments[0]
		if len(s.marks) > 0 && s.marks[0].segment == first {
			break
		}
		if first == s.reading {
			if s.ahead != nil || len(s.segments) > 1 || s.cursor.at < first.size || s.committing {
				break
			}
			if first == s.active {
				_ = s.file.Close() // all of it was fsynced, read and acknowledged
				s.file, s.active = nil, nil
			}
			s.leave()
		}
		if first.name() == s.unsure {
			s.unsure = ""
		}
		gone = append(gone, first)
		s.segments = s.segments[1:]
	}
	return gone
}

// fill looks ahead: after it, the oldest entry that was not handed out stands in ahead, unless there is none. What
// cannot be read any more is passed here.
func (s *Spool) fill() error {
	for s.ahead == nil {
		if s.reading == nil {
			if len(s.segments) == 0 || s.isClosed() {
				return nil
			}
			if err := s.enter(s.segments[0]); err != nil {
				return err
			}
		}
		follower := s.follower()
		s.cursor.limit = max(dataStart, s.reading.size)
		f, skipped, err := s.cursor.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read segment %s: %w", s.reading.name(), err)
		}
		end := s.next
		if follower != nil {
			end = follower.first
		}
		if err != nil || follower != nil && f.sequence >= end { // at its end, or what comes is void
			s.missed(skipped, end)
			if follower == nil {
				return nil
			}
			if err := s.enter(follower); err != nil {
				return err
			}
			continue
		}
		if f.sequence < s.expect {
			continue // acknowledged
		}
		s.missed(skipped, f.sequence)
		s.expect = f.sequence + 1
		e, err := f.open(s.reading.sealer)
		if err != nil {
			s.damaged(region{f.at, f.at + f.size}, 1, err.Error())
			continue
		}
		s.ahead = &waiting{entry: e, segment: s.reading, sequence: f.sequence,
			size: f.size, at: f.at, arrived: e.Arrived}
	}
	return nil
}

// missed passes the records up to a number: they should lie in the region that was skipped, or in a file that is gone.
func (s *Spool) missed(skipped region, upTo uint64) {
	if upTo > s.expect {
		s.damaged(skipped, upTo-s.expect, "no good record")
		s.expect = upTo
	}
}

// follower is the segment after the one that is read.
func (s *Spool) follower() *segment {
	if i := slices.Index(s.segments, s.reading); i >= 0 && i+1 < len(s.segments) {
		return s.segments[i+1]
	}
	return nil
}

// enter goes on with the beginning of a segment.
func (s *Spool) enter(seg *segment) error {
	f, err := s.disk.open(seg.name())
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	s.leave()
	s.reading, s.readFile, s.cursor = seg, f, seg.cursor(f)
	s.missed(region{}, seg.first)
	return nil
}

func (s *Spool) leave() {
	if s.readFile != nil {
		s.readFile.Close() // only read
	}
	s.reading, s.readFile, s.cursor = nil, nil, nil
}

// Empty tells whether all entries whose Append has returned are acknowledged.
func (s *Spool) Empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble.read = s.fill()
	return s.trouble.read == nil && s.ahead == nil && len(s.marks) == 0
}
