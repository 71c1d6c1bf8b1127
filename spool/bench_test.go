package spool

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkAppend says what an entry of a usual size costs one caller, and each of 64. The disk is that of the
// temporary directory: TMPDIR chooses another one.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 64} {
		for name, keys := range map[string][]Key{"plain": nil, "encrypted": {{1}}} {
			b.Run(fmt.Sprintf("callers=%d/%s", callers, name), func(b *testing.B) {
				s, err := Open(Options{Dir: b.TempDir(), MaxBytes: 1 << 40, SegmentBytes: maxSegment, Keys: keys})
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				e := Entry{Key: make([]byte, 16), Value: make([]byte, 600), Arrived: morning}
				var left atomic.Int64
				left.Store(int64(b.N))
				b.SetBytes(int64(len(e.Value)))
				b.ResetTimer()
				var working sync.WaitGroup
				for range callers {
					working.Go(func() {
						for left.Add(-1) >= 0 {
							if err := s.Append(b.Context(), e); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				working.Wait()
				b.StopTimer()
				counts := s.Stats().Counts
				b.ReportMetric(float64(counts.Groups)/float64(counts.Appended), "fsyncs/op")
			})
		}
	}
}
