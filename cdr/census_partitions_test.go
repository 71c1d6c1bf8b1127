package cdr_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"januscdr/cdr"
	"januscdr/janus"
)

// fleet makes the events of a Janus on which sessions come and go, and its heartbeats.
type fleet struct {
	chance *rand.Rand
	now    int64 // microseconds
	lines  []fleetLine
	open   map[int64]*fleetSession
	ids    int64
}

type fleetSession struct{ handles, up map[int64]bool }

type fleetLine struct {
	session int64 // 0: a heartbeat
	ends    bool  // it is `destroyed` or `hangup` or `detached`
	begins  bool  // it is `created`
	json    string
}

func (f *fleet) say(session int64, begins, ends bool, format string, args ...any) {
	f.now += 1 + f.chance.Int64N(50_000)
	text := fmt.Sprintf(`{"emitter":"ams-1","timestamp":%d,`, f.now) + fmt.Sprintf(format, args...) + "}"
	f.lines = append(f.lines, fleetLine{session, ends, begins, text})
}

func (f *fleet) beat() {
	var handles, up int
	for _, s := range f.open {
		handles += len(s.handles)
		up += len(s.up)
	}
	f.say(0, false, false, `"type":256,"subtype":1,"event":{"status":"update","info":{"sessions":%d,"handles":%d,"peerconnections":%d,"stats-period":1}}`,
		len(f.open), handles, up)
}

func (f *fleet) step() {
	ids := make([]int64, 0, len(f.open))
	for id := range f.open {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(ids) == 0 || f.chance.IntN(4) == 0 && len(ids) < 40 {
		f.ids++
		f.open[f.ids] = &fleetSession{map[int64]bool{}, map[int64]bool{}}
		f.say(f.ids, true, false, `"type":1,"session_id":%d,"event":{"name":"created"}`, f.ids)
		return
	}
	id := ids[f.chance.IntN(len(ids))]
	s := f.open[id]
	handle := id*10 + f.chance.Int64N(3) + 1
	switch {
	case !s.handles[handle]:
		s.handles[handle] = true
		f.say(id, false, false, `"type":2,"session_id":%d,"handle_id":%d,"event":{"name":"attached","plugin":"janus.plugin.echotest"}`, id, handle)
	case !s.up[handle]:
		s.up[handle] = true
		f.say(id, false, false, `"type":16,"subtype":6,"session_id":%d,"handle_id":%d,"event":{"connection":"webrtcup"}`, id, handle)
	case f.chance.IntN(2) == 0:
		delete(s.up, handle)
		f.say(id, false, true, `"type":16,"subtype":6,"session_id":%d,"handle_id":%d,"event":{"connection":"hangup","reason":"Close PC"}`, id, handle)
	default:
		delete(f.open, id)
		f.say(id, false, true, `"type":1,"session_id":%d,"event":{"name":"destroyed"}`, id)
		for _, h := range []int64{id*10 + 1, id*10 + 2, id*10 + 3} {
			if s.up[h] {
				f.say(id, false, true, `"type":16,"subtype":6,"session_id":%d,"handle_id":%d,"event":{"connection":"hangup","reason":"Session destroyed"}`, id, h)
			}
			if s.handles[h] {
				f.say(id, false, true, `"type":2,"session_id":%d,"handle_id":%d,"event":{"name":"detached","plugin":"janus.plugin.echotest"}`, id, h)
			}
		}
	}
}

func newFleet(seed uint64, beats int) *fleet {
	f := &fleet{chance: rand.New(rand.NewPCG(seed, 1)), now: 1_790_000_000_000_000, open: map[int64]*fleetSession{}}
	for range beats {
		for until := f.now + 15_000_000; f.now < until; {
			if f.step(); f.chance.IntN(3) == 0 {
				f.now += f.chance.Int64N(400_000)
			}
		}
		f.beat()
	}
	return f
}

// partitioned folds lines in several partitions, each of which is opened anew now and then, and adds up what they had open
// at each heartbeat. The signs that carry heartbeats come late, and not in all partitions at once.
func partitioned(t *testing.T, f *fleet, partitions int, restart float64) map[janus.Micros]cdr.Tally {
	t.Helper()
	sums, parts := map[janus.Micros]cdr.Tally{}, map[janus.Micros]int{}
	folds, offsets := make([]*cdr.Fold, partitions), make([]int64, partitions)
	open := func(n int, states cdr.MemoryStates) {
		fold, err := cdr.OpenFold(cdr.DefaultPolicy(), cdr.Source{Partition: int32(n)}, states)
		if err != nil {
			t.Fatal(err)
		}
		fold.OnTally(func(_ string, tally cdr.Tally) {
			sum := sums[tally.At]
			sums[tally.At] = cdr.Tally{At: tally.At, Janus: tally.Janus, Here: sum.Here.Add(tally.Here)}
			parts[tally.At]++
		})
		folds[n] = fold
	}
	for n := range partitions {
		open(n, cdr.MemoryStates{})
	}
	put := func(n int, in cdr.Input) {
		in.Offset = offsets[n]
		offsets[n]++
		if _, err := folds[n].Apply(in); err != nil {
			t.Fatal(err)
		}
	}
	var carried string
	wait := make([]int, partitions)
	for _, line := range f.lines {
		e, err := new(janus.Parser).Parse([]byte(line.json))
		if err != nil {
			t.Fatal(err)
		}
		at := e.Time + 1000 + janus.Micros(f.chance.Int64N(5000)) // when Kafka has it
		if line.session == 0 {
			carried = line.json
			for n := range wait {
				wait[n] = 1 + f.chance.IntN(30)
			}
		} else {
			put(int(line.session)%partitions, cdr.Input{Append: at, Value: []byte(line.json)})
		}
		for n := range wait {
			if wait[n]--; wait[n] == 0 {
				put(n, cdr.Input{Append: at, Kind: cdr.KindAlive, Key: []byte("ams-1"), Value: []byte(carried)})
			}
			if f.chance.Float64() < restart {
				folds[n].Step()
				open(n, folds[n].States())
			}
		}
	}
	for n := range partitions {
		if _, err := folds[n].Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for at, n := range parts {
		if n != partitions { // a partition that was opened between a heartbeat and its sign does not tell
			delete(sums, at)
		}
	}
	return sums
}

func TestPartitionsTogetherCountWhatJanusCounts(t *testing.T) {
	for seed := range uint64(6) {
		f := newFleet(seed, 10)
		restart, least := 0.0, 9
		if seed%2 == 1 { // a heartbeat that is under way then is not seen in the partition
			restart, least = 0.0002, 3
		}
		sums := partitioned(t, f, 3, restart)
		if len(sums) < least {
			t.Errorf("seed %d: only %d of 10 heartbeats were seen by all partitions", seed, len(sums))
		}
		for _, sum := range sums {
			if sum.Here != sum.Janus {
				t.Errorf("seed %d, heartbeat %v: %+v in Janus, %+v in the log", seed, sum.At, sum.Janus, sum.Here)
			}
		}
	}
}

func TestWhatIsLostShowsInTheSumOfThePartitions(t *testing.T) {
	for seed := range uint64(6) {
		f := newFleet(seed, 10)
		// Of the first session that ends in the second third, all ends are lost.
		lost := int64(0)
		for _, line := range f.lines[len(f.lines)/3:] {
			if lost == 0 && strings.Contains(line.json, "destroyed") {
				lost = line.session
			}
		}
		kept := f.lines[:0:0]
		for _, line := range f.lines {
			if line.session != lost || !line.ends {
				kept = append(kept, line)
			}
		}
		f.lines = kept
		var b cdr.Balance
		sums := partitioned(t, f, 3, 0)
		at := make([]janus.Micros, 0, len(sums))
		for beat := range sums {
			at = append(at, beat)
		}
		slices.Sort(at)
		for _, beat := range at {
			b.Reconcile(beat, sums[beat].Here, sums[beat].Janus)
		}
		if b.Sessions.Surplus != 1 {
			t.Errorf("seed %d: session %d has no end in the log: %+v", seed, lost, b.Sessions)
		}
	}
}
