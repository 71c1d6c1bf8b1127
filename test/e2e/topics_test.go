package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"januscdr/kafka"
)

// answers sends one event that was never sent, and tells whether it was answered: what comes again is known.
func answers(ctx context.Context, url string) bool {
	return answersTo(ctx, url, rand.Int64N(1<<53))
}

// answersTo is answers with an event of this session.
func answersTo(ctx context.Context, url string, session int64) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body := fmt.Sprintf(`{"emitter":"e2e","type":1,"timestamp":%d,"session_id":%d,"event":{"name":"created"}}`,
		time.Now().UnixMicro(), session)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return false
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func TestIngestGoesOnWhenTheEventLogWasMadeAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ingest := s.ingest(t).start(t)
	if !answers(t.Context(), ingest.url()) {
		t.Fatal("the first event is not answered")
	}
	s.delete(t, s.topics.Events)
	until(t, "ingest says that the topic is not there", func(ctx context.Context) (bool, error) {
		ingest.mustRun(t)
		answers(ctx, ingest.url())
		ready, reasons, err := readyz(ctx, ingest.settings["ADMIN_LISTEN"])
		return !ready && strings.Contains(strings.Join(reasons, ";"), "does not exist"), err
	})
	until(t, "the topic is made again", func(ctx context.Context) (bool, error) {
		created, err := kafka.CreateTopics(ctx, s.client, s.topics)
		return len(created) == 1, err
	})
	until(t, "ingest answers again", func(ctx context.Context) (bool, error) {
		ingest.mustRun(t)
		return answers(ctx, ingest.url()), nil
	})
	ingest.ready(t, ingest.settings["ADMIN_LISTEN"])
	ingest.stop(t)
}

// Positions mean nothing any more in a topic that was made again, so whoever reads on must not.
func TestWhoReadsOnEndsWithARemedyWhenItsTopicWasMadeAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ingest, processor := s.ingest(t).start(t), s.processor(t, "cdr-1").start(t)
	tail := start(t, s.settings, "cdr", "tail", "--json", "--from", "earliest")
	sink := start(t, s.with(map[string]string{"ADMIN_LISTEN": "", "SINK_SQLITE_FILE": "records.sqlite"}), "cdr", "sink",
		"sqlite")
	play(t, ingest.url(), "1.1-a_echotest", nil)
	s.emitted(t, len(recordsOfFile(t, "1.1-a_echotest")))
	tail.says(t, `"record_id"`)
	sink.says(t, "records=")
	ingest.stop(t)

	again := func(topic string) {
		s.delete(t, topic)
		until(t, topic+" is made again", func(ctx context.Context) (bool, error) {
			created, err := kafka.CreateTopics(ctx, s.client, s.topics)
			return len(created) == 1, err
		})
	}
	again(s.topics.CDR)
	tail.endedInOrder(t, "deleted and made again", "begin once more")
	sink.endedInOrder(t, "deleted and made again", "--accept-new-topic")
	processor.mustRun(t) // it writes there, and its positions are in others
	again(s.topics.Events)
	// It sees that itself, rather than when it has begun anew and finds that its positions are of another topic.
	processor.endedInOrder(t, "the topic was deleted and made again: ", "give the changelog and the group new names")
}

// delete deletes a topic.
func (s *site) delete(t *testing.T, topic string) {
	t.Helper()
	deleted, err := kadm.NewClient(s.client).DeleteTopics(t.Context(), topic)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}
