package statestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"januscdr/internal/fixtures/smalldisk"
)

// remember tells a store 200 states, by a number.
func remember(s *Store, n int) error {
	return s.Remember(func(yield func(k, v []byte) bool) {
		for i := range 200 {
			if !yield(fmt.Append(nil, "key", i), fmt.Append(nil, "value", n, i, string(make([]byte, 2000)))) {
				return
			}
		}
	}, fmt.Append(nil, n))
}

func TestADiskThatIsFullToTheBrimEndsAStoreAndNotTheProcess(t *testing.T) {
	t.Run("while something waits to be written", func(t *testing.T) { closeOnAFullDisk(t, true) })
	t.Run("while nothing does", func(t *testing.T) { closeOnAFullDisk(t, false) })
}

func closeOnAFullDisk(t *testing.T, write bool) {
	small := smalldisk.New(t, 64<<20)
	o := Options{Dir: filepath.Join(small, "store"), MinFree: 8 << 20, FlushBytes: 128 << 10}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		if err := remember(s, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	filler := smalldisk.Fill(t, small)
	if write {
		for limit := time.Now().Add(20 * time.Second); err == nil && time.Now().Before(limit); {
			err = remember(s, 100)
		}
		if !errors.Is(err, ErrFull) {
			t.Errorf("a full disk is told as %v", err)
		}
	}
	if err := s.Close(); !errors.Is(err, ErrFull) && (write || err != nil) {
		t.Errorf("a close on a full disk ends with %v", err)
	}

	if _, err := Open(o); !errors.Is(err, ErrFull) {
		t.Errorf("an opening on a full disk ends with %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s, err = Open(o)
	if err != nil {
		t.Fatalf("there is room again, and: %v", err)
	}
	if got := string(s.Checkpoint()); got != "19" {
		t.Errorf("the checkpoint is %q, want what was on disk before", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestADatabaseThatTriesForEverIsLeftWhenItsDiskTakesNoWrites(t *testing.T) {
	dir := t.TempDir()
	smalldisk.BecomesReadOnly(t, dir)
	synctest.Test(t, func(t *testing.T) {
		forEver := make(chan struct{})
		defer close(forEver)
		s := &Store{opts: Options{Dir: dir, MinFree: 1}}
		err := s.unlessTheDiskFails(func() error {
			<-forEver
			return nil
		})
		if !errors.Is(err, ErrNoWrites) {
			t.Errorf("it ends with %v", err)
		}
	})
}
