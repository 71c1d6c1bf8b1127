package kafka_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

func TestKafkaIsReachedForAsLongAsItAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c kafka.Contact
		answers := func(err error) { c.OnBrokerRead(kgo.BrokerMetadata{}, 0, 0, 0, 0, err) }
		if _, ever := c.Silence(); ever || c.Reached() {
			t.Error("nobody has answered yet")
		}
		answers(errors.New("hung up"))
		if c.Reached() {
			t.Error("what failed is no answer")
		}
		answers(nil)
		time.Sleep(kafka.AwayAfter - time.Millisecond)
		if !c.Reached() {
			t.Error("it has just answered")
		}
		time.Sleep(time.Millisecond)
		silence, _ := c.Silence()
		if c.Reached() || silence != kafka.AwayAfter {
			t.Errorf("silent for %v", silence)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		c.Watch(ctx, nil, nil) // ends with its context
	})
}

// refusing is a client that nobody listens to.
type refusing struct{}

func (refusing) Ping(context.Context) error { return errors.New("connection refused") }

func TestThatKafkaIsAwayIsSaidOnceWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c kafka.Contact
		var said strings.Builder
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan struct{})
		c.OnBrokerRead(kgo.BrokerMetadata{}, 0, 0, 0, 0, nil)
		go func() {
			defer close(over)
			c.Watch(ctx, refusing{}, hclog.New(&hclog.LoggerOptions{Output: &said}))
		}()
		time.Sleep(time.Hour)
		c.OnBrokerRead(kgo.BrokerMetadata{}, 0, 0, 0, 0, nil)
		time.Sleep(2 * time.Second)
		stop()
		<-over
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], `error="connection refused"`) ||
			!strings.Contains(lines[1], "kafka answers again: away=1h0m") {
			t.Errorf("%q", lines)
		}
	})
}
