//go:build !race

package statestore

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// TestMemoryOfAFlush bounds what memory is asked for to write states, by the bytes that are written: they go into a
// log, and the tree has keys only, of which it makes a table now and then.
func TestMemoryOfAFlush(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), FlushBytes: 1 << 30, FlushEvery: time.Hour})
	defer s.Close()
	const states, rounds = 5000, 10
	keys, value := make([][]byte, states), make([]byte, 500)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "session of an emitter %08d", i)
	}
	all := func(yield func(k, v []byte) bool) {
		for _, key := range keys {
			if !yield(key, value) {
				return
			}
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		if err := s.Remember(all, []byte("1")); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	asked := float64(after.TotalAlloc-before.TotalAlloc) / (states * rounds * float64(len(value)))
	if asked > mostOfAFlush {
		t.Errorf("%.1f bytes are asked for of each that is written, at most %.1f are wanted", asked, mostOfAFlush)
	} else {
		t.Logf("%.1f bytes are asked for of each that is written", asked)
	}
}

// mostOfAFlush is what was measured, and a third.
const mostOfAFlush = 2.8

func TestAStateThatChangesBeforeItIsWrittenWaitsOnce(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), FlushEvery: time.Hour})
	defer s.Close()
	for n := range 100 {
		if err := s.Remember(changes(map[string][]byte{"a": make([]byte, 1000), "b": make([]byte, n)}), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Remember(changes(map[string][]byte{"a": nil}), nil); err != nil {
		t.Fatal(err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if want := len("a") + len("b") + 99; s.fresh.bytes != want {
		t.Errorf("%d bytes wait, want %d", s.fresh.bytes, want)
	}
}
