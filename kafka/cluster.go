package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrTwoClusters is what an error of ClusterID wraps when the brokers we were given do not belong together.
var ErrTwoClusters = errors.New("the brokers belong to different clusters")

const clusterAnswer = 5 * time.Second // of one broker

// ClusterID asks each of the brokers that we were given which cluster it belongs to, and returns the id. Those that do
// not answer are left out; when all lead to another cluster than that of our beginning, the error wraps
// ErrOtherCluster. Of addresses that lead to two clusters, a client takes whichever answers first: today's
// offsets would be of one and tomorrow's of the other.
func ClusterID(ctx context.Context, cl *kgo.Client) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, clusterAnswer)
	defer cancel()
	brokers, _ := cl.OptValue(kgo.SeedBrokers).([]string)
	seeds := cl.SeedBrokers()
	ids := make([]string, len(seeds))
	others := make([]error, len(seeds))
	var asked sync.WaitGroup
	for i, seed := range seeds {
		asked.Go(func() {
			ask := kmsg.NewPtrMetadataRequest()
			ask.Topics = []kmsg.MetadataRequestTopic{} // of none
			answer, err := seed.Request(ctx, ask)
			if response, ok := answer.(*kmsg.MetadataResponse); err == nil && ok && response.ClusterID != nil {
				ids[i] = *response.ClusterID
			} else if errors.Is(err, ErrOtherCluster) {
				others[i] = err
			}
		})
	}
	asked.Wait()
	first := -1
	for i := range ids {
		switch {
		case ids[i] == "":
		case first < 0:
			first = i
		case ids[i] != ids[first]:
			return "", fmt.Errorf("look at the cluster: %w: %s is of %s, %s of %s: name the brokers of one cluster",
				ErrTwoClusters, brokers[first], ids[first], brokers[i], ids[i])
		}
	}
	for _, other := range others {
		switch {
		case other == nil:
		case first < 0: // none is ours: our addresses lead elsewhere for now
			return "", fmt.Errorf("look at the cluster: %w", other)
		default:
			return "", fmt.Errorf("look at the cluster: %w: %w: name the brokers of one cluster", ErrTwoClusters, other)
		}
	}
	if first < 0 {
		return "", nil
	}
	return ids[first], nil
}
