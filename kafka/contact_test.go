package kafka_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

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
