package ingest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/twmb/franz-go/pkg/kgo"
)

// openWith starts a receiver with one more source.
func openWith(t testing.TB, source Source, change func(*Options)) *site {
	t.Helper()
	return open(t, func(o *Options) {
		o.Sources = append(o.Sources, source)
		if change != nil {
			change(o)
		}
	})
}

// values are the values of records, as they stand in the log of each session.
func values(records []*kgo.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, string(r.Value))
	}
	return all
}

// parkedAs are the errors of what is parked.
func (s *site) parkedAs() []string {
	s.t.Helper()
	var all []string
	for _, r := range s.records("dlq") {
		all = append(all, header(r, HeaderError))
	}
	return all
}

// fates waits until so many bodies of a source had their end.
func (s *site) fates(source string, want int) {
	s.t.Helper()
	s.until(fmt.Sprint(want, " bodies of ", source), func() bool { return s.bodies(source, "") >= want })
}

// bodies of a source that had an end, or this one.
func (s *site) bodies(source, end string) int {
	s.t.Helper()
	return s.sum("bodies_total", func(labels map[string]string) bool {
		return labels["source"] == source && (end == "" || labels["outcome"] == end)
	})
}

// written is how many events Kafka has acknowledged, and parked how many parked ones.
func (s *site) written() int {
	return s.sum("events_total", func(map[string]string) bool { return true })
}

func (s *site) parked() int {
	return s.sum("parked_total", func(map[string]string) bool { return true })
}

// sum adds up a counter over those of its labels that fit.
func (s *site) sum(name string, fits func(map[string]string) bool) int {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	sum := 0
	for _, family := range families {
		if family.GetName() != "januscdr_ingest_"+name {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if fits(labels) {
				sum += int(m.GetCounter().GetValue())
			}
		}
	}
	return sum
}

func dialWebSocket(t testing.TB, s *WebSocket, path string) *websocket.Conn {
	t.Helper()
	conn, answer, err := websocket.DefaultDialer.Dial("ws://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatalf("%v, %v", err, answer)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestMessagesOfAWebSocketStandInTheLogInTheirOrder(t *testing.T) {
	source := &WebSocket{Listen: "127.0.0.1:0"}
	s := openWith(t, source, nil)
	conn := dialWebSocket(t, source, "/events")
	var want []string
	for n := range 300 {
		event := attached(5, n)
		want = append(want, event)
		message := event
		if n%3 == 0 {
			message = "[" + event + "]"
		}
		if err := conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	s.fates("websocket", len(want))
	if got := values(s.events()); !slices.Equal(got, want) {
		t.Errorf("got %d events, want %d in their order: %q", len(got), len(want), got)
	}
}

func TestAWebSocketIsReadToItsEndWhenWeStop(t *testing.T) {
	source := &WebSocket{Listen: "127.0.0.1:0"}
	s := openWith(t, source, nil)
	conn := dialWebSocket(t, source, "/events")
	// As libwebsockets does: what is written before the close is confirmed is written.
	sent := 0
	conn.SetCloseHandler(func(code int, _ string) error {
		for ; sent < 50; sent++ {
			if err := conn.WriteMessage(websocket.TextMessage, []byte(attached(5, sent))); err != nil {
				t.Error(err)
			}
		}
		if code != websocket.CloseGoingAway {
			t.Errorf("closed with %d", code)
		}
		return conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
	})
	stopped := make(chan error)
	server := s.server
	s.server = nil
	go func() { stopped <- server.Stop() }()
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("it ended with %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if got := len(s.events()); got != sent || sent != 50 {
		t.Errorf("%d events in the log, %d were sent", got, sent)
	}
}

func TestABodyThatIsHandedOverOnceIsKeptWhileKafkaIsAway(t *testing.T) {
	source := &WebSocket{Listen: "127.0.0.1:0"}
	s := openWith(t, source, func(o *Options) { o.Delivery = 200 * time.Millisecond })
	reached, release := s.cutProduce()
	conn := dialWebSocket(t, source, "/events")
	for n := range 3 {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(attached(5, n))); err != nil {
			t.Fatal(err)
		}
	}
	<-reached
	s.until("it says why", func() bool { return s.server.LastFailure() != "" })
	release()
	s.fates("websocket", 3)
	if got := len(s.events()); got < 3 {
		t.Errorf("%d events, want 3", got)
	}
	if lost := s.bodies("websocket", "lost"); lost != 0 {
		t.Errorf("%v bodies are lost", lost)
	}
}

func TestWhatCouldNotBeMadeSafeBeforeTheEndIsCountedAsLost(t *testing.T) {
	source := &WebSocket{Listen: "127.0.0.1:0"}
	s := openWith(t, source, func(o *Options) { o.Delivery = 200 * time.Millisecond })
	reached, release := s.cutProduce()
	defer release()
	conn := dialWebSocket(t, source, "/events")
	if err := conn.WriteMessage(websocket.TextMessage, []byte(attached(5, 1))); err != nil {
		t.Fatal(err)
	}
	<-reached
	server := s.server
	s.server = nil
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if lost := s.bodies("websocket", "lost"); lost != 1 {
		t.Errorf("%v bodies counted as lost, want 1", lost)
	}
}

// frame is a frame of WebSocket as a client writes it, masked with zeros.
func frame(first byte, payload string) string {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(n))
	}
	return string(head) + "\x00\x00\x00\x00" + payload
}

const (
	text, fragment, last = 0x81, 0x01, 0x80 // first bytes of frames
)

func handshake(path string, change ...string) string {
	request := "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1:8092\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	for i := 0; i+1 < len(change); i += 2 {
		request = strings.Replace(request, change[i], change[i+1], 1)
	}
	return request
}

func TestAWebSocketAnswersWhatIsBrokenOrHostile(t *testing.T) {
	const limit = 300 << 10
	source := &WebSocket{Listen: "127.0.0.1:0"}
	s := openWith(t, source, func(o *Options) { o.BodyLimit, o.EventLimit, o.InflightMax = limit, 64<<10, 4*limit })
	long := func(n int) string { return `{"type":1,"x":"` + strings.Repeat("x", n) + `"}` }
	good := attached(9, 9)
	next := 0
	fresh := func() string { // an event that nobody sent before
		next++
		return attached(8, next)
	}
	upgraded := "101 Switching Protocols"
	for _, scene := range []struct {
		name   string
		sent   string
		status string // of the answer to the handshake
		close  uint16 // code of the close frame that comes back; 0: none
		events int
		parked []string
	}{
		{"no handshake", "hello\r\n\r\n", "400 Bad Request", 0, 0, nil},
		{"a plain GET", "GET /events HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request", 0, 0, nil},
		{"a POST", handshake("/events", "GET", "POST"), "405 Method Not Allowed", 0, 0, nil},
		{"a path that nobody has", handshake("/other"), "404 Not Found", 0, 0, nil},
		{"a version that is too old", handshake("/events", "Version: 13", "Version: 8"), "400 Bad Request", 0, 0, nil},
		{"no key", handshake("/events", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), "400 Bad Request", 0, 0, nil},
		{"the page of a browser", handshake("/events", "\r\n\r\n", "\r\nOrigin: https://example.com\r\n\r\n"),
			"403 Forbidden", 0, 0, nil},
		{"a header without an end", "GET /events HTTP/1.1\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n",
			"431 Request Header Fields Too Large", 0, 0, nil},
		{"no JSON", handshake("/events") + frame(text, "hello"), upgraded, 0, 0, []string{"not_json"}},
		{"no text", handshake("/events") + frame(text, "\xff\xfe\x00"), upgraded, 0, 0, []string{"not_json"}},
		{"an empty message", handshake("/events") + frame(text, ""), upgraded, 0, 0, []string{"not_json"}},
		{"no event", handshake("/events") + frame(text, `{"hello":1}`), upgraded, 0, 0, []string{"not_event"}},
		{"an event among others", handshake("/events") + frame(text, `[1,`+fresh()+`]`), upgraded, 0, 1,
			[]string{"not_event"}},
		{"an event over the limit", handshake("/events") +
			frame(text, strings.Replace(fresh(), "echotest", strings.Repeat("x", 65<<10), 1)), upgraded, 0, 0,
			[]string{"event_limit"}},
		{"a message over the limit", handshake("/events") + frame(text, long(2*limit)), upgraded, 0, 0,
			[]string{"body_limit"}},
		{"a message in many pieces", handshake("/events") + frame(fragment, fresh()[:0]) + pieces(fresh()), upgraded, 0, 1,
			nil},
		{"a ping in the middle of a message", handshake("/events") + frame(fragment, `[`) + frame(0x89, "?") +
			frame(last, `]`),
			upgraded, 0, 0, nil},
		{"binary", handshake("/events") + frame(0x82, fresh()), upgraded, 0, 1, nil},
		{"no mask", handshake("/events") + "\x81\x02{}", upgraded, 1002, 0, nil},
		{"a bit that is reserved", handshake("/events") + frame(0xf1, "{}"), upgraded, 1002, 0, nil},
		{"compressed, which was not agreed", handshake("/events") + frame(0xc1, "{}"), upgraded, 1002, 0, nil},
		{"an opcode that nobody has", handshake("/events") + frame(0x83, "{}"), upgraded, 1002, 0, nil},
		{"a ping that is too long", handshake("/events") + frame(0x89, strings.Repeat("x", 126)), upgraded, 1002, 0, nil},
		{"a ping in pieces", handshake("/events") + frame(0x09, "x"), upgraded, 1002, 0, nil},
		{"a piece of nothing", handshake("/events") + frame(last, "{}"), upgraded, 1002, 0, nil},
		{"a message in a message", handshake("/events") + frame(fragment, "{") + frame(text, "{}"), upgraded, 1002, 0, nil},
		{"a close with half a code", handshake("/events") + frame(0x88, "x"), upgraded, noCode, 0, nil},
		{"a length without an end", handshake("/events") + "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00x",
			upgraded, 0, 0, nil},
		{"cut off in a message", handshake("/events") + frame(text, good)[:40], upgraded, 0, 0, nil},
		{"cut off between pieces", handshake("/events") + frame(fragment, good), upgraded, 0, 0, nil},
	} {
		t.Run(scene.name, func(t *testing.T) {
			events, parked := len(s.events()), len(s.parkedAs())
			conn, err := net.Dial("tcp", source.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			head, rest, _ := strings.Cut(scene.sent, "\r\n\r\n")
			go io.WriteString(conn, head+"\r\n\r\n")
			answer := make([]byte, 0, 4096)
			for !bytes.Contains(answer, []byte("\r\n\r\n")) {
				piece := make([]byte, 1)
				if _, err := conn.Read(piece); err != nil {
					break
				}
				answer = append(answer, piece...)
			}
			if got, _, _ := strings.Cut(string(answer), "\r\n"); got != "HTTP/1.1 "+scene.status {
				t.Fatalf("answered %q, want %q", got, scene.status)
			}
			go io.WriteString(conn, rest)
			if scene.status == upgraded && scene.close == 0 {
				s.until("it is safe", func() bool {
					return s.written() >= events+scene.events && s.parked() >= parked+len(scene.parked)
				})
				conn.(*net.TCPConn).CloseWrite()
			}
			said, _ := io.ReadAll(conn)
			if scene.close == noCode && string(said) != "\x88\x00" || scene.close > noCode && !closedWith(said, scene.close) {
				t.Errorf("closed with % x, want %d", said, scene.close)
			}
			if got := len(s.events()) - events; got != scene.events {
				t.Errorf("%d events, want %d", got, scene.events)
			}
			if got := s.parkedAs()[parked:]; !slices.Equal(got, scene.parked) {
				t.Errorf("parked as %q, want %q", got, scene.parked)
			}
		})
	}
	if answer, err := http.Get("http://" + source.Addr().String() + "/events"); err != nil || answer.StatusCode != 400 {
		t.Errorf("afterwards it answers %v, %v", answer, err)
	}
	if held := s.count("inflight_bytes", ""); held != 0 {
		t.Errorf("%v bytes are still held", held)
	}
}

// noCode is how a close is answered that has no code.
const noCode = 1

// closedWith finds a close frame with a code, and maybe a reason behind it.
func closedWith(said []byte, code uint16) bool {
	i := bytes.IndexByte(said, 0x88)
	return i >= 0 && len(said) >= i+4 && binary.BigEndian.Uint16(said[i+2:]) == code
}

// pieces is the rest of a message that was begun, a byte a frame.
func pieces(message string) string {
	var all strings.Builder
	for _, b := range []byte(message) {
		all.WriteString(frame(0, string(rune(b))))
	}
	all.WriteString(frame(last, ""))
	return all.String()
}
