package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AwayAfter is how long no broker has answered when Kafka counts as away. A member of a group hears from a broker each
// second, whatever there is to do.
const AwayAfter = 10 * time.Second

const (
	probeAfter = 2 * time.Second // of silence, where nothing else is asked
	probeEvery = time.Second
	probeLimit = 5 * time.Second
)

// Contact notes when a broker of our cluster answered last, whatever it was asked, and which cluster that is. All
// clients that are made with it write to the same one. The zero value is ready for use; no broker has answered yet.
type Contact struct {
	last atomic.Int64
	home home
}

var _ kgo.HookBrokerRead = (*Contact)(nil)

// OnBrokerRead is called by the clients for each answer. Those at the beginning of a connection can be another
// cluster's.
func (c *Contact) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	switch kmsg.Key(key) {
	case kmsg.ApiVersions, kmsg.SASLHandshake, kmsg.SASLAuthenticate:
		return
	}
	if err == nil {
		c.last.Store(time.Now().UnixNano())
	}
}

// Away says in a line that no broker answers, and for how long; and if it is so, that another cluster does at their
// address. Empty: it was reached within AwayAfter, and no other cluster answered since.
func (c *Contact) Away() string {
	silence, ever := c.Silence()
	switch stranger := c.home.strange(); {
	case !ever && stranger != nil:
		return fmt.Sprintf("kafka has not answered yet: %v at its address; nothing is written to it", stranger)
	case !ever:
		return "kafka has not answered yet"
	case stranger != nil && silence >= probeAfter:
		return fmt.Sprintf("kafka has not answered for %v: %v at its address; nothing is written to it",
			silence.Round(time.Second), stranger)
	case silence >= AwayAfter:
		return fmt.Sprintf("kafka has not answered for %v", silence.Round(time.Second))
	}
	return ""
}

// Silence is how long ago a broker answered last; false when none ever did.
func (c *Contact) Silence() (time.Duration, bool) {
	last := c.last.Load()
	if last == 0 {
		return 0, false
	}
	return max(time.Since(time.Unix(0, last)), 0), true
}

// Reached tells whether a broker has answered within AwayAfter.
func (c *Contact) Reached() bool {
	silence, ever := c.Silence()
	return ever && silence < AwayAfter
}

// pinger is a client, for a sign of life.
type pinger interface{ Ping(context.Context) error }

// Watch says once that Kafka is away, and why, and once that it is back, until the context ends. It asks a broker for a
// sign of life when none was heard for 2 s: a client that has nothing to do asks nothing.
func (c *Contact) Watch(ctx context.Context, cl pinger, log hclog.Logger) {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	again := time.NewTicker(probeEvery)
	defer again.Stop()
	var away time.Time // since when, if it is
	var last error     // of asking for a sign of life
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		silence, ever := c.Silence()
		switch {
		case !ever: // WaitReady tells
			continue
		case !away.IsZero() && silence < AwayAfter:
			log.Info("kafka answers again", "away", time.Since(away).Round(time.Second))
			away = time.Time{}
		case away.IsZero() && silence >= AwayAfter:
			pairs := []any{"silent_for", silence.Round(time.Second)}
			if last != nil {
				pairs = append(pairs, "error", last)
			}
			log.Warn("kafka does not answer any more", pairs...)
			away = time.Now().Add(-silence)
		}
		if silence >= probeAfter {
			try, cancel := context.WithTimeout(ctx, probeLimit)
			last = cl.Ping(try) // the hook hears of an answer
			cancel()
		}
	}
}
