package spool

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// asideMax is how many bytes of damage are kept for a person to look at.
const asideMax = 64 << 20

const (
	damagedPrefix = "damaged-"
	tornPrefix    = "torn-"
)

// aside keeps what cannot be read: a line of text that says what it is, then the bytes as they were. Whatever is in the
// directory already was counted and told when it was found.
type aside struct {
	disk  disk
	log   hclog.Logger
	known map[string]bool // places, as in the names of the files
	bytes int64
}

func (a *aside) remember(f stored) {
	for _, prefix := range []string{damagedPrefix, tornPrefix} {
		if place, ok := strings.CutPrefix(f.name, prefix); ok {
			a.known[place] = true
			a.bytes += f.size
		}
	}
}

// fresh tells whether a place in a segment is found for the first time.
func (a *aside) fresh(seg *segment, at int64) (place string, fresh bool) {
	place = fmt.Sprintf("%x-%d.bin", seg.salt, at)
	fresh = !a.known[place]
	a.known[place] = true
	return place, fresh
}

// keep writes a region into a file of its own. Best effort: the log says what could not be kept.
func (a *aside) keep(name, text string, from io.ReaderAt, r region) {
	size := min(r.bytes(), asideMax-a.bytes)
	if size <= 0 {
		a.log.Warn("no more damage is kept: look at what is there and remove it", "bytes", a.bytes)
		return
	}
	err := a.write(name, text, from, r.from, size)
	if err != nil {
		a.log.Warn("damage could not be kept", "file", name, "error", err)
		return
	}
	a.bytes += size
}

func (a *aside) write(name, text string, from io.ReaderAt, at, size int64) error {
	f, err := a.disk.create(name)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text + "\n"))
	part := make([]byte, min(size, windowSize))
	for size > 0 && err == nil {
		var n int
		n, err = from.ReadAt(part[:min(size, windowSize)], at)
		if n > 0 {
			_, err = f.Write(part[:n])
		}
		at, size = at+int64(n), size-int64(n)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = a.disk.syncDir()
	}
	if err != nil {
		_ = a.disk.remove(name)
	}
	return err
}

// whole keeps a segment that has no good header.
func (a *aside) whole(f stored) {
	name := damagedPrefix + f.name
	a.log.Error("a segment of the spool has no good header and cannot be read", "kept_as", name, "bytes", f.size)
	err := a.disk.rename(f.name, name)
	if err == nil {
		err = a.disk.syncDir()
	}
	if err != nil {
		a.log.Warn("damage could not be kept", "file", name, "error", err)
	}
}

// damaged counts and keeps records that had been safe and are not readable. The region is empty when not even bytes are
// left.
func (s *Spool) damaged(r region, records uint64, why string) {
	place, fresh := s.aside.fresh(s.reading, r.from)
	if !fresh && !r.empty() {
		return
	}
	s.counts.Damaged.add(records, r.bytes())
	s.log.Error("records of the spool are damaged and skipped", "file", s.reading.name(), "at", r.from,
		"bytes", r.bytes(), "records", records, "first", s.expect, "error", why)
	if !r.empty() {
		text := fmt.Sprintf("damaged: %s, %d bytes from %d on, %d records from %d on: %s",
			s.reading.name(), r.bytes(), r.from, records, s.expect, why)
		s.aside.keep(damagedPrefix+place, text, s.readFile, r)
	}
}

// torn counts and keeps what was being written when an earlier process ended. It had not been answered.
func (s *Spool) torn(from io.ReaderAt, seg *segment, r region) {
	place, fresh := s.aside.fresh(seg, r.from)
	if !fresh {
		return
	}
	s.counts.Torn.add(0, r.bytes())
	s.log.Warn("the last write to the spool is there in part only", "file", seg.name(), "at", r.from,
		"bytes", r.bytes())
	s.aside.keep(tornPrefix+place, fmt.Sprintf("torn: %s, %d bytes from %d on", seg.name(), r.bytes(), r.from), from, r)
}
