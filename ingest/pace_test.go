package ingest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// drip sends so many bytes, so many each second.
func drip(to net.Conn, bytes, each int) {
	for ; bytes > 0; bytes -= each {
		if _, err := to.Write(make([]byte, min(bytes, each))); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
	to.Close()
}

// dripped reads what is dripped into a connection, in a bubble of time.
func dripped(t *testing.T, bytes, each int, read func(t *testing.T, from net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		from, to := net.Pipe()
		var sending sync.WaitGroup
		defer sending.Wait()
		defer from.Close()
		sending.Go(func() { drip(to, bytes, each) })
		read(t, from)
	})
}

func TestABodyThatComesTooSlowlyIsLeft(t *testing.T) {
	for _, scene := range []struct {
		name        string
		bytes, each int
		wait        time.Duration // for memory, before each read
		err         error
		after       time.Duration
	}{
		{"fast enough", 6_000, 1024, 0, nil, 6 * time.Second},
		{"slow and small", 290, 100, 0, nil, 3 * time.Second},
		{"slow", 100_000, 100, 0, errSlow, 3*time.Second + 400*time.Second/1024},
		{"fast enough for our own slowness", 4_000, 1000, 3 * time.Second, nil, 4 * 3 * time.Second},
		{"fast and endless", 1 << 30, 1 << 20, 0, os.ErrDeadlineExceeded, 8 * time.Second},
	} {
		t.Run(scene.name, func(t *testing.T) {
			dripped(t, scene.bytes, scene.each, func(t *testing.T, from net.Conn) {
				began := time.Now()
				p := &pace{in: from, deadline: from.SetReadDeadline, end: began.Add(8 * time.Second), grace: slowGrace, rate: 1024}
				if scene.wait > 0 {
					p.end = began.Add(time.Minute)
				}
				var err error
				for b := make([]byte, 1<<20); err == nil; _, err = p.Read(b) {
					time.Sleep(scene.wait)
				}
				if errors.Is(err, io.EOF) {
					err = nil
				}
				if !errors.Is(err, scene.err) || scene.err != nil && !errors.Is(scene.err, errSlow) && errors.Is(err, errSlow) {
					t.Errorf("got %v, want %v", err, scene.err)
				}
				if took := time.Since(began).Round(time.Millisecond); scene.wait == 0 && took > scene.after+time.Millisecond {
					t.Errorf("took %v, want %v", took, scene.after)
				}
			})
		})
	}
}

func TestABodyThatPaysIsNotReadAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := net.Pipe()
		defer from.Close()
		defer to.Close()
		p := &pace{in: from, deadline: from.SetReadDeadline, end: time.Now().Add(time.Hour)}
		read := make(chan error)
		go func() {
			for range 2 {
				_, err := p.Read(make([]byte, 1))
				read <- err
			}
		}()
		synctest.Wait()
		p.cut()
		for range 2 {
			if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want the end", err)
			}
		}
	})
}

func TestAMessageThatIsDrippedEndsItsConnection(t *testing.T) {
	for _, scene := range []struct {
		name        string
		bytes, each int
		err         error
		after       time.Duration
	}{
		{"fast enough", 256 << 10, 1024, nil, 256 * time.Second},
		{"slow and small", 2_900, 100, nil, 29 * time.Second},
		{"slow", 256 << 10, 100, errSlow, 33 * time.Second}, // what came earned it 3 s more
	} {
		t.Run(scene.name, func(t *testing.T) {
			dripped(t, scene.bytes, scene.each, func(t *testing.T, from net.Conn) {
				began := time.Now()
				got, err := io.ReadAll(&brisk{in: from, cut: func() { from.Close() }, rate: 1024})
				if !errors.Is(err, scene.err) || err == nil && len(got) != scene.bytes {
					t.Errorf("got %d bytes and %v, want %d and %v", len(got), err, scene.bytes, scene.err)
				}
				if took := time.Since(began).Round(time.Second); took > scene.after {
					t.Errorf("took %v, want %v", took, scene.after)
				}
			})
		})
	}
}

func TestASlowBodyIsCounted(t *testing.T) {
	s := open(t, func(o *Options) { o.MinRate, o.Delivery = 1<<20, time.Second })
	s.silence("POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n[")
	if got := s.count("refused_total", "slow"); got != 1 {
		t.Errorf("counted %v, want 1", got)
	}
}
