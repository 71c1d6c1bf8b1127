package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/hashicorp/go-hclog"
)

var brokenConnections = flag.Int("broken", 200, "connections of each source that break")

// processHolds is what the process holds.
type processHolds struct {
	goroutines, descriptors int
	heap                    uint64
}

func holds(t *testing.T) (h processHolds) {
	t.Helper()
	runtime.GC()
	runtime.GC() // what finalizers have let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this machine does not tell what a process holds")
	}
	return processHolds{runtime.NumGoroutine(), len(descriptors), m.HeapAlloc}
}

// grown tells whether a process holds more than it did, and than chance explains.
func (h processHolds) grown(before processHolds) bool {
	return h.goroutines > before.goroutines+8 || h.descriptors > before.descriptors+8 ||
		h.heap > before.heap+before.heap/10+4<<20
}

// many breaks connections, some at a time, and complains when that leaves something behind. The first ones, a tenth,
// are not counted: they make what is made once.
func many(t *testing.T, breakOne func(n int) error) {
	t.Helper()
	var n atomic.Int64
	do := func(count int) {
		var working sync.WaitGroup
		end := n.Load() + int64(count)
		for range 16 {
			working.Go(func() {
				for i := n.Add(1); i <= end; i = n.Add(1) {
					if err := breakOne(int(i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		working.Wait()
		n.Store(end)
	}
	do(max(*brokenConnections/10, 100))
	var before processHolds
	settles := func(is func() bool) bool {
		for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
			if is() {
				return true
			}
		}
		return false
	}
	settles(func() bool { // until what the first ones left is gone
		last := before
		before = holds(t)
		return before.goroutines == last.goroutines && before.descriptors == last.descriptors
	})
	do(*brokenConnections)
	var after processHolds
	if !settles(func() bool { after = holds(t); return !after.grown(before) }) {
		t.Errorf("after %d broken connections: %+v, before: %+v", *brokenConnections, after, before)
	}
	t.Logf("%d broken connections: from %d to %d goroutines, %d to %d descriptors, %d to %d KiB of heap",
		*brokenConnections, before.goroutines, after.goroutines, before.descriptors, after.descriptors, before.heap>>10,
		after.heap>>10)
}

// snap ends a connection at once, as a machine does that goes away and comes back.
func snap(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

// dialAndBreak opens a connection, says one of some beginnings, and breaks it.
func dialAndBreak(network string, address func() string, begins ...string) func(int) error {
	return func(n int) error {
		conn, err := net.DialTimeout(network, address(), patience)
		for errors.Is(err, syscall.EAGAIN) { // a socket of a file is not waited for when many connect
			runtime.Gosched()
			conn, err = net.DialTimeout(network, address(), patience)
		}
		if err != nil {
			return err
		}
		defer snap(conn)
		_, _ = io.WriteString(conn, begins[n%len(begins)])
		if n%3 == 0 { // an end in order, of our half
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.CloseWrite()
				_ = tcp.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				_, _ = conn.Read(make([]byte, 1))
			}
		}
		return nil
	}
}

// quiet writes no log: a line for each connection would be what grows.
func quiet(o *Options) { o.Delivery, o.Log = time.Second, hclog.NewNullLogger() }

func TestConnectionsThatBreakLeaveNothingBehind(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		s := open(t, quiet)
		many(t, dialAndBreak("tcp", func() string { return s.web.Addr().String() }, "", "POST /ev",
			"POST /events HTTP/1.1\r\nHost: i\r\n",
			"POST /events HTTP/1.1\r\nHost: i\r\nContent-Length: 100\r\n\r\n[{", "\x16\x03\x01\x02\x00\x01garbage\r\n\r\n",
			"POST /events HTTP/1.1\r\nHost: i\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[{\"ty\r\n"))
	})
	t.Run("websocket", func(t *testing.T) {
		source := &WebSocket{Listen: "127.0.0.1:0"}
		openWith(t, source, quiet)
		shake := handshake("/events")
		many(t, dialAndBreak("tcp", func() string { return source.Addr().String() }, "", "GET /events HTTP/1.1\r\n", shake,
			shake+frame(0x81, "[{")[:3], shake+"\xff\xff\xff\xff", shake+frame(0x01, "[{")))
	})
	t.Run("nanomsg", func(t *testing.T) {
		source := &Nanomsg{Listen: []string{"tcp://127.0.0.1:0"}}
		openWith(t, source, quiet)
		many(t, dialAndBreak("tcp", func() string { return source.Addrs()[0].String() }, "", "\x00SP", published,
			published+"\x00\x00\x00\x00\x00\x00\x01\x00[{", published+"\xff\xff\xff\xff\xff\xff\xff\xff", "garbage!"))
	})
	t.Run("nanomsg by ipc", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		openWith(t, &Nanomsg{Listen: []string{"ipc://" + path}}, quiet)
		many(t, dialAndBreak("unix", func() string { return path }, "", "\x00SP", published, published+"\x01\x00\x00"))
	})
	t.Run("gelf by tcp", func(t *testing.T) {
		source := &GELF{TCP: "127.0.0.1:0"}
		openWith(t, source, quiet)
		many(t, dialAndBreak("tcp", func() string { return source.TCPAddr().String() }, "", "{", `{"full_message":{"emi`))
	})
	t.Run("gelf by udp, of which a chunk is missing", func(t *testing.T) {
		source := &GELF{UDP: "127.0.0.1:0"}
		openWith(t, source, quiet)
		many(t, func(n int) error {
			conn, err := net.Dial("udp", source.UDPAddr().String())
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = fmt.Fprintf(conn, "\x1e\x0f%s\x00\x02{", binary.BigEndian.AppendUint64(nil, uint64(n)))
			return err
		})
	})
}

// hostileServer answers connections with one of some beginnings, and breaks them.
func hostileServer(t *testing.T, answers ...string) (address string, broken *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	broken = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n := broken.Add(1)
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			if n%2 == 0 {
				_, _ = conn.Read(make([]byte, 512))
			}
			_, _ = io.WriteString(conn, answers[int(n)%len(answers)])
			snap(conn)
		}
	}()
	return l.Addr().String(), broken
}

func TestServersThatBreakConnectionsLeaveNothingBehind(t *testing.T) {
	s := open(t, quiet)
	s.until("bodies are let in", func() bool {
		select {
		case <-s.web.receiver.Ready():
			return true
		default:
			return false
		}
	})
	t.Run("rabbitmq", func(t *testing.T) {
		address, _ := hostileServer(t, "", "AMQP\x00\x00\x09\x01", "\x01\x00\x00\x00\x00\x00\xff", "garbage")
		source := &RabbitMQ{URL: "amqp://" + address + "/", receiver: s.web.receiver}
		many(t, func(int) error {
			if err := source.consume(t.Context(), t.Context()); err == nil {
				return fmt.Errorf("a broken connection of rabbitmq is no error")
			}
			return nil
		})
	})
	t.Run("nanomsg", func(t *testing.T) {
		address, _ := hostileServer(t, "", "\x00SP", published, published+"\x00\x00\x00\x00\x00\x00\x01\x00[{", "garbage!")
		source := &Nanomsg{receiver: s.web.receiver}
		many(t, func(int) error {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				return nil // it broke before it was one
			}
			defer conn.Close()
			_ = source.take(t.Context(), t.Context(), conn, address)
			return nil
		})
	})
	t.Run("mqtt", func(t *testing.T) {
		address, _ := hostileServer(t, "", "\x20\x02\x00\x00", "\x20\x02\x01\x05", "\x20\x02\x00\x00\x30\xff\xff\xff",
			"garbage")
		source := mqttSource(address, "broken")
		source.receiver = s.web.receiver
		many(t, func(int) error {
			hand, cancel := context.WithCancel(t.Context())
			defer cancel()
			lane := newLane(hand, source.receiver)
			defer lane.close()
			options := source.options(hand, lane).SetConnectRetry(false).SetAutoReconnect(false)
			lost := make(chan struct{})
			options.SetConnectionLostHandler(func(mqtt.Client, error) { close(lost) })
			client := mqtt.NewClient(options)
			token := client.Connect()
			token.Wait()
			if token.Error() == nil {
				select {
				case <-lost:
				case <-time.After(patience):
					return fmt.Errorf("a broken connection of mqtt is not noticed")
				}
			}
			client.Disconnect(0)
			return nil
		})
	})
}
