package wiring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
	"januscdr/kafka/inspect"
)

// Connect makes a client and waits until Kafka answers. The caller closes the client.
func Connect(ctx context.Context, o kafka.Options, log hclog.Logger) (*kgo.Client, error) {
	client, err := kafka.NewClient(o)
	if err != nil {
		return nil, err
	}
	if err := kafka.WaitReady(ctx, client, log); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// makingTopics is how long topics may be missing at a start.
const (
	makingTopics = 5 * time.Second
	makingPause  = 250 * time.Millisecond
)

// missing tells whether topics do not fit since one does not exist.
func missing(err error) bool {
	return errors.Is(err, inspect.ErrTopics) && strings.Contains(err.Error(), "does not exist")
}

// EnsureTopics creates what is missing, if that was asked for, and checks the rest: what does not fit is an error, what
// makes a promise weak a warning. Those that are missing, and that it is not asked for, are waited for some seconds;
// so is our cluster while another one answers.
func EnsureTopics(ctx context.Context, client *kgo.Client, t kafka.Topics, create bool, log hclog.Logger) error {
	return Patiently(ctx, client, log, func() error { return ensureTopics(ctx, client, t, create, log) })
}

// Patiently does something until it has succeeded, or failed for a reason that waiting does not mend.
func Patiently(ctx context.Context, client *kgo.Client, log hclog.Logger, do func() error) error {
	for {
		err := do()
		if err == nil || !kafka.Passes(err) {
			return err
		}
		log.Warn("the brokers cannot tell yet, asking again", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(makingPause):
		}
		if err := kafka.WaitReady(ctx, client, log); err != nil {
			return err
		}
	}
}

func ensureTopics(ctx context.Context, client *kgo.Client, t kafka.Topics, create bool, log hclog.Logger) error {
	if create {
		created, err := kafka.CreateTopics(ctx, client, t)
		if err != nil {
			return err
		}
		if len(created) > 0 {
			log.Info("topics created", "topics", strings.Join(created, ","), "partitions", t.Partitions)
		}
	}
	err := inspect.CheckTopics(ctx, client, t)
	for limit := time.Now().Add(makingTopics); missing(err) && !create && time.Now().Before(limit); {
		select { // somebody may be about to make them, and brokers tell of new ones one after the other
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(makingPause):
		}
		err = inspect.CheckTopics(ctx, client, t)
	}
	switch {
	case missing(err) && !create:
		return fmt.Errorf("%w\n--create-topics makes those that do not exist at the start", err)
	case err != nil:
		return err
	}
	findings, err := inspect.Topics(ctx, client, t)
	if err != nil {
		return err
	}
	weak := map[string][]string{}
	for _, f := range inspect.Weaknesses(findings) {
		weak[f.Promise] = append(weak[f.Promise], f.Subject)
	}
	for _, promise := range slices.Sorted(maps.Keys(weak)) {
		log.Warn("a promise is weak, cdr check tells why", "promise", promise, "topics",
			strings.Join(slices.Compact(weak[promise]), ","))
	}
	return nil
}
