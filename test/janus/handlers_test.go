package janustest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/ingest"
	"januscdr/internal/fixtures/queues"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

// A way is one of Janus' event handlers, and a receiver of its own, with an event log of its own.
type way struct {
	name   string
	site   *site // only its log is there
	source ingest.Source
	file   ingest.JanusFile // as ingest says that it must be
}

// openWay starts a receiver with one source.
func openWay(t *testing.T, brokers []string, source ingest.Source) *way {
	t.Helper()
	log := hclog.New(&hclog.LoggerOptions{Name: source.Name(), Level: hclog.Info, Output: t.Output()})
	topic := fmt.Sprintf("events-%s-%d", source.Name(), time.Now().UnixNano())
	w := &way{name: source.Name(), source: source, site: &site{
		broker: kafka.Options{Brokers: brokers, Log: log.Named("kafka")},
		topics: kafka.Topics{Events: topic, DLQ: "dlq-" + topic, Partitions: 1, Replication: 1, Embedded: true},
	}}
	client, err := kafka.NewClient(w.site.broker)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kafka.CreateTopics(t.Context(), client, w.site.topics); err != nil {
		t.Fatal(err)
	}
	server, err := ingest.New(ingest.Options{
		Kafka: w.site.broker, Topics: w.site.topics, Sources: []ingest.Source{source}, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Errorf("stop ingest: %v", err)
		}
	})
	files := ingest.JanusConfig([]ingest.Source{source}, "127.0.0.1")
	w.file = files[len(files)-1]
	w.file.Text = strings.ReplaceAll(w.file.Text, "PASSWORD", "guest")
	return w
}

// events are those of a session, in their order.
func (w *way) events(t *testing.T, session uint64) (all [][]byte) {
	t.Helper()
	var parser janus.Parser
	w.site.whole(t, w.site.topics.Events, func(_ string, value []byte) {
		if e, err := parser.Parse(value); err == nil && uint64(e.Session) == session {
			all = append(all, bytes.Clone(value))
		}
	})
	return all
}

// records are what the fold makes of events.
func records(t *testing.T, events [][]byte) []byte {
	t.Helper()
	fold, err := cdr.NewFold(cdr.DefaultPolicy(), cdr.Source{Topic: "events", Whole: true})
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	take := func(step cdr.Step, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range step.Records {
			text = append(avro.JSON(text, &step.Records[i]), '\n')
		}
	}
	var parser janus.Parser
	var latest janus.Micros
	for i, value := range events {
		if e, err := parser.Parse(value); err == nil {
			latest = max(latest, e.Time)
		}
		take(fold.Apply(cdr.Input{Offset: int64(i), Append: latest, Value: value}))
	}
	take(fold.Step(), nil)
	take(fold.Flush())
	return text
}

// mqttevh puts a member into the event that the handlers beside it send, too, if they come to it later.
var byMQTT = regexp.MustCompile(`,"eventtype":"[A-Za-z ]*"\}$`)

// Of the same call of the same Janus, each handler brings the same events, byte for byte, as HTTP does. The handlers
// are set up as ingest says.
func TestEachEventHandlerOfARealJanusBringsTheSameEvents(t *testing.T) {
	if lack != "" {
		t.Skip(lack)
	}
	broker, err := embedded.Start(embedded.Options{Dir: filepath.Join(t.TempDir(), "kafka")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	for _, scene := range []struct {
		name    string
		sources func(t *testing.T) []ingest.Source
	}{
		{"wsevh, nanomsgevh and gelfevh by TCP", func(*testing.T) []ingest.Source {
			return []ingest.Source{
				&ingest.WebSocket{Listen: "127.0.0.1:0", Subprotocol: "janus-events"},
				&ingest.Nanomsg{Listen: []string{"tcp://127.0.0.1:0"}},
				&ingest.GELF{TCP: "127.0.0.1:0"},
			}
		}},
		{"nanomsgevh that binds and gelfevh by UDP", func(t *testing.T) []ingest.Source {
			return []ingest.Source{
				&ingest.Nanomsg{Connect: []string{"ipc://" + filepath.Join(t.TempDir(), "evh.ipc")}},
				&ingest.GELF{UDP: "127.0.0.1:0"},
			}
		}},
		{"rabbitmqevh with a real RabbitMQ", func(t *testing.T) []ingest.Source {
			url := "amqp://" + queues.RabbitMQ(t).Address + "/"
			return []ingest.Source{&ingest.RabbitMQ{URL: url, Queue: "janus-events", Kind: ingest.QueueQuorum}}
		}},
		{"mqttevh with a real Mosquitto", func(t *testing.T) []ingest.Source {
			return []ingest.Source{&ingest.MQTT{Brokers: []string{"tcp://" + queues.Mosquitto(t).Address}, QoS: 1}}
		}},
	} {
		t.Run(scene.name, func(t *testing.T) {
			web := openWay(t, broker.Addrs(), &ingest.HTTP{Listen: "127.0.0.1:0"})
			files := []ingest.JanusFile{web.file}
			var ways []*way
			for _, source := range scene.sources(t) {
				w := openWay(t, broker.Addrs(), source)
				ways, files = append(ways, w), append(files, w.file)
			}
			startJanus(t, files)
			connected(t, append([]*way{web}, ways...))

			c := newClient(t)
			call := echo(t, c.attach(t, echoTest, "bill 1"))
			call.talk(t, 2*time.Second)
			call.hears(audio, call.sent(audio))
			call.hangUp(t)
			c.destroy(t)
			want := complete(t, web, c.id)
			for i := range want {
				want[i] = byMQTT.ReplaceAll(want[i], []byte("}"))
			}
			for _, w := range ways {
				got := w.events(t, c.id)
				eventually(t, "all events come by "+w.name, func() bool {
					got = w.events(t, c.id)
					return len(got) >= len(want)
				})
				if !slices.EqualFunc(got, want, bytes.Equal) {
					t.Errorf("by %s:\n%s\nby HTTP:\n%s", w.name, bytes.Join(got, []byte("\n")), bytes.Join(want, []byte("\n")))
				}
				if one, other := records(t, got), records(t, want); !bytes.Equal(one, other) || len(one) == 0 {
					t.Errorf("records by %s:\n%s\nby HTTP:\n%s", w.name, one, other)
				}
				w.site.whole(t, w.site.topics.DLQ, func(_ string, value []byte) { t.Errorf("%s parked %s", w.name, value) })
				t.Logf("%d events of the call came by %s", len(got), w.name)
			}
		})
	}
}

// connected waits until each handler brings something: a publisher of nanomsg drops what comes before.
func connected(t *testing.T, ways []*way) {
	t.Helper()
	eventually(t, "each handler is connected", func() bool {
		c := newClient(t)
		c.destroy(t)
		return !slices.ContainsFunc(ways, func(w *way) bool {
			some := false
			w.site.whole(t, w.site.topics.Events, func(kind string, value []byte) { some = some || len(value) > 0 })
			return !some
		})
	})
}

// complete waits until the end of a session is there, and returns its events. The last ones come together.
func complete(t *testing.T, w *way, session uint64) (all [][]byte) {
	t.Helper()
	eventually(t, "the end of the session comes by "+w.name, func() bool {
		all = w.events(t, session)
		return slices.ContainsFunc(all, func(e []byte) bool {
			return bytes.Contains(e, []byte(`"type":1,`)) && bytes.Contains(e, []byte(`"destroyed"`))
		})
	})
	for n := -1; n != len(all); { // until nothing more comes
		n = len(all)
		time.Sleep(statsPeriod)
		all = w.events(t, session)
	}
	return all
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit := time.Now().Add(patience)
	for !is() {
		if time.Now().After(limit) {
			t.Fatalf("it does not come to it: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
