package ingest

import (
	"fmt"
	"testing"
	"time"
)

func TestASenderMaySendItsRateAndABurstOfTenSeconds(t *testing.T) {
	r, who := newRates(1000), party{"janus", true}
	start := time.Unix(1_790_000_000, 0)
	for _, step := range []struct {
		millis, bytes int64
		wait          time.Duration
	}{
		{0, 9000, 0}, // at once
		{0, 5000, 0}, // with what is left of the burst, and owes 4000
		{0, 1, 4001 * time.Millisecond},
		{4000, 1, time.Millisecond},
		{4001, 1, 0}, // the debt is paid
		{4001, 1, time.Millisecond},
		{100_000, 10_000, 0}, // as much as after the beginning, and no more
		{100_000, 1, time.Millisecond},
		{101_000, 50_000, 0}, // larger than the burst
		{110_000, 1, 40_001 * time.Millisecond},
		{151_000, 1, 0},
	} {
		at := start.Add(time.Duration(step.millis) * time.Millisecond)
		if got := r.take(who, step.bytes, at); (got - step.wait).Abs() > 2*time.Millisecond {
			t.Errorf("at %d ms, %d bytes wait %v, want %v", step.millis, step.bytes, got, step.wait)
		}
	}
	if r.take(party{"another", true}, 9000, start.Add(10*time.Second)) != 0 {
		t.Error("one pays for another")
	}
}

func TestSendersWhoseRateIsWatchedAreBounded(t *testing.T) {
	r, now := newRates(1000), time.Unix(1_790_000_000, 0)
	for i := range ratedAtOnce + 5 {
		r.take(party{fmt.Sprint(i), true}, 20_000, now)
	}
	if len(r.senders) > ratedAtOnce+1 {
		t.Errorf("%d senders", len(r.senders))
	}
	if r.take(party{"one more", true}, 1, now) == 0 {
		t.Error("those who find no room have no bound")
	}
	if r.take(party{"0", true}, 1, now) == 0 {
		t.Error("who is watched is forgotten")
	}
	now = now.Add(time.Hour) // all have paid
	if r.take(party{"late", true}, 1, now) != 0 || len(r.senders) != 1 {
		t.Errorf("%d senders that owe nothing are remembered", len(r.senders))
	}
}

func TestABodyOverTheRateWaitsAndIsThenLeftWithoutAnAnswer(t *testing.T) {
	s := open(t, func(o *Options) { o.SenderRate, o.Delivery = 20, 300*time.Millisecond })
	s.accepted([]byte("[" + attached(1, 1) + "," + attached(1, 2) + "]")) // and owes some seconds
	s.unanswered([]byte(attached(1, 3)))
	if s.count("refused_total", "rate") != 1 {
		t.Error("that it was over its rate is not told")
	}
	if got := len(s.events()); got != 2 {
		t.Errorf("%d events, want 2", got)
	}
}
