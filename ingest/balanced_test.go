package ingest

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/spool"
)

// balancer passes each connection on to one of some addresses, as a balancer for TCP does.
func balancer(t *testing.T, pick func(from net.Addr) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				to, err := net.Dial("tcp", pick(conn.RemoteAddr()))
				if err != nil {
					return
				}
				defer to.Close()
				go func() {
					_, _ = io.Copy(to, conn)
					_ = to.(*net.TCPConn).CloseWrite()
				}()
				_, _ = io.Copy(conn, to)
			}()
		}
	}()
	return l.Addr().String()
}

// another is one more ingest of a site, with the same Kafka.
func (s *site) another() *HTTP {
	s.t.Helper()
	web := &HTTP{Listen: "127.0.0.1:0"}
	o := s.options
	o.Sources, o.Registerer = []Source{web}, nil
	if o.Spool != nil {
		o.Spool = &spool.Options{Dir: s.t.TempDir()}
	}
	server, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := server.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { server.Stop() })
	return web
}

// januses send as Janus does: each one body after the other, over a new connection, again until there is an answer.
func januses(t *testing.T, address string, servers, bodies int, each func(server, body int)) {
	t.Helper()
	var working sync.WaitGroup
	for n := range servers {
		working.Go(func() {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 3, byte(n+1))}}
			client := &http.Client{Timeout: 10 * time.Second,
				Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
			for body := range bodies {
				each(n, body)
				var events []string
				for e := range 3 {
					events = append(events, attached(uint64(n+1), body*3+e))
				}
				sent := []byte("[" + strings.Join(events, ",") + "]")
				for until := time.Now().Add(patience); ; {
					answer, err := client.Post("http://"+address+"/events", "application/json", bytes.NewReader(sent))
					if err == nil {
						answer.Body.Close()
						if answer.StatusCode == http.StatusOK {
							break
						}
					}
					if time.Now().After(until) {
						t.Errorf("body %d of %d has no answer: %v", body, n, err)
						return
					}
				}
			}
		})
	}
	working.Wait()
}

// ordered complains of sessions that are not whole, or not in order; repetitions are taken out and counted.
func (s *site) ordered(servers, events int) (repeated int) {
	s.t.Helper()
	var parser janus.Parser
	came := map[janus.SessionID][]string{}
	for _, r := range s.events() {
		e, err := parser.Parse(r.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		if text := string(r.Value); slices.Contains(came[e.Session], text) {
			repeated++
		} else {
			came[e.Session] = append(came[e.Session], text)
		}
	}
	for n := range servers {
		var want []string
		for e := range events {
			want = append(want, attached(uint64(n+1), e))
		}
		if got := came[janus.SessionID(n+1)]; !slices.Equal(got, want) {
			at := 0
			for at < min(len(got), len(want)) && got[at] == want[at] {
				at++
			}
			s.t.Errorf("session %d: %d events, want %d; from the %d. on they are not in order", n+1, len(got), len(want), at+1)
		}
	}
	return repeated
}

func TestIngestsBehindABalancerKeepTheOrderOfSessionsOfWhichEachBodyIsAnsweredBeforeTheNext(t *testing.T) {
	s := open(t, nil)
	ingests := []string{s.web.Addr().String(), s.another().Addr().String(), s.another().Addr().String()}
	var turn atomic.Int64
	address := balancer(t, func(net.Addr) string { return ingests[int(turn.Add(1))%len(ingests)] })
	januses(t, address, 6, 40, func(int, int) {})
	if repeated := s.ordered(6, 120); repeated > 0 {
		t.Errorf("%d events are there twice", repeated)
	}
}

func TestIngestsWithSpoolsKeepTheOrderOfSessionsBehindABalancerThatKnowsTheAddress(t *testing.T) {
	s := open(t, func(o *Options) { spooling(t, o) })
	second := s.another()
	ingests := []string{s.web.Addr().String(), second.Addr().String()}
	address := balancer(t, func(from net.Addr) string {
		host, _, _ := net.SplitHostPort(from.String())
		last, _ := strconv.Atoi(host[strings.LastIndexByte(host, '.')+1:])
		return ingests[last%len(ingests)]
	})
	kafkaAddress := s.broker.Addrs()[0]
	var away, back sync.Once
	januses(t, address, 4, 40, func(server, body int) {
		switch {
		case body == 10:
			away.Do(func() { s.broker.Close() })
		case body == 25 && server == 0:
			back.Do(func() { s.startBroker(kafkaAddress) })
		}
	})
	s.until("all that waited is in Kafka", func() bool {
		ends, err := kafka.CommittedRanges(s.context(), s.client(), "events")
		if err != nil {
			return false
		}
		var all int64
		for _, r := range ends {
			all += r.To
		}
		return all >= 4*120 && s.waiting() == 0 && second.receiver.publisher.(*spooledPublisher).spool.Empty()
	})
	t.Logf("%d events are there twice", s.ordered(4, 120))
}
