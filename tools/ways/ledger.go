package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/internal/fixtures/procs"
	"januscdr/kafka"
)

// ledger is what the topic says of the events of each sender.
type ledger struct {
	load  *load
	next  map[int64]int64    // by session: the number of its next event
	times map[[2]int64]int64 // by sender and number: how often it came besides the first time
	first int64              // events that came for the first time
	again int64              // and once more
}

// account reads all of the topic, and complains of what is not as it should be.
func account(ctx context.Context, c *procs.Cluster, l *load) (*ledger, error) {
	a := &ledger{load: l, next: map[int64]int64{}, times: map[[2]int64]int64{}}
	err := kafka.ReadCommitted(ctx, c.Client, c.Options(), c.Topics.Events, func(records []*kgo.Record) error {
		for _, r := range records {
			if len(r.Headers) > 0 && r.Headers[0].Key == kafka.HeaderKind {
				continue // a sign of life
			}
			sender, n, err := read(r.Value)
			if err != nil {
				return err
			}
			a.take(&c.Complaints, sender, n)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var answered int64
	for _, s := range l.senders {
		answered += s.answered
		for first := range min(sessions, s.answered) {
			// The last one of each session that was answered has come, and with it, in order, all before.
			if next, ok := a.next[sessionOf(s.number, first)]; !ok || next < s.answered {
				c.Complaints.Add("session %d of sender %d: %d events answered, and the first %d are in the topic",
					sessionOf(s.number, first), s.number, s.answered, next)
			}
		}
	}
	if a.first < answered {
		c.Complaints.Add("%d events answered, %d in the topic", answered, a.first)
	}
	return a, nil
}

func (a *ledger) take(complaints *procs.Complaints, sender int, n int64) {
	if sender < 0 || sender >= len(a.load.senders) {
		complaints.Add("event %d is of nobody: %d", n, sender)
		return
	}
	session := sessionOf(sender, n)
	expected, known := a.next[session]
	if !known {
		expected = n % sessions
	}
	switch {
	case n == expected:
		a.next[session] = n + sessions
		a.first++
	case n > expected:
		complaints.Add("session %d: event %d comes, where %d was to come: it is lost, or not in order", session, n, expected)
		a.next[session] = n + sessions
		a.first++
	default:
		a.again++
		of := [2]int64{int64(sender), n}
		a.times[of]++
		if a.times[of] > a.load.senders[sender].twice[n] {
			complaints.Add("event %d of sender %d came %d times, and was on its way at %d faults", n, sender, 1+a.times[of],
				a.load.senders[sender].twice[n])
		}
	}
}

// onTheirWay is how many events were in bodies without an answer at a fault.
func (l *load) onTheirWay() (events int64) {
	for _, s := range l.senders {
		events += int64(len(s.twice))
	}
	return events
}

func (a *ledger) String() string {
	return fmt.Sprintf("%d events in the topic, %d of them twice; %d were on their way when something was killed or "+
		"stopped", a.first, len(a.times), a.load.onTheirWay())
}
