package cdr

import (
	"fmt"
	"testing"

	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
)

// allRecorded is every recording behind the other as one log: a step is taken every thousand records.
func allRecorded() (log []Input) {
	var at janus.Micros
	for _, name := range recordings.Names() {
		for _, in := range recorded(name) {
			at = max(at, in.Append)
			in.Append = at
			log = append(log, in)
		}
	}
	return numbered(log)
}

// BenchmarkFold folds all recordings; its operation is one event.
func BenchmarkFold(b *testing.B) {
	log := allRecorded()
	states := MemoryStates{}
	p, err := Open(DefaultPolicy(), Source{Topic: "janus.events"}, states)
	if err != nil {
		b.Fatal(err)
	}
	round := log[len(log)-1].Append - log[0].Append + hour
	emitter := ""
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if i%len(log) == 0 { // the same again is no repetition, and of another server
			p.window.reset()
			emitter = fmt.Sprint("edge-", i/len(log))
		}
		in := log[i%len(log)]
		in.Emitter, in.Offset, in.Append = emitter, int64(i), in.Append+round*janus.Micros(i/len(log))
		if err := p.Apply(in); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 {
			states.Put(p.Step().Changes...)
			p.Committed()
		}
	}
}

// BenchmarkReport folds media reports of calls that are known, the most frequent event by far. It must not allocate.
func BenchmarkReport(b *testing.B) {
	p, reports := callsWithReports(b)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		in := reports[i%len(reports)]
		in.Offset = reports[0].Offset + int64(i)
		if i%len(reports) == 0 { // the same again is no repetition
			p.window.reset()
		}
		if err := p.Apply(in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkState encodes and decodes the sessions that are open in the middle of each recording.
func BenchmarkState(b *testing.B) {
	var all []*session
	bytes := 0
	for _, name := range recordings.Names() {
		log := recorded(name)
		p, err := Open(DefaultPolicy(), Source{}, MemoryStates{})
		if err != nil {
			b.Fatal(err)
		}
		for _, in := range log[:len(log)/2] {
			if err := p.Apply(in); err != nil {
				b.Fatal(err)
			}
		}
		for _, k := range p.index.sessions {
			if !k.stub {
				all = append(all, k.s)
				bytes += len(encode(nil, k.s.fields))
			}
		}
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(bytes / len(all)))
		var buf []byte
		for i := 0; b.Loop(); i++ {
			buf = encode(buf[:0], all[i%len(all)].fields)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(bytes / len(all)))
		var written [][]byte
		for _, s := range all {
			written = append(written, encode(nil, s.fields))
		}
		for i := 0; b.Loop(); i++ {
			var s session
			if err := decode(written[i%len(written)], s.fields); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpen is what a partition costs before its first record.
func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(DefaultPolicy(), Source{}, MemoryStates{}); err != nil {
			b.Fatal(err)
		}
	}
}

// callsWithReports is a partition with calls, and a report of each stream of each.
func callsWithReports(tb testing.TB) (*Partition, []Input) {
	p, err := Open(DefaultPolicy(), Source{Topic: "janus.events"}, MemoryStates{})
	if err != nil {
		tb.Fatal(err)
	}
	var setup, reports []Input
	var parser janus.Parser
	for _, in := range recorded("1.1-g_parallel") {
		e, err := parser.Parse(in.Value)
		if err != nil {
			tb.Fatal(err)
		}
		switch e.Body.(type) {
		case *janus.MediaReport:
			reports = append(reports, in)
			setup = append(setup, in)
		case *janus.SessionDestroyed, *janus.SessionTimedOut, *janus.HandleDetached, *janus.PeerConnectionHangup, *janus.ServerShutdown, *janus.TransportEvent:
		default:
			setup = append(setup, in)
		}
	}
	at := setup[len(setup)-1].Append
	for i, in := range setup {
		in.Offset = int64(i)
		if err := p.Apply(in); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range reports {
		reports[i].Offset, reports[i].Append = int64(len(setup)+i), at
	}
	return p, reports
}

func TestAReportOfAKnownCallAllocatesNothing(t *testing.T) {
	p, reports := callsWithReports(t)
	i := 0
	again := func() {
		in := reports[i%len(reports)]
		in.Offset = reports[0].Offset + int64(i)
		if i%len(reports) == 0 {
			p.window.reset()
		}
		if err := p.Apply(in); err != nil {
			t.Fatal(err)
		}
		i++
	}
	for range 2 * len(reports) {
		again()
	}
	if n := testing.AllocsPerRun(2000, again); n > 0 {
		t.Errorf("%v allocations for a report", n)
	}
}
