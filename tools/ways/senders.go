package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"januscdr/internal/fixtures/procs"
)

const (
	answerTime  = 10 * time.Second // that Janus waits
	sendAgain   = 100 * time.Millisecond
	mostOfABody = 100 // events, as Janus has
	sessions    = 5   // of each sender
	begin       = int64(1_800_000_000_000_000)
)

// report is the inside of the reports of a medium, as large as they are.
const report = `"mid":"0","mindex":0,"media":"audio","base":48000,"rtt":1,"lost":0,"lost-by-remote":0,` +
	`"jitter-local":2,"jitter-remote":3,"in-link-quality":100,"in-media-link-quality":100,"out-link-quality":100,` +
	`"out-media-link-quality":100,"packets-received":5021,"packets-sent":5020,"bytes-received":421764,` +
	`"bytes-sent":421680,"bytes-received-lastsec":4200,"bytes-sent-lastsec":4200,"nacks-received":0,"nacks-sent":0,` +
	`"retransmissions-received":0`

// sessionOf is the session of the n-th event of a sender, and momentOf its timestamp, by which it is known again.
func sessionOf(sender int, n int64) int64 { return int64(sender+1)*1000 + n%sessions }
func momentOf(n int64) int64              { return begin + n }

// body is that of some events of a sender, in a row.
func body(sender int, from, to int64) []byte {
	var b bytes.Buffer
	for n := from; n < to; n++ {
		b.WriteByte("[,"[min(n-from, 1)])
		fmt.Fprintf(&b, `{"emitter":"janus-%d","type":32,"subtype":3,"timestamp":%d,"session_id":%d,"handle_id":%d,`+
			`"event":{%s}}`, sender, momentOf(n), sessionOf(sender, n), 7000+n%sessions, report)
	}
	b.WriteByte(']')
	return b.Bytes()
}

// load is what all senders do together.
type load struct {
	url      string
	rate     float64      // events a second, of each
	faults   atomic.Int64 // that began or ended so far: what is on its way meanwhile may come twice
	stop     atomic.Bool  // no new events
	senders  []*sender
	working  sync.WaitGroup
	answered atomic.Int64 // events
}

// sender is a Janus.
type sender struct {
	number   int
	answered int64           // its events below that number are safe
	twice    map[int64]int64 // for the events of bodies that were on their way at a fault: how often
	longest  time.Duration   // between a body's first post and its answer
}

func startLoad(ctx context.Context, o *options, address string) *load {
	l := &load{url: "http://" + address + "/events", rate: o.rate / float64(o.senders)}
	for n := range o.senders {
		s := &sender{number: n, twice: map[int64]int64{}}
		l.senders = append(l.senders, s)
		l.working.Go(func() { s.run(ctx, l) })
	}
	return l
}

// end lets the senders send what they have, and waits for it.
func (l *load) end() {
	l.stop.Store(true)
	l.working.Wait()
}

// fault notes that something is about to be killed or stopped, or has been.
func (l *load) fault() { l.faults.Add(1) }

func (s *sender) run(ctx context.Context, l *load) {
	client := &http.Client{Timeout: answerTime, Transport: &http.Transport{DisableKeepAlives: true}}
	began := time.Now()
	for ctx.Err() == nil {
		stopped := l.stop.Load()
		due := min(int64(time.Since(began).Seconds()*l.rate), s.answered+mostOfABody)
		if due == s.answered {
			if stopped {
				return
			}
			procs.Sleep(ctx, time.Duration(10/l.rate*float64(time.Second)))
			continue
		}
		if stopped && due < s.answered+mostOfABody { // what is left is as much as came since we were told
			l.post(ctx, client, s, due)
			return
		}
		l.post(ctx, client, s, due)
	}
}

// post sends the events up to a number until there is an answer.
func (l *load) post(ctx context.Context, client *http.Client, s *sender, to int64) {
	sent, first := body(s.number, s.answered, to), time.Now()
	for ctx.Err() == nil {
		faults, began := l.faults.Load(), time.Now()
		err := procs.Post(ctx, client, l.url, "", "", sent)
		if err != nil || faults != l.faults.Load() || time.Since(began) > time.Second {
			for n := s.answered; n < to; n++ {
				s.twice[n]++
			}
		}
		if err == nil {
			l.answered.Add(to - s.answered)
			s.answered, s.longest = to, max(s.longest, time.Since(first))
			return
		}
		procs.Sleep(ctx, sendAgain)
	}
}

// read finds sender and number of an event.
func read(value []byte) (sender int, n int64, err error) {
	number := func(key string) (int64, error) {
		_, rest, _ := strings.Cut(string(value), key)
		return strconv.ParseInt(rest[:max(strings.IndexByte(rest, ','), 0)], 10, 64)
	}
	at, err := number(`"timestamp":`)
	if err != nil {
		return 0, 0, fmt.Errorf("event without a timestamp: %.80s", value)
	}
	session, err := number(`"session_id":`)
	if err != nil {
		return 0, 0, fmt.Errorf("event without a session: %.80s", value)
	}
	return int(session/1000) - 1, at - begin, nil
}
