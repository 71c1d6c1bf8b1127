package e2e

import (
	"context"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"januscdr/internal/fixtures/broker"
	"januscdr/kafka"
)

// strangerStays is how long at most the other cluster answers: until our processes say so, which they do sooner.
const strangerStays = 20 * time.Second

func TestAnotherClusterAtOurAddressIsWaitedOut(t *testing.T) {
	t.Parallel()
	address, err := broker.NewAddress("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(address.Close)
	var homes [2]*broker.Home
	for i := range homes {
		if homes[i], err = address.Start(filepath.Join(t.TempDir(), "kafka")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { homes[i].Close() })
	}
	ours, other := homes[0], homes[1]
	address.Lead(ours.At)
	s := newSiteOn(t, []string{address.String()})
	s.settings["SESSION_TIMEOUT"], s.settings["TRANSACTION_TIMEOUT"] = "6s", "5s"
	address.Lead(other.At)
	makeTopicsOf(t, s)
	address.Lead(ours.At)

	ingest, processor := s.ingest(t).start(t), s.processor(t, "cdr-1").start(t)
	play(t, ingest.url(), "1.1-a_echotest", nil)
	want := recordsOfFile(t, "1.1-a_echotest")
	s.emitted(t, len(want))

	address.Lead(other.At)
	seen := time.Now()
	for _, p := range []*service{ingest, processor} {
		told := false
		for !told && time.Since(seen) < strangerStays {
			_, reasons, err := readyz(t.Context(), p.settings["ADMIN_LISTEN"])
			told = err == nil && strings.Contains(strings.Join(reasons, ";"), "another cluster answers")
			time.Sleep(20 * time.Millisecond)
		}
		if !told {
			t.Errorf("%s does not say that another cluster answers", p.name)
		}
	}
	if n := writtenTo(t, s); n != 0 {
		t.Errorf("the other cluster has %d records of ours", n)
	}

	address.Lead(ours.At)
	for _, p := range []*service{ingest, processor} {
		p.ready(t, p.settings["ADMIN_LISTEN"])
		p.says(t, "our cluster answers again")
	}
	play(t, ingest.url(), "1.1-f_sip", nil)
	maps.Copy(want, recordsOfFile(t, "1.1-f_sip"))
	ingest.stop(t)
	s.allOf(t, want, processor)
}

// makeTopicsOf makes the topics of a site where its address leads to now.
func makeTopicsOf(t *testing.T, s *site) {
	t.Helper()
	client, err := kafka.NewClient(kafka.Options{Brokers: s.brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := kafka.WaitReady(ctx, client, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := kafka.CreateTopics(ctx, client, s.topics); err != nil {
		t.Fatal(err)
	}
}

// writtenTo counts what the topics of a site hold where its address leads to now.
func writtenTo(t *testing.T, s *site) (n int64) {
	t.Helper()
	client, err := kafka.NewClient(kafka.Options{Brokers: s.brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, s.topics.Events, s.topics.CDR, s.topics.State, s.topics.DLQ)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}
