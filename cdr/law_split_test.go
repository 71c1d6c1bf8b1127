package cdr

import (
	"testing"

	"januscdr/janus"

	"pgregory.net/rapid"
)

// split posts what was said to a number of partitions, as ingest does: an event to the partition of its session, and a
// copy to each other one where it concerns everyone. Each partition's owner ticks every second.
func split(all []said, n int) [][]Input {
	logs := make([][]Input, n)
	clock := make([]janus.Micros, n)
	var parser janus.Parser
	var at janus.Micros
	post := func(to int, in Input) {
		for clock[to] != 0 && clock[to]+second < at {
			clock[to] += second
			logs[to] = append(logs[to], Input{Append: clock[to], Kind: KindTick})
		}
		clock[to], in.Append = at, at
		logs[to] = append(logs[to], in)
	}
	alive := map[string]janus.Micros{}
	for _, e := range all {
		at = max(at, e.at+20*millisecond)
		if at-alive[e.emitter] >= 30*second {
			alive[e.emitter] = at
			for to := range logs {
				post(to, Input{Kind: KindAlive, Key: []byte(e.emitter)})
			}
		}
		own := int(e.session) % n
		post(own, Input{Value: e.value})
		event, err := parser.Parse(e.value)
		if err != nil || event.Reach() != janus.ReachEveryone {
			continue
		}
		for to := range logs {
			if to != own {
				post(to, Input{Kind: KindCopy, Value: e.value})
			}
		}
	}
	at += 20 * second
	for to := range logs {
		post(to, Input{Kind: KindTick})
		logs[to] = numbered(logs[to])
	}
	return logs
}

func TestAnotherSplitOverPartitionsMakesTheSameRecords(t *testing.T) {
	gather := func(t *rapid.T, logs [][]Input) map[string]Record {
		var records []Record
		for i, log := range logs {
			records = append(records, mustRun(t, play{source: Source{Topic: "janus.events", Partition: int32(i)}}, log).records...)
		}
		return byLeg(records)
	}
	rapid.Check(t, func(t *rapid.T) {
		all := drawStage(t)
		want, got := gather(t, split(all, 1)), gather(t, split(all, rapid.IntRange(2, 5).Draw(t, "partitions")))
		for leg, a := range want {
			b, ok := got[leg]
			if !ok {
				t.Fatalf("%s is gone", leg)
			}
			for _, r := range []*Record{&a, &b} {
				r.SourcePartition, r.FirstOffset, r.LastOffset, r.LineageOffset, r.LocalRecordSequenceNumber = 0, 0, 0, 0, 0
				if r.EndBasis == EndLastEvidence {
					r.EndLatestTime = 0 // the moment of silence is that of the partition's own clock
				}
			}
			if d := difference([]Record{a}, []Record{b}); d != "" {
				t.Fatalf("%s: %s", leg, d)
			}
		}
		if len(want) != len(got) {
			t.Fatalf("%d records and %d", len(want), len(got))
		}
	})
}

func TestRecordingsSplitOverPartitionsMakeTheSameRecords(t *testing.T) {
	eachRecording(t, func(t *testing.T, _ string, log []Input) {
		all := parsed(log)
		var want map[string]Record
		for _, n := range []int{1, 3, 12} {
			var records []Record
			for i, log := range split(all, n) {
				records = append(records, mustRun(t, play{source: Source{Topic: "janus.events", Partition: int32(i)}}, log).records...)
			}
			got := byLeg(records)
			for leg, r := range got {
				r.SourcePartition, r.FirstOffset, r.LastOffset, r.LineageOffset, r.LocalRecordSequenceNumber = 0, 0, 0, 0, 0
				if r.EndBasis == EndLastEvidence {
					r.EndLatestTime = 0
				}
				got[leg] = r
			}
			if want == nil {
				want = got
			}
			for leg, a := range want {
				if d := difference([]Record{a}, []Record{got[leg]}); d != "" {
					t.Fatalf("%d partitions: %s: %s", n, leg, d)
				}
			}
			if len(want) != len(got) {
				t.Fatalf("%d partitions: %d records, not %d", n, len(got), len(want))
			}
		}
	})
}
