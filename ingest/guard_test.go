package ingest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// connect opens a connection from an address of this machine.
func (s *site) connect(from string) net.Conn {
	s.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(s.context(), "tcp", s.web.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// sends posts an event over a connection that stays open, and tells whether it was answered.
func sends(conn net.Conn, n int, head string) bool {
	event := attached(1, n)
	_, _ = fmt.Fprintf(conn, "POST /events HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", head, len(event), event)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func TestASenderFindsAWayInWhateverOthersHoldOpen(t *testing.T) {
	const most = 8
	s := open(t, func(o *Options) { o.Sources[0].(*HTTP).MaxConnections = most })
	first := s.connect("127.0.0.1")
	if !sends(first, 0, "") {
		t.Fatal("no answer")
	}
	for range 2 * most {
		s.connect("127.0.0.2")
	}
	s.until("the oldest of who has most make room",
		func() bool { return s.count("connections_ended_total", "http") == most+1 })
	if got := s.count("connections", "http"); got != most {
		t.Errorf("%v connections are open, want %d", got, most)
	}
	if !sends(first, 1, "") {
		t.Error("the one that was alone is gone")
	}
	s.accepted([]byte(attached(1, 2)))
}

func TestWhoHasShownWhoItIsStaysBeforeStrangers(t *testing.T) {
	const most, login = 9, "Authorization: Basic amFudXM6c2VjcmV0\r\n"
	s := open(t, func(o *Options) {
		web := o.Sources[0].(*HTTP)
		web.MaxConnections, web.User, web.Password = most, "janus", "secret"
	})
	var known []net.Conn
	for n := range 3 { // a third: more than a stranger has
		known = append(known, s.connect("127.0.0.2"))
		if !sends(known[n], n, login) {
			t.Fatal("no answer")
		}
	}
	for range most {
		s.connect("127.0.0.1")
	}
	s.until("strangers make room", func() bool { return s.count("connections_ended_total", "http") == 3 })
	for n, conn := range known {
		if !sends(conn, 10+n, login) {
			t.Error("a known sender made room for a stranger")
		}
	}
}

func TestAKnownSenderDoesNotTakeAllConnections(t *testing.T) {
	const most, login = 6, "Authorization: Basic amFudXM6c2VjcmV0\r\n"
	s := open(t, func(o *Options) {
		web := o.Sources[0].(*HTTP)
		web.MaxConnections, web.User, web.Password = most, "janus", "secret"
		web.Users = func() map[string]string { return map[string]string{"other": "secret"} }
	})
	for n := range most {
		if !sends(s.connect("127.0.0.2"), n, login) {
			t.Fatal("no answer")
		}
	}
	if !sends(s.connect("127.0.0.1"), 100, "Authorization: Basic b3RoZXI6c2VjcmV0\r\n") {
		t.Error("another one finds no way in")
	}
	if got := s.count("connections_ended_total", "http"); got != 1 {
		t.Errorf("%v made room, want 1", got)
	}
}

func TestWhoIsNoSenderKeepsNoConnection(t *testing.T) {
	s := open(t, nil)
	conn := s.connect("127.0.0.1")
	io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection stays open: %v", err)
	}
}

func TestWhoStaysConnectedMakesNoRoomForWhoOnlyConnects(t *testing.T) {
	g := &GELF{TCP: "127.0.0.1:0"}
	s := open(t, func(o *Options) { o.Sources = append(o.Sources, g) })
	dial := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.DialContext(s.context(), "tcp", g.TCPAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	janus := dial("127.0.0.2")
	send := func(n int) {
		fmt.Fprintf(janus, `{"version":"1.1","host":"j1","full_message":%s}`+"\x00", attached(1, n))
		s.until("the event is safe", func() bool { return len(s.events()) == n })
	}
	send(1)
	for n := range maxGELFConnections + 10 { // each from elsewhere, so that nobody has more than Janus
		dial(fmt.Sprintf("127.0.%d.%d", 4+n/250, 1+n%250))
	}
	s.until("others make room", func() bool { return s.count("connections_ended_total", "gelf") >= 11 })
	send(2)
}
