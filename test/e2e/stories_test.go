package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"januscdr/internal/fixtures/player"
	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
)

// allOf waits until as many records are there as wanted, stops the processor in an orderly way, so that nothing is on
// the way any more, and compares them all; then it folds the log once more and expects the same bytes.
func (s *site) allOf(t *testing.T, want map[string]record, processors ...*service) map[string]record {
	t.Helper()
	s.emitted(t, len(want))
	for _, p := range processors {
		p.stop(t)
	}
	got := s.records(t)
	same(t, got, want)
	s.verify(t, len(want))
	return got
}

// verify expects of the log, folded once more, the very records that were emitted.
func (s *site) verify(t *testing.T, records int) {
	t.Helper()
	said := string(output(t, s.with(nil), our("cdr"), "replay", "--verify"))
	if want := fmt.Sprintf(" %d identical ", records); !strings.Contains(said, want) {
		t.Errorf("replay --verify said %q, want %q in it", said, want)
	}
}

func TestRecordsOfAStreamAreThoseOfItsFile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"1.1-a_echotest", "1.1-c_videoroom", "1.1-g_parallel"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			processor, ingest := s.processor(t, "one").start(t), s.ingest(t).start(t)
			play(t, ingest.url(), name, nil)
			ingest.stop(t)
			got := s.allOf(t, recordsOfFile(t, name), processor)
			s.readByAStranger(t, got)
			s.settings["GROUP"] = "forgotten" // the changelog knows how far it is, too
			s.verify(t, len(got))
		})
	}
}

// readByAStranger expects that a consumer which is not ours reads the same. It needs a Python with its libraries.
func (s *site) readByAStranger(t *testing.T, want map[string]record) {
	t.Helper()
	python := os.Getenv("JANUSCDR_PYTHON")
	if python == "" {
		return
	}
	got := recordsOf(t, output(t, nil, python, repository("scripts/external_consumer.py"),
		"--brokers", strings.Join(brokers, ","), "--topic", s.topics.CDR))
	same(t, got, want)
	for id, r := range got {
		for _, field := range where {
			if g, w := text(r[field]), text(want[id][field]); g != w {
				t.Errorf("%s: %s is %s, want %s", title(r), field, g, w)
			}
		}
	}
}

func TestAKilledProcessorLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	const name = "1.1-g_parallel"
	s := newSite(t)
	processor, ingest := s.processor(t, "one").start(t), s.ingest(t).start(t)
	// Killed four times while events come, each time when it has committed something since.
	var seen int64
	play(t, ingest.url(), name, func(done, total int) {
		if done%(total/4) != total/8 {
			return
		}
		until(t, "progress before the kill", func(ctx context.Context) (bool, error) {
			processor.mustRun(t)
			now, err := s.processed(ctx)
			if err != nil || now <= seen {
				return false, err
			}
			seen = now
			return true, nil
		})
		processor.kill()
		processor.process = start(t, processor.settings, "cdr", "run") // not waited for: events go on coming
	})
	// And once more while records are being emitted.
	want := recordsOfFile(t, name)
	s.emitted(t, 1)
	processor.killAndStart(t)
	s.allOf(t, want, processor)
}

func TestAKilledIngestLosesNothingThatItAnswered(t *testing.T) {
	t.Parallel()
	const name = "1.1-c_videoroom"
	s := newSite(t)
	processor, ingest := s.processor(t, "one").start(t), s.ingest(t).start(t)
	play(t, ingest.url(), name, func(done, total int) {
		if done%(total/4) == 0 {
			ingest.killAndStart(t)
		}
	})
	s.allOf(t, recordsOfFile(t, name), processor)
}

func TestAnotherProcessorTakesOverFromOneThatIsGone(t *testing.T) {
	t.Parallel()
	const name = "1.1-g_parallel"
	s := newSite(t)
	// How long the group waits for the one that is gone, and how long its last transaction may stay open.
	s.settings["SESSION_TIMEOUT"], s.settings["TRANSACTION_TIMEOUT"] = "6s", "5s"
	one, ingest := s.processor(t, "one").start(t), s.ingest(t).start(t)
	two := s.processor(t, "two")
	play(t, ingest.url(), name, func(done, total int) {
		switch done {
		case total / 3:
			two.start(t)
		case total * 2 / 3:
			one.kill()
		}
	})
	s.allOf(t, recordsOfFile(t, name), two)
}

// A Janus that got no answer sends its body again, to an ingest that was started anew in between and does not know it.
func TestWhatComesAgainAfterARestartOfIngestIsCountedAndChangesNothing(t *testing.T) {
	t.Parallel()
	const name = "1.1-a_echotest"
	s := newSite(t)
	processor, ingest := s.processor(t, "one").start(t), s.ingest(t).start(t)
	requests := recordings.Requests(name)
	send := func(r recordings.Request) {
		if err := player.Play(t.Context(), ingest.url(), []recordings.Request{r}, player.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	var parser janus.Parser
	again := 0
	for i, r := range requests {
		send(r)
		if i != len(requests)/2 {
			continue
		}
		send(r) // this is known, and not written
		ingest.killAndStart(t)
		send(r) // this is not
		raw, err := janus.Split(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range raw {
			e, err := parser.Parse(event)
			if err != nil {
				t.Fatal(err)
			}
			if again++; e.Reach() == janus.ReachEveryone {
				again += partitions - 1 // its copies come again, too
			}
		}
	}
	want := recordsOfFile(t, name)
	s.emitted(t, len(want))
	until(t, "the repetitions are counted", func(ctx context.Context) (bool, error) {
		got := scrape(ctx, processor.settings["ADMIN_LISTEN"])["januscdr_duplicates_total"]
		if got != strconv.Itoa(again) {
			return false, fmt.Errorf("%s repetitions are counted, want %d", got, again)
		}
		return true, nil
	})
	processor.stop(t)
	got := s.records(t)
	counted := false
	for _, all := range []map[string]record{got, want} {
		for _, r := range all {
			counted = counted || text(r["duplicate_count"]) != "0"
			delete(r, "duplicate_count")
		}
	}
	if !counted {
		t.Error("no record says that something came twice")
	}
	same(t, got, want)
}
