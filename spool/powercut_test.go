package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var morning = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// numbered is an entry that can be told from all others, of a size that depends on its number.
func numbered(n int) Entry {
	return Entry{Key: []byte(fmt.Sprint("key ", n)), Value: []byte(strings.Repeat(fmt.Sprint(n, " "), 1+n%50)),
		Headers: []Header{{Name: "n", Value: []byte(fmt.Sprint(n))}}, Partition: int32(n % 7),
		Arrived: morning.Add(time.Duration(n) * time.Second)}
}

func numberOf(t fataler, e Entry) int {
	var n int
	if len(e.Headers) != 1 {
		t.Fatalf("an entry that nobody appended: %+v", e)
	}
	fmt.Sscan(string(e.Headers[0].Value), &n)
	want := numbered(n)
	if !sameEntry(e, want) {
		t.Fatalf("entry %d came out as %+v, went in as %+v", n, e, want)
	}
	return n
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func sameEntry(a, b Entry) bool {
	same := func(a, b []byte) bool { return string(a) == string(b) && (a == nil) == (b == nil) }
	sameHeader := func(a, b Header) bool { return a.Name == b.Name && same(a.Value, b.Value) }
	return same(a.Key, b.Key) && same(a.Value, b.Value) && a.Partition == b.Partition &&
		a.Arrived.Equal(b.Arrived) && slices.EqualFunc(a.Headers, b.Headers, sameHeader)
}

func mustOpen(t fataler, o Options) *Spool {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return morning }
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// waitingIn are the entries that a spool still hands out, without acknowledging any.
func waitingIn(t fataler, s *Spool) []Entry {
	t.Helper()
	var all []Entry
	for {
		entries, _, _, err := s.take(3, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return all
		}
		all = append(all, entries...)
	}
}

// A ledger is what the caller of a spool knows: when, in steps of the disk, what was begun and answered.
type ledger struct {
	appends []deed // one for each entry; its place is its number
	acks    []deed // upTo: number of the first entry that is not acknowledged
}

type deed struct{ begun, answered, upTo int } // answered is -1 after an error

// story plays a day of a spool: bursts, drains, restarts, an emptied spool.
func story(t *testing.T, d *memDisk, o Options) ledger {
	var l ledger
	var handed []int
	o.disk = d
	s := mustOpen(t, o)
	put := func(n int) {
		begun := d.done()
		var entries []Entry
		for i := range n {
			entries = append(entries, numbered(len(l.appends)+i))
		}
		err := s.Append(context.Background(), entries...)
		for range n {
			answered := d.done()
			if err != nil {
				answered = -1
			}
			l.appends = append(l.appends, deed{begun: begun, answered: answered})
		}
	}
	get := func(n int) {
		for _, e := range func() []Entry {
			entries, p, _, err := s.take(n, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			begun := d.done()
			upTo := 0
			if len(entries) > 0 {
				upTo = numberOf(t, entries[len(entries)-1]) + 1
			}
			if err := s.Acknowledge(p); err == nil && len(entries) > 0 {
				l.acks = append(l.acks, deed{begun, d.done(), upTo})
			} else if len(entries) > 0 {
				l.acks = append(l.acks, deed{begun, -1, upTo})
			}
			return entries
		}() {
			handed = append(handed, numberOf(t, e))
		}
	}
	again := func() {
		if !slices.IsSorted(handed) {
			t.Errorf("handed out in the order %v", handed)
		}
		handed = nil // what could not be written down comes again
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, o)
	}
	put(1)
	put(3)
	get(2)
	put(5)
	again()
	put(2)
	get(3)
	for range 4 {
		put(4)
	}
	get(9)
	again()
	get(100) // empty now
	put(3)
	put(2)
	get(1)
	again()
	again()
	put(6)
	again()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return l
}

// check holds what is found after a crash against what the caller knew then.
func (l ledger) check(t fataler, found []Entry, crash int) {
	t.Helper()
	safe, maybe := 0, 0 // entries below are acknowledged for sure; perhaps
	for _, a := range l.acks {
		if a.answered >= 0 && a.answered <= crash {
			safe = max(safe, a.upTo)
		}
		if a.begun <= crash {
			maybe = max(maybe, a.upTo)
		}
	}
	last := -1
	seen := map[int]bool{}
	for _, e := range found {
		n := numberOf(t, e)
		switch {
		case n <= last:
			t.Fatalf("entry %d came after entry %d", n, last)
		case n >= len(l.appends) || l.appends[n].begun > crash:
			t.Fatalf("entry %d came before it was appended", n)
		case n < safe:
			t.Fatalf("entry %d came again though all below %d were acknowledged", n, safe)
		}
		last = n
		seen[n] = true
	}
	for n, a := range l.appends {
		if a.answered >= 0 && a.answered <= crash && n >= maybe && !seen[n] {
			t.Fatalf("entry %d was answered and is lost", n)
		}
	}
}

// crashEverywhere lets the power go after each step in each way, opens what is left, and then does it once more.
func crashEverywhere(t *testing.T, d *memDisk, o Options, l ledger, damage bool) {
	chance := rand.New(rand.NewPCG(7, 11))
	for crash := range d.done() + 1 {
		for _, how := range losses {
			for try := range map[bool]int{true: 4, false: 1}[how == lossReordered] {
				left := d.crashed(crash, how, chance)
				name := fmt.Sprintf("after step %d of %d, %s, try %d", crash, d.done(), how, try)
				t.Run(name, func(t *testing.T) { lookAfterCrash(t, left, o, l, crash, damage) })
				if t.Failed() {
					return
				}
			}
		}
	}
}

func lookAfterCrash(t *testing.T, left *memDisk, o Options, l ledger, crash int, damage bool) {
	o.disk = left
	s := mustOpen(t, o)
	found := waitingIn(t, s)
	l.check(t, found, crash)
	if got := s.Stats().Counts.Damaged; got.Places > 0 && !damage {
		t.Fatalf("%+v is called damaged, though the disk kept what it had promised", got)
	}
	// It goes on: a new entry is behind all others, also after the next loss of power.
	if err := s.Append(context.Background(), numbered(1000), numbered(1001)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.disk = left.crashed(left.done(), lossAll, nil)
	s = mustOpen(t, o)
	again := waitingIn(t, s)
	if n := len(again); n < 2 || numberOf(t, again[n-2]) != 1000 || numberOf(t, again[n-1]) != 1001 {
		t.Fatalf("after the second crash the newest entries are not the last of %d", n)
	}
	l.check(t, again[:len(again)-2], crash)
	if got := s.Stats().Counts.Damaged; got.Places > 0 && !damage {
		t.Fatalf("%+v is called damaged after the second crash", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhateverStepThePowerGoesAtNothingAnsweredIsLost(t *testing.T) {
	for name, keys := range map[string][]Key{"plain": nil, "encrypted": {{1}}} {
		t.Run(name, func(t *testing.T) {
			d := newMemDisk()
			o := Options{SegmentBytes: 900, Keys: keys}
			l := story(t, d, o)
			crashEverywhere(t, d, o, l, false)
		})
	}
}

func TestAfterAFailedFsyncNothingOfThatFileIsBelieved(t *testing.T) {
	broken := errors.New("input/output error")
	for _, kind := range []stepKind{stepSync, stepWrite, stepSyncDir, stepCreate, stepRename, stepRemove} {
		t.Run(string(kind), func(t *testing.T) {
			d := newMemDisk()
			count := 0
			d.fail = func(s step) (int, error) {
				if s.kind == stepTruncate {
					return 0, broken // so that what failed stays where it is
				}
				if s.kind != kind {
					return len(s.data), nil
				}
				if count++; count%4 == 3 {
					if kind == stepWrite && count%8 == 3 {
						return len(s.data) / 2, syscall.ENOSPC
					}
					return 0, broken
				}
				return len(s.data), nil
			}
			o := Options{SegmentBytes: 900}
			l := story(t, d, o)
			d.fail = nil
			failed := slices.ContainsFunc(l.appends, func(a deed) bool { return a.answered < 0 })
			if !failed && kind != stepRename && kind != stepRemove {
				t.Fatal("no append failed: this shows nothing")
			}
			crashEverywhere(t, d, o, l, true)
		})
	}
}
