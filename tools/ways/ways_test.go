package main

import (
	"strings"
	"testing"
	"time"

	"januscdr/internal/fixtures/procs"
	"januscdr/janus"
)

func TestTheEventsOfASenderAreThoseOfJanusAndKnownAgain(t *testing.T) {
	raw, err := janus.Split(body(3, 7, 12))
	if err != nil || len(raw) != 5 {
		t.Fatalf("%d events, %v", len(raw), err)
	}
	var p janus.Parser
	for i, value := range raw {
		e, err := p.Parse(value)
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := e.Body.(*janus.MediaReport); !ok || len(r.Streams) != 1 {
			t.Fatalf("%s is no report", value)
		}
		sender, n, err := read(value)
		if err != nil || sender != 3 || n != int64(7+i) {
			t.Errorf("event %d of sender %d, %v", n, sender, err)
		}
	}
}

func TestTheLedgerComplainsOfWhatIsLostOutOfOrderOrTooOften(t *testing.T) {
	for _, scene := range []struct {
		name  string
		came  []int64
		twice map[int64]int64
		bad   string
	}{
		{name: "in order", came: []int64{0, 1, 5, 2, 6, 10}},
		{name: "twice, as it was on its way", came: []int64{0, 5, 0, 5, 10}, twice: map[int64]int64{0: 1, 5: 1}},
		{name: "twice, and was not", came: []int64{0, 5, 5}, bad: "came 2 times"},
		{name: "three times, and was once", came: []int64{0, 0, 0}, twice: map[int64]int64{0: 1}, bad: "came 3 times"},
		{name: "one is missing", came: []int64{0, 10}, bad: "lost, or not in order"},
		{name: "the next one first", came: []int64{0, 10, 5}, bad: "lost, or not in order"},
	} {
		t.Run(scene.name, func(t *testing.T) {
			var complaints procs.Complaints
			l := &load{senders: []*sender{{twice: scene.twice}}}
			a := &ledger{load: l, next: map[int64]int64{}, times: map[[2]int64]int64{}}
			for _, n := range scene.came {
				a.take(&complaints, 0, n)
			}
			said := strings.Join(complaints.All(), "\n")
			if (said != "") != (scene.bad != "") || !strings.Contains(said, scene.bad) {
				t.Errorf("complaints %q, want %q", said, scene.bad)
			}
		})
	}
}

func TestMemoryThatGrowsIsToldFromMemoryThatDoesNot(t *testing.T) {
	life := func(mib ...int64) (all []int64) {
		for _, m := range mib {
			all = append(all, m<<20)
		}
		return all
	}
	var complaints procs.Complaints
	(&memory{lives: [][]int64{life(9, 9, 9, 9, 9, 100, 102, 99, 110)}}).judge(&complaints)
	if bad := complaints.All(); len(bad) > 0 {
		t.Error(bad)
	}
	(&memory{lives: [][]int64{life(9, 9, 9, 9, 9, 100, 102, 199, 210)}}).judge(&complaints)
	if len(complaints.All()) == 0 {
		t.Error("what doubles is flat")
	}
}

func TestTheSlowestOfAHundredAnswersIsAPercentile(t *testing.T) {
	m := measured{events: 10, wall: time.Second, cpu: time.Second}
	for i := range 100 {
		m.took = append(m.took, time.Duration(i+1)*time.Millisecond)
	}
	if got := strings.Fields(m.String()); got[0] != "100" || got[1] != "1000" || got[3] != "100.00" || got[4] != "1000.0" {
		t.Errorf("%v", got)
	}
}
