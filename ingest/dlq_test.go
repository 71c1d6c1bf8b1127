package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// parkedWith checks one parked record.
func parkedWith(t *testing.T, r *kgo.Record, code Code, original []byte) {
	t.Helper()
	digest := sha256.Sum256(original)
	for name, want := range map[string]string{
		HeaderError:        string(code),
		HeaderLength:       strconv.Itoa(len(original)),
		HeaderSHA256:       hex.EncodeToString(digest[:]),
		HeaderSender:       "127.0.0.1",
		kafka.HeaderSource: "ingest/http",
	} {
		if got := header(r, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if header(r, kafka.HeaderReason) == "" || strings.Contains(header(r, kafka.HeaderReason), "\n") {
		t.Errorf("reason %q", header(r, kafka.HeaderReason))
	}
	if !bytes.Equal(r.Value, original) {
		t.Errorf("parked %d bytes %.60q, want %d bytes %.60q", len(r.Value), r.Value, len(original), original)
	}
}

// letters are what is parked, put together.
func (s *site) letters() (all []Letter) {
	s.t.Helper()
	var together Letters
	for _, r := range s.records("dlq") {
		if l, ok := together.Add(r); ok {
			all = append(all, l)
		}
	}
	if together.Close(); together.Incomplete > 0 {
		s.t.Errorf("%d are not complete", together.Incomplete)
	}
	return all
}

func TestAnEventThatWillNeverDoIsParkedAndItsNeighboursAreDelivered(t *testing.T) {
	good, next := attached(1, 1), attached(1, 2)
	with := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	for _, scene := range []struct{ name, bad string }{
		{"no type", with(`"type":2,`, ``)},
		{"a type in words", with(`"type":2,`, `"type":"handle",`)},
		{"a session id in quotes", with(`"session_id":1,`, `"session_id":"1",`)},
		{"a session id with a fraction", with(`"session_id":1,`, `"session_id":1.5,`)},
		{"a session id with an exponent", with(`"session_id":1,`, `"session_id":1e400,`)},
		{"a negative session id", with(`"session_id":1,`, `"session_id":-1,`)},
		{"a session id above the largest", with(`"session_id":1,`, `"session_id":9223372036854775808,`)},
		{"a session id above all", with(`"session_id":1,`, `"session_id":99999999999999999999999999,`)},
		{"no timestamp", with(`"timestamp":1790000000000001,`, ``)},
		{"a timestamp in seconds", with(`1790000000000001`, `1790000000`)},
		{"a timestamp in milliseconds", with(`1790000000000001`, `1790000000000`)},
		{"bytes that are no UTF-8", with(`attached`, "att\xff\xfeached")},
		{"a control character", with(`attached`, "att\x01ached")},
		{"NaN", with(`"attached"`, `NaN`)},
		{"a leading zero", with(`"handle_id":`, `"handle_id":0`)},
		{"a string that is not closed", with(`attached"`, `attached`)},
		{"brackets that do not fit", with(`}}`, `}`)},
		{"nothing between commas", ""},
		{"20 000 levels that do not end", with(`"attached"`, strings.Repeat("[", 20_000))},
		{"a number", `17`},
		{"a text", `"event"`},
		{"null", `null`},
		{"an array in the array", `[` + next + `]`},
		{"an empty object", `{}`},
	} {
		t.Run(scene.name, func(t *testing.T) {
			s := open(t, nil)
			s.accepted([]byte("[" + good + "," + scene.bad + "," + next + "]"))
			events := s.events()
			if len(events) != 2 || string(events[0].Value) != good || string(events[1].Value) != next {
				t.Errorf("%d events, want the two good ones in order", len(events))
			}
			parked := s.records("dlq")
			if len(parked) != 1 {
				t.Fatalf("%d parked, want 1", len(parked))
			}
			parkedWith(t, parked[0], CodeNotEvent, []byte(scene.bad))
			if got := s.count("parked_total", "not_event"); got != 1 {
				t.Errorf("counted %v, want 1", got)
			}
		})
	}
}

func TestAnEventIsDeliveredHoweverDeepItIs(t *testing.T) {
	for _, levels := range []int{600, 100_000} {
		s := open(t, nil)
		deep := strings.Replace(attached(1, 1), `"attached"`, strings.Repeat("[", levels)+strings.Repeat("]", levels), 1)
		s.accepted([]byte("[" + deep + "," + attached(1, 2) + "]"))
		if events := s.events(); len(events) != 2 || string(events[0].Value) != deep || len(s.records("dlq")) > 0 {
			t.Errorf("%d levels: %d events, want 2, and none parked", levels, len(events))
		}
	}
}

func TestABodyThatWillNeverDoIsParkedAsAWhole(t *testing.T) {
	good := attached(1, 1)
	broken := zip(t, []byte(good))
	broken[len(broken)-6] ^= 1 // the checksum
	for _, scene := range []struct {
		name   string
		body   []byte
		code   Code
		change func(*http.Request)
	}{
		{"empty", nil, CodeNotJSON, nil},
		{"text", []byte("hello"), CodeNotJSON, nil},
		{"a form", []byte("a=1&b=2"), CodeNotJSON, nil},
		{"cut off", []byte("[" + good + ","), CodeNotJSON, nil},
		{"something behind the end", []byte("[" + good + "] x"), CodeNotJSON, nil},
		{"NUL bytes", make([]byte, 100), CodeNotJSON, nil},
		{"an event alone with a NUL byte in a text", []byte(strings.Replace(good, "attached", "att\x00ached", 1)),
			CodeNotJSON, nil},
		{"20 000 levels", []byte(`{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`), CodeNotEvent,
			nil},
		{"more events than anybody groups", []byte("[" + strings.Repeat("{},", maxEvents) + "{}]"), CodeTooMany, nil},
		{"gzip, cut off", zip(t, []byte(good))[:50], CodeGzip, gzipped},
		{"gzip, cut off in its head", zip(t, []byte(good))[:5], CodeGzip, gzipped},
		{"gzip with a wrong checksum", broken, CodeGzip, gzipped},
		{"gzip that is none", []byte(good), CodeGzip, gzipped},
		{"gzip that is not said to be", zip(t, []byte(good)), CodeNotJSON, nil},
		{"another compression", []byte(good), CodeEncoding, func(r *http.Request) { r.Header.Set("Content-Encoding", "br") }},
	} {
		t.Run(scene.name, func(t *testing.T) {
			s := open(t, nil)
			change := scene.change
			if change == nil {
				change = func(*http.Request) {}
			}
			s.accepted(scene.body, change)
			if got := len(s.events()); got != 0 {
				t.Errorf("%d events, want none", got)
			}
			parked := s.records("dlq")
			if len(parked) != 1 {
				t.Fatalf("%d parked, want 1", len(parked))
			}
			parkedWith(t, parked[0], scene.code, scene.body)
		})
	}
}

func TestAnEventOverTheLimitIsParkedUnderItsKey(t *testing.T) {
	pad := func(n int) string {
		e := attached(42, 1)
		return strings.Replace(e, `"attached"`, `"`+strings.Repeat("x", n-len(e)+len("attached"))+`"`, 1)
	}
	atLimit, over := pad(defaultEvent), pad(defaultEvent+1)
	if len(atLimit) != defaultEvent || len(over) != defaultEvent+1 {
		t.Fatal("the events of this test have another length than it thinks")
	}
	s := open(t, func(o *Options) { o.Kafka.Compression = "none" })
	s.accepted([]byte("["+atLimit+","+over+","+attached(42, 2)+"]"), func(r *http.Request) {
		r.Header.Set("Expect",
			"100-continue")
	})
	events := s.events()
	if len(events) != 2 || string(events[0].Value) != atLimit || string(events[1].Value) != attached(42, 2) {
		t.Fatalf("%d events, want the one at the limit and the small one", len(events))
	}
	parked := s.records("dlq")
	if len(parked) != 1 {
		t.Fatalf("%d parked, want 1", len(parked))
	}
	parkedWith(t, parked[0], CodeEventLimit, []byte(over))
	if string(parked[0].Key) != "42" {
		t.Errorf("parked under %q, want the session", parked[0].Key)
	}
}

// endless is a body that nobody holds.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.left))
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.left -= int64(n)
	return n, nil
}

func TestABodyOf100MegabytesIsParkedWithoutBeingHeld(t *testing.T) {
	const size = 100 << 20
	digest := sha256.New()
	io.Copy(digest, &endless{size})
	want := hex.EncodeToString(digest.Sum(nil))
	for _, scene := range []struct {
		name   string
		length int64
	}{{"that says its length", size}, {"that does not say its length", -1}} {
		t.Run(scene.name, func(t *testing.T) {
			s := open(t, func(o *Options) { o.BodyLimit, o.EventLimit = 1<<20, 64<<10 })
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			status, err := s.postReader(&endless{size}, func(r *http.Request) { r.ContentLength = scene.length })
			if err != nil || status != http.StatusOK {
				t.Fatalf("got %d, %v, want 200", status, err)
			}
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 20<<20 {
				t.Errorf("allocated %d MiB in total", took>>20)
			}
			parked := s.records("dlq")
			if len(parked) != 1 {
				t.Fatalf("%d parked, want 1", len(parked))
			}
			r := parked[0]
			if header(r, HeaderError) != "body_limit" || header(r, HeaderLength) != strconv.Itoa(size) || header(r,
				HeaderSHA256) != want {
				t.Errorf("parked as %v", r.Headers)
			}
			if len(r.Value) != maxHead {
				t.Errorf("%d bytes kept, want %d", len(r.Value), maxHead)
			}
		})
	}
}

func TestACompressedBodyThatBurstsIsParkedAsItCame(t *testing.T) {
	bomb := zip(t, make([]byte, 40<<20))
	lying := bytes.Clone(bomb)
	copy(lying[len(lying)-4:], []byte{10, 0, 0, 0}) // it says that 10 bytes will come
	for name, body := range map[string][]byte{"honest": bomb, "lying": lying} {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil)
			s.accepted(body, gzipped)
			parked := s.records("dlq")
			if len(parked) != 1 {
				t.Fatalf("%d parked, want 1", len(parked))
			}
			parkedWith(t, parked[0], CodeBodyLimit, body)
		})
	}
}

func TestWhatCannotBeParkedIsNotAnswered(t *testing.T) {
	s := open(t, func(o *Options) { o.Delivery = time.Second })
	if _, err := s.client().Request(s.context(), deleteTopic("dlq")); err != nil {
		t.Fatal(err)
	}
	s.unanswered([]byte("no json"))
	if got := s.count("refused_total", "kafka") + s.count("refused_total", "timeout"); got != 1 {
		t.Errorf("counted %v, want 1", got)
	}
	s.createTopics(s.options.Topics)
	s.until("the repetition is answered", func() bool {
		status, err := s.post([]byte("no json"))
		return err == nil && status == http.StatusOK
	})
	if got := len(s.records("dlq")); got == 0 {
		t.Error("nothing is parked")
	}
}

func TestAReasonIsShortAndValidText(t *testing.T) {
	p := DeadLetter{Reason: strings.Repeat("é", maxReason)}
	for _, h := range p.headers("") {
		if h.Key == kafka.HeaderReason && (len(h.Value) > maxReason || !strings.HasPrefix(fmt.Sprintf("%q", h.Value),
			`"éé`) || bytes.ContainsRune(h.Value, '\uFFFD')) {
			t.Errorf("%d bytes: %.40q", len(h.Value), h.Value)
		}
	}
}
