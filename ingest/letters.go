package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// Bounds of what is put together at a time.
const (
	maxOpenLetters = 64
	maxLetterParts = 1 << 10
)

// Letter is an original that was parked, put together from its records.
type Letter struct {
	DeadLetter
	Emitter   string // that a rule had assigned
	Partition int32
	Offset    int64 // of the record, or of its last part
	Whole     bool  // all of the original is there, as its length and hash tell
}

// Letters puts parked originals together from the records of the dead letter topic, which are given in their order. It
// holds up to 64 that are not complete. The zero value is ready.
type Letters struct {
	open  map[string]*openLetter
	order []string // of the keys of those that are open, the oldest first

	Incomplete int // originals of which parts are missing, so far
}

type openLetter struct {
	parts [][]byte
	left  int
}

// Add takes a record, and returns the letter that it completes, if it does. The values of records are kept.
func (l *Letters) Add(r *kgo.Record) (Letter, bool) {
	which, inParts := kafka.Header(r, HeaderPart)
	value, complete := r.Value, true
	if inParts {
		value, complete = l.part(string(which), r)
	}
	if !complete {
		return Letter{}, false
	}
	text := func(name string) string {
		v, _ := kafka.Header(r, name)
		return string(v)
	}
	letter := Letter{Emitter: text(kafka.HeaderEmitter), Partition: r.Partition, Offset: r.Offset, DeadLetter: DeadLetter{
		Code: Code(text(HeaderError)), Reason: text(kafka.HeaderReason), Key: r.Key, Value: value, Sender: text(HeaderSender),
		Source: text(kafka.HeaderSource), Encoding: text(HeaderEncoding)}}
	if inParts {
		letter.Key = []byte(text(HeaderKey))
	}
	letter.Length, _ = strconv.ParseInt(text(HeaderLength), 10, 64)
	hash, _ := hex.DecodeString(text(HeaderSHA256))
	copy(letter.SHA256[:], hash)
	letter.Whole = int64(len(value)) == letter.Length && sha256.Sum256(value) == letter.SHA256
	return letter, true
}

// part takes a part, and returns the original when that is complete.
func (l *Letters) part(which string, r *kgo.Record) ([]byte, bool) {
	number, count, _ := strings.Cut(which, "/")
	i, err := strconv.Atoi(number)
	n, err2 := strconv.Atoi(count)
	if err != nil || err2 != nil || i < 1 || i > n || n > maxLetterParts {
		l.Incomplete++
		return nil, false
	}
	key := string(r.Key)
	o := l.open[key]
	if o == nil || len(o.parts) != n {
		o = l.begin(key, n)
	}
	if o.parts[i-1] == nil {
		o.parts[i-1] = r.Value
		o.left--
	}
	if o.left > 0 {
		return nil, false
	}
	l.end(key)
	return bytes.Join(o.parts, nil), true
}

// begin opens a letter, and gives up the oldest one if there are too many.
func (l *Letters) begin(key string, parts int) *openLetter {
	if l.open == nil {
		l.open = map[string]*openLetter{}
	}
	if _, again := l.open[key]; again {
		l.end(key)
		l.Incomplete++
	}
	if len(l.order) >= maxOpenLetters {
		l.end(l.order[0])
		l.Incomplete++
	}
	o := &openLetter{parts: make([][]byte, parts), left: parts}
	l.open[key] = o
	l.order = append(l.order, key)
	return o
}

func (l *Letters) end(key string) {
	delete(l.open, key)
	for i, other := range l.order {
		if other == key {
			l.order = append(l.order[:i], l.order[i+1:]...)
			return
		}
	}
}

// Close counts what is not complete when there are no more records.
func (l *Letters) Close() {
	l.Incomplete += len(l.open)
	l.open, l.order = nil, nil
}
