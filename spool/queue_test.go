package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func genBytes(most int) *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		if rapid.IntRange(0, 4).Draw(t, "nil") == 0 {
			return nil
		}
		return rapid.SliceOfN(rapid.Byte(), 0, most).Draw(t, "bytes")
	})
}

var genEntry = rapid.Custom(func(t *rapid.T) Entry {
	e := Entry{Key: genBytes(20).Draw(t, "key"), Value: genBytes(200).Draw(t, "value"),
		Partition: rapid.Int32Min(-1).Draw(t, "partition"), Arrived: time.Unix(0, rapid.Int64().Draw(t, "arrived"))}
	for range rapid.IntRange(0, 3).Draw(t, "headers") {
		name := rapid.StringN(0, 5, 20).Draw(t, "name")
		e.Headers = append(e.Headers, Header{Name: name, Value: genBytes(10).Draw(t, "header")})
	}
	return e
})

var genKeys = rapid.SampledFrom([][]Key{nil, {{1}}, {{2}, {1}}})

func expectEntries(t fataler, got, want []Entry) {
	t.Helper()
	if !slices.EqualFunc(got, want, sameEntry) {
		t.Fatalf("%d entries came out:\n%+v\n%d are right:\n%+v", len(got), got, len(want), want)
	}
}

func TestASpoolIsAQueueBeforeAndAfterReopening(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newMemDisk()
		o := Options{disk: d, SegmentBytes: rapid.Int64Range(1, 3000).Draw(t, "segment")}
		s := mustOpen(t, o)
		var queue []Entry // not acknowledged
		var handed int    // of these
		var after []Position
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				entries := rapid.SliceOfN(genEntry, 0, 6).Draw(t, "entries")
				if err := s.Append(context.Background(), entries...); err != nil {
					t.Fatal(err)
				}
				queue = append(queue, entries...)
			},
			"next": func(t *rapid.T) {
				most := rapid.IntRange(1, 5).Draw(t, "most")
				entries, p, _, err := s.take(most, rapid.IntRange(0, 500).Draw(t, "bytes"))
				if err != nil || len(entries) > most || (len(entries) == 0) != (handed == len(queue)) {
					t.Fatalf("%d entries, %v; %d wait", len(entries), err, len(queue)-handed)
				}
				expectEntries(t, entries, queue[handed:handed+len(entries)])
				handed += len(entries)
				for range entries {
					after = append(after, p)
				}
			},
			"acknowledge": func(t *rapid.T) {
				if handed == 0 {
					t.Skip("nothing was handed out")
				}
				p := after[rapid.IntRange(0, handed-1).Draw(t, "upto")]
				if err := s.Acknowledge(p); err != nil {
					t.Fatal(err)
				}
				n := len(after)
				for n > 0 && after[n-1] > p {
					n--
				}
				queue, after, handed = queue[n:], after[n:], handed-n
			},
			"drain": func(t *rapid.T) {
				expectEntries(t, waitingIn(t, s), queue[handed:])
				if err := s.Acknowledge(Position(s.next)); err != nil && len(queue) > 0 {
					t.Fatal(err)
				}
				queue, after, handed = nil, nil, 0
			},
			"reopen": func(t *rapid.T) {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if first := byte(rapid.IntRange(0, 2).Draw(t, "key")); first > 0 {
					o.Keys = []Key{{first}, {1}, {2}}
				}
				s = mustOpen(t, o)
				handed, after = 0, nil
			},
			"": func(t *rapid.T) { numbersFit(t, s, d, len(queue)) },
		})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, o)
		expectEntries(t, waitingIn(t, s), queue)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// numbersFit holds what a spool says of itself against what waits and what is on its disk.
func numbersFit(t fataler, s *Spool, d *memDisk, waiting int) {
	t.Helper()
	st := s.Stats()
	waits := waiting > 0
	if st.Records != int64(waiting) || s.Empty() == waits || (st.Bytes > 0) != waits || st.Counts.Damaged.Places > 0 {
		t.Fatalf("%d wait, the numbers are %+v", waiting, st)
	}
	var disk int64
	for _, name := range d.segmentNames(t) {
		disk += int64(len(d.files[name].data))
	}
	if disk != st.DiskBytes || !waits && st.Segments > 1 {
		t.Fatalf("%d bytes are on disk, the numbers are %+v", disk, st)
	}
}

func TestWhereverTheLastFileIsCutTheRecordsBeforeTheCutAreThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newMemDisk()
		o := Options{disk: d, SegmentBytes: 300, Keys: genKeys.Draw(t, "keys")}
		s := mustOpen(t, o)
		var all []Entry
		var ends []int // of the records in the last file
		last := ""
		for range rapid.IntRange(1, 4).Draw(t, "appends") {
			entries := rapid.SliceOfN(genEntry, 1, 2).Draw(t, "entries")
			if err := s.Append(context.Background(), entries...); err != nil {
				t.Fatal(err)
			}
			all = append(all, entries...)
			names := d.segmentNames(t)
			if name := names[len(names)-1]; name != last {
				last, ends = name, nil
			}
			ends = append(ends, len(d.files[last].data))
			if len(entries) == 2 { // where is the end of the first?
				overhead := 0
				if len(o.Keys) > 0 {
					overhead = 16
				}
				second := frameHead + len(entries[1].append(nil)) + overhead
				ends = slices.Insert(ends, len(ends)-1, ends[len(ends)-1]-second)
			}
		}
		for cut := range len(d.files[last].data) + 1 {
			if cut < dataStart && cut%headerPage > headerSize && cut%headerPage < headerPage-1 {
				continue // among zeros
			}
			left := d.copied()
			left.files[last].data = left.files[last].data[:cut]
			o.disk = left
			s := mustOpen(t, o)
			whole := 0
			for _, end := range ends {
				if end <= cut {
					whole++
				}
			}
			expectEntries(t, waitingIn(t, s), all[:len(all)-len(ends)+whole])
			counts := s.Stats().Counts
			torn := cut > dataStart && !slices.Contains(ends, cut)
			if counts.Damaged.Places > 0 || (counts.Torn.Places > 0) != torn {
				t.Fatalf("cut at %d of %v: %+v", cut, ends, counts)
			}
			s.Close()
		}
	})
}

func TestEntriesOfEachCallerComeInTheOrderInWhichTheyWereAnswered(t *testing.T) {
	const callers, each = 16, 50
	s := mustOpen(t, Options{Dir: t.TempDir(), SegmentBytes: 10_000})
	defer s.Close()
	var working sync.WaitGroup
	for caller := range callers {
		working.Go(func() {
			for n := range each {
				e := Entry{Key: fmt.Append(nil, caller), Value: fmt.Append(nil, n), Arrived: morning}
				if err := s.Append(t.Context(), e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := map[string]int{}
	for got := 0; got < callers*each; {
		entries, p, err := s.Next(t.Context(), 7, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if want := fmt.Sprint(next[string(e.Key)]); want != string(e.Value) {
				t.Fatalf("caller %s: entry %s came, %s was next", e.Key, e.Value, want)
			}
			next[string(e.Key)]++
		}
		got += len(entries)
		if err := s.Acknowledge(p); err != nil {
			t.Fatal(err)
		}
	}
	working.Wait()
	st := s.Stats()
	if !s.Empty() || st.Counts.Appended != callers*each || st.Counts.Acknowledged != callers*each || st.DiskBytes != 0 {
		t.Errorf("in the end: %+v", st)
	}
}

func TestOneFsyncServesAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 20
		d := newMemDisk()
		s := mustOpen(t, Options{disk: d})
		if err := s.Append(t.Context(), numbered(0)); err != nil {
			t.Fatal(err)
		}
		goOn := make(chan bool)
		syncs := 0
		d.fail = func(st step) (int, error) {
			if st.kind == stepSync {
				if syncs++; syncs == 1 {
					d.mu.Unlock()
					<-goOn
					d.mu.Lock()
				}
			}
			return len(st.data), nil
		}
		var working sync.WaitGroup
		for n := range callers {
			working.Go(func() {
				if err := s.Append(t.Context(), numbered(1+n)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // one is at its fsync, the others wait for it
		close(goOn)
		working.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if syncs > 2 { // 1 when they were quicker than the first fsync
			t.Errorf("%d callers took %d fsyncs", callers, syncs)
		}
	})
}

func TestWhatWasAppendedMayBeChangedAtOnce(t *testing.T) {
	s := mustOpen(t, Options{disk: newMemDisk()})
	defer s.Close()
	value := []byte("before")
	if err := s.Append(t.Context(), Entry{Value: value, Arrived: morning}); err != nil {
		t.Fatal(err)
	}
	copy(value, "after!")
	got := waitingIn(t, s)
	if string(got[0].Value) != "before" {
		t.Errorf("%q came out", got[0].Value)
	}
	got[0].Value = append(got[0].Value, "all of it is the caller's"...)
}

func TestWhatIsHandedOutStaysAsItIsWhileMoreIsRead(t *testing.T) {
	s := mustOpen(t, Options{disk: newMemDisk()})
	defer s.Close()
	var large []Entry
	for n := range 5 {
		large = append(large, Entry{Value: bytes.Repeat([]byte{byte(n)}, windowSize*2/3), Arrived: morning})
	}
	if err := s.Append(t.Context(), large...); err != nil {
		t.Fatal(err)
	}
	expectEntries(t, waitingIn(t, s), large)
}

func TestAFileThatIsBeingWrittenIsNotRemovedThoughAllInItIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		s := mustOpen(t, Options{disk: d})
		if err := s.Append(t.Context(), numbered(0)); err != nil {
			t.Fatal(err)
		}
		_, p, err := s.Next(t.Context(), 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		goOn := make(chan bool)
		held := false
		d.fail = func(st step) (int, error) {
			if st.kind == stepSync && !held {
				held = true
				d.mu.Unlock()
				<-goOn
				d.mu.Lock()
			}
			return len(st.data), nil
		}
		done := make(chan error)
		go func() { done <- s.Append(t.Context(), numbered(1)) }()
		synctest.Wait()
		if err := s.Acknowledge(p); err != nil {
			t.Fatal(err)
		}
		close(goOn)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		expectEntries(t, waitingIn(t, s), []Entry{numbered(1)})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, Options{disk: d})
		expectEntries(t, waitingIn(t, s), []Entry{numbered(1)})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWhoWaitsForEntriesGetsThemWhenTheyCome(t *testing.T) {
	s := mustOpen(t, Options{disk: newMemDisk()})
	defer s.Close()
	type result struct {
		entries []Entry
		err     error
	}
	came := make(chan result)
	go func() {
		entries, _, err := s.Next(t.Context(), 10, 1<<20)
		came <- result{entries, err}
	}()
	if err := s.Append(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	if r := <-came; r.err != nil || len(r.entries) != 1 {
		t.Errorf("got %+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Next(ctx, 1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
}

func TestAClosedSpoolRefusesEverythingAndLosesNothing(t *testing.T) {
	d := newMemDisk()
	s := mustOpen(t, Options{disk: d})
	if err := s.Append(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		for {
			if _, _, err := s.Next(t.Context(), 1, 1); err != nil {
				ended <- err
				return
			}
		}
	}()
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	for doing, err := range map[string]error{
		"waiting": <-ended, "append": s.Append(t.Context(), numbered(2)),
		"acknowledge": s.Acknowledge(1), "check": s.Check()} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", doing, err)
		}
	}
	s = mustOpen(t, Options{disk: d})
	defer s.Close()
	expectEntries(t, waitingIn(t, s), []Entry{numbered(1)})
}

func TestOnlyWhatWasHandedOutCanBeAcknowledged(t *testing.T) {
	s := mustOpen(t, Options{disk: newMemDisk()})
	defer s.Close()
	if err := s.Append(t.Context(), numbered(1), numbered(2)); err != nil {
		t.Fatal(err)
	}
	_, p, err := s.Next(t.Context(), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Acknowledge(p + 1); err == nil {
		t.Error("an entry was acknowledged that nobody has seen")
	}
	if got := s.Stats().Records; got != 2 {
		t.Errorf("%d wait", got)
	}
}

func TestEntriesThatCannotBeKeptAreRefusedByName(t *testing.T) {
	s := mustOpen(t, Options{disk: newMemDisk()})
	defer s.Close()
	if err := s.Append(t.Context(), numbered(1), Entry{Value: []byte("no time")}); !errors.Is(err, ErrInvalid) {
		t.Errorf("without a time: %v", err)
	}
	large := Entry{Value: bytes.Repeat([]byte{1}, maxBody), Arrived: morning}
	if err := s.Append(t.Context(), large); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	largest := Entry{Value: bytes.Repeat([]byte{1}, maxBody-64), Arrived: morning}
	if err := s.Append(t.Context(), largest); err != nil {
		t.Errorf("the largest: %v", err)
	}
	expectEntries(t, waitingIn(t, s), []Entry{largest})
}
