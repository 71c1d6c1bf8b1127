package ingest

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// dial opens a connection to the port, and sends the beginning of a request.
func (s *site) dial(begin string) *net.TCPConn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.web.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, begin); err != nil {
		s.t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func TestWhoPromisesMuchAndSendsLittleTakesLittle(t *testing.T) {
	const limit, slow = 1 << 20, 8
	for name, promise := range map[string]string{
		"by its length": fmt.Sprintf("Content-Length: %d\r\n\r\n[", limit),
		"in chunks":     "Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(o *Options) { o.BodyLimit, o.EventLimit, o.InflightMax = limit, limit, 2*limit })
			for range slow {
				s.dial("POST /events HTTP/1.1\r\nHost: x\r\n" + promise)
			}
			s.until("each has the room of a body that begins",
				func() bool { return s.count("inflight_bytes", "") == slow*firstRoom })
			s.accepted([]byte(attached(1, 1)))
		})
	}
}

func TestABodyThatComesInPiecesIsTheSameBody(t *testing.T) {
	for _, length := range []int{1, firstRoom - 1, firstRoom, firstRoom + 1, roomFactor * firstRoom, 5 * firstRoom} {
		s := open(t, nil)
		event := attached(1, 1)
		body := event + strings.Repeat(" ", max(0, length-len(event)))
		pieces := struct{ io.Reader }{io.MultiReader(strings.NewReader(body[:1]), strings.NewReader(body[1:]))}
		if status, err := s.postReader(pieces); err != nil || status != 200 {
			t.Fatalf("%d bytes: got %d, %v, want 200", length, status, err)
		}
		if got := s.events(); len(got) != 1 || string(got[0].Value) != event {
			t.Errorf("%d bytes: %d events, want the one that was sent", length, len(got))
		}
		s.until("its memory is given back", func() bool { return s.count("inflight_bytes", "") == 0 })
	}
}

func TestABodyInChunksThatBreaksOffIsNotTaken(t *testing.T) {
	s := open(t, nil)
	event := attached(1, 1)
	conn := s.dial(fmt.Sprintf("POST /events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n",
		len(event), event))
	conn.CloseWrite()
	if said, _ := io.ReadAll(conn); len(said) > 0 {
		t.Fatalf("got %q, want no answer", said)
	}
	s.until("it is counted", func() bool { return s.count("bodies_total", "aborted") == 1 })
	if got := len(s.events()); got != 0 {
		t.Errorf("%d events, want none", got)
	}
}

func TestAClientThatClosesItsHalfGetsItsAnswer(t *testing.T) {
	s := open(t, nil)
	reached, release := s.cutProduce()
	event := attached(1, 1)
	conn := s.dial(fmt.Sprintf("POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(event), event))
	<-reached
	conn.CloseWrite()
	release()
	said, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(said), "HTTP/1.1 200 ") {
		t.Fatalf("got %q, %v, want 200", said, err)
	}
}
