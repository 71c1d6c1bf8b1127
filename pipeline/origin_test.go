package pipeline

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// refuses starts a processor that must end with an error of this kind that has these words, and without a record more.
func (c *cluster) refuses(dir string, kind error, words string, change ...func(*Options)) {
	c.t.Helper()
	before := 0
	for _, records := range c.read("cdr") {
		before += len(records)
	}
	p := c.start(dir, change...)
	if err := p.fails(c.t); !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
		c.t.Fatalf("got %v, want %v with %q", err, kind, words)
	}
	after := 0
	for _, records := range c.read("cdr") {
		after += len(records)
	}
	if after != before {
		c.t.Fatalf("%d records came out of a processor that refused to work", after-before)
	}
	if aside, _ := filepath.Glob(filepath.Join(dir, "*", "*", "broken-*")); len(aside) > 0 {
		c.t.Fatalf("states were moved aside: %v", aside)
	}
}

// worked lets a processor work on some sessions and stop.
func (c *cluster) worked(dir string, change ...func(*Options)) *running {
	c.t.Helper()
	c.load(20)
	p := c.start(dir, change...)
	c.caughtUp(p)
	p.stop(c.t)
	return p
}

// again deletes a topic and makes it again.
func (c *cluster) again(topic string) {
	c.t.Helper()
	if _, err := kadm.NewClient(c.client).DeleteTopic(c.t.Context(), topic); err != nil {
		c.t.Fatal(err)
	}
	client, err := kafka.NewClient(c.opts) // the old one would write to the topic that is gone
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(client.Close)
	c.client = client
	if _, err := kafka.CreateTopics(c.t.Context(), client, c.topics); err != nil {
		c.t.Fatal(err)
	}
}

func TestAnEventLogThatWasMadeAnewStopsUsThoughItIsLongEnough(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	dir := t.TempDir()
	c.worked(dir)
	c.again("events")
	c.load(40)
	c.refuses(dir, ErrForeign, "was deleted and made again")
	c.refuses(t.TempDir(), ErrForeign, "give the changelog and the group new names") // the changelog knows it, too
}

func TestAPositionBeyondTheEndOfTheLogStopsUs(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	dir := t.TempDir()
	c.worked(dir)
	c.again("events")
	// As if the log were the same, but shorter: the brokers lost its end.
	topics, err := kadm.NewClient(c.client).ListTopics(t.Context(), "events")
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := kafka.ClusterID(t.Context(), c.client)
	if err != nil {
		t.Fatal(err)
	}
	same := origin{
		Cluster: cluster, Topic: "events", TopicID: topics["events"].ID.String(), Partitions: 1, Group: defaultGroup,
	}
	c.write(&kgo.Record{Topic: "state", Key: []byte(originKey), Value: same.bytes()}, c.event(1, "created"))
	c.refuses(dir, ErrAhead, "but events ends at 1")
}

func TestPartitionsThatWereAddedStopUs(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	dir := t.TempDir()
	c.load(20)
	p := c.start(dir)
	c.caughtUp(p)
	c.eventually("it is ready", []*running{p}, p.processor.Ready)
	r := &restorer{topics: c.topics, cluster: clusterInfo{partitions: 2}}
	_, err := r.restore(t.Context(), 2, nil)
	if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "cdr topics grow") {
		t.Fatalf("a partition that came while it ran: got %v, want a hint", err)
	}
	p.stop(t)
	if _, err := kadm.NewClient(c.client).UpdatePartitions(t.Context(), 4, "events", "cdr", "state"); err != nil {
		t.Fatal(err)
	}
	c.refuses(dir, ErrForeign, "had 2 partitions and has 4 now", func(o *Options) { o.Topics.Partitions = 4 })
}

func TestStatesOfALaterVersionAreLeftAlone(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	dir := t.TempDir()
	c.worked(dir)
	later := []byte{1 << 1, 5 << 1} // a position of version 5
	c.write(&kgo.Record{Topic: "state", Key: []byte("p"), Value: later})
	c.load(20)
	c.refuses(dir, ErrVersion, "start the version that wrote them")
	for _, records := range c.read("state") {
		last := records[len(records)-2] // a barrier follows
		if string(last.Key) != "p" || string(last.Value) != string(later) {
			t.Errorf("the changelog was written to: %q %q", last.Key, last.Value)
		}
	}
}

func TestAnotherGroupAtWorkOnTheSameChangelogIsWaitedFor(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.load(20)
	first := c.start(t.TempDir(), func(o *Options) { o.Leave = true })
	c.caughtUp(first)
	second := c.start(t.TempDir(), func(o *Options) { o.Group = "another"; o.Instance = "two" })
	c.eventually("the second one has complained", []*running{first, second}, func() bool {
		return strings.Contains(second.log.String(), "group januscdr has 2 members")
	})
	c.load(20)
	c.caughtUp(first)
	if status := second.processor.Status(); status.Ready {
		t.Fatalf("two groups work on one changelog: %+v", status)
	}
	first.stop(t)
	n := c.check()
	c.eventually("the second one works", []*running{second}, second.processor.Ready)
	c.load(20)
	c.eventually("the second one has reported more", []*running{second}, func() bool {
		return second.count(t, "records_emitted_total") >= 20
	})
	second.stop(t)
	seen := map[string]bool{}
	for _, records := range c.read("cdr") {
		for _, r := range records {
			id, _ := kafka.Header(r, HeaderRecordID)
			if seen[string(id)] {
				t.Fatalf("record %s came out twice", id)
			}
			seen[string(id)] = true
		}
	}
	if len(seen) < n+20 {
		t.Errorf("%d records came out, want %d of the first group and 20 or more of the second", len(seen), n)
	}
}

func TestATransactionTimeoutThatTheBrokersDoNotAllowIsSaid(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := c.start(t.TempDir(), func(o *Options) { o.TransactionTimeout, o.SessionTimeout = time.Hour, 2*time.Hour })
	if err := p.fails(t); !strings.Contains(err.Error(), "transaction.max.timeout.ms") {
		t.Fatalf("got %v, want the setting of the brokers", err)
	}
}

func TestAddressesOfTwoClustersStopUs(t *testing.T) {
	t.Parallel()
	c, other := newCluster(t, 1), newCluster(t, 1)
	p := c.start(t.TempDir(), func(o *Options) { o.Kafka.Brokers = append(o.Kafka.Brokers[:1:1], other.opts.Brokers...) })
	err := p.fails(t)
	if !errors.Is(err, kafka.ErrTwoClusters) || !strings.Contains(err.Error(), "name the brokers of one cluster") {
		t.Fatalf("got %v, want two clusters", err)
	}
}
