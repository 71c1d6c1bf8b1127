package cdr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// appendRound makes an event of a round another one than that of the round before: the same bytes again are a repetition.
func appendRound(event []byte, round int) []byte {
	for ; round > 0; round /= 4 {
		event = append(event, " \t\r\n"[round%4])
	}
	return event
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
	emitter, value := "", []byte(nil)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if i%len(log) == 0 { // the same again, of another server
			emitter = fmt.Sprint("edge-", i/len(log))
		}
		in := log[i%len(log)]
		in.Emitter, in.Offset, in.Append = emitter, int64(i), in.Append+round*janus.Micros(i/len(log))
		value = appendRound(append(value[:0], in.Value...), i/len(log))
		in.Value = value
		if err := p.Apply(in); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 {
			states.Put(p.Step().Changes...)
			p.Committed()
		}
	}
}

// BenchmarkReport folds media reports of calls that go on, the most frequent event by far. It must not allocate. To make
// them is not measured.
func BenchmarkReport(b *testing.B) {
	calls := newTicks(b)
	making := func(begins bool) {
		if begins {
			b.StopTimer()
		} else {
			b.StartTimer()
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := calls.p.Apply(calls.next(making)); err != nil {
			b.Fatal(err)
		}
	}
	calls.check(b)
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

func TestAReportOfAKnownCallAllocatesNothing(t *testing.T) {
	calls := newTicks(t)
	again := func() {
		if err := calls.p.Apply(calls.next(func(bool) {})); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 * len(calls.forms) {
		again()
	}
	if n := testing.AllocsPerRun(2000, again); n > 0 {
		t.Errorf("%v allocations for a report", n)
	}
	calls.check(t)
}

// openCalls is a partition with so many sessions, each with a call that is open: a recorded one, up to the middle, under
// ids of its own.
func openCalls(tb testing.TB, n int) *Partition {
	p, err := Open(DefaultPolicy(), Source{Topic: "janus.events"}, MemoryStates{})
	if err != nil {
		tb.Fatal(err)
	}
	var call []Input
	for _, in := range recorded("1.1-a_echotest") {
		call = append(call, in)
		if strings.Contains(string(in.Value), `"packets-received"`) {
			break
		}
	}
	offset := int64(0)
	for i := range n {
		for _, in := range call {
			in.Offset, in.Emitter = offset, "edge-"+strconv.Itoa(i)
			in.Value = slices.Clone(in.Value)
			in.Value = appendRound(in.Value, i)
			if err := p.Apply(in); err != nil {
				tb.Fatal(err)
			}
			offset++
		}
	}
	if p.OpenSessions() < n {
		tb.Fatalf("%d sessions are open, want %d", p.OpenSessions(), n)
	}
	return p
}

// reside brings a session and its handles into memory, as an event does, and to rest again.
func reside(tb testing.TB, p *Partition, ref sessionRef) {
	k := p.index.sessions[ref]
	if err := p.load(k); err != nil {
		tb.Fatal(err)
	}
	for e := range k.handles.all() {
		p.handle(k, e.id)
	}
	p.restBeyond(0, 0)
	if k.s != nil || p.index.cachedHandles != 0 {
		tb.Fatal("it does not come to rest")
	}
}

// TestWhatRestsTakesLittleMemory: a session that is looked at and comes to rest again leaves next to no garbage, however
// many are open.
func TestWhatRestsTakesLittleMemory(t *testing.T) {
	p := openCalls(t, 50)
	p.restBeyond(0, 0)
	refs := slices.Clone(p.stepKeys)
	i := 0
	if n := testing.AllocsPerRun(1000, func() { reside(t, p, refs[i%len(refs)]); i++ }); n > mostAtRest {
		t.Errorf("%v allocations", n)
	}
	if p.err != nil {
		t.Fatal(p.err)
	}
}

// mostAtRest are the long texts of a call, and what is measured with.
const mostAtRest = 8

// BenchmarkRest is what a session and its handle cost that are read and come to rest again.
func BenchmarkRest(b *testing.B) {
	p := openCalls(b, 1000)
	p.restBeyond(0, 0)
	refs := slices.Clone(p.stepKeys)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		reside(b, p, refs[i%len(refs)])
	}
}

// BenchmarkCommit is a step of so many sessions that have changed, each with a handle.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			p := openCalls(b, n)
			refs := slices.Clone(p.stepKeys)
			p.Step()
			p.Committed()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				for _, ref := range refs {
					k := p.index.sessions[ref]
					if err := p.load(k); err != nil {
						b.Fatal(err)
					}
					for e := range k.handles.all() {
						p.loadHandle(k, e)
						p.touchHandle(k, e.id)
					}
				}
				p.moved = true
				b.StartTimer()
				if step := p.Step(); len(step.Changes) < 2*n {
					b.Fatalf("%d changes", len(step.Changes))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/session")
		})
	}
}

// BenchmarkExpiry is what it costs to give up sessions with a call each of which nothing comes any more, with their
// records.
func BenchmarkExpiry(b *testing.B) {
	const n = 1000
	records := 0
	for range b.N {
		b.StopTimer()
		p := openCalls(b, n)
		p.Step()
		p.Committed()
		b.StartTimer()
		if err := p.Flush(); err != nil {
			b.Fatal(err)
		}
		records = len(p.step.Records)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/session")
	b.ReportMetric(float64(records)/n, "records/session")
}

func TestWhereNotAllCanBeDecodedFewAre(t *testing.T) {
	p := openCalls(t, maxDecodedHandles+1)
	if n := p.index.cachedHandles; n > maxDecodedHandles || n < fewDecoded {
		t.Errorf("%d handles of %d are decoded, where few are in use at a time", n, p.index.handles)
	}
	for _, k := range p.index.sessions {
		for e := range k.handles.all() {
			p.loadHandle(k, e)
		}
	}
	p.rest()
	if n := p.index.cachedHandles; n > fewDecoded {
		t.Errorf("%d handles of %d are decoded where all are in use, at most %d are wanted", n, p.index.handles, fewDecoded)
	}
	if n := p.index.cached; n > maxDecoded || p.index.open <= maxDecoded && n < p.index.open {
		t.Errorf("%d sessions of %d are decoded, at most %d are wanted", n, p.index.open, maxDecoded)
	}
}
