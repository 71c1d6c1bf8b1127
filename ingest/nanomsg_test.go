package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const published = "\x00SP\x00\x00\x20\x00\x00" // the greeting of a publisher

func spMessage(body string) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(len(body)))) + body
}

// publish greets on a connection that is open, and sends.
func publish(t testing.TB, conn net.Conn, text string) {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	var greeting [8]byte
	if _, err := io.WriteString(conn, published); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, greeting[:]); err != nil || string(greeting[:]) != "\x00SP\x00\x00\x21\x00\x00" {
		t.Fatalf("greeted with % x, %v", greeting, err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsPublishedByNanomsgStandsInTheLogInItsOrder(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "listen")
	if l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left}); err != nil { // of a process that was killed
		t.Fatal(err)
	} else {
		l.SetUnlinkOnClose(false)
		l.Close()
	}
	janus, err := net.Listen("tcp", "127.0.0.1:0") // one that binds
	if err != nil {
		t.Fatal(err)
	}
	defer janus.Close()
	source := &Nanomsg{Listen: []string{"tcp://127.0.0.1:0", "ipc://" + left},
		Connect: []string{"tcp://" + janus.Addr().String()}}
	s := openWith(t, source, nil)
	var want []string
	var stream, ipc strings.Builder
	for n := range 200 {
		want = append(want, attached(5, n))
		stream.WriteString(spMessage("[" + want[n] + "]"))
	}
	ipc.WriteString("\x01" + spMessage(attached(5, 300)))
	for i, open := range []func() (net.Conn, error){
		func() (net.Conn, error) { return net.Dial("tcp", source.Addrs()[0].String()) },
		func() (net.Conn, error) { return net.Dial("unix", left) },
		janus.Accept,
	} {
		conn, err := open()
		if err != nil {
			t.Fatal(err)
		}
		text := []string{stream.String(), ipc.String(), spMessage(attached(5, 301))}[i]
		publish(t, conn, text)
		s.fates("nanomsg", []int{200, 201, 202}[i])
	}
	want = append(want, attached(5, 300), attached(5, 301))
	if got := values(s.events()); !slices.Equal(got, want) {
		t.Errorf("%d events, want %d in their order", len(got), len(want))
	}
}

func TestNanomsgConnectsAgain(t *testing.T) {
	janus, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := janus.Addr().String()
	s := openWith(t, &Nanomsg{Connect: []string{"tcp://" + address}}, nil)
	for n := range 2 {
		conn, err := janus.Accept()
		if err != nil {
			t.Fatal(err)
		}
		publish(t, conn, spMessage(attached(5, n)))
		s.fates("nanomsg", n+1)
		conn.Close()
	}
	janus.Close()
}

func TestNanomsgAnswersWhatIsBrokenOrHostile(t *testing.T) {
	const limit = 300 << 10
	source := &Nanomsg{Listen: []string{"tcp://127.0.0.1:0", "ipc://" + filepath.Join(t.TempDir(), "s")}}
	s := openWith(t, source, func(o *Options) { o.BodyLimit, o.EventLimit, o.InflightMax = limit, 64<<10, 4*limit })
	for n, scene := range []struct {
		name   string
		sent   string
		cut    bool // the connection is cut by us
		parked []string
	}{
		{"nothing", "", false, nil},
		{"half a greeting", published[:4], false, nil},
		{"a request of HTTP", "GET / HTTP/1.1\r\n\r\n", true, nil},
		{"another version", "\x00SP\x01\x00\x20\x00\x00", true, nil},
		{"somebody who subscribes too", "\x00SP\x00\x00\x21\x00\x00", true, nil},
		{"somebody who pushes", "\x00SP\x00\x00\x50\x00\x00", true, nil},
		{"half a length", published + "\x00\x00\x00", false, nil},
		{"half a message", published + spMessage("hello")[:10], false, nil},
		{"an empty message", published + spMessage(""), false, []string{"not_json"}},
		{"no JSON", published + spMessage("hello"), false, []string{"not_json"}},
		{"noise", published + spMessage("\xff\x00\xfe"), false, []string{"not_json"}},
		{"no event", published + spMessage("{}"), false, []string{"not_event"}},
		{"a list of anything", published + spMessage("[1,{}]"), false, []string{"not_event", "not_event"}},
		{"an event over the limit", published + spMessage(strings.Replace(attached(5, 4), "echotest",
			strings.Repeat("x", 65<<10), 1)), false, []string{"event_limit"}},
		{"a message over the limit", published + spMessage(strings.Repeat("x", 2*limit)), false, []string{"body_limit"}},
		{"a length that nobody can have", published + "\xff\xff\xff\xff\xff\xff\xff\xff{}", true, nil},
		{"a length over 1 GiB", published + "\x00\x00\x00\x00\x40\x00\x00\x01{}", true, nil},
	} {
		t.Run(scene.name, func(t *testing.T) {
			parked := len(s.parkedAs())
			conn, err := net.Dial("tcp", source.Addrs()[0].String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			go io.WriteString(conn, scene.sent)
			s.until("it is parked", func() bool { return s.parked() >= parked+len(scene.parked) })
			if !scene.cut {
				conn.(*net.TCPConn).CloseWrite()
			}
			if _, err := io.Copy(io.Discard, conn); err != nil && !isReset(err) {
				t.Errorf("it is not cut: %v", err)
			}
			if got := s.parkedAs()[parked:]; !slices.Equal(got, scene.parked) {
				t.Errorf("parked as %q, want %q", got, scene.parked)
			}
			good, err := net.Dial("tcp", source.Addrs()[0].String())
			if err != nil {
				t.Fatal(err)
			}
			publish(t, good, spMessage(attached(7, n)))
			s.until("another one is served", func() bool { return s.written() == n+1 })
		})
	}
	conn, err := net.Dial("unix", source.Addrs()[1].String())
	if err != nil {
		t.Fatal(err)
	}
	publish(t, conn, "\x02"+spMessage("{}")) // in shared memory
	if _, err := io.Copy(io.Discard, conn); err != nil && !isReset(err) {
		t.Errorf("a message of another kind: %v", err)
	}
	if held := s.count("inflight_bytes", ""); held != 0 {
		t.Errorf("%v bytes are still held", held)
	}
}

func isReset(err error) bool {
	return !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded)
}

// Whatever comes, messages are those that their lengths say, and none is longer than what came.
func FuzzNanomsg(f *testing.F) {
	f.Add([]byte(spMessage("hello")+spMessage("")), false)
	f.Add([]byte("\x01"+spMessage("hello")), true)
	f.Fuzz(func(t *testing.T, sent []byte, ipc bool) {
		in, again := bytes.NewReader(sent), 0
		for {
			length, err := messageHead(in, ipc)
			if err != nil {
				return
			}
			head := 8
			if ipc {
				head = 9
			}
			body, err := io.ReadAll(&exactly{in: in, left: length})
			if err != nil {
				return
			}
			if int64(len(body)) != length || !bytes.Equal(body, sent[again+head:again+head+len(body)]) {
				t.Fatalf("got %q at %d of %q", body, again, sent)
			}
			again += head + len(body)
		}
	})
}
