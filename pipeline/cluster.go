package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
	"januscdr/kafka/inspect"
)

// clusterInfo is what must be known of the cluster before work begins.
type clusterInfo struct {
	id         string
	eventsID   [16]byte // topic ids
	stateID    string
	partitions int32 // of the event log
	dlq        int32 // partitions of the DLQ
}

// awaitTopics loads the topics until the brokers can tell of them: they may be gone again, and after a change of
// leaders it takes a moment.
func awaitTopics(ctx context.Context, client *kgo.Client, t kafka.Topics, log hclog.Logger) (clusterInfo, error) {
	if err := kafka.WaitReady(ctx, client, log); err != nil {
		return clusterInfo{}, err
	}
	for {
		_, err := kafka.ClusterID(ctx, client)
		if err == nil {
			break
		}
		if errors.Is(err, kafka.ErrTwoClusters) || !errors.Is(err, kafka.ErrOtherCluster) {
			return clusterInfo{}, err
		}
		if err := kafka.WaitReady(ctx, client, log); err != nil {
			return clusterInfo{}, err
		}
	}
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, maxBackoff) {
		cluster, err := loadTopics(ctx, client, t)
		var said *kerr.Error
		if err == nil || errors.Is(err, inspect.ErrTopics) || errors.As(err, &said) && !said.Retriable {
			return cluster, err
		}
		log.Warn("the brokers cannot tell of the topics yet, asking again", "error", err)
		select {
		case <-ctx.Done():
			return clusterInfo{}, err
		case <-time.After(pause):
		}
		if err := kafka.WaitReady(ctx, client, log); err != nil {
			return clusterInfo{}, err
		}
	}
}

// loadTopics checks the topics and learns what identifies them.
func loadTopics(ctx context.Context, client *kgo.Client, t kafka.Topics) (clusterInfo, error) {
	if err := inspect.CheckTopics(ctx, client, t); err != nil {
		return clusterInfo{}, err
	}
	meta, err := kadm.NewClient(client).Metadata(ctx, t.Events, t.State, t.DLQ)
	if err != nil {
		return clusterInfo{}, fmt.Errorf("look at topics: %w", err)
	}
	for _, name := range []string{t.Events, t.State, t.DLQ} {
		if err := meta.Topics[name].Err; err != nil {
			return clusterInfo{}, fmt.Errorf("look at topic %s: %w", name, err)
		}
	}
	return clusterInfo{
		id:         meta.Cluster,
		eventsID:   meta.Topics[t.Events].ID,
		stateID:    meta.Topics[t.State].ID.String(),
		partitions: int32(len(meta.Topics[t.Events].Partitions)),
		dlq:        int32(len(meta.Topics[t.DLQ].Partitions)),
	}, nil
}
