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
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"januscdr/internal/fixtures/procs"
	"januscdr/kafka"
)

const (
	hostileAnswer = 30 * time.Second // after that a request was left neither answered nor unanswered
	fewGoroutines = 30               // more after all than in the middle: connections of Kafka come and go
	fewFiles      = 20
	muchMemory    = 64 << 20
)

// fate is what became of a hostile request.
type fate int

const (
	answered   fate = iota // 200: all of it is in the log or parked
	protocol               // 4xx or 5xx of HTTP itself: it is no request
	unanswered             // the connection was closed without a byte
	fates
)

func (f fate) String() string { return [...]string{"answered", "no HTTP", "unanswered"}[f] }

// hostileRun sends damaged requests and knows what must come of them.
type hostileRun struct {
	site    *site
	seed    uint64
	dir     string
	next    atomic.Int64 // number of the next request
	fates   [fates]atomic.Int64
	faults  atomic.Int64
	due     neighbours // events beside a damaged one, or alone, that were answered
	inLog   neighbours
	good    atomic.Int64 // posts of good senders that were answered
	refused atomic.Int64 // and that were not
}

// neighbours are well-formed events by their numbers.
type neighbours struct {
	mu  sync.Mutex
	set []uint64
}

func (n *neighbours) add(number int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for int64(len(n.set)) <= number>>6 {
		n.set = append(n.set, 0)
	}
	n.set[number>>6] |= 1 << (number & 63)
}

// without counts those that are not in another set, and how many there are in all.
func (n *neighbours) without(other *neighbours) (missing, all int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	other.mu.Lock()
	defer other.mu.Unlock()
	for number := range int64(len(n.set)) << 6 {
		if n.set[number>>6]&(1<<(number&63)) == 0 {
			continue
		}
		all++
		if number>>6 >= int64(len(other.set)) || other.set[number>>6]&(1<<(number&63)) == 0 {
			missing++
		}
	}
	return missing, all
}

// hostile sends so many damaged requests, and checks that each had an end that is documented, that every well-formed
// event beside a damaged one is in the log, and that ingest holds no more after it than in the middle of it.
func (s *site) hostile(ctx context.Context, seed uint64, dir string, count, workers int) error {
	h := &hostileRun{site: s, seed: seed, dir: dir}
	reading, stop := context.WithCancel(ctx)
	read := make(chan error, 1)
	go func() { read <- h.read(reading) }()
	fmt.Printf("%d damaged requests, seed %d\n\n%10s %8s %10s %10s %10s %8s %8s %6s %10s %10s\n", count, seed, "requests",
		"per s", "answered", "no HTTP", "unanswered", "good", "RSS MiB", "fds", "goroutines", "heap MiB")
	var middle, last numbers
	began := time.Now()
	for part := 1; part <= 10; part++ {
		if err := h.send(ctx, int64(count)*int64(part)/10, workers); err != nil {
			stop()
			return err
		}
		if err := s.settle(ctx); err != nil {
			stop()
			return err
		}
		n, err := s.numbers(ctx)
		if err != nil {
			stop()
			return err
		}
		if last = n; part == 5 {
			middle = n
		}
		done := h.fates[answered].Load() + h.fates[protocol].Load() + h.fates[unanswered].Load()
		fmt.Printf("%10d %8.0f %10d %10d %10d %8d %8d %6.0f %10.0f %10d\n", done, float64(done)/time.Since(began).Seconds(),
			h.fates[answered].Load(), h.fates[protocol].Load(), h.fates[unanswered].Load(), h.good.Load(), n.now>>20,
			n.descriptors, n.goroutines, n.heap>>20)
	}
	missing, all := h.awaitLog(ctx)
	stop()
	if err := <-read; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	fmt.Printf("\n%d well-formed neighbours were answered, %d of them are not in the log\n", all, missing)
	return h.verdict(missing, middle, last)
}

func (h *hostileRun) verdict(missing int, middle, last numbers) error {
	var wrong []string
	say := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	say(missing > 0, "%d neighbours are lost", missing)
	say(h.faults.Load() > 0, "%d requests had no end that is documented", h.faults.Load())
	say(h.refused.Load() > 0, "%d good posts were not answered", h.refused.Load())
	say(last.descriptors > middle.descriptors+fewFiles, "descriptors rise from %.0f to %.0f", middle.descriptors,
		last.descriptors)
	say(last.goroutines > middle.goroutines+fewGoroutines, "goroutines rise from %.0f to %.0f", middle.goroutines,
		last.goroutines)
	say(last.heap > middle.heap+muchMemory, "the heap rises from %d to %d MiB", middle.heap>>20, last.heap>>20)
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// send sends requests up to a number, beside a good sender.
func (h *hostileRun) send(ctx context.Context, to int64, workers int) error {
	sending, stop := context.WithCancel(ctx)
	var working, beside sync.WaitGroup
	beside.Go(func() { h.goodBeside(sending) })
	for w := range workers {
		working.Go(func() {
			from := net.IPv4(127, 0, 3, byte(w+1))
			for ctx.Err() == nil {
				number := h.next.Add(1)
				if number > to {
					h.next.Add(-1)
					return
				}
				h.strike(ctx, from, number)
			}
		})
	}
	working.Wait()
	stop()
	beside.Wait()
	return ctx.Err()
}

// goodBeside posts well-formed bodies until the context ends; the one that is then under way is not counted.
func (h *hostileRun) goodBeside(ctx context.Context) {
	from := newSender(h.site.addr, 0)
	for ctx.Err() == nil {
		number := posted.Add(1)
		err := from.post(ctx, []byte(numbered(2*goodNumbers+number)))
		switch {
		case err == nil:
			h.good.Add(1)
			h.due.add(2*goodNumbers + number)
		case ctx.Err() == nil:
			h.refused.Add(1)
		}
		procs.Sleep(ctx, 10*time.Millisecond)
	}
}

// goodNumbers is beyond the numbers of hostile requests.
const goodNumbers = 1 << 24

// numbered is the well-formed event of a number.
func numbered(number int64) string { return event(number+1, number) }

// strike sends one request and sees what becomes of it.
func (h *hostileRun) strike(ctx context.Context, from net.IP, number int64) {
	r := makeRequest(h.seed, number)
	f, status, err := h.fateOf(ctx, from, r)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		h.faults.Add(1)
		name := filepath.Join(h.dir, fmt.Sprintf("fault-%d", number))
		_ = os.WriteFile(name, r.bytes, 0o600)
		fmt.Printf("request %d (%s): %v, see %s\n", number, r.kind, err, name)
		return
	}
	h.fates[f].Add(1)
	if f == answered && status == http.StatusOK {
		for _, n := range r.neighbours {
			h.due.add(n)
		}
	}
}

// fateOf sends a request and reads to the end of the connection.
func (h *hostileRun) fateOf(ctx context.Context, from net.IP, r request) (fate, int, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: hostileAnswer}
	conn, err := dialer.DialContext(ctx, "tcp", h.site.addr)
	if err != nil {
		return 0, 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetDeadline(time.Now().Add(hostileAnswer)); err != nil {
		return 0, 0, err
	}
	_, _ = conn.Write(r.bytes)           // ingest may have had enough before its end
	_ = conn.(*net.TCPConn).CloseWrite() // or it would wait for the rest of some
	said, err := io.ReadAll(io.LimitReader(conn, 64<<10))
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return 0, 0, fmt.Errorf("neither answered nor left after %v", hostileAnswer)
	}
	if len(said) == 0 {
		return unanswered, 0, nil
	}
	return fateOfAnswer(string(said))
}

// fateOfAnswer reads the first line of an answer.
func fateOfAnswer(said string) (fate, int, error) {
	var status int
	if _, err := fmt.Sscanf(said, "HTTP/1.1 %d", &status); err != nil {
		if _, err := fmt.Sscanf(said, "HTTP/1.0 %d", &status); err != nil {
			return 0, 0, fmt.Errorf("answer %.60q", said)
		}
	}
	switch status {
	case http.StatusOK:
		return answered, status, nil
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusExpectationFailed,
		http.StatusRequestHeaderFieldsTooLarge, http.StatusNotImplemented, http.StatusHTTPVersionNotSupported,
		http.StatusContinue, http.StatusUnprocessableEntity:
		return protocol, status, nil
	}
	return 0, status, fmt.Errorf("answer %d", status)
}

// read takes note of the numbered events in the log until the context ends.
func (h *hostileRun) read(ctx context.Context) error {
	o := kafka.Options{Brokers: h.site.brokers}
	client, err := kafka.NewClient(o)
	if err != nil {
		return err
	}
	ranges, err := kafka.CommittedRanges(ctx, client, h.site.topics.Events)
	client.Close()
	if err != nil {
		return err
	}
	for p, r := range ranges {
		r.To = -1
		ranges[p] = r
	}
	reader, err := kafka.NewReader(o, h.site.topics.Events, ranges)
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		records, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		for _, r := range records {
			if number, ok := numberOf(r.Value); ok {
				h.inLog.add(number)
			}
		}
	}
}

// numberOf is the number of a well-formed event that nothing was done to.
func numberOf(value []byte) (int64, bool) {
	var at, session int64
	text := string(value)
	const begin = `{"emitter":"good","type":2,"timestamp":%d,"session_id":%d,`
	if _, err := fmt.Sscanf(text, begin, &at, &session); err != nil {
		return 0, false
	}
	return session - 1, text == numbered(session-1)
}

// awaitLog waits until all neighbours are in the log, or no more come.
func (h *hostileRun) awaitLog(ctx context.Context) (missing, all int) {
	for until := time.Now().Add(ready); time.Now().Before(until); {
		if missing, all = h.due.without(&h.inLog); missing == 0 || !procs.Sleep(ctx, 500*time.Millisecond) {
			break
		}
	}
	return missing, all
}
