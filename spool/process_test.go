package spool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"januscdr/internal/fixtures/smalldisk"
)

// childDir is set for a process that a test has started: it appends to the spool there until it is killed, and prints
// the number of each entry that was answered.
const childDir = "SPOOL_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		appendForever(dir)
	}
	os.Exit(m.Run())
}

func appendForever(dir string) {
	s, err := Open(Options{Dir: dir, SegmentBytes: 20_000})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var printing sync.Mutex
	for caller := range 8 {
		go func() {
			for n := caller; ; n += 8 {
				if err := s.Append(context.Background(), numbered(n)); err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
				printing.Lock()
				fmt.Println(n)
				printing.Unlock()
			}
		}()
	}
	go func() {
		for got := 0; got < 40; { // and reads a little
			entries, p, err := s.Next(context.Background(), 10, 1000)
			printing.Lock() // before they are acknowledged, so that no other can be
			for _, e := range entries {
				fmt.Println("read", string(e.Headers[0].Value))
			}
			printing.Unlock()
			if err == nil {
				err = s.Acknowledge(p)
			}
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			got += len(entries)
		}
	}()
	select {}
}

func TestWhatAProcessHadAnsweredIsThereAfterKill9(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	answered, read := map[int]bool{}, map[int]bool{}
	lines := bufio.NewScanner(out)
	killed := false
	for lines.Scan() {
		var n int
		text := lines.Text()
		if rest, ok := strings.CutPrefix(text, "read "); ok {
			fmt.Sscan(rest, &n)
			read[n] = true
			continue
		}
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatal(text)
		}
		answered[n] = true
		if len(answered) == 400 && !killed {
			killed = true
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // it was killed
	s := mustOpen(t, Options{Dir: dir})
	defer s.Close()
	last := map[int]int{}
	for _, e := range waitingIn(t, s) {
		n := numberOf(t, e)
		if before, ok := last[n%8]; ok && n <= before {
			t.Errorf("entry %d came after entry %d of the same caller", n, before)
		}
		last[n%8] = n
		delete(answered, n)
	}
	for n := range answered {
		if !read[n] {
			t.Errorf("entry %d was answered and is lost", n)
		}
	}
	if counts := s.Stats().Counts; counts.Damaged.Places > 0 {
		t.Errorf("damaged: %+v", counts)
	}
}

func TestADiskThatBecameReadOnlyCanStillBeRead(t *testing.T) {
	dir := smalldisk.New(t, 4<<20)
	s := mustOpen(t, Options{Dir: dir})
	for n := range 10 {
		if err := s.Append(t.Context(), numbered(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Check(); err != nil {
		t.Errorf("a disk that can be written: %v", err)
	}
	s.Close()
	smalldisk.ReadOnly(t, dir)
	s = mustOpen(t, Options{Dir: dir})
	defer s.Close()
	if err := s.Append(t.Context(), numbered(10)); err == nil || errors.Is(err, ErrFull) {
		t.Errorf("an append: %v", err)
	}
	if err := s.Check(); err == nil {
		t.Error("Check says that it can be written")
	}
	entries, p, err := s.Next(t.Context(), 100, 1<<20)
	if err != nil || len(entries) != 10 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if err := s.Acknowledge(p); err == nil {
		t.Error("the position was written down")
	}
	if st := s.Stats(); !s.Empty() || st.Trouble == nil {
		t.Errorf("the numbers are %+v", st)
	}
}

func TestAFullDiskOfTheSystemRefuses(t *testing.T) {
	dir := smalldisk.New(t, 256<<10)
	s := mustOpen(t, Options{Dir: dir, SegmentBytes: 64 << 10})
	taken, err := fillUp(t, s)
	if !errors.Is(err, ErrFull) {
		t.Fatalf("the disk is full: %v", err)
	}
	s.Close()
	s = mustOpen(t, Options{Dir: dir, SegmentBytes: 64 << 10})
	defer s.Close()
	for got := 0; got < taken; {
		entries, p, err := s.Next(t.Context(), 100, 1<<20)
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
	if err := s.Append(t.Context(), numbered(1)); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}
