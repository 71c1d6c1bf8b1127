package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Passes tells whether an error of a request is of the brokers or of the way to them, and not of ours, so that it may
// be mended by waiting: leaders that are still to be found, a connection that was cut, another cluster in the place of
// ours. What looks like it and is none of it, as a port that wants a login, is told by WaitReady.
func Passes(err error) bool {
	var said *kerr.Error
	var first *kgo.ErrFirstReadEOF
	var network *net.OpError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &said):
		return said.Retriable
	}
	return errors.Is(err, ErrOtherCluster) || errors.As(err, &first) || errors.As(err, &network) ||
		kgo.IsRetryableBrokerErr(err)
}

// WaitReady waits until a broker answers. It tries for as long as the context lives, and says at growing intervals what
// it waits for and why the last try failed. What waiting cannot mend is an error at once, in one line with the remedy:
// wrong or missing credentials or certificates, TLS where there is none, none where there is. The error of an ended
// context wraps the context's.
func WaitReady(ctx context.Context, cl *kgo.Client, log hclog.Logger) error {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	brokers, _ := cl.OptValue(kgo.SeedBrokers).([]string)
	started := time.Now()
	pause, silence := 100*time.Millisecond, time.Duration(0)
	var spoke time.Time
	for {
		try, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := cl.Ping(try)
		cancel()
		if err == nil {
			if !spoke.IsZero() {
				log.Info("kafka answers", "brokers", strings.Join(brokers, ","), "waited",
					time.Since(started).Round(time.Millisecond))
			}
			return nil
		}
		if final := refused(ctx, cl, err); final != nil {
			return fmt.Errorf("connect to kafka at %s: %w", strings.Join(brokers, ","), final)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for kafka at %s: %w", strings.Join(brokers, ","), ctx.Err())
		}
		if time.Since(spoke) >= silence {
			pairs := []any{"brokers", strings.Join(brokers, ","), "waited", time.Since(started).Round(time.Millisecond), "error",
				err}
			if loggingIn(cl) && errors.Is(err, io.EOF) {
				// A broker says why it refuses a user, a proxy or a lesser broker just hangs up.
				pairs = append(pairs, "hint", "the connection was closed while we logged in: are the sasl user and password right?")
			}
			log.Warn("waiting for kafka", pairs...)
			spoke = time.Now()
			silence = min(max(2*silence, time.Second), time.Minute)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 2*time.Second)
	}
}
