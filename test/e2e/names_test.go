package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// invented is a body of some events, each of a session of its own, and of a server of its own or of one for all.
func invented(first, count int, servers bool) []byte {
	body := []byte("[")
	for n := first; n < first+count; n++ {
		name := "one"
		if servers {
			name = fmt.Sprint("invented-", n)
		}
		body = fmt.Appendf(body, `{"emitter":"%s","type":1,"timestamp":1700000000000000,"session_id":%d,`+
			`"event":{"name":"created"}},`, name, n+1)
	}
	body[len(body)-1] = ']'
	return body
}

// resident is the memory of a process in bytes; 0 where the system does not tell.
func (p *process) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// foldsInvented sends as many events to a site of its own, and tells of its processor's memory in bytes, of the signs
// of life in the log, and in how many spans of 30 s there were any.
func foldsInvented(t *testing.T, bodies, each int, servers bool) (memory, signs, spans int) {
	t.Helper()
	s := newSite(t)
	ingest, processor := s.ingest(t), s.processor(t, "cdr-1")
	ingest.settings["LOG_LEVEL"], processor.settings["LOG_LEVEL"] = "warn", "warn"
	ingest.start(t)
	processor.start(t)
	for n := range bodies {
		body := invented(n*each, each, servers)
		until(t, "a body is answered", func(ctx context.Context) (bool, error) {
			answer, err := http.Post(ingest.url(), "application/json", bytes.NewReader(body))
			if err != nil {
				return false, err
			}
			answer.Body.Close()
			return answer.StatusCode == http.StatusOK, nil
		})
	}
	until(t, "all events are folded", func(ctx context.Context) (bool, error) {
		folded, err := s.processed(ctx)
		return folded >= int64(bodies*each), err
	})
	memory = processor.resident(t)
	begun := map[int64]bool{}
	count := func(records []*kgo.Record) error {
		for _, r := range records {
			if kind, _ := kafka.Header(r, kafka.HeaderKind); string(kind) == kafka.KindAlive {
				signs++
				begun[r.Timestamp.Unix()/30] = true
			}
		}
		return nil
	}
	at := kafka.Options{Brokers: s.brokers}
	if err := kafka.ReadCommitted(t.Context(), s.client, at, s.topics.Events, count); err != nil {
		t.Fatal(err)
	}
	return memory, signs, len(begun)
}

// A few MB have room for 50 000 names. Each that is believed costs a record in each partition, again and again, and
// memory of each task.
func TestNamesThatASenderInventsCostLittle(t *testing.T) {
	t.Parallel()
	const (
		bodies, each = 5, 10_000
		earned       = 1000 * partitions // signs of life by one sender, each 30 s
		factor       = 2                 // of memory: when its garbage is collected is left to chance
	)
	one, _, _ := foldsInvented(t, bodies, each, false)
	many, signs, spans := foldsInvented(t, bodies, each, true)
	t.Logf("%d names: %d signs of life; %d MiB, and %d MiB with one name", bodies*each, signs, many>>20, one>>20)
	if signs > earned*(spans+1) {
		t.Errorf("%d signs of life within %d times 30 s", signs, spans)
	}
	if many > factor*one {
		t.Errorf("the processor has %d bytes, with one name %d", many, one)
	}
}
