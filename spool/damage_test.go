package spool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"
)

// filled is a disk with so many entries, one append each, in segments of some records.
func filled(t fataler, entries int, o Options) *memDisk {
	d := newMemDisk()
	o.disk = d
	s := mustOpen(t, o)
	for n := range entries {
		if err := s.Append(context.Background(), numbered(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

// kept are the names of the files with a prefix.
func (d *memDisk) kept(prefix string) []string {
	var names []string
	for name := range d.files {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

func TestWhatIsDamagedIsSkippedCountedAndKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const entries = 20
		o := Options{SegmentBytes: 500, Keys: genKeys.Draw(t, "keys")}
		d := filled(t, entries, o)
		o.disk = d
		names := d.segmentNames(t)
		name := rapid.SampledFrom(names).Draw(t, "segment")
		data := d.files[name].data
		h, _ := readHeader(bytes.NewReader(data))
		from := rapid.IntRange(dataStart, len(data)-1).Draw(t, "from")
		to := rapid.IntRange(from+1, min(from+400, len(data))).Draw(t, "to")
		hit := map[int]bool{}
		whole := (&segment{header: h, size: int64(len(data))}).cursor(bytes.NewReader(bytes.Clone(data)))
		for {
			f, _, err := whole.next()
			if err != nil {
				break
			}
			if int(f.at) < to && int(f.at+f.size) > from {
				hit[int(f.sequence-1)] = true
			}
		}
		for i := from; i < to; i++ {
			data[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		}
		damaged := bytes.Clone(data[from:to])

		for opened := range 2 {
			s := mustOpen(t, o)
			var want []Entry
			for n := range entries {
				if !hit[n] {
					want = append(want, numbered(n))
				}
			}
			expectEntries(t, waitingIn(t, s), want)
			// Of the very last record nobody can know whether it had been answered.
			torn := name == names[len(names)-1] && hit[entries-1]
			counts := s.Stats().Counts
			switch {
			case opened == 1 && (counts.Damaged.Places > 0 || counts.Torn.Places > 0):
				t.Fatalf("it was counted again: %+v", counts)
			case opened == 0 && torn && counts.Torn.Places != 1:
				t.Fatalf("the last record is gone: %+v", counts)
			case opened == 0 && !torn && (counts.Damaged.Records != uint64(len(hit)) || counts.Damaged.Places != 1):
				t.Fatalf("%d records are gone: %+v", len(hit), counts)
			}
			files := slices.Concat(d.kept(damagedPrefix), d.kept(tornPrefix))
			if len(files) != 1 || !bytes.Contains(d.files[files[0]].data, damaged) {
				t.Fatalf("kept is %v", files)
			}
			s.Close()
		}
	})
}

func TestAnEventThatLooksLikeARecordIsNoRecord(t *testing.T) {
	// Somebody knows the format, and lets Janus report the bytes of a record of his own.
	d := newMemDisk()
	s := mustOpen(t, Options{disk: d})
	forged := appendFrame(nil, header{}.seed(), nil, 2, 1, numbered(666).append(nil))
	for _, value := range [][]byte{forged, []byte("last")} {
		if err := s.Append(t.Context(), Entry{Value: value, Arrived: morning}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	d.files[d.segmentNames(t)[0]].data[dataStart]++ // the head of the record around it is damaged
	s = mustOpen(t, Options{disk: d})
	defer s.Close()
	got := waitingIn(t, s)
	if len(got) != 1 || string(got[0].Value) != "last" {
		t.Errorf("%d entries came out: %q", len(got), got)
	}
}

func TestOneBadHeaderCostsNothingAndTwoCostASegment(t *testing.T) {
	const entries = 20
	o := Options{SegmentBytes: 500}
	d := filled(t, entries, o)
	o.disk = d
	names := d.segmentNames(t)
	second := d.files[names[1]]
	h, err := readHeader(bytes.NewReader(second.data))
	if err != nil {
		t.Fatal(err)
	}
	third, _ := readHeader(bytes.NewReader(d.files[names[2]].data))
	clear(second.data[:headerPage])
	s := mustOpen(t, o)
	if got := waitingIn(t, s); len(got) != entries {
		t.Errorf("with one header %d of %d entries are left", len(got), entries)
	}
	s.Close()
	clear(second.data[:dataStart])
	s = mustOpen(t, o)
	defer s.Close()
	got := waitingIn(t, s)
	var want []Entry
	for n := range entries {
		if seq := uint64(n + 1); seq < h.first || seq >= third.first {
			want = append(want, numbered(n))
		}
	}
	expectEntries(t, got, want)
	if counts := s.Stats().Counts; counts.Damaged.Records != third.first-h.first {
		t.Errorf("%d records are gone: %+v", third.first-h.first, counts)
	}
	if kept := d.files[damagedPrefix+names[1]]; kept == nil || !bytes.Equal(kept.data, second.data) {
		t.Errorf("the segment is not kept: %v", d.kept(damagedPrefix))
	}
}

func TestAFileThatIsGoneIsMissedByItsNumbers(t *testing.T) {
	o := Options{SegmentBytes: 500}
	d := filled(t, 20, o)
	o.disk = d
	names := d.segmentNames(t)
	h, _ := readHeader(bytes.NewReader(d.files[names[1]].data))
	next, _ := readHeader(bytes.NewReader(d.files[names[2]].data))
	delete(d.files, names[1])
	s := mustOpen(t, o)
	defer s.Close()
	lost := next.first - h.first
	if got := waitingIn(t, s); uint64(len(got)) != 20-lost {
		t.Errorf("%d entries are left", len(got))
	}
	if counts := s.Stats().Counts; counts.Damaged.Records != lost {
		t.Errorf("%d are gone: %+v", lost, counts)
	}
}

func TestAReadThatFailsIsNoDamage(t *testing.T) {
	o := Options{SegmentBytes: 500}
	d := filled(t, 20, o)
	failing := &failingReads{memDisk: d}
	o.disk = failing
	s := mustOpen(t, o)
	defer s.Close()
	if _, _, _, err := s.take(3, 1<<20); err != nil {
		t.Fatal(err)
	}
	failing.broken = true
	var err error
	for range 10 { // until it leaves what it has in memory
		if _, _, _, err = s.take(1, 1); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.EIO) || s.Stats().Trouble == nil || s.Empty() {
		t.Fatalf("the disk cannot be read: %v, %+v", err, s.Stats())
	}
	failing.broken = false
	handed := len(s.marks)
	got, st := waitingIn(t, s), s.Stats()
	if len(got) != 20-handed || st.Counts.Damaged.Places > 0 || st.Trouble != nil {
		t.Errorf("%d of %d come after it healed: %+v", len(got), 20-handed, st)
	}
}

type failingReads struct {
	*memDisk
	broken bool
}

type failingFile struct {
	readable
	disk *failingReads
}

func (d *failingReads) open(name string) (readable, error) {
	f, err := d.memDisk.open(name)
	return failingFile{f, d}, err
}

func (f failingFile) ReadAt(b []byte, at int64) (int, error) {
	if f.disk.broken {
		return 0, syscall.EIO
	}
	return f.readable.ReadAt(b, at)
}

func TestADamagedPositionHandsOutAllThatIsThere(t *testing.T) {
	d := filled(t, 5, Options{})
	s := mustOpen(t, Options{disk: d})
	_, p, err := s.Next(t.Context(), 3, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Acknowledge(p); err != nil {
		t.Fatal(err)
	}
	s.Close()
	d.files[positionName].data[9]++
	s = mustOpen(t, Options{disk: d})
	defer s.Close()
	if got := waitingIn(t, s); len(got) != 5 || s.Stats().Counts.Positions != 1 {
		t.Errorf("%d came, %+v", len(got), s.Stats().Counts)
	}
}

func TestALostPositionNeverHidesWhatComesLater(t *testing.T) {
	// The segments are gone, the position is there: numbers go on where it is.
	d := filled(t, 5, Options{})
	s := mustOpen(t, Options{disk: d})
	_, p, err := s.Next(t.Context(), 5, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Acknowledge(p); err != nil {
		t.Fatal(err)
	}
	if names := d.segmentNames(t); len(names) > 0 {
		t.Errorf("all is acknowledged, and %v are still there", names)
	}
	s.Close()
	s = mustOpen(t, Options{disk: d})
	defer s.Close()
	if err := s.Append(t.Context(), numbered(7)); err != nil {
		t.Fatal(err)
	}
	expectEntries(t, waitingIn(t, s), []Entry{numbered(7)})
}

func TestWhatIsKeptOfDamageHasABound(t *testing.T) {
	d := newMemDisk()
	a := aside{disk: d, log: hclog.NewNullLogger(), known: map[string]bool{}, bytes: asideMax - 10}
	a.keep("damaged-1", "text", bytes.NewReader(make([]byte, 100)), region{0, 100})
	a.keep("damaged-2", "text", bytes.NewReader(make([]byte, 100)), region{0, 100})
	if got := d.kept("damaged-"); len(got) != 1 || len(d.files["damaged-1"].data) != 10+len("text\n") {
		t.Errorf("kept are %v", got)
	}
}

// walk passes each byte of a segment once.
func walk(t *testing.T, seg *segment, data []byte) {
	c := seg.cursor(bytes.NewReader(data))
	place, least := int64(dataStart), uint64(0)
	for {
		frame, skipped, err := c.next()
		if skipped.from != place || skipped.to < skipped.from {
			t.Fatalf("skipped %+v at %d", skipped, place)
		}
		place = skipped.to
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if frame.at != place || frame.sequence < least || frame.size < frameHead {
			t.Fatalf("frame %+v at %d", frame, place)
		}
		place, least = frame.at+frame.size, frame.sequence+1
		e, err := frame.open(nil)
		if err != nil {
			continue
		}
		if again, err := decodeEntry(e.append(nil)); err != nil || !sameEntry(e, again) {
			t.Fatalf("entry %+v came back as %+v, %v", e, again, err)
		}
	}
	if place != seg.size && seg.size > dataStart {
		t.Fatalf("ended at %d of %d", place, seg.size)
	}
}

var fuzzHeader = header{id: 1, first: 1, salt: salt{1}}

// FuzzSegment reads a file that anybody may have written: it must end, and pass each byte once, as part of a record or
// of a gap, with numbers that only grow; and what is a record can be read, or says that it cannot.
func FuzzSegment(f *testing.F) {
	o := Options{SegmentBytes: 500}
	for n := range 3 {
		d := newMemDisk()
		s := mustOpen(f, Options{disk: d})
		for i := range n {
			if err := s.Append(f.Context(), numbered(i)); err != nil {
				f.Fatal(err)
			}
		}
		s.Close()
		for _, name := range d.segmentNames(f) {
			f.Add(d.files[name].data[dataStart:], uint16(0), byte(0), true)
			f.Add(d.files[name].data[dataStart:], uint16(40), byte(1), true)
		}
	}
	high := appendFrame(nil, fuzzHeader.seed(), nil, 9, 9, numbered(9).append(nil))
	f.Add(high, uint16(len(high)), byte(0), true) // a lower number behind a higher one
	f.Fuzz(func(t *testing.T, records []byte, at uint16, flip byte, good bool) {
		h := fuzzHeader
		data := h.encode()
		if good { // a whole record somewhere among it
			whole := appendFrame(nil, h.seed(), nil, 1+uint64(flip), 1, numbered(3).append(nil))
			records = slices.Insert(slices.Clone(records), int(at)%(len(records)+1), whole...)
		}
		data = append(data, records...)
		seg := &segment{header: h, size: int64(len(data))}
		walk(t, seg, data)

		// The same as a file of an earlier process: it opens, and what comes later comes out.
		d := newMemDisk()
		d.files[h.name()] = &memFile{data: data}
		o.disk = d
		s := mustOpen(t, o)
		if err := s.Append(t.Context(), numbered(5)); err != nil {
			t.Fatal(err)
		}
		got := waitingIn(t, s)
		if len(got) == 0 || !sameEntry(got[len(got)-1], numbered(5)) {
			t.Fatalf("the newest entry is not the last of %d", len(got))
		}
		s.Close()
		_, _ = decodeHeader(records)
		_, _ = decodeEntry(records)
	})
}

func TestTheNextGoodRecordIsFoundWhereverItBegins(t *testing.T) {
	for shift := -6; shift < 6; shift++ { // across the end of what is read at once
		data := append(fuzzHeader.encode(), make([]byte, 1+windowSize+shift)...)
		begins := int64(len(data))
		data = appendFrame(data, fuzzHeader.seed(), nil, 5, 1, numbered(5).append(nil))
		c := (&segment{header: fuzzHeader, size: int64(len(data))}).cursor(bytes.NewReader(data))
		f, skipped, err := c.next()
		if err != nil || f.at != begins || skipped != (region{dataStart, begins}) {
			t.Errorf("it begins at %d and was found at %d, %v", begins, f.at, err)
		}
	}
}
