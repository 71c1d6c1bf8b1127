package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"januscdr/internal/fixtures/procs"
)

// answerTime is how long a sender waits for an answer, as Janus does.
const answerTime = 10 * time.Second

// tally is what became of good posts.
type tally struct {
	took       []time.Duration // of those that were answered
	unanswered int
	time       time.Duration
}

func (t *tally) rate() float64 { return float64(len(t.took)) / t.time.Seconds() }

// p99 is the time within which 99 of 100 answers came.
func (t *tally) p99() time.Duration {
	if len(t.took) == 0 {
		return answerTime
	}
	slices.Sort(t.took)
	return t.took[len(t.took)*99/100]
}

func goodAddress(n int) net.IP { return net.IPv4(127, 0, 1, byte(n+1)) }

func goodUser(n int) string { return fmt.Sprint("janus-", n) }

const password = "secret-of-" // and the name of the user

// posted numbers bodies, so that none is a repetition.
var posted atomic.Int64

// event is one of a good sender.
func event(session, n int64) string {
	return fmt.Sprintf(`{"emitter":"good","type":2,"timestamp":%d,"session_id":%d,"handle_id":%d,`+
		`"event":{"name":"attached","plugin":"janus.plugin.echotest"}}`, 1790000000000000+n, session, 7000+n)
}

// sender posts as Janus does: a new connection for each body.
type sender struct {
	url    string
	user   string
	client *http.Client
}

func newSender(addr string, n int) *sender {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: goodAddress(n)}, Timeout: answerTime}
	return &sender{url: "http://" + addr + "/events", user: goodUser(n), client: &http.Client{Timeout: answerTime,
		Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}}
}

// post tells whether a body was answered with 200.
func (s *sender) post(ctx context.Context, body []byte) error {
	return procs.Post(ctx, s.client, s.url, s.user, password+s.user, body)
}

// good lets the good senders post for a while.
func (s *site) good(ctx context.Context, o *options, lasts time.Duration) (all tally) {
	each := make([]tally, o.senders)
	pause := time.Duration(float64(time.Second) / o.rate)
	began := time.Now()
	until := began.Add(lasts)
	var working sync.WaitGroup
	for n := range each {
		working.Go(func() {
			from := newSender(s.addr, n)
			due := began.Add(pause * time.Duration(n) / time.Duration(o.senders))
			for ; due.Before(until) && procs.Sleep(ctx, time.Until(due)) && time.Now().Before(until); due = due.Add(pause) {
				body := event(int64(n+1), posted.Add(1))
				started := time.Now()
				if err := from.post(ctx, []byte("["+body+"]")); err != nil {
					each[n].unanswered++
				} else {
					each[n].took = append(each[n].took, time.Since(started))
				}
				if now := time.Now(); due.Before(now.Add(-pause)) {
					due = now.Add(-pause) // what is missed is not made up for
				}
			}
		})
	}
	working.Wait()
	all.time = lasts
	for _, t := range each {
		all.took = append(all.took, t.took...)
		all.unanswered += t.unanswered
	}
	return all
}
