package ingest

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// gelf is a message as gelfevh makes it.
func gelf(event string) string {
	return `{"timestamp":1790000000.000001,"host":"j1","version":"1.1","level":2,"short_message":"Handles",` +
		`"full_message":` + event + `}`
}

func sendTCP(t testing.TB, address net.Addr, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestEventsInMessagesOfGELFStandInTheLogAsJanusWroteThem(t *testing.T) {
	source := &GELF{TCP: "127.0.0.1:0", UDP: "127.0.0.1:0"}
	s := openWith(t, source, nil)
	var want []string
	var stream strings.Builder
	for n := range 200 {
		want = append(want, attached(5, n))
		stream.WriteString(gelf(want[n]) + "\x00")
	}
	sendTCP(t, source.TCPAddr(), stream.String())
	s.fates("gelf", 200)
	if got := values(s.events()); !slices.Equal(got, want) {
		t.Errorf("by TCP: %d events, want %d in their order", len(got), len(want))
	}

	packed := gelf(attached(5, 202))
	var deflated bytes.Buffer
	z := zlib.NewWriter(&deflated)
	io.WriteString(z, gelf(attached(5, 203)))
	z.Close()
	conn, err := net.Dial("udp", source.UDPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i, datagrams := range [][]string{
		{gelf(attached(5, 200))},
		chunksOf("12345678", gelf(attached(5, 201)), 50),
		{string(zip(t, []byte(packed)))},
		chunksOf("22345678", deflated.String(), 10),
		reversed(chunksOf("32345678", gelf(attached(5, 204)), 50)),
	} {
		for _, datagram := range datagrams {
			io.WriteString(conn, datagram)
		}
		want = append(want, attached(5, 200+i))
		s.fates("gelf", len(want))
	}
	if got := values(s.events()); !slices.Equal(got, want) {
		t.Errorf("by UDP: got %q", got[min(200, len(got)):])
	}
	if lost := s.bodies("gelf", "lost"); lost != 0 {
		t.Errorf("%d are lost", lost)
	}
}

// chunksOf cuts a message as gelfevh does: one that fills its chunks has an empty one more.
func chunksOf(id, message string, size int) []string {
	total := len(message)/size + 1
	var all []string
	for i := range total {
		all = append(all, fmt.Sprintf("\x1e\x0f%s%c%c%s", id, i, total, message[i*size:min(len(message), (i+1)*size)]))
	}
	return all
}

func reversed(all []string) []string {
	all = slices.Clone(all)
	slices.Reverse(all)
	return all
}

func TestAConnectionOfGELFIsKeptWhateverComesOverIt(t *testing.T) {
	const limit = 300 << 10
	source := &GELF{TCP: "127.0.0.1:0"}
	s := openWith(t, source, func(o *Options) { o.BodyLimit, o.EventLimit, o.InflightMax = limit, 64<<10, 4*limit })
	conn := sendTCP(t, source.TCPAddr(), "")
	end := gelf(attached(5, 1000000))
	for n, scene := range []struct {
		name, sent string
		events     int
		parked     []string
	}{
		{"no JSON", "hello", 0, []string{"not_json"}},
		{"nothing, many times", "\x00\x00\x00\x00", 0, nil},
		{"a space", " ", 0, []string{"not_json"}},
		{"half a message", gelf(attached(5, 1))[:70], 0, []string{"not_json"}},
		{"of somebody else", `{"version":"1.1","host":"x","short_message":"hello"}`, 0, []string{"not_event"}},
		{"a full message that is text", gelf(`"hello"`), 0, []string{"not_event"}},
		{"a full message that is a list", gelf("[1]"), 0, []string{"not_event"}},
		{"a full message that is no event", gelf("{}"), 0, []string{"not_event"}},
		{"a full message that is broken", gelf("{]"), 0, []string{"not_json"}},
		{"a full message without an end", `{"full_message":{"type":1`, 0, []string{"not_json"}},
		{"two of them", `{"full_message":{},"full_message":` + attached(5, 3) + `}`, 1, nil},
		{"an event over the limit", gelf(strings.Replace(attached(5, 4), "echotest", strings.Repeat("x", 65<<10), 1)), 0,
			[]string{"event_limit"}},
		{"a message over the limit", gelf(`{"type":1,"x":"` + strings.Repeat("x", 3*limit) + `"}`), 0,
			[]string{"body_limit"}},
		{"noise", "\xff\xfe\x1e\x0f\x01", 0, []string{"not_json"}},
		{"a request of HTTP", "POST /events HTTP/1.1\r\nContent-Length: 3\r\n\r\n{}", 0, []string{"not_json"}},
		{"a member whose name is broken", `{"\uD800":1,"full_message":` + attached(5, 5) + `}`, 1, nil},
		{"deep", gelf(strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)), 0, []string{"not_event"}},
		{"a bare event", attached(5, 6), 1, nil},
	} {
		t.Run(scene.name, func(t *testing.T) {
			events, parked, had := len(s.events()), len(s.parkedAs()), s.bodies("gelf", "")
			last := strings.Replace(end, "1000000", fmt.Sprint(1000000+n), 1)
			if _, err := io.WriteString(conn, scene.sent+"\x00"+last+"\x00"); err != nil {
				t.Fatal(err)
			}
			s.fates("gelf", had+scene.events+len(scene.parked)+1)
			if got := len(s.events()) - events - 1; got != scene.events {
				t.Errorf("%d events, want %d", got, scene.events)
			}
			if got := s.parkedAs()[parked:]; !slices.Equal(got, scene.parked) {
				t.Errorf("parked as %q, want %q", got, scene.parked)
			}
		})
	}
}

func TestWhatIsLostByUDPIsCounted(t *testing.T) {
	source := &GELF{UDP: "127.0.0.1:0"}
	s := openWith(t, source, nil)
	conn, err := net.Dial("udp", source.UDPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	zipped := string(zip(t, []byte(gelf(attached(5, 1)))))
	for n, scene := range []struct {
		name      string
		datagrams []string
		lost      int
		parked    []string
	}{
		{"the head of a chunk that is cut off", []string{"\x1e\x0f1234567"}, 1, nil},
		{"a chunk of none", []string{"\x1e\x0f12345678\x00\x00x"}, 1, nil},
		{"a chunk of too many", []string{"\x1e\x0f12345678\x00\x81x"}, 1, nil},
		{"a chunk after the last", []string{"\x1e\x0f12345678\x02\x02x"}, 1, nil},
		{"only the magic", []string{"\x1e\x0f"}, 1, nil},
		{"a chunk twice", []string{"\x1e\x0fa2345678\x00\x02{", "\x1e\x0fa2345678\x00\x02{", "\x1e\x0fa2345678\x01\x02}"}, 0,
			[]string{"not_event"}},
		{"chunks that do not agree on how many", []string{"\x1e\x0fb2345678\x00\x02{", "\x1e\x0fb2345678\x01\x03?",
			"\x1e\x0fb2345678\x01\x02 }"}, 0, []string{"not_event"}},
		{"nothing", []string{""}, 0, []string{"not_json"}},
		{"gzip that is cut off", []string{zipped[:40]}, 0, []string{"not_json"}},
		{"gzip with another length", []string{zipped[:len(zipped)-1] + "\x7f"}, 0, []string{"not_json"}},
		{"gzip in gzip", []string{string(zip(t, []byte(zipped)))}, 0, []string{"not_json"}},
		{"a bomb", []string{string(zip(t, make([]byte, 40<<20)))}, 0, []string{"not_json"}},
		{"a head of zlib and no more", []string{"\x78\x9c\x00"}, 0, []string{"not_json"}},
		{"noise", []string{"\x00\x01\x02"}, 0, []string{"not_json"}},
		{"of somebody else", []string{`{"version":"1.1","short_message":"hello"}`}, 0, []string{"not_event"}},
	} {
		t.Run(scene.name, func(t *testing.T) {
			parked, lost, had := len(s.parkedAs()), s.bodies("gelf", "lost"), s.bodies("gelf", "")
			for _, datagram := range scene.datagrams {
				if _, err := conn.Write([]byte(datagram)); err != nil {
					t.Fatal(err)
				}
			}
			io.WriteString(conn, gelf(attached(6, n)))
			s.fates("gelf", had+scene.lost+len(scene.parked)+1)
			if got := s.bodies("gelf", "lost") - lost; got != scene.lost {
				t.Errorf("%d lost, want %d", got, scene.lost)
			}
			if got := s.parkedAs()[parked:]; !slices.Equal(got, scene.parked) {
				t.Errorf("parked as %q, want %q", got, scene.parked)
			}
		})
	}
}

func TestChunksThatNeverBecomeAMessageAreBounded(t *testing.T) {
	c := newChunks()
	start := time.Unix(1_790_000_000, 0)
	peer := netip.MustParseAddrPort("192.0.2.1:5000")
	dropped := 0
	add := func(id string, number, count byte, body string, at time.Duration) []byte {
		message, n := c.add(peer, []byte("\x1e\x0f"+id+string([]byte{number, count})+body), start.Add(at))
		dropped += n
		return message
	}
	for n := range 3 * maxOpenMessages {
		add(fmt.Sprintf("%08d", n), 0, 2, "x", 0)
	}
	if len(c.open) > maxOpenMessages || dropped != 3*maxOpenMessages-len(c.open) {
		t.Errorf("%d messages are open, %d were given up", len(c.open), dropped)
	}
	big := strings.Repeat("x", 60000)
	for n := range 20 {
		for part := range byte(maxChunks - 1) {
			add(fmt.Sprintf("big%05d", n), part, maxChunks, big, 0)
		}
	}
	if c.bytes > maxOpenBytes {
		t.Errorf("%d bytes are held, at most %d may be", c.bytes, maxOpenBytes)
	}
	if add("late5678", 0, 2, "{", time.Hour) != nil || len(c.open) != 1 {
		t.Errorf("after an hour %d messages are open", len(c.open))
	}
	if got := add("late5678", 1, 2, "}", time.Hour+time.Second); string(got) != "{}" {
		t.Errorf("got %q", got)
	}
	for n := range 10 * maxOpenMessages { // complete ones leave nothing
		add("same5678", 0, 1, "x", time.Hour+time.Duration(n))
	}
	if len(c.open) != 0 || c.bytes != 0 || len(c.order) > 2*maxOpenMessages {
		t.Errorf("%d messages, %d bytes, %d in order are left", len(c.open), c.bytes, len(c.order))
	}
}

// Whatever comes by TCP, each piece between zeros is a message, once, and none is longer than what came.
func FuzzGELFStream(f *testing.F) {
	f.Add([]byte(gelf(attached(1, 1)) + "\x00" + gelf("{}") + "\x00"))
	f.Add([]byte("\x00\x00x\x00y"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		in := bufio.NewReaderSize(bytes.NewReader(sent), 16)
		var got [][]byte
		for {
			begin, err := in.Peek(1)
			if err != nil {
				break
			}
			if begin[0] == 0 {
				in.Discard(1)
				continue
			}
			message, err := io.ReadAll(&untilZero{in: in})
			if err != nil {
				break
			}
			got = append(got, message)
			eventOfGELF(message)
		}
		var want [][]byte
		pieces := bytes.Split(sent, []byte{0})
		for _, piece := range pieces[:len(pieces)-1] {
			if len(piece) > 0 {
				want = append(want, piece)
			}
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Whatever comes by UDP, memory is bounded, and what is said to be a message is made of chunks that came.
func FuzzGELFChunks(f *testing.F) {
	f.Add([]byte("\x1e\x0f12345678\x00\x02{"), []byte("\x1e\x0f12345678\x01\x02}"))
	f.Add([]byte("{}"), []byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		c := newChunks()
		now := time.Unix(1_790_000_000, 0)
		for _, datagram := range [][]byte{one, two, one} {
			message, _ := c.add(netip.MustParseAddrPort("192.0.2.1:5000"), datagram, now)
			if len(message) > len(one)+len(two) && len(message) > len(one)*2 {
				t.Errorf("%d bytes out of nothing", len(message))
			}
			eventOfGELF(message)
		}
		sum := 0
		for _, m := range c.open {
			sum += m.bytes
		}
		if sum != c.bytes {
			t.Errorf("%d bytes are counted, there are %d", c.bytes, sum)
		}
	})
}
