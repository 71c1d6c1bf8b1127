package main

import (
	"os"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/internal/cli"
	"januscdr/kafka"
)

func TestACopyIsMadeAndGoesOnWhereItEnded(t *testing.T) {
	s := recorded(t, "1.1-f_sip")
	if got := s.says("copy", "--once"); got.code != cli.Failed || !strings.Contains(got.err, "--create-topic") {
		t.Errorf("%+v", got)
	}
	for range 2 {
		if got := s.says("copy", "--once", "--create-topic", "--copy-where", "record_type=LEG"); got.code != cli.OK {
			t.Fatalf("%+v", got)
		}
	}
	legs := s.says("export", "--since", "2000-01-01", "--format", "jsonl", "--where", "record_type=LEG")
	s.environ = append(s.environ, "JANUSCDR_COPY_TO=elsewhere") // or two topics have one name
	again := s.says("tail", "--dlq", "--topics-dlq", "janus.cdr.json", "--from", "earliest", "--once")
	if n := strings.Count(legs.out, "\n"); n == 0 || strings.Count(again.out, "\n") != n {
		t.Errorf("%d copies of %d legs:\n%s", strings.Count(again.out, "\n"), n, again.err)
	}
}

func TestACopySaysWhatItDoesNotUnderstand(t *testing.T) {
	s := newSite(t)
	for words, args := range map[string][]string{
		"neither earliest nor latest": {"copy", "--from", "now"},
		"no field of a record":        {"copy", "--copy-where", "minutes"},
		"is the name of topics.cdr":   {"copy", "--copy-to", "janus.cdr"},
	} {
		if got := s.says(args...); got.code != cli.Usage || !strings.Contains(got.err, words) {
			t.Errorf("%v: %+v, want %q", args, got, words)
		}
	}
}

// The flat copy is framed for the registry, under the topic that it is in.
func TestAFlatCopyIsFramedForItsReaders(t *testing.T) {
	url, _ := aRegistry(t)
	s := recorded(t, "1.1-f_sip")
	copied := []string{"copy", "--create-topic", "--copy-to", "flat", "--copy-format", "flat-avro", "--once"}
	with := append(copied, "--registry-url", url)
	if got := s.says(append(copied, "--registry-url", url)...); os.Getenv("JANUSCDR_TEST_REGISTRY") == "" &&
		(got.code != cli.Failed || !strings.Contains(got.err, "--registry-register")) {
		t.Fatalf("%+v", got)
	}
	if got := s.says(append(with, "--registry-register")...); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	client, err := kafka.NewClient(kafka.Options{Brokers: []string{s.address}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	codec, err := goavro.NewCodec(avro.FlatSchema())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := kafka.ReadCommitted(s.ctx, client, kafka.Options{Brokers: []string{s.address}}, "flat",
		func(records []*kgo.Record) error {
			for _, r := range records {
				n++
				if avro.FramingOf(r.Value) != avro.Registered || string(kafka.Schema(r)) != avro.FlatFingerprint() {
					t.Errorf("offset %d begins with %x", r.Offset, r.Value[:5])
				}
				if _, rest, err := codec.NativeFromBinary(avro.Body(r.Value)); err != nil || len(rest) > 0 {
					t.Errorf("offset %d: %v", r.Offset, err)
				}
			}
			return nil
		}); err != nil || n == 0 {
		t.Fatal(n, err)
	}
	if got := s.says(copied...); got.code != cli.Failed || !strings.Contains(got.err, "readers cannot read both") {
		t.Errorf("%+v", got)
	}
}
