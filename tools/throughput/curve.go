package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"januscdr/cdr"
	"januscdr/internal/fixtures/traffic"
	"januscdr/janus"
	"januscdr/statestore"
)

// curve folds one partition of several, as a processor does but without Kafka, with so many sessions open over all
// partitions, and prints what an event costs by then, what is in memory, and what it takes to begin again from its
// store.
func curve(dir string, open, events int) error {
	debug.SetGCPercent(collectAt)
	mine := open / *partitions
	o := statestore.Options{Dir: filepath.Join(dir, "store"), Identity: statestore.Identity{Topic: "throughput"}}
	store, err := statestore.Open(o)
	if err != nil {
		return err
	}
	fold, err := cdr.Open(cdr.DefaultPolicy(), cdr.Source{Topic: "throughput"}, store)
	if err != nil {
		return err
	}
	w := &worked{fold: fold, store: store}
	warm, cost := events*6/10, time.Duration(0)
	var stopProfiles func() error
	chunk, written := make([]cdr.Input, 0, 20_000), make([]byte, 0, 20_000*640)
	n := 0
	for e := range traffic.Open(mine) {
		at := len(written)
		written = append(append(written, e.Session...), e.Value...)
		key, value := written[at:at+len(e.Session)], written[at+len(e.Session):]
		chunk = append(chunk, cdr.Input{Offset: int64(n), Append: janus.Micros(e.At), Key: key, Value: value})
		n++
		if len(chunk) < cap(chunk) && n < events {
			continue
		}
		if n > warm && stopProfiles == nil {
			if stopProfiles, err = profiles(); err != nil {
				return err
			}
		}
		before := cpuTime()
		if err := w.work(chunk); err != nil {
			return err
		}
		if n > warm {
			cost += cpuTime() - before
			w.counted += len(chunk)
		}
		if chunk, written = chunk[:0], written[:0]; n >= events {
			break
		}
	}
	if stopProfiles != nil {
		if err := stopProfiles(); err != nil {
			return err
		}
	}
	chunk, written = nil, nil
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	sessions := fold.OpenSessions()
	if err := store.Close(); err != nil {
		return err
	}
	before, began := cpuTime(), time.Now()
	if store, err = statestore.Open(o); err != nil {
		return err
	}
	if fold, err = cdr.Open(cdr.DefaultPolicy(), cdr.Source{Topic: "throughput"}, store); err != nil {
		return err
	}
	fmt.Printf("%d open of %d, %d events: %.2f µs of CPU an event, %.1f bytes of states, %.2f records; ",
		sessions, open, n, float64(cost.Microseconds())/float64(w.counted), float64(w.bytes)/float64(n),
		float64(w.records)/float64(n))
	fmt.Printf("%d MiB alive, %d MiB at most; begun again in %.2f s of CPU, %.2f s in all, with %d open\n",
		m.HeapAlloc>>20, maxRSS(), (cpuTime() - before).Seconds(), time.Since(began).Seconds(), fold.OpenSessions())
	return store.Close()
}

// worked is a partition at work.
type worked struct {
	fold           *cdr.Partition
	store          *statestore.Store
	bytes, records int
	counted        int
}

// work folds events and takes a step, in which all states are written: that is a second of 20 000 events a partition.
func (w *worked) work(events []cdr.Input) error {
	for i := range events {
		if err := w.fold.Apply(events[i]); err != nil {
			return err
		}
	}
	step := w.fold.Step()
	w.records += len(step.Records)
	err := w.store.Remember(func(yield func(k, v []byte) bool) {
		for _, c := range step.Changes {
			w.bytes += len(c.Key) + len(c.Value)
			if !yield(c.Key, c.Value) {
				return
			}
		}
	}, []byte("1"))
	w.fold.Committed()
	return err
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		fmt.Fprintln(os.Stderr, "throughput:", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// maxRSS is the most memory that the process had, in MiB.
func maxRSS() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Maxrss / 1024
}
