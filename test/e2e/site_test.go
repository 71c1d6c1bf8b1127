package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/internal/fixtures/recordings"
	"januscdr/kafka"
)

// partitions of each topic: enough that sessions of one room lie apart, few enough for many stories at once.
const partitions = 5

// A site is one deployment: topics and a group of its own, and the settings that its processes share.
type site struct {
	settings map[string]string
	brokers  []string
	topics   kafka.Topics
	group    string
	client   *kgo.Client
}

// newSite makes the topics of a deployment that nobody else has.
func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteOn(t, brokers)
}

// newSiteOn makes them on a Kafka of their own.
func newSiteOn(t *testing.T, brokers []string) *site {
	t.Helper()
	name := fmt.Sprintf("e2e-%08x", rand.Uint32())
	s := &site{
		group: name, brokers: brokers,
		topics: kafka.Topics{
			Events: name + ".events", CDR: name + ".cdr", State: name + ".state", DLQ: name + ".dlq",
			Partitions: partitions, Replication: -1,
		},
	}
	s.settings = map[string]string{
		"KAFKA_BROKERS":     strings.Join(brokers, ","),
		"TOPICS_EVENTS":     s.topics.Events,
		"TOPICS_CDR":        s.topics.CDR,
		"TOPICS_STATE":      s.topics.State,
		"TOPICS_DLQ":        s.topics.DLQ,
		"TOPICS_PARTITIONS": fmt.Sprint(partitions),
		"GROUP":             s.group,
		"WORKERS":           "2",
		"LOG_LEVEL":         "debug",
	}
	client, err := kafka.NewClient(kafka.Options{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.client = client
	if err := kafka.WaitReady(t.Context(), client, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := kafka.CreateTopics(t.Context(), client, s.topics); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A broker that is used again should not fill up. Gone with the embedded one anyway.
		_, _ = kadm.NewClient(client).DeleteTopics(context.Background(), s.topics.Events, s.topics.CDR, s.topics.State,
			s.topics.DLQ)
	})
	return s
}

// with are the settings of one process.
func (s *site) with(more map[string]string) map[string]string {
	all := maps.Clone(s.settings)
	maps.Copy(all, more)
	return all
}

// A service is a process that is started again with the same settings: same addresses, same folder, same name.
type service struct {
	*process
	command  []string
	settings map[string]string
}

// processor is `cdr run`.
func (s *site) processor(t *testing.T, instance string) *service {
	t.Helper()
	return &service{command: []string{"cdr", "run"}, settings: s.with(map[string]string{
		"INSTANCE":     instance,
		"ADMIN_LISTEN": freeAddress(t),
		"STATE_DIR":    filepath.Join(t.TempDir(), "state"),
	})}
}

// ingest is the receiver; its address stays the same over restarts, as Janus knows it.
func (s *site) ingest(t *testing.T) *service {
	t.Helper()
	return &service{command: []string{"ingest"}, settings: s.with(map[string]string{
		"INGEST_LISTEN": freeAddress(t),
		"ADMIN_LISTEN":  freeAddress(t),
		"STATE_DIR":     filepath.Join(t.TempDir(), "ingest"),
	})}
}

// start runs the service and waits until it is ready.
func (s *service) start(t *testing.T) *service {
	t.Helper()
	s.process = start(t, s.settings, s.command[0], s.command[1:]...)
	s.ready(t, s.settings["ADMIN_LISTEN"])
	return s
}

// killAndStart ends the service as a power cut would, and starts it again.
func (s *service) killAndStart(t *testing.T) {
	t.Helper()
	s.kill()
	s.start(t)
}

// url is where Janus sends events.
func (s *service) url() string { return "http://" + s.settings["INGEST_LISTEN"] + "/events" }

// A record is a call detail record in its JSON form.
type record map[string]any

// where are the fields that say where in Kafka the events of a record lie. They differ between one file and the
// partitions of a topic; everything else must not.
var where = []string{
	"source_topic", "source_partition", "first_offset", "last_offset", "lineage_offset", "local_record_sequence_number",
}

// recordsOf reads records from lines of JSON, by record_id. One id twice is an error.
func recordsOf(t *testing.T, lines []byte) map[string]record {
	t.Helper()
	all := map[string]record{}
	for line := range bytes.Lines(lines) {
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		var r record
		if err := decoder.Decode(&r); err != nil {
			t.Fatalf("read record %s: %v", line, err)
		}
		id := fmt.Sprint(r["record_id"])
		if _, twice := all[id]; twice {
			t.Errorf("record %s came twice", id)
		}
		all[id] = r
	}
	return all
}

// recordsOfFile is what `cdr assemble` makes of a recording.
func recordsOfFile(t *testing.T, name string) map[string]record {
	t.Helper()
	file := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(file, bytes.Join(recordings.Events(name), []byte("\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	all := recordsOf(t, output(t, nil, our("cdr"), "assemble", file))
	if len(all) == 0 {
		t.Fatalf("assemble %s: no records", name)
	}
	return all
}

// same compares records with those expected, by record_id, in each field but where.
func same(t *testing.T, got, want map[string]record) {
	t.Helper()
	for _, id := range slices.Sorted(maps.Keys(want)) {
		r, ok := got[id]
		if !ok {
			t.Errorf("%s: missing", title(want[id]))
			continue
		}
		for _, field := range slices.Sorted(maps.Keys(want[id])) {
			if slices.Contains(where, field) {
				continue
			}
			if g, w := text(r[field]), text(want[id][field]); g != w {
				t.Errorf("%s: %s is %s, want %s", title(r), field, g, w)
			}
		}
		if len(r) != len(want[id]) {
			t.Errorf("%s: has %d fields, want %d", title(r), len(r), len(want[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[id]; !ok {
			t.Errorf("%s: not expected", title(got[id]))
		}
	}
}

func title(r record) string {
	return fmt.Sprintf("%v %v of session %v, handle %v, leg %v", r["record_type"], r["record_id"], r["session_id"],
		r["handle_id"], r["leg_index"])
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// records reads the committed records of the site, each partition up to its end as it is now. It checks what only a
// reader of the topic can see: the numbering without a gap, and that a record lies where its events do.
func (s *site) records(t *testing.T) map[string]record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	whole, err := kafka.CommittedRanges(ctx, s.client, s.topics.CDR)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := kafka.NewReader(kafka.Options{Brokers: s.brokers}, s.topics.CDR, whole)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var lines []byte
	numbers := map[int32]int64{} // of the last record, by partition
	for {
		messages, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			return recordsOf(t, lines)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range messages {
			r, err := avro.Decode(message.Value)
			if err != nil {
				t.Fatalf("partition %d, offset %d: %v", message.Partition, message.Offset, err)
			}
			number, any := numbers[message.Partition]
			if any && r.LocalRecordSequenceNumber != number+1 {
				t.Errorf("partition %d, offset %d: local_record_sequence_number is %d after %d",
					message.Partition, message.Offset, r.LocalRecordSequenceNumber, number)
			}
			numbers[message.Partition] = r.LocalRecordSequenceNumber
			if r.SourcePartition != message.Partition || r.SourceTopic != s.topics.Events || r.FirstOffset > r.LastOffset {
				t.Errorf("partition %d, offset %d: events are said to lie at %s/%d, %d to %d",
					message.Partition, message.Offset, r.SourceTopic, r.SourcePartition, r.FirstOffset, r.LastOffset)
			}
			if string(message.Key) != r.SessionID {
				t.Errorf("partition %d, offset %d: the key is %q, the session %s", message.Partition, message.Offset, message.Key,
					r.SessionID)
			}
			lines = append(avro.JSON(lines, &r), '\n')
		}
	}
}

// emitted waits until at least n records are committed.
func (s *site) emitted(t *testing.T, n int) {
	t.Helper()
	until(t, fmt.Sprintf("%d records", n), func(context.Context) (bool, error) {
		got := len(s.records(t))
		if t.Failed() {
			t.FailNow() // more will not mend it
		}
		if got < n {
			return false, fmt.Errorf("%d records", got)
		}
		return true, nil
	})
}

// processed tells how many input records the group has behind it.
func (s *site) processed(ctx context.Context) (int64, error) {
	offsets, err := kadm.NewClient(s.client).FetchOffsets(ctx, s.group)
	if err != nil {
		return 0, err
	}
	var sum int64
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Topic == s.topics.Events && o.At > 0 {
			sum += o.At
		}
	})
	return sum, nil
}
