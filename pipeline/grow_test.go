package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// drain ends all sessions and waits until they are reported.
func (c *cluster) drain(p *running) {
	c.t.Helper()
	var records []*kgo.Record
	for session := max(c.sessions-5, 0) + 1; session <= c.sessions; session++ {
		records = append(records, c.event(session, "destroyed"))
	}
	c.write(records...)
	c.caughtUp(p)
	c.eventually("nothing is open", []*running{p}, func() bool {
		running := p.processor.Status().Partitions
		if len(running) < int(c.topics.Partitions) {
			return false // one that moves to another worker is nowhere for a moment
		}
		for _, s := range running {
			if s.OpenSessions > 0 || s.Lag > 0 || s.State != Running {
				return false
			}
		}
		return true
	})
}

// afresh is another client: the old one learns late of partitions that were added.
func (c *cluster) afresh() {
	c.t.Helper()
	client, err := kafka.NewClient(c.opts)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(client.Close)
	c.client = client
}

func (c *cluster) counts() string {
	c.t.Helper()
	c.afresh()
	topics, err := kadm.NewClient(c.client).ListTopics(c.t.Context(), "events", "cdr", "state")
	if err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprint(len(topics["events"].Partitions), len(topics["cdr"].Partitions), len(topics["state"].Partitions))
}

func TestPartitionsAreNotAddedWhileAnythingIsOpenUnreadOrAtWork(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	growth := Growth{Kafka: c.opts, Topics: c.topics, Group: defaultGroup, Partitions: 5}
	refused := func(words ...string) {
		t.Helper()
		err := Grow(t.Context(), growth)
		if !errors.Is(err, ErrNotDrained) || strings.Contains(err.Error(), "\n") || c.counts() != "2 2 2" {
			t.Fatalf("got %v and partitions %s, want a refusal in one line that changed nothing", err, c.counts())
		}
		for _, word := range []string{"are not read yet", "sessions are open", "members"} {
			wanted := false
			for _, w := range words {
				wanted = wanted || w == word
			}
			if word == "are not read yet" && !wanted {
				continue // while something is open a tick may be under way
			}
			if strings.Contains(err.Error(), word) != wanted {
				t.Errorf("got %v, want of its hindrances %q", err, words)
			}
		}
	}
	c.load(20)
	refused("are not read yet") // nothing was read, so nothing is known to be open
	p := c.start(t.TempDir(), func(o *Options) { o.Leave = true })
	c.caughtUp(p)
	refused("sessions are open", "members")
	p.stop(t)
	refused("sessions are open")
	c.load(20)
	refused("sessions are open", "are not read yet")
	p = c.start(t.TempDir(), func(o *Options) { o.Leave = true })
	c.drain(p)
	refused("members")
	p.stop(t)
	growth.Partitions = 2
	if err := Grow(t.Context(), growth); err == nil || !strings.Contains(err.Error(), "give a larger number") {
		t.Fatalf("got %v, want a larger number", err)
	}
	growth.Partitions = 3
	if err := Grow(t.Context(), growth); err != nil || c.counts() != "3 3 3" {
		t.Fatalf("got %v and partitions %s, want 3", err, c.counts())
	}
}

func TestAfterGrowingEveryRecordStillComesOutOnce(t *testing.T) {
	for _, scene := range []struct {
		name      string
		interrupt func(c *cluster)
	}{
		{"at once", func(*cluster) {}},
		{"after an interruption with the changelog grown", func(c *cluster) {
			if _, err := kadm.NewClient(c.client).UpdatePartitions(t.Context(), 5, "state"); err != nil {
				t.Fatal(err)
			}
		}},
		{"after an interruption before the event log", func(c *cluster) {
			if _, err := kadm.NewClient(c.client).UpdatePartitions(t.Context(), 5, "state", "cdr"); err != nil {
				t.Fatal(err)
			}
			partitions, err := survey(t.Context(), c.opts, c.client, c.topics)
			if err != nil {
				t.Fatal(err)
			}
			later := *partitions[0].origin
			later.Partitions = 5
			c.write(&kgo.Record{Topic: "state", Key: []byte(originKey), Value: later.bytes()})
		}},
	} {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			dir := t.TempDir()
			leave := func(o *Options) { o.Leave = true; o.Topics.Partitions = c.topics.Partitions }
			c.load(50)
			p := c.start(dir, leave)
			c.drain(p)
			p.stop(t)
			scene.interrupt(c)
			growth := Growth{Kafka: c.opts, Topics: c.topics, Group: defaultGroup, Partitions: 5}
			if err := Grow(t.Context(), growth); err != nil {
				t.Fatal(err)
			}
			if c.counts() != "5 5 5" {
				t.Fatalf("partitions %s, want 5 each", c.counts())
			}
			c.afresh()
			c.topics.Partitions = 5
			c.load(50)
			p = c.start(dir, leave)
			c.drain(p)
			p.stop(t)
			// The load ends the last sessions of before once more. Where they have moved to, nobody knows that they ended.
			if n := c.check(); n < 100 || n > 105 {
				t.Errorf("%d records came out of 100 sessions, of which 5 ended twice", n)
			}
			added := 0
			for partition, records := range c.read("cdr") {
				if partition >= 2 {
					added += len(records)
				}
			}
			if added == 0 {
				t.Error("the new partitions are not used")
			}
		})
	}
}
