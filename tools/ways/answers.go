package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"januscdr/internal/fixtures/procs"
)

// bare is the handler that ingest is compared with: it reads a body and answers 200.
func bare(ctx context.Context, at string) error {
	server := &http.Server{Addr: at, ReadHeaderTimeout: answerTime,
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// startBare starts it as a process of its own.
func startBare(ctx context.Context, c *procs.Cluster, address string) (*procs.Service, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &procs.Service{Name: "bare", Args: []string{self, "-role", "bare", "-at", address},
		Log: filepath.Join(c.Place.Dir, "bare.log"), Env: procs.WithoutOurs(),
		Died: func(_ *procs.Service, err error) { c.Complaints.Add("the bare handler ended: %v", err) }}
	if err := s.Start(); err != nil {
		return nil, err
	}
	for until := time.Now().Add(ready); ; procs.Sleep(ctx, 20*time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return s, conn.Close()
		}
		if ctx.Err() != nil || time.Now().After(until) {
			s.Close()
			return nil, err
		}
	}
}

// answers measures what an answer costs: of the bare handler, of ingest when Kafka is there, and of ingest when it is
// not, so that it is the spool's fsync. One sender waits for each, so each has an fsync of its own; many share them.
func answers(ctx context.Context, o *options, c *procs.Cluster) error {
	ingest := c.Ingests[0]
	address := fmt.Sprintf("127.0.0.1:%d", c.Place.Port+99)
	handler, err := startBare(ctx, c, address)
	if err != nil {
		return err
	}
	defer handler.Close()
	fmt.Printf("%-24s %8s %8s %10s %10s %8s %8s %14s\n", "where", "senders", "events", "answers/s", "events/s", "p50 ms",
		"p99 ms", "CPU us/event")
	row := func(where string, s *procs.Service, at string, senders, events int) error {
		m := measure(ctx, s, "http://"+at+"/events", senders, events, o.window)
		fmt.Printf("%-24s %8d %8d %s\n", where, senders, events, m)
		if m.failed > 0 {
			c.Complaints.Add("%s: %d posts of %d senders were not answered", where, m.failed, senders)
		}
		return ctx.Err()
	}
	shapes := [][2]int{{1, 1}, {1, mostOfABody}, {64, 1}, {64, mostOfABody}}
	for _, shape := range shapes {
		if err := row("bare handler", handler, address, shape[0], shape[1]); err != nil {
			return err
		}
		if err := row("ingest, Kafka", ingest, c.IngestAddress(0), shape[0], shape[1]); err != nil {
			return err
		}
	}
	if err := c.Kafka.Stop(); err != nil {
		return err
	}
	// The first body finds out that Kafka is away, and goes to the spool after it has waited; those behind it go there
	// at once.
	client := &http.Client{Timeout: answerTime}
	if err := procs.Post(ctx, client, "http://"+c.IngestAddress(0)+"/events", "", "", body(0, 0, 1)); err != nil {
		return err
	}
	for _, shape := range shapes {
		if err := row("ingest, spool", ingest, c.IngestAddress(0), shape[0], shape[1]); err != nil {
			return err
		}
	}
	return nil
}

// measured is what became of posts for a while.
type measured struct {
	took   []time.Duration
	failed int64
	events int
	wall   time.Duration
	cpu    time.Duration // of the process that was asked
}

// measure lets senders post one body after the other, each a new one over a new connection, as Janus does.
func measure(ctx context.Context, s *procs.Service, url string, senders, events int, window time.Duration) measured {
	m := measured{events: events}
	var mu sync.Mutex
	var working sync.WaitGroup
	cpu, began := processorTime(s.PID()), time.Now()
	for n := range senders {
		working.Go(func() {
			client := &http.Client{Timeout: answerTime, Transport: &http.Transport{DisableKeepAlives: true}}
			var took []time.Duration
			for time.Since(began) < window && ctx.Err() == nil {
				from := posted.Add(int64(events)) - int64(events)
				sent := body(n, from, from+int64(events))
				first := time.Now()
				if err := procs.Post(ctx, client, url, "", "", sent); err != nil {
					atomic.AddInt64(&m.failed, 1)
					continue
				}
				took = append(took, time.Since(first))
			}
			mu.Lock()
			defer mu.Unlock()
			m.took = append(m.took, took...)
		})
	}
	working.Wait()
	m.wall, m.cpu = time.Since(began), processorTime(s.PID())-cpu
	slices.Sort(m.took)
	return m
}

// posted numbers events, so that none is a repetition.
var posted atomic.Int64

func (m measured) String() string {
	if len(m.took) == 0 {
		return "nothing was answered"
	}
	ms := func(share int) float64 {
		return float64(m.took[len(m.took)*share/100]) / float64(time.Millisecond)
	}
	answers := float64(len(m.took)) / m.wall.Seconds()
	return fmt.Sprintf("%10.0f %10.0f %8.2f %8.2f %14.1f", answers, answers*float64(m.events), ms(50), ms(99),
		float64(m.cpu.Microseconds())/float64(len(m.took)*m.events))
}

// ticks is how many times a second Linux counts the processor time of processes.
const ticks = 100

// processorTime is what a process has taken, of user and system.
func processorTime(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticks
}
