package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/kafka"
)

// nextSchema is ours as a later program may have it: each enum has one more word, and there is one more field.
func nextSchema(t *testing.T) string {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal([]byte(avro.Schema()), &tree); err != nil {
		t.Fatal(err)
	}
	var grow func(n any)
	grow = func(n any) {
		switch n := n.(type) {
		case []any:
			for _, item := range n {
				grow(item)
			}
		case map[string]any:
			if symbols, ok := n["symbols"].([]any); ok {
				n["symbols"] = append(symbols, "OF_LATER")
			}
			for _, item := range n {
				grow(item)
			}
		}
	}
	grow(tree)
	fields, _ := tree["fields"].([]any)
	tree["fields"] = append(fields,
		map[string]any{"name": "of_later", "type": []any{"null", "string"}, "default": nil, "doc": "Of a later program."})
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rewritten is the site with the same records on another topic, as a program with another schema writes them.
func (s *site) rewritten(t *testing.T, name, fingerprint string) *site {
	t.Helper()
	other := *s
	other.topics.CDR = s.topics.CDR + "." + name
	other.settings = s.with(map[string]string{"TOPICS_CDR": other.topics.CDR})
	admin := kadm.NewClient(s.client)
	if _, err := admin.CreateTopic(t.Context(), partitions, -1, nil, other.topics.CDR); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = admin.DeleteTopics(t.Context(), other.topics.CDR) })
	whole, err := kafka.CommittedRanges(t.Context(), s.client, s.topics.CDR)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := kafka.NewReader(kafka.Options{Brokers: brokers}, s.topics.CDR, whole)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	client, err := kafka.NewClient(kafka.Options{Brokers: brokers}, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for {
		messages, err := reader.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return &other
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			r, err := avro.Decode(m.Value)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := avro.EncodeFor(fingerprint, &r)
			if err != nil {
				t.Fatal(err)
			}
			again := &kgo.Record{Topic: other.topics.CDR, Partition: m.Partition, Key: m.Key, Value: theirs, Headers: m.Headers}
			if err := client.ProduceSync(t.Context(), again).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestEachCommandReadsRecordsOfEachSchema(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.settings["LOG_LEVEL"] = "error"
	processor, ingest := s.processor(t, "one").start(t), s.ingest(t).start(t)
	play(t, ingest.url(), "1.1-a_echotest", nil)
	ingest.stop(t)
	all := s.allOf(t, recordsOfFile(t, "1.1-a_echotest"), processor)

	later := nextSchema(t)
	file := filepath.Join(t.TempDir(), "later.avsc")
	if err := os.WriteFile(file, []byte(later), 0o600); err != nil {
		t.Fatal(err)
	}
	schemas := map[string]string{}
	released, err := avro.Schemas()
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range append(released, later) {
		fingerprint, err := avro.Learn(text)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("release%d", i+1)
		if i == len(released) {
			name = "later"
		}
		schemas[name] = fingerprint
	}
	for name, fingerprint := range schemas {
		t.Run(name, func(t *testing.T) {
			o := s.rewritten(t, name, fingerprint)
			if name == "later" {
				said := output(t, o.settings, our("cdr"), "tail", "--from", "earliest", "--once")
				if !bytes.Contains(said, []byte("topics.schemas")) {
					t.Errorf("a schema that nobody knows is told without its remedy:\n%s", said)
				}
				o.settings["TOPICS_SCHEMAS"] = file
			}
			lines := func(args ...string) int {
				out := output(t, o.settings, our("cdr"), args...)
				if bytes.Contains(out, []byte("unreadable")) || bytes.Contains(out, []byte("cannot be read")) {
					t.Errorf("cdr %s: %s", strings.Join(args, " "), out)
				}
				return bytes.Count(out, []byte("\n"))
			}
			if n := lines("tail", "--from", "earliest", "--once", "--json"); n != len(all) {
				t.Errorf("tail --json has %d of %d records", n, len(all))
			}
			lines("tail", "--from", "earliest", "--once")
			if n := lines("export", "--since", "2020-01-01", "--format", "jsonl", "--all-revisions"); n != len(all) {
				t.Errorf("export has %d of %d records", n, len(all))
			}
			lines("sink", "sqlite", "--sink-sqlite-file", filepath.Join(t.TempDir(), "calls.sqlite"), "--once")
			lines("export", "--export-to", t.TempDir(), "--once")
			o.verify(t, len(all))
		})
	}
}
