package cdr

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestTheWindowKnowsARepetitionAsLongAsItSays compares the window with a map of all that was ever seen.
func TestTheWindowKnowsARepetitionAsLongAsItSays(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	w, last := newWindow(), map[string]int64{}
	offset, repeated := int64(0), 0
	for range 6 * WindowSize {
		offset += 1 + int64(rng.IntN(2))*int64(rng.IntN(3)) // marks of transactions leave gaps
		kind, value := Kind(rng.IntN(2)), fmt.Sprint(rng.IntN(WindowSize))
		key := fmt.Sprint(kind, value)
		before, known := last[key]
		want := known && offset-before <= WindowSize
		if got := w.repeated(offset, kind, []byte(value)); got != want {
			t.Fatalf("offset %d: repeated %t, want %t: it came before at %d", offset, got, want, before)
		}
		if last[key] = offset; want {
			repeated++
		}
	}
	if repeated == 0 || repeated > 5*WindowSize {
		t.Fatalf("%d repetitions show nothing", repeated)
	}
}

// TestNoMemoryIsTakenForARecordInTheWindow: it is two tables.
func TestNoMemoryIsTakenForARecordInTheWindow(t *testing.T) {
	w, offset, value := newWindow(), int64(0), []byte("00000000")
	if n := testing.AllocsPerRun(10*WindowSize, func() {
		value[offset%8]++
		w.repeated(offset, KindEvent, value)
		offset++
	}); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

// TestTheFoldKeepsNothingOfTheBytesOfAnEvent: whoever reads the log uses its memory again.
func TestTheFoldKeepsNothingOfTheBytesOfAnEvent(t *testing.T) {
	fold := func(spoil bool) (records []Record) {
		p, err := Open(DefaultPolicy(), Source{Topic: "janus.events"}, MemoryStates{})
		if err != nil {
			t.Fatal(err)
		}
		for i, in := range allRecorded() {
			in.Value, in.Key = append([]byte(nil), in.Value...), append([]byte(nil), in.Key...)
			if err := p.Apply(in); err != nil {
				t.Fatal(err)
			}
			if spoil {
				clear(in.Value)
				clear(in.Key)
			}
			if i%1000 == 0 {
				records = append(records, p.Step().Records...)
				p.Committed()
			}
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		return append(records, p.Step().Records...)
	}
	want, got := fold(false), fold(true)
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		if d := unlike(&want[i], &got[i]); d != "" {
			t.Fatalf("record %d: %s", i, d)
		}
	}
}

// TestTheWindowFindsWhatIsFarFromItsHome: hashes that all have one home, or nearly, make chains longer than a slot can
// say.
func TestTheWindowFindsWhatIsFarFromItsHome(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	w, last := newWindow(), map[uint64]int64{}
	for offset := int64(0); offset < 3*WindowSize; offset++ {
		sum := rng.Uint64()<<20 | 7<<10 | uint64(rng.IntN(2))
		if offset%100 != 0 { // a hundredth of the places, so that the chains can be walked
			sum = rng.Uint64()
		} else if rng.IntN(3) == 0 {
			sum = 1<<60 | 7<<10
		}
		before, known := last[sum]
		want := known && offset-before <= WindowSize
		if got := w.note(offset, sum); got != want {
			t.Fatalf("offset %d: repeated %t, want %t: it came before at %d", offset, got, want, before)
		}
		last[sum] = offset
	}
}

// BenchmarkWindow notes events of eight partitions in turns of some hundred, as a worker does.
func BenchmarkWindow(b *testing.B) {
	windows := make([]*window, 8)
	for i := range windows {
		windows[i] = newWindow()
	}
	value := make([]byte, 500)
	note := func(i int) {
		value[0], value[1], value[2], value[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
		windows[i>>9%8].repeated(int64(i>>12<<9|i%512), KindEvent, value)
	}
	for i := range 8 * WindowSize {
		note(i)
	}
	b.ResetTimer()
	for i := range b.N {
		note(8*WindowSize + i)
	}
}
