package inspect

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/internal/fixtures/broker"
	"januscdr/kafka"
)

func TestTopicsThatWereCreatedFit(t *testing.T) {
	cl := broker.Client(t, kafka.Options{Brokers: broker.Start(t).Addrs()})
	ctx := within(t, 10*time.Second)
	created, err := kafka.CreateTopics(ctx, cl, ours())
	if err != nil || len(created) != 4 {
		t.Fatalf("created %v, %v", created, err)
	}
	if again, err := kafka.CreateTopics(ctx, cl, ours()); err != nil || len(again) != 0 {
		t.Fatalf("created again %v, %v", again, err)
	}
	if err := CheckTopics(ctx, cl, ours()); err != nil {
		t.Fatal(err)
	}
	real := ours()
	real.Embedded = false
	if err := CheckTopics(ctx, cl, real); !errors.Is(err, ErrTopics) ||
		!strings.Contains(err.Error(), "cleanup.policy=compact`") {
		t.Fatalf("a changelog that is deleted by age: got %v", err)
	}
}

func TestTopicsAreThereWhenTheLastBrokerKnowsOfThem(t *testing.T) {
	e := broker.Start(t, kfake.Ports(0, 0, 0))
	cl := broker.Client(t, kafka.Options{Brokers: e.Addrs()})
	ctx := within(t, 20*time.Second)
	cluster := e.Cluster()
	late := map[int32]int{} // by broker: how often it was asked
	cluster.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		asked := request.(*kmsg.MetadataRequest)
		node := cluster.CurrentNode()
		if len(asked.Topics) == 0 || node == 0 || late[node] >= 3 {
			return nil, nil, false
		}
		late[node]++
		response := asked.ResponseKind().(*kmsg.MetadataResponse)
		for _, name := range asked.Topics {
			topic := kmsg.NewMetadataResponseTopic()
			topic.Topic, topic.ErrorCode = name.Topic, kerr.UnknownTopicOrPartition.Code
			response.Topics = append(response.Topics, topic)
		}
		return response, nil, true
	})
	if created, err := kafka.CreateTopics(ctx, cl, ours()); err != nil || len(created) != 4 {
		t.Fatalf("created %v, %v", created, err)
	}
	if late[1] != 3 || late[2] != 3 {
		t.Fatalf("the other brokers were asked %v times before they knew, want 3 each", late)
	}
	if err := CheckTopics(ctx, cl, ours()); err != nil {
		t.Fatal(err)
	}

	// Another process may have made them just now, so that a check finds brokers that do not know of them yet.
	var refusals int
	cluster.ControlKey(int16(kmsg.DescribeConfigs), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if refusals++; refusals > 3 {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, asked := range request.(*kmsg.DescribeConfigsRequest).Resources {
			resource := kmsg.NewDescribeConfigsResponseResource()
			resource.ResourceType, resource.ResourceName = asked.ResourceType, asked.ResourceName
			resource.ErrorCode = kerr.UnknownTopicOrPartition.Code
			response.Resources = append(response.Resources, resource)
		}
		return response, nil, true
	})
	if err := CheckTopics(ctx, cl, ours()); err != nil {
		t.Fatal(err)
	}
}

func TestTopicsThatDoNotFitAreAllComplainedOfAtOnce(t *testing.T) {
	cl := broker.Client(t, kafka.Options{Brokers: broker.Start(t).Addrs()})
	ctx := within(t, 10*time.Second)
	admin := kadm.NewClient(cl)
	make := func(name string, partitions int32, configs map[string]*string) {
		if _, err := admin.CreateTopic(ctx, partitions, -1, configs, name); err != nil {
			t.Fatal(err)
		}
	}
	make("e", 5, nil)
	make("c", 3, map[string]*string{"cleanup.policy": kadm.StringPtr("compact"),
		"max.message.bytes": kadm.StringPtr("5000000")})
	make("s", 2, map[string]*string{"max.message.bytes": kadm.StringPtr("5000000")})
	if _, err := admin.CreateTopic(ctx, 5, -1, nil, "grown"); err != nil {
		t.Fatal(err)
	}
	grown := ours()
	grown.CDR = "grown"
	if err := CheckTopics(ctx, cl, grown); err == nil || strings.Contains(err.Error(), "partition n of the") &&
		strings.Contains(err.Error(), "topic grown (the records) has 5") {
		t.Fatalf("records that have as many partitions as the events: got %v, want that the configuration is wrong", err)
	}
	err := CheckTopics(ctx, cl, ours())
	if !errors.Is(err, ErrTopics) {
		t.Fatalf("got %v, want topics that do not fit", err)
	}
	for _, want := range []string{
		"topic e (the event log) has 5 partitions, the configuration says 3",
		"--entity-name e --add-config message.timestamp.type=LogAppendTime",
		"--entity-name e --add-config max.message.bytes=2097152",
		"--entity-name c --add-config cleanup.policy=delete",
		"mend it with `kafka-configs --bootstrap-server 127.0.0.1:", // as they stand
		"topic s (the changelog) has 2 partitions",
		"topic d (the parked events) does not exist: create it with `cdr topics create`",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the complaints lack %q", want)
		}
	}
	if strings.Contains(err.Error(), "topic c (the records) has 3") || strings.Count(err.Error(), "\n") != 6 {
		t.Errorf("complained of too much, or not in a line each: %v", err)
	}
}
