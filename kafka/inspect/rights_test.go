package inspect

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/internal/fixtures/broker"
	"januscdr/kafka"
)

// courts are clusters that look at rights: the embedded one, and a real Kafka where there is one.
func courts(t *testing.T, try func(t *testing.T, admin, user *kgo.Client, principal string)) {
	t.Helper()
	const name, password = "cdr", "secret"
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		sasl := func(user string) *kafka.SASL {
			return &kafka.SASL{Mechanism: "PLAIN", User: user, Password: password}
		}
		e := broker.Start(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", password),
			kfake.User("PLAIN", name, password))
		try(t, broker.Client(t, kafka.Options{Brokers: e.Addrs(), SASL: sasl("admin")}),
			broker.Client(t, kafka.Options{Brokers: e.Addrs(), SASL: sasl(name)}), "User:"+name)
	})
	t.Run("Apache Kafka", func(t *testing.T) {
		t.Parallel()
		dir := os.Getenv("JANUSCDR_TEST_SECURE")
		if dir == "" {
			t.Skip("JANUSCDR_TEST_SECURE names no folder of scripts/kafka.sh start-secure")
		}
		read := func(name string) string {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(string(b))
		}
		var n, port int
		if _, err := fmt.Sscan(read("size"), &n, &port); err != nil {
			t.Fatal(err)
		}
		try(t, broker.Client(t, kafka.Options{Brokers: []string{fmt.Sprint("localhost:", port)}}),
			broker.Client(t, kafka.Options{Brokers: []string{fmt.Sprint("localhost:", port+2)},
				TLS:  &kafka.TLS{CAFile: filepath.Join(dir, "tls/ca.pem")},
				SASL: &kafka.SASL{Mechanism: "SCRAM-SHA-512", User: name, Password: read("tls/password")}}), "User:"+name)
	})
}

// A processor that lacks a right ends when it comes to that, which can be hours after its start.
func TestEachRightThatAProcessorLacksIsSaid(t *testing.T) {
	courts(t, func(t *testing.T, cl, user *kgo.Client, principal string) {
		ctx := within(t, time.Minute)
		admin := kadm.NewClient(cl)
		name := fmt.Sprintf("rights%d", time.Now().UnixNano())
		topics := kafka.Topics{Events: name + ".e", CDR: name + ".c", State: name + ".s", DLQ: name + ".d", Partitions: 1,
			EventsRetention: time.Hour, Replication: 1}
		if _, err := kafka.CreateTopics(ctx, cl, topics); err != nil {
			t.Fatal(err)
		}
		want := ProcessorSettings{Group: name + "-g", Instance: "one", TransactionTimeout: 10 * time.Second}
		grant := func(b *kadm.ACLBuilder, ops ...kmsg.ACLOperation) {
			t.Helper()
			b = b.Allow(principal).AllowHosts("*").Operations(ops...)
			made, err := admin.CreateACLs(ctx, b)
			for _, m := range made {
				if err == nil {
					err = m.Err
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		literal := func() *kadm.ACLBuilder { return kadm.NewACLs().ResourcePatternType(kadm.ACLPatternLiteral) }
		// All may be looked at, and one thing after the other be done.
		grant(literal().Topics(topics.Events, topics.CDR, topics.State, topics.DLQ), kadm.OpDescribe, kadm.OpDescribeConfigs)
		grant(literal().Groups(want.Group), kadm.OpDescribe)
		grant(literal().Clusters(), kadm.OpDescribe, kadm.OpDescribeConfigs)
		// Where rights are only looked at for what has some, these have.
		if _, err := admin.CreateACLs(ctx, literal().TransactionalIDs(want.Group+"-one-0").
			Allow("User:somebody").AllowHosts("*").Operations(kadm.OpWrite)); err != nil {
			t.Fatal(err)
		}
		missing := []struct {
			words string
			grant func()
		}{
			{"may not read " + topics.Events, func() { grant(literal().Topics(topics.Events), kadm.OpRead) }},
			{"may not write " + topics.Events, func() { grant(literal().Topics(topics.Events), kadm.OpWrite) }},
			{"may not write " + topics.CDR, func() { grant(literal().Topics(topics.CDR), kadm.OpWrite) }},
			{"may not read " + topics.State, func() { grant(literal().Topics(topics.State), kadm.OpRead) }},
			{"may not write " + topics.State, func() { grant(literal().Topics(topics.State), kadm.OpWrite) }},
			{"may not write " + topics.DLQ, func() { grant(literal().Topics(topics.DLQ), kadm.OpWrite) }},
			{"may not read group " + want.Group, func() { grant(literal().Groups(want.Group), kadm.OpRead) }},
			{"may not write transactional id", func() {
				grant(literal().TransactionalIDs(want.Group+"-one-0"), kadm.OpWrite)
			}},
		}
		for i := range missing {
			soon(t, func() string {
				findings, err := Installation(ctx, user, topics, want)
				for j, m := range missing {
					if err != nil || find(findings, Broken, PromiseFollow, m.words) != (j >= i) {
						return fmt.Sprintf("with %d rights, %q is said wrongly: %v, %+v", i, m.words, err, findings)
					}
				}
				return ""
			})
			missing[i].grant()
		}
		soon(t, func() string {
			findings, err := Installation(ctx, user, topics, want)
			if err != nil || !find(findings, OK, PromiseFollow, "rights: we may do") {
				return fmt.Sprintf("with all rights: %v, %+v", err, findings)
			}
			return ""
		})
	})
}

// soon waits until nothing is wrong any more: brokers hear late of what is granted.
func soon(t *testing.T, wrong func() string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		what := wrong()
		if what == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func TestAQuotaThatHoldsTransactionsBackIsSaid(t *testing.T) {
	for name, scene := range map[string]struct {
		entity  []kadm.ClientQuotaEntityComponent
		key     string
		value   float64
		verdict Verdict
		words   string
	}{
		"nothing goes through":    {of("client-id", "januscdr"), "producer_byte_rate", 1000, Broken, "would never go on"},
		"large ones are slow":     {of("client-id", ""), "producer_byte_rate", 1e6, Weak, "is aborted and written again"},
		"of our user":             {of("user", "cdr"), "producer_byte_rate", 1e6, Weak, "is aborted and written again"},
		"reading is slow":         {of("client-id", "januscdr"), "consumer_byte_rate", 1e5, Weak, "restores take long"},
		"few requests":            {of("user", ""), "request_percentage", 5, Weak, "heartbeats"},
		"enough":                  {of("client-id", "januscdr"), "producer_byte_rate", 1e8, OK, "none holds us back"},
		"of somebody else":        {of("user", "billing"), "producer_byte_rate", 10, OK, "none holds us back"},
		"of another client of us": {of("client-id", "ingest"), "producer_byte_rate", 10, OK, "none holds us back"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, cl, topics := production(t)
			ctx := within(t, 20*time.Second)
			altered, err := kadm.NewClient(cl).AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{
				Entity: scene.entity, Ops: []kadm.AlterClientQuotaOp{{Key: scene.key, Value: scene.value}},
			}})
			for _, a := range altered {
				if err == nil {
					err = a.Err
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			findings, err := Installation(ctx, cl, topics,
				ProcessorSettings{Group: "g", TransactionTimeout: 10 * time.Second, User: "cdr"})
			if err != nil || !find(findings, scene.verdict, PromiseFollow, scene.words) {
				t.Fatalf("%v, %+v", err, findings)
			}
		})
	}
}

// of is whom a quota is of; no name is the default.
func of(kind, name string) []kadm.ClientQuotaEntityComponent {
	if name == "" {
		return []kadm.ClientQuotaEntityComponent{{Type: kind}}
	}
	return []kadm.ClientQuotaEntityComponent{{Type: kind, Name: &name}}
}
