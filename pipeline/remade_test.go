package pipeline

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"januscdr/kafka"
)

func TestAChangelogThatWasMadeAgainStopsUsWithARemedy(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	c.load(20)
	p := c.start(t.TempDir())
	c.caughtUp(p)
	if _, err := kadm.NewClient(c.client).DeleteTopics(t.Context(), "state"); err != nil {
		t.Fatal(err)
	}
	if _, err := kafka.CreateTopics(t.Context(), c.client, c.topics); err != nil {
		t.Fatal(err)
	}
	c.load(20)
	err := p.fails(t)
	if !errors.Is(err, ErrAhead) || !strings.Contains(err.Error(), "the changelog state was deleted and made again") ||
		!strings.Contains(err.Error(), "topics.state") {
		t.Fatalf("got %v, want what happened to the changelog, and the remedy", err)
	}
}
