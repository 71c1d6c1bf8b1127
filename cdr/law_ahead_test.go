package cdr

import (
	"errors"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// mortal is a host that tells often, takes steps seldom, and dies: of what it had in memory nothing is left, and of what
// it was about to make durable all or nothing.
type mortal struct {
	policy func(life int) Policy
	chance *rand.Rand
	tells  int // one input of so many is followed by a Tell
	steps  int // one of so many by a Step
	deaths int // one of so many by a death

	records []Record
	parked  []int64
	states  MemoryStates
	lives   int
	behind  int // lives that began behind what was told
}

var errFar = errors.New("a position is beyond what was told")

// fold folds a log, and flushes.
func (m *mortal) fold(log []Input) error {
	m.states = MemoryStates{}
	source := Source{Topic: "janus.events"}
	p, err := Open(m.policy(0), source, m.states)
	if err != nil {
		return err
	}
	var far int64 // how far anybody came
	take := func(step Step) {
		m.states.Put(step.Changes...)
		m.records = append(m.records, step.Records...)
		for _, parked := range step.Parked {
			m.parked = append(m.parked, parked.Input.Offset)
		}
	}
	for i := 0; i < len(log); i++ {
		if err := p.Apply(log[i]); err != nil {
			return err
		}
		dies := m.chance.IntN(m.deaths) == 0
		unsure := dies && m.chance.IntN(2) == 0 // whether what it was about to write is there
		switch {
		case m.chance.IntN(m.steps) == 0:
			if step := p.Step(); !unsure {
				take(step)
				p.Committed()
			}
		case m.chance.IntN(m.tells) == 0:
			if step := p.Tell(); !unsure {
				take(step)
				if !step.Lags && len(step.Changes) > 0 {
					p.Committed()
				}
			}
		}
		if !dies {
			continue
		}
		m.lives++
		if p, err = Open(m.policy(m.lives), source, m.states); err != nil {
			return err
		}
		next := max(p.Next(), 0)
		if far = max(far, int64(i)+1); p.Told() > far {
			return errFar
		}
		if p.Told() > next {
			m.behind++
		}
		for _, in := range log[max(0, next-WindowSize):next] {
			p.PrimeWindow(in)
		}
		i = int(next) - 1
	}
	if err := p.Flush(); err != nil {
		return err
	}
	take(p.Step())
	return nil
}

func TestWhoDiesBehindWhatWasToldTellsTheSameAndNothingTwice(t *testing.T) {
	behind := 0
	rapid.Check(t, func(t *rapid.T) {
		log, policy := drawLog(t), drawPolicy(t)
		if at := rapid.IntRange(0, 2*len(log)).Draw(t, "nonsense"); at < len(log) {
			log[at].Value = []byte("{")
		}
		want := mustRun(t, play{policy: policy}, log)
		m := &mortal{
			policy: func(int) Policy { return *policy },
			chance: chance(rapid.StringN(1, 8, 32).Draw(t, "chance")),
			tells:  rapid.IntRange(1, 20).Draw(t, "tells"), steps: rapid.IntRange(1, 200).Draw(t, "steps"),
			deaths: rapid.IntRange(5, 100).Draw(t, "deaths"),
		}
		if err := m.fold(log); err != nil {
			t.Fatal(err)
		}
		if d := difference(want.records, m.records); d != "" {
			t.Fatal(d)
		}
		if len(m.parked) != want.parked {
			t.Fatalf("%d were parked, not %d", len(m.parked), want.parked)
		}
		if err := sameStates(want.states, m.states); err != nil {
			t.Fatal(err)
		}
		behind += m.behind
	})
	if behind == 0 {
		t.Error("nobody began behind what was told")
	}
}

// TestAnotherPolicyBehindWhatWasToldTellsNothingTwice: graces and parts are others after a death, so other records come at
// other places of the log.
func TestAnotherPolicyBehindWhatWasToldTellsNothingTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := drawLog(t)
		m := &mortal{
			policy: func(life int) Policy {
				p := DefaultPolicy()
				if life%2 == 1 {
					p.Grace, p.Partial.Every = 0, second
				}
				return p
			},
			chance: chance(rapid.StringN(1, 8, 32).Draw(t, "chance")),
			tells:  rapid.IntRange(1, 5).Draw(t, "tells"), steps: rapid.IntRange(20, 200).Draw(t, "steps"),
			deaths: rapid.IntRange(20, 100).Draw(t, "deaths"),
		}
		if err := m.fold(log); err != nil {
			t.Fatal(err)
		}
		seen := map[ID]bool{}
		for i, r := range m.records {
			if seen[r.RecordID] {
				t.Fatalf("record %s came out twice", r.RecordID)
			}
			if seen[r.RecordID] = true; r.LocalRecordSequenceNumber != int64(i) {
				t.Fatalf("the %dth record has number %d", i, r.LocalRecordSequenceNumber)
			}
		}
	})
}

func TestAPositionBeyondWhichSomethingWasToldIsForNoOlderProgram(t *testing.T) {
	for name, in := range map[string]struct {
		told told
		want byte
	}{
		"nothing":                   {told{}, stateVersion},
		"records":                   {told{next: 7, ids: []ID{{1}, {2}}}, toldVersion},
		"parked events":             {told{next: 7}, toldVersion},
		"records of another policy": {told{ids: []ID{{1}}}, toldVersion},
	} {
		p := position{next: 5, local: 3, told: in.told}
		b := p.encode()
		if got := b[1] >> 1; got != in.want {
			t.Errorf("%s: version %d, want %d", name, got, in.want)
		}
		var again position
		if err := decode(b, again.fields); err != nil {
			t.Fatal(err)
		}
		if again.next != p.next || again.told.next != p.told.next || len(again.told.ids) != len(p.told.ids) {
			t.Errorf("%s: read as %+v", name, again)
		}
		next, upTo, err := PositionOf(b)
		if err != nil || next != 5 || upTo != max(5, p.told.next) {
			t.Errorf("%s: the position is %d, told up to %d, %v", name, next, upTo, err)
		}
	}
}

func TestTooManyRecordsBeyondAPositionTakeAStep(t *testing.T) {
	p, err := Open(DefaultPolicy(), Source{}, MemoryStates{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(Input{Kind: KindTick}); err != nil {
		t.Fatal(err)
	}
	if step := p.Tell(); step.Lags || len(step.Changes) == 0 {
		t.Fatalf("the first one is %+v, want a step", step)
	}
	p.Committed()
	for n := range maxTold + 1 {
		p.emit(&Record{CDRID: ID{byte(n), byte(n >> 8)}})
		p.moved = true
	}
	if step := p.Tell(); step.Lags || len(step.Records) != maxTold+1 {
		t.Fatalf("%d records were told, lagging: %t", len(step.Records), step.Lags)
	}
}

// TestWhatIsToldAgainAndAgainCostsLessThanTheStates: a position has the ids of all that was told since the states, so
// those that are written grow as the square of how often something is told.
func TestWhatIsToldAgainAndAgainCostsLessThanTheStates(t *testing.T) {
	for _, calls := range []int{1, 500} {
		p := openCalls(t, calls)
		p.Step()
		p.Committed()
		for _, k := range p.index.sessions {
			p.touch(k)
		}
		bound, bytes, tells := max(leastSpent, p.Waiting()/idsAsDear), 0, 0
		for ; ; tells++ {
			p.ahead.told(ID{byte(tells), byte(tells >> 8)})
			p.step.Records, p.moved = make([]Record, 1), true
			step := p.Tell()
			if !step.Lags {
				break
			}
			bytes += len(step.Changes[0].Value)
		}
		if bytes > bound+200*tells || bytes < bound*9/10 {
			t.Errorf("%d calls: %d tells of %d bytes before a step, want about %d bytes", calls, tells, bytes, bound)
		}
		if p.ahead.spent != 0 {
			t.Errorf("%d bytes are spent after a step", p.ahead.spent)
		}
	}
}
