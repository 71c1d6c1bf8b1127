package spool

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// fillUp appends entries until one is refused, and tells how many were taken.
func fillUp(t *testing.T, s *Spool) (taken int, refused error) {
	t.Helper()
	for range 10_000 {
		if err := s.Append(t.Context(), numbered(taken)); err != nil {
			return taken, err
		}
		taken++
	}
	t.Fatal("it never refuses")
	return 0, nil
}

func TestAFullSpoolRefusesKeepsWhatItHasAndTakesAgainWhenItIsRead(t *testing.T) {
	d := newMemDisk()
	s := mustOpen(t, Options{disk: d, MaxBytes: 100_000, SegmentBytes: 20_000})
	defer s.Close()
	taken, err := fillUp(t, s)
	if !errors.Is(err, ErrFull) || taken < 100 {
		t.Fatalf("after %d entries: %v", taken, err)
	}
	st := s.Stats()
	var disk int64
	for _, f := range d.files {
		disk += int64(len(f.data))
	}
	if disk > 100_000 || st.DiskBytes != disk || st.Counts.Refused != 1 {
		t.Errorf("%d bytes are on disk: %+v", disk, st)
	}
	for next := 0; next < taken; {
		entries, p, err := s.Next(t.Context(), 50, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if got := numberOf(t, e); got != next {
				t.Fatalf("entry %d came, %d was next", got, next)
			}
			next++
		}
		if err := s.Acknowledge(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(t.Context(), numbered(0)); err != nil {
		t.Errorf("it is empty now: %v", err)
	}
}

func TestCallersWhoComeTogetherDoNotExceedTheBoundTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		s := mustOpen(t, Options{disk: d, MaxBytes: minMaxBytes})
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
		var working sync.WaitGroup
		var taken, refused atomic.Int32
		for range 10 {
			working.Go(func() {
				switch err := s.Append(t.Context(), Entry{Value: make([]byte, minMaxBytes/6), Arrived: morning}); {
				case err == nil:
					taken.Add(1)
				case errors.Is(err, ErrFull):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		synctest.Wait() // one group is at its fsync, the others wait in the next
		close(goOn)
		working.Wait()
		if st := s.Stats(); st.DiskBytes > minMaxBytes || taken.Load() < 3 || refused.Load()+taken.Load() != 10 {
			t.Errorf("%d were taken, %d refused: %+v", taken.Load(), refused.Load(), st)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestASpoolWhoseOldestEntryIsTooOldRefuses(t *testing.T) {
	now := morning
	d := newMemDisk()
	o := Options{disk: d, MaxAge: time.Hour, Now: func() time.Time { return now }}
	s := mustOpen(t, o)
	for _, after := range []time.Duration{0, 10 * time.Minute} {
		if err := s.Append(t.Context(), Entry{Value: []byte("x"), Arrived: morning.Add(after)}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s = mustOpen(t, o)
	defer s.Close()
	now = morning.Add(time.Hour)
	if err := s.Append(t.Context(), Entry{Arrived: now}); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	now = now.Add(time.Second)
	err := s.Append(t.Context(), Entry{Arrived: now})
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "1h0m1s") {
		t.Errorf("beyond the bound: %v", err)
	}
	if st := s.Stats(); st.Oldest != time.Hour+time.Second || st.Left != 0 || st.Records != 3 {
		t.Errorf("the numbers are %+v", st)
	}
	_, p, err := s.Next(t.Context(), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Acknowledge(p); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), Entry{Arrived: now}); err != nil {
		t.Errorf("the oldest is gone: %v", err)
	}
}

func TestAFullDiskRefusesLikeAFullSpoolAndIsFreedByReading(t *testing.T) {
	d := newMemDisk()
	const size = 60_000
	d.fail = func(s step) (int, error) {
		used := 0
		for _, f := range d.files {
			used += len(f.data)
		}
		if room := size - used; s.kind == stepWrite && len(s.data) > room {
			return room, syscall.ENOSPC
		}
		return len(s.data), nil
	}
	s := mustOpen(t, Options{disk: d, SegmentBytes: 12_000})
	defer s.Close()
	taken, err := fillUp(t, s)
	if !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is full: %v", err)
	}
	for range 3 { // each try ends a file or fails to begin one, and leaves nothing
		if err := s.Append(t.Context(), numbered(taken)); err == nil {
			taken++
		}
	}
	if st := s.Stats(); st.Trouble == nil || st.Counts.Failed == 0 {
		t.Errorf("the numbers are %+v", st)
	}
	for got := 0; got < taken; {
		entries, p, err := s.Next(t.Context(), 20, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if n := numberOf(t, e); n != got {
				t.Fatalf("entry %d came, %d was next", n, got)
			}
			got++
		}
		if err := s.Acknowledge(p); err != nil && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	if err := s.Append(t.Context(), numbered(taken)); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	if st := s.Stats(); st.Trouble != nil {
		t.Errorf("all is well again: %v", st.Trouble)
	}
}

func TestTheNumbersTellRatesAndWhenItWillBeFull(t *testing.T) {
	now := morning
	s := mustOpen(t, Options{disk: newMemDisk(), MaxBytes: 1 << 20, Now: func() time.Time { return now }})
	defer s.Close()
	if st := s.Stats(); st.Left != Never || st.Oldest != 0 || st.MaxBytes != 1<<20 {
		t.Errorf("at first: %+v", st)
	}
	value := make([]byte, 200)
	for range 600 { // ten a second for a minute... and longer than a minute's memory
		now = now.Add(100 * time.Millisecond)
		if err := s.Append(t.Context(), Entry{Value: value, Arrived: now}); err != nil {
			t.Fatal(err)
		}
	}
	st := s.Stats()
	if st.RecordsIn < 6 || st.RecordsIn > 7 || st.RecordsOut != 0 { // 1-1/e of 10
		t.Errorf("a minute at 10/s: %+v", st)
	}
	want := float64(st.MaxBytes-st.DiskBytes) / st.BytesIn
	if left := st.Left.Seconds(); left < want-1 || left > want+1 {
		t.Errorf("%v are left, %.0f s were right", st.Left, want)
	}
	if st.Oldest != 600*100*time.Millisecond-100*time.Millisecond {
		t.Errorf("the oldest waits since %v", st.Oldest)
	}
	_, p, err := s.Next(t.Context(), 600, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Acknowledge(p); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Left != Never || st.RecordsOut < st.RecordsIn || st.Records != 0 || st.Bytes != 0 {
		t.Errorf("when all went out: %+v", st)
	}
	now = now.Add(time.Hour)
	if st := s.Stats(); st.RecordsIn > 0.001 {
		t.Errorf("an hour later: %+v", st)
	}
}

func TestTwoSpoolsDoNotShareADirectory(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("the second: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, Options{Dir: dir}).Close()
}

func TestOptionsThatMakeNoSenseAreNamed(t *testing.T) {
	for _, o := range []Options{{}, {disk: newMemDisk(), MaxBytes: 10}, {disk: newMemDisk(), MaxAge: -1}} {
		if s, err := Open(o); err == nil {
			s.Close()
			t.Errorf("%+v opened", o)
		}
	}
}
