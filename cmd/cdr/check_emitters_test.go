package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/internal/cli"
	"januscdr/kafka"
)

// sitePartitions are those of the topics of a site.
const sitePartitions = 2

// hearts appends what a Janus says in seconds of its life, as ingest would, and its heartbeats to each partition.
type hearts struct {
	*site
	emitter string
	began   time.Time
}

func (h *hearts) says(second int, session int, event string) {
	h.t.Helper()
	h.produce(&kgo.Record{Topic: "janus.events", Key: []byte(strconv.Itoa(session)), Value: fmt.Appendf(nil,
		`{"emitter":%q,"timestamp":%d,"session_id":%d,%s}`, h.emitter, h.at(second), session, event)})
}

func (h *hearts) at(second int) int64 { return h.began.UnixMicro() + int64(second)*1_000_000 }

func (h *hearts) beats(second, sessions int) {
	h.t.Helper()
	client, err := kafka.NewClient(kafka.Options{Brokers: []string{h.address}},
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		h.t.Fatal(err)
	}
	defer client.Close()
	value := fmt.Appendf(nil, `{"emitter":%q,"type":256,"subtype":1,"timestamp":%d,"event":{"status":"update","info":`+
		`{"sessions":%d,"handles":0,"peerconnections":0,"stats-period":1}}}`, h.emitter, h.at(second), sessions)
	alive := []kgo.RecordHeader{{Key: kafka.HeaderKind, Value: []byte(kafka.KindAlive)}}
	for partition := range int32(sitePartitions) {
		sign := &kgo.Record{Topic: "janus.events", Partition: partition, Key: []byte(h.emitter), Value: value, Headers: alive}
		if err := client.ProduceSync(h.ctx, sign).FirstErr(); err != nil {
			h.t.Fatal(err)
		}
	}
}

const (
	isCreated   = `"type":1,"event":{"name":"created"}`
	isDestroyed = `"type":1,"event":{"name":"destroyed"}`
)

func TestACheckOfEmittersSaysWhoLostWhatAndSinceWhen(t *testing.T) {
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	if got := s.says("check", "--emitters"); got.code != cli.OK || !strings.Contains(got.out, "nothing came of any") {
		t.Errorf("of an empty log: %+v", got)
	}
	if got := s.says("check", "--emitters", "--last=-1h"); got.code != cli.Usage {
		t.Errorf("%+v", got)
	}
	began := time.Now().Add(-10 * time.Second).Truncate(time.Second)
	whole, ends := &hearts{s, "whole", began}, &hearts{s, "loses-ends", began}
	begins, old := &hearts{s, "loses-begins", began}, &hearts{s, "old", began}
	for _, h := range []*hearts{whole, ends, begins} {
		for id := 1; id <= 4; id++ {
			if h != begins || id > 1 {
				h.says(0, id, isCreated)
			}
		}
		h.beats(1, map[bool]int{true: 3, false: 4}[h == begins])
		h.says(2, 2, isDestroyed)
		if h != ends {
			h.says(2, 3, isDestroyed)
		}
		for second := 3; second < 8; second++ {
			h.says(second, 4, `"type":4,"event":{"schema":"s","data":{}}`) // it lives
			h.beats(second, 2)
		}
	}
	old.says(0, 1, isCreated)
	got := s.says("check", "--emitters")
	if got.code != cli.Failed || !strings.HasPrefix(got.out, "BROKEN  what Janus says arrives\n") {
		t.Fatalf("%+v", got)
	}
	flat := strings.Join(strings.Fields(got.out), " ")
	between := func(from, to int) string {
		moment := func(second int) string { return clockOf(began.Add(time.Duration(second) * time.Second)) }
		return "lost between " + moment(from) + " and " + moment(to)
	}
	for _, want := range []string{
		"loses-ends 1 sessions are open by the log that Janus does not count any more, " + between(1, 3),
		"nothing came since then of session 1, 3",
		"loses-begins Janus counts 1 sessions more than are open by the log, " + between(1, 3),
		"whole what is open by the log is what it counts, at 5 heartbeats",
		"old 0 legs lack nothing; it says no numbers of its own",
	} {
		if !strings.Contains(flat, want) {
			t.Errorf("it does not say %q:\n%s", want, got.out)
		}
	}
}
