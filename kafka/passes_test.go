package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"januscdr/kafka"
)

func TestWhatTheBrokersMayMendIsWaitedFor(t *testing.T) {
	for _, scene := range []struct {
		err  error
		want bool
	}{
		{kerr.LeaderNotAvailable, true},
		{kafka.ErrOtherCluster, true},
		{io.EOF, true},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, true},
		{kerr.TopicAuthorizationFailed, false},
		{context.Canceled, false},
		{errors.New("topics do not fit"), false},
	} {
		if got := kafka.Passes(fmt.Errorf("list topics: %w", scene.err)); got != scene.want {
			t.Errorf("%v passes: %v, want %v", scene.err, got, scene.want)
		}
	}
}
