package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"januscdr/config"
	"januscdr/consume"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/kafka"
)

const (
	defaultWait = 10 * time.Second
	waitLooks   = 100 * time.Millisecond // how often it is looked whether Kafka is silent for too long
	waitProbe   = time.Second            // of silence, before a broker is asked for a sign of life
)

// waiting is how long a command goes on that no broker answers. Services wait for as long as it takes; what a person
// or cron starts ends, also when Kafka goes away at its midst.
type waiting struct {
	wait time.Duration
	stop func()
}

// patient gives a command the flag --wait.
func patient(cmd *cobra.Command) *waiting {
	p := &waiting{stop: func() {}}
	cmd.Flags().DurationVar(&p.wait, "wait", defaultWait,
		"end with exit code 3 when Kafka has not answered for so long; 0: never")
	return p
}

// awayError is why a command ended before it was done.
type awayError struct {
	brokers []string
	wait    time.Duration
	last    error
}

func (e *awayError) Error() string {
	text := fmt.Sprintf("no broker answers at %s for %v (--wait)", strings.Join(e.brokers, ","), e.wait)
	if e.last != nil {
		text += ": " + e.last.Error()
	}
	return text
}

// run is what a command does, which may end because of us: then it says so.
func (p *waiting) run(do func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if p.wait < 0 {
			return cli.Misused("--wait: %v is not possible; write 0 for no end", p.wait)
		}
		err := do(cmd, args)
		away := isAway(cmd.Context())
		p.stop()
		if away != nil { // also of a command that takes the end of its context for a wish
			return &cli.UnreachableError{Err: away}
		}
		return err
	}
}

// isAway is why the context of a command has ended, if it was for the sake of Kafka.
func isAway(ctx context.Context) error {
	var away *awayError
	if errors.As(context.Cause(ctx), &away) {
		return away
	}
	return nil
}

// kafka says how to reach Kafka, and ends the command's context when no broker has answered for too long.
func (p *waiting) kafka(cmd *cobra.Command, c *config.Config, log hclog.Logger) (kafka.Options, error) {
	o := wiring.Kafka(c, log)
	if err := learn(c); err != nil {
		return o, err
	}
	if p.wait == 0 {
		return o, nil
	}
	quiet := o
	quiet.Log = nil
	client, err := kafka.NewClient(quiet)
	if err != nil {
		return o, err
	}
	ctx, cancel := context.WithCancelCause(cmd.Context())
	cmd.SetContext(ctx)
	gone := make(chan struct{})
	p.stop = func() {
		cancel(nil)
		<-gone
		client.Close()
	}
	go func() {
		defer close(gone)
		away := &awayError{brokers: o.Brokers, wait: p.wait}
		for began := time.Now(); ctx.Err() == nil; {
			silence, ever := o.Contact.Silence()
			if !ever {
				silence = time.Since(began)
			}
			if silence >= p.wait {
				cancel(away)
				return
			}
			if silence >= waitProbe || !ever {
				try, end := context.WithTimeout(ctx, p.wait-silence)
				if err := client.Ping(try); err != nil && (away.last == nil || !errors.Is(err, context.DeadlineExceeded)) {
					away.last = err
				}
				end()
			}
			select {
			case <-ctx.Done():
			case <-time.After(waitLooks):
			}
		}
	}()
	return o, nil
}

// ofSink is the same for what goes on until it is told to stop, unless it is to end by itself: then it waits for its
// target no longer than for Kafka.
func (p *waiting) ofSink(cmd *cobra.Command, c *config.Config, log hclog.Logger, o *consume.Options) (err error) {
	if !o.Once {
		o.Kafka = wiring.Kafka(c, log)
		return learn(c)
	}
	o.Patience = p.wait
	o.Kafka, err = p.kafka(cmd, c, log)
	return err
}
