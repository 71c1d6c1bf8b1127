package main

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"januscdr/cdr"
	"januscdr/config"
	"januscdr/janus"
	"januscdr/pipeline"
)

func policyOf(t *testing.T, flags map[string]string) cdr.Policy {
	t.Helper()
	c, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWithoutAnythingSaidThePolicyIsThatOfTheFold(t *testing.T) {
	got, want := policyOf(t, nil), cdr.DefaultPolicy()
	if got.Fingerprint() != want.Fingerprint() {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWhatTheProcessorIsToldReachesThePipeline(t *testing.T) {
	c, err := config.Load(config.Sources{Flags: map[string]string{
		"group": "g", "instance": "i", "workers": "3", "state_dir": "d", "state_min_free": "2GiB", "commit_interval": "1s",
		"commit_backlog":      "3s",
		"commit_bytes":        "1MiB",
		"changelog_lag":       "4s",
		"transaction_timeout": "11s", "session_timeout": "31s",
	}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := pipelineOptions(c, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if o.Group != "g" || o.Instance != "i" || o.Workers != 3 || o.StateDir != "d" || o.MinFree != 2<<30 ||
		o.CommitInterval != time.Second || o.CommitBacklog != 3*time.Second ||
		o.CommitBytes != 1<<20 || o.ChangelogLag != 4*time.Second ||
		o.TransactionTimeout != 11*time.Second || o.SessionTimeout != 31*time.Second {
		t.Errorf("got %+v", o)
	}
}

func TestEachKeyOfThePolicyReachesTheFold(t *testing.T) {
	got := policyOf(t, map[string]string{
		"policy.grace": "1s", "policy.leg_silence": "2m", "policy.leg_silence_without_statistics": "3m",
		"policy.emitter_silence": "4m", "policy.session_silence": "6m", "policy.stub_retention": "5m",
		"policy.chargeable": "SIP_CALL,RECORDING", "policy.address": "hash", "policy.display_name": "omit",
		"policy.vanished_client": "last_sign",
		"policy.partial_every":   "15m", "policy.partial_volume": "1GiB", "policy.partial_midnight": "Europe/Vienna",
		"policy.hash_key": "0123456789abcdef",
		"policy.rules": `[{plugin: janus.plugin.sip, emitter: "lab-*",
			grace: 0s, leg_silence: 6m, leg_silence_without_statistics: 7m, chargeable: [PEER_CONNECTION],
			partial_every: 0s, partial_volume: 2GiB, partial_midnight: UTC, address: emit, display_name: hash,
			vanished_client: held}]`,
	})
	const minute = janus.Micros(60e6)
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	want := cdr.Policy{
		EmitterSilence: 4 * minute, SessionSilence: 6 * minute, StubRetention: 5 * minute,
		HashKey: []byte("0123456789abcdef"),
		Terms: cdr.Terms{Grace: 1e6, LegSilence: 2 * minute, LegSilenceWithoutStatistics: 3 * minute,
			Chargeable: []cdr.LegKind{cdr.SIPCall, cdr.Recording}, Address: cdr.Hash, DisplayName: cdr.Omit,
			VanishedClient: cdr.LastSign,
			Partial:        cdr.Partial{Every: 15 * minute, Volume: 1 << 30, Midnight: vienna}},
		Rules: []cdr.Rule{{Plugin: "janus.plugin.sip", Emitter: "lab-*", Grace: new(janus.Micros(0)),
			LegSilence:                  new(6 * minute),
			LegSilenceWithoutStatistics: new(7 * minute), Chargeable: []cdr.LegKind{cdr.PeerConnection},
			PartialEvery: new(janus.Micros(0)), PartialVolume: new(int64(2 << 30)), PartialMidnight: time.UTC,
			Address: new(cdr.Emit), DisplayName: new(cdr.Hash), VanishedClient: new(cdr.Held)}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Each word that the configuration accepts is one that the fold knows.
func TestConfigurationAndFoldHaveTheSameWords(t *testing.T) {
	for _, r := range config.Rows() {
		var words []string
		switch r.Key {
		case "policy.chargeable":
			words = cdr.LegKinds[1:]
		case "policy.address", "policy.display_name":
			words = cdr.Disclosures
		case "policy.vanished_client":
			words = cdr.VanishedClients
		default:
			continue
		}
		if r.Words != strings.Join(words, "|") {
			t.Errorf("%s takes %s, the fold %v", r.Key, r.Words, words)
		}
	}
}

// What the configuration lets pass, the fold does too: its bounds are told with the place and all at once.
func TestTheBoundsOfTheConfigurationAreThoseOfTheFold(t *testing.T) {
	for _, flags := range []map[string]string{
		{"policy.grace": "0s"}, {"policy.grace": "59m59s"}, {"policy.leg_silence": "1m"},
		{"policy.leg_silence": "1m", "policy.leg_silence_without_statistics": "1m"},
		{"policy.emitter_silence": "1m"}, {"policy.stub_retention": "1s"}, {"policy.partial_every": "1m"},
		{"policy.partial_every": "0s"},
	} {
		if p := policyOf(t, flags); len(p.Check()) > 0 {
			t.Errorf("%v: %v", flags, p.Check())
		}
	}
}

func TestReadinessSaysWhatBecomesOfEachPartition(t *testing.T) {
	none, err := json.Marshal(readiness(pipeline.Status{}))
	if err != nil {
		t.Fatal(err)
	}
	some, err := json.Marshal(readiness(pipeline.Status{Ready: true, Partitions: []pipeline.PartitionStatus{
		{Partition: 3, Worker: 1, State: pipeline.Running, Position: 17, Lag: 2, OpenSessions: 5, Restored: 9, ToRestore: 9},
	}}))
	if err != nil {
		t.Fatal(err)
	}
	away, err := json.Marshal(readiness(pipeline.Status{
		Away: "kafka has not answered for 1m10s",
		Partitions: []pipeline.PartitionStatus{
			{Partition: 3, State: pipeline.Lost, Position: 17, Lag: 2, OpenSessions: 5},
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	lost := pipeline.Status{}
	for _, p := range []int32{0, 1, 2, 5, 7, 8} {
		lost.Partitions = append(lost.Partitions, pipeline.PartitionStatus{Partition: p, State: pipeline.Lost})
	}
	if got := readiness(lost).Reasons; !slices.Equal(got, []string{
		"partitions 0-2, 5, 7-8 are lost until the group says whose they are"}) {
		t.Errorf("of many partitions it says %q", got)
	}
	for want, got := range map[string][]byte{
		`{"ready":false,"reasons":["kafka has not answered for 1m10s","partition 3 is lost until the group says whose ` +
			`it is"],"details":{"tasks":[{"partition":3,"state":"lost","position":17,"lag":2,"open_sessions":5}]}}`: away,
		`{"ready":false,"reasons":["not all workers have learned their partitions yet: ` +
			`Kafka is awaited, or partitions move"],"details":{"tasks":[]}}`: none,
		`{"ready":true,"details":{"tasks":[{"partition":3,"state":"running","position":17,"lag":2,` +
			`"open_sessions":5}]}}`: some,
	} {
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
