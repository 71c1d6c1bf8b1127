package wiring

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

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

// EnsureTopics creates what is missing, if that was asked for, and checks the rest: what does not fit is an error, what
// makes a promise weak a warning.
func EnsureTopics(ctx context.Context, client *kgo.Client, t kafka.Topics, create bool, log hclog.Logger) error {
	if create {
		created, err := kafka.CreateTopics(ctx, client, t)
		if err != nil {
			return err
		}
		if len(created) > 0 {
			log.Info("topics created", "topics", strings.Join(created, ","), "partitions", t.Partitions)
		}
	}
	if err := inspect.CheckTopics(ctx, client, t); err != nil {
		if !create && strings.Contains(err.Error(), "does not exist") {
			return fmt.Errorf("%w\n--create-topics makes those that do not exist at the start", err)
		}
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
