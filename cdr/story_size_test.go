package cdr_test

import (
	"fmt"
	"strings"
	"testing"

	"januscdr/cdr"
	"januscdr/internal/fixtures/script"
)

// A client may open handle after handle, with names as long as it likes. Its session must not grow into a record that the
// brokers refuse, for that would stop everybody on the partition. What is left out, the records say.
func TestTheStateOfAGreedyClientStaysSmall(t *testing.T) {
	long := strings.Repeat("x", 600)
	lines := []string{"event session=7 created at=10:00:00"}
	for h := 1; h <= 80; h++ {
		lines = append(lines,
			fmt.Sprintf("event session=7 handle=%d attached plugin=videoroom opaque=%d%s", h, h, long),
			fmt.Sprintf(`event session=7 handle=%d plugin videoroom joined room="%s%d" id="%d%s" display=%s`, h, long, h%2, h, long, long),
			fmt.Sprintf("event session=7 handle=%d jsep offer from=janus", h))
		var feeds []string
		for i := range 70 {
			feeds = append(feeds, fmt.Sprintf("%d%s", i, long))
		}
		lines = append(lines, fmt.Sprintf(`event session=7 handle=%d plugin videoroom subscribing room="%s" feeds=%s`, h, long, strings.Join(feeds, ",")))
		for i := range 70 {
			lines = append(lines, fmt.Sprintf("event session=7 handle=%d media audio mid=%d received=1234567 sent=1234567 rtt=30", h, i))
		}
	}
	acts, err := script.New(nil).Read(lines)
	if err != nil {
		t.Fatal(err)
	}
	const most = 300 << 10 // of the state and what the last event added to it
	policy := cdr.DefaultPolicy()
	stays, moves := &world{limit: most}, &world{limit: most}
	for from := 0; from < len(acts); from += 100 {
		part := acts[from:min(from+100, len(acts))]
		if _, err := stays.play(policy, part); err != nil {
			t.Fatal(err)
		}
		if _, err := moves.play(policy, append(part[:len(part):len(part)], script.Act{Kind: script.Restart})); err != nil {
			t.Fatal(err)
		}
	}
	end := []script.Act{{Kind: script.Flush}}
	one, err := stays.play(policy, end)
	if err != nil {
		t.Fatal(err)
	}
	other, err := moves.play(policy, end)
	if err != nil {
		t.Fatal(err)
	}
	if one.show(everything) != other.show(everything) {
		t.Error("the records differ when the partition moves")
	}
	last := one.records[len(one.records)-1]
	if last.RecordType != cdr.SessionSummary || !last.Truncated {
		t.Errorf("the last record is %s, want a session that is truncated", everything.record(&last))
	}
}
