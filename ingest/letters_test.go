package ingest

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
	"januscdr/spool"
)

// noise is what nothing can be understood of, and nothing be compressed.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestWhatIsParkedIsKeptWhole(t *testing.T) {
	for _, size := range []int{0, 1, partSize - 1, partSize, partSize + 1, 2 * partSize, 5*partSize + 17} {
		s := open(t, nil)
		body := noise(size)
		s.accepted(body)
		all := s.letters()
		if len(all) != 1 || !all[0].Whole || !bytes.Equal(all[0].Value, body) || all[0].Code != CodeNotJSON ||
			all[0].Sender != "127.0.0.1" || all[0].Source != "ingest/http" || len(all[0].Key) > 0 {
			t.Errorf("%d bytes: %d letters, or another one", size, len(all))
		}
		if got := s.count("parked_total", "not_json"); got != 1 {
			t.Errorf("%d bytes: counted %v, want 1", size, got)
		}
		for _, r := range s.records("dlq") {
			if len(r.Value) > partSize {
				t.Errorf("a part of %d bytes", len(r.Value))
			}
		}
	}
}

func TestWhatIsParkedKeepsItsKeyItsEncodingAndItsName(t *testing.T) {
	const limit = 4 << 20
	s := open(t, func(o *Options) {
		o.BodyLimit, o.EventLimit = limit, 1<<10
		o.Rules = []SenderRule{{Address: "127.0.0.1", Emitter: "fra"}}
	})
	long := strings.Replace(attached(42, 1), `"attached"`, `"`+strings.Repeat("x", 3<<20)+`"`, 1)
	compressed := zip(t, noise(3<<20))
	s.accepted([]byte(long))
	s.accepted(compressed, gzipped)
	all := s.letters()
	if len(all) != 2 {
		t.Fatalf("%d letters, want 2", len(all))
	}
	if l := all[0]; string(l.Key) != "42" || string(l.Value) != long || l.Encoding != "" || l.Emitter != "fra" ||
		l.Code != CodeEventLimit {
		t.Errorf("the event: key %q, encoding %q, emitter %q, %s", l.Key, l.Encoding, l.Emitter, l.Code)
	}
	if l := all[1]; !bytes.Equal(l.Value, compressed) || l.Encoding != "gzip" || l.Emitter != "fra" ||
		l.Code != CodeNotJSON {
		t.Errorf("the body: encoding %q, emitter %q, %s", l.Encoding, l.Emitter, l.Code)
	}
}

// recordsOf are the records of a letter, as a reader sees them.
func recordsOf(p DeadLetter) (all []*kgo.Record) {
	for _, r := range p.records("") {
		all = append(all, &kgo.Record{Key: r.key, Value: r.value, Headers: r.headers})
	}
	return all
}

func TestPartsArePutTogetherHoweverTheyStand(t *testing.T) {
	one, two := noise(3*partSize), noise(3*partSize+1)
	a := recordsOf(park(CodeNotJSON, "", Sender{}, nil, one))
	b := recordsOf(park(CodeNotJSON, "", Sender{}, nil, two))
	for name, scene := range map[string]struct {
		records    []*kgo.Record
		want       [][]byte
		incomplete int
	}{
		"one after the other": {[]*kgo.Record{a[0], a[1], a[2], b[0], b[1], b[2], b[3]}, [][]byte{one, two}, 0},
		"among each other":    {[]*kgo.Record{a[0], b[0], b[1], a[1], b[2], b[3], a[2]}, [][]byte{two, one}, 0},
		"backwards":           {[]*kgo.Record{a[2], a[1], a[0]}, [][]byte{one}, 0},
		"one part twice":      {[]*kgo.Record{a[0], a[0], a[1], a[2]}, [][]byte{one}, 0},
		"one part missing":    {[]*kgo.Record{a[0], a[1], b[0], b[1], b[2], b[3]}, [][]byte{two}, 1},
		"a part of nothing": {[]*kgo.Record{{Headers: []kgo.RecordHeader{{Key: HeaderPart, Value: []byte("2/1")}}}},
			nil, 1},
	} {
		var l Letters
		var got [][]byte
		for _, r := range scene.records {
			if letter, ok := l.Add(r); ok {
				if !letter.Whole {
					t.Errorf("%s: it is not whole", name)
				}
				got = append(got, letter.Value)
			}
		}
		if l.Close(); len(got) != len(scene.want) || l.Incomplete != scene.incomplete {
			t.Fatalf("%s: %d, and %d incomplete, want %d and %d", name, len(got), l.Incomplete, len(scene.want),
				scene.incomplete)
		}
		for i := range got {
			if !bytes.Equal(got[i], scene.want[i]) {
				t.Errorf("%s: %d is another one", name, i)
			}
		}
	}
}

func TestLettersThatAreNeverCompleteAreBounded(t *testing.T) {
	var l Letters
	for n := range 10 * maxOpenLetters {
		l.Add(&kgo.Record{Key: noise(n + 10), Headers: []kgo.RecordHeader{{Key: HeaderPart, Value: []byte("1/2")}}})
	}
	if len(l.open) != maxOpenLetters || len(l.order) != maxOpenLetters || l.Incomplete != 9*maxOpenLetters {
		t.Errorf("%d are held, %d were given up", len(l.open), l.Incomplete)
	}
}

func TestPartsThatWaitedInTheSpoolAreCountedOnce(t *testing.T) {
	body := noise(3 * partSize)
	letter := park(CodeNotJSON, "why", Sender{Source: "http"}, []byte("7"), body)
	b := &Batch{Parked: []DeadLetter{letter}}
	p := newSpooledPublisher(&KafkaPublisher{dlq: "dlq"}, Options{Spool: &spool.Options{}})
	var l Letters
	again := p.batchOf(entriesOf(b, time.Unix(1_790_000_000, 0)))
	if len(again.Parked) != 1 {
		t.Errorf("%d are counted, want 1", len(again.Parked))
	}
	for i := range again.delivery.records {
		if got, ok := l.Add(&again.delivery.records[i]); ok {
			if !got.Whole || !bytes.Equal(got.Value, body) || string(got.Key) != "7" || got.Reason != "why" {
				t.Errorf("it is another one: %q", got.Key)
			}
			return
		}
	}
	t.Error("it is not complete")
}

func FuzzLetters(f *testing.F) {
	f.Add([]byte("key"), "1/2", "2/2", "3")
	f.Fuzz(func(_ *testing.T, key []byte, first, second, length string) {
		var l Letters
		for _, part := range []string{first, second, first} {
			l.Add(&kgo.Record{Key: key, Value: key, Headers: []kgo.RecordHeader{{Key: HeaderPart, Value: []byte(part)},
				{Key: HeaderLength, Value: []byte(length)}, {Key: kafka.HeaderSource, Value: key}}})
		}
		l.Close()
	})
}
