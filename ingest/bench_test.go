package ingest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"januscdr/internal/fixtures/recordings"
)

// BenchmarkIngestBody is a body from its arrival to its answer, with the embedded broker in the same process: what is
// measured is an upper bound of its cost. Sort is our own share of it: cutting and parsing.
func BenchmarkIngestBody(b *testing.B) {
	events := recordings.Events("1.1-c_videoroom")
	for _, size := range []int{1, 20, 100} {
		body := append(append([]byte("["), bytes.Join(events[:size], []byte(","))...), ']')
		b.Run(fmt.Sprintf("sort/%d", size), func(b *testing.B) {
			s := sorter{eventLimit: defaultEvent}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if batch := s.sort(Sender{}, body, body); len(batch.Parked) > 0 {
					b.Fatal(batch.Parked[0].Reason)
				}
			}
			b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
		})
		b.Run(fmt.Sprintf("delivered/%d", size), func(b *testing.B) {
			s := open(b, nil)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			var sent atomic.Uint32
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r := httptest.NewRequest(http.MethodPost, "/events", bytes.NewReader(body))
					i := sent.Add(1) // the body of another sender is no repetition
					r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1000", i>>16&255, i>>8&255, i&255)
					if !s.web.receive(http.NewResponseController(httptest.NewRecorder()), r).Safe() {
						b.Error("no answer")
						return
					}
				}
			})
			b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
