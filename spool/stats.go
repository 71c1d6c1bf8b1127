package spool

import (
	"errors"
	"math"
	"time"
)

// Counts are what happened since Open.
type Counts struct {
	Appended     uint64 // entries that are or were safe here
	Groups       uint64 // writes with their fsync that made them so
	Acknowledged uint64 // entries
	Refused      uint64 // entries, for the spool was full
	Failed       uint64 // entries, by an error of the disk
	Damaged      Damage // what had been safe and cannot be read any more
	Torn         Damage // what was being written when an earlier process ended; its records are not counted
	Positions    uint64 // positions that were damaged, so that all was handed out again
}

// Damage is what could not be read.
type Damage struct {
	Places  uint64
	Records uint64
	Bytes   int64
}

func (d *Damage) add(records uint64, bytes int64) {
	d.Places++
	d.Records += records
	d.Bytes += bytes
}

// Never is a time that does not come.
const Never = time.Duration(math.MaxInt64)

// Stats are the numbers of a moment. Rates are averages in which a minute ago weighs a third of now.
type Stats struct {
	Records   int64         // that wait, handed out ones too; those that turn out damaged count until they are passed
	Bytes     int64         // of these records, on disk
	DiskBytes int64         // of all segments; this is what MaxBytes bounds
	MaxBytes  int64         //
	Segments  int           //
	Oldest    time.Duration // age of the oldest entry that waits; 0 when none does

	RecordsIn  float64 // per second
	RecordsOut float64
	BytesIn    float64
	BytesOut   float64
	Left       time.Duration // until Append refuses, if all goes on like this; Never if it does not come to that

	Encrypted bool
	Trouble   error // of the last append, position and read; nil when each of them went well
	Counts    Counts
}

// Stats tells how things are. It may have to read a record from the disk.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Now()
	s.trouble.read = s.fill()
	st := Stats{
		DiskBytes: s.onDisk, MaxBytes: s.opts.MaxBytes, Segments: len(s.segments),
		Encrypted: len(s.opts.Keys) > 0, Counts: s.counts,
		Trouble: errors.Join(s.trouble.append, s.trouble.position, s.trouble.read),
	}
	for _, m := range s.marks {
		st.Bytes += m.size
	}
	st.Records = int64(len(s.marks))
	if s.ahead != nil {
		st.Records += int64(s.next - s.ahead.sequence)
	} else if s.trouble.read != nil {
		st.Records += int64(s.next - s.expect)
	}
	st.Bytes += s.unread()
	st.Oldest, _ = s.age(now)
	st.RecordsIn, st.BytesIn = s.in.rates(now)
	st.RecordsOut, st.BytesOut = s.out.rates(now)
	st.Left = s.left(st)
	return st
}

// unread is how many bytes of segments were not handed out.
func (s *Spool) unread() int64 {
	var bytes int64
	for i := len(s.segments) - 1; i >= 0; i-- {
		seg := s.segments[i]
		if seg == s.reading {
			at := s.cursor.at
			if s.ahead != nil {
				at = s.ahead.at
			}
			return bytes + max(0, seg.size-at)
		}
		bytes += max(0, seg.size-dataStart)
	}
	return bytes
}

// age is that of the oldest entry that waits.
func (s *Spool) age(now time.Time) (age time.Duration, waits bool) {
	switch {
	case len(s.marks) > 0:
		return max(0, now.Sub(s.marks[0].arrived)), true
	case s.ahead != nil:
		return max(0, now.Sub(s.ahead.arrived)), true
	default:
		return 0, false
	}
}

// left is the time until a bound is reached.
func (s *Spool) left(st Stats) time.Duration {
	left := Never
	if growth := st.BytesIn - st.BytesOut; growth > 0 {
		if seconds := float64(max(0, st.MaxBytes-st.DiskBytes)) / growth; seconds < Never.Seconds() {
			left = time.Duration(seconds * float64(time.Second))
		}
	}
	if s.opts.MaxAge > 0 && st.Records > 0 && st.RecordsOut < minRate {
		left = min(left, max(0, s.opts.MaxAge-st.Oldest))
	}
	return left
}

// minRate is the rate of records a second below which nothing goes out.
const minRate = 1e-3

// meter measures a rate of records and bytes: an average over all time, in which what is a minute back weighs 1/e.
type meter struct {
	records, bytes float64
	at             time.Time
}

const meterMemory = time.Minute

func (m *meter) add(now time.Time, records, bytes float64) {
	m.records, m.bytes = m.rates(now)
	m.records += records / meterMemory.Seconds()
	m.bytes += bytes / meterMemory.Seconds()
	m.at = now
}

// rates are per second.
func (m *meter) rates(now time.Time) (records, bytes float64) {
	if m.at.IsZero() {
		return 0, 0
	}
	fade := math.Exp(-max(0, now.Sub(m.at).Seconds()) / meterMemory.Seconds())
	return m.records * fade, m.bytes * fade
}
