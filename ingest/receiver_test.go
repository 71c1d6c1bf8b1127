package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
	"time"

	"januscdr/kafka"
)

// hand is a source that a test feeds: it hands bodies over as a whole, as queues do.
type hand struct{ receiver *Receiver }

func (*hand) Name() string          { return "hand" }
func (*hand) Check(Options) []error { return nil }
func (h *hand) Open(r *Receiver) ([]any, error) {
	h.receiver = r
	return nil, nil
}

func (*hand) Serve(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (h *hand) give(ctx context.Context, encoding, body string) Outcome {
	return h.receiver.Receive(ctx, Sender{Source: h.Name(), Path: "queue"}, encoding, []byte(body))
}

// openByHand starts a receiver whose source is the test.
func openByHand(t *testing.T, change func(*Options)) (*site, *hand) {
	t.Helper()
	h := &hand{}
	return open(t, func(o *Options) {
		o.Sources = append(o.Sources, h)
		if change != nil {
			change(o)
		}
	}), h
}

func TestASourceLearnsWhatBecameOfABody(t *testing.T) {
	const limit = 64 << 10
	s, h := openByHand(t, func(o *Options) { o.BodyLimit, o.EventLimit = limit, limit/2 })
	good, next := attached(1, 1), attached(1, 2)
	tooLong := `{"x":"` + strings.Repeat("x", limit) + `"}`
	for _, scene := range []struct {
		name, encoding, body string
		want                 Outcome
	}{
		{"an event", "", good, Outcome{Delivered, 1, 0, ""}},
		{"an array, compressed", "gzip", string(zip(t, []byte("["+next+","+good+"]"))), Outcome{Delivered, 2, 0, ""}},
		{"an array with something else in it", "", "[" + good + ",17," + next + ",18]", Outcome{Parked, 2, 2, "not_event"}},
		{"no JSON", "", "hello", Outcome{Parked, 0, 1, "not_json"}},
		{"nothing", "", "", Outcome{Parked, 0, 1, "not_json"}},
		{"over the limit", "", tooLong, Outcome{Parked, 0, 1, "body_limit"}},
		{"compressed in a way that nobody knows", "br", next, Outcome{Parked, 0, 1, "encoding"}},
	} {
		events, parked := len(s.events()), len(s.records("dlq"))
		for _, time := range []string{"first", "second"} { // and what it says again, of a body that is not written again
			if got := h.give(t.Context(), scene.encoding, scene.body); got != scene.want {
				t.Errorf("%s, the %s time: %+v, want %+v", scene.name, time, got, scene.want)
			}
		}
		events, parked = len(s.events())-events, len(s.records("dlq"))-parked
		if events != scene.want.Events || parked != scene.want.Parked {
			t.Errorf("%s: %d events and %d parked in the topics, want %+v", scene.name, events, parked, scene.want)
		}
	}
	if got := s.count("inflight_bytes", ""); got != 0 {
		t.Errorf("%v bytes are still held", got)
	}

	digest := sha256.Sum256([]byte(tooLong))
	for _, r := range s.records("dlq") {
		if got := header(r, kafka.HeaderSource); got != "ingest/hand" {
			t.Errorf("parked by %q, want the source", got)
		}
		if got := header(r, HeaderSender); got != "hand" {
			t.Errorf("sent by %q: there is no address, so it is the source", got)
		}
		if header(r, HeaderError) == "body_limit" && (header(r, HeaderLength) != strconv.Itoa(len(tooLong)) ||
			header(r, HeaderSHA256) != hex.EncodeToString(digest[:]) || !bytes.Equal(r.Value, []byte(tooLong)[:maxHead])) {
			t.Errorf("parked as %v", r.Headers)
		}
	}
}

func TestASourceLearnsWhyABodyMustComeAgain(t *testing.T) {
	s, h := openByHand(t, func(o *Options) { o.Delivery = 300 * time.Millisecond })
	_, release := s.cutProduce()
	defer release()
	if got, want := h.give(t.Context(), "", attached(1, 1)), (Outcome{Result: TryAgain, Reason: "timeout"}); got != want {
		t.Errorf("kafka does not answer: %+v, want %+v", got, want)
	}
	if got := s.server.LastFailure(); !strings.Contains(got, errUnacknowledged.Error()) {
		t.Errorf("the server tells %q of it", got)
	}
	s.server.receiver.stop()
	if got, want := h.give(t.Context(), "", attached(1, 2)), (Outcome{Result: TryAgain, Reason: "stopping"}); got != want {
		t.Errorf("it stops: %+v, want %+v", got, want)
	}
	for reason, want := range map[string]float64{"timeout": 1, "stopping": 1} {
		if got := s.count("refused_total", reason); got != want {
			t.Errorf("%v bodies counted as %s, want %v", got, reason, want)
		}
	}
	s.server.receiver.stopping = make(chan struct{}) // the end of the test stops it once more
}

func TestSourcesShareTheBoundOnWhatIsHeld(t *testing.T) {
	const limit = 1 << 20
	s, h := openByHand(t, func(o *Options) {
		o.BodyLimit, o.EventLimit, o.InflightMax, o.Delivery = limit, limit, 2*limit, 200*time.Millisecond
	})
	budget := s.server.receiver.reader.budget
	other := budget.open(party{"another", true}, nil)
	if err := other.take(t.Context(), 2*limit+1); err != nil {
		t.Fatal(err)
	}
	if got, want := h.give(t.Context(), "", attached(1, 1)), (Outcome{Result: TryAgain, Reason: "busy"}); got != want {
		t.Errorf("while all is held: %+v, want %+v", got, want)
	}
	other.close()
	if got := h.give(t.Context(), "", attached(1, 1)); got.Result != Delivered {
		t.Errorf("afterwards: %+v", got)
	}
}
