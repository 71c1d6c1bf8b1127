package ingest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/go-faster/jx"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/internal/fixtures/queues"
)

func mqttClient(t testing.TB, address string) mqtt.Client {
	t.Helper()
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + address).
		SetClientID(fmt.Sprint("janus-", t.Name())))
	wait(t, client.Connect())
	t.Cleanup(func() { client.Disconnect(0) })
	return client
}

func wait(t testing.TB, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("no answer of the broker, or %v", token.Error())
	}
}

// ofMQTT is an event as mqttevh publishes it.
func ofMQTT(event string) string { return strings.TrimSuffix(event, "}") + `,"eventtype":"Handles"}` }

// subscribed waits until a source has its subscription: until then a broker has nobody to keep a message for.
func (s *site) subscribed(client mqtt.Client, topic string) {
	s.t.Helper()
	s.until("it has subscribed", func() bool {
		wait(s.t, client.Publish(topic, 1, false, ofMQTT(attached(99, 1))))
		return s.written() > 0
	})
}

func mqttSource(address, id string) *MQTT {
	return &MQTT{Brokers: []string{"tcp://" + address}, ClientID: id, QoS: 1}
}

func TestMessagesOfMQTTStandInTheLogInTheirOrderAsJanusWroteThem(t *testing.T) {
	broker := queues.Mosquitto(t)
	s := openWith(t, mqttSource(broker.Address, "ordered"),
		func(o *Options) { o.Rules = []SenderRule{{Path: "/janus/events/fra", Emitter: "fra"}} })
	client := mqttClient(t, broker.Address)
	s.subscribed(client, "/janus/events/handles")
	var want []string
	for n := range 300 {
		want = append(want, attached(5, n))
		client.Publish("/janus/events/fra/handles", 1, false, ofMQTT(want[n]))
	}
	s.until("all are in the log", func() bool { return s.written() >= len(want)+1 })
	got := s.events()
	got = slices.DeleteFunc(got, func(r *kgo.Record) bool { return string(r.Key) == "99" })
	if all := values(got); !slices.Equal(all, want) {
		t.Errorf("%d events, want %d in their order", len(all), len(want))
	}
	if emitter := header(got[0], "januscdr-emitter"); emitter != "fra" {
		t.Errorf("emitter %q, want fra", emitter)
	}
}

func TestWhatMQTTBringsWhileWeAreAwayOrKafkaIsComesLater(t *testing.T) {
	broker := queues.Mosquitto(t)
	client := mqttClient(t, broker.Address)
	s := openWith(t, mqttSource(broker.Address, "away"), func(o *Options) { o.Delivery = 200 * time.Millisecond })
	s.subscribed(client, "/janus/events/handles")
	reached, _ := s.cutProduce()
	wait(t, client.Publish("/janus/events/handles", 1, false, ofMQTT(attached(5, 0)))) // not safe when we stop
	<-reached
	if err := s.server.Stop(); err != nil {
		t.Error(err)
	}
	s.server = nil
	if lost := s.bodies("mqtt", "lost"); lost != 0 {
		t.Errorf("%d are counted as lost", lost)
	}
	for n := 1; n < 50; n++ { // while we are away
		wait(t, client.Publish("/janus/events/handles", 1, false, ofMQTT(attached(5, n))))
	}
	broker.Stop()
	broker.Start()
	later := openWith(t, mqttSource(broker.Address, "away"), nil)
	later.until("all are in the log", func() bool { return later.written() >= 50 })
	for n, got := range values(later.events()) {
		if got != attached(5, n) {
			t.Fatalf("event %d is %s", n, got)
		}
	}
}

func TestMQTTAnswersWhatIsBrokenOrHostile(t *testing.T) {
	const limit = 300 << 10
	broker := queues.Mosquitto(t)
	s := openWith(t, mqttSource(broker.Address, "hostile"), func(o *Options) {
		o.BodyLimit, o.EventLimit, o.InflightMax = limit, 64<<10, 4*limit
	})
	client := mqttClient(t, broker.Address)
	s.subscribed(client, "/janus/events/handles")
	before := len(s.events())
	for n, scene := range []struct {
		name, topic, body string
		parked            []string
	}{
		{"nothing", "/janus/events/handles", "", []string{"not_json"}},
		{"what mqttevh says of itself", "/janus/events/status", `{"event":"connected"}`, nil},
		{"noise of its own", "/janus/events/status", "\xff\xfe" + strings.Repeat("x", 5000), nil},
		{"no JSON", "/janus/events/handles", "hello", []string{"not_json"}},
		{"noise", "/janus/events/handles", "\xff\x00\xfe", []string{"not_json"}},
		{"half an event", "/janus/events/handles", ofMQTT(attached(1, 1))[:50], []string{"not_json"}},
		{"no event", "/janus/events/handles", "{ }", []string{"not_event"}},
		{"only a type that is text", "/janus/events/handles", `{"eventtype":"Handles"}`, []string{"not_event"}},
		{"text that is not closed", "/janus/events/handles", `{"a":1,"eventtype":"Hand`, []string{"not_json"}},
		{"a list", "/janus/events/handles", `[1]`, []string{"not_event"}},
		{"null", "/janus/events/handles", `null`, []string{"not_json"}},
		{"a topic that nobody has", "/janus/events/x/y/z", `{"x":1}`, []string{"not_event"}},
		{"the topic itself", "/janus/events", `{"x":2}`, []string{"not_event"}},
		{"an event over the limit", "/janus/events/handles", strings.Replace(attached(5, 4), "echotest",
			strings.Repeat("x", 65<<10), 1), []string{"event_limit"}},
		{"a message over the limit", "/janus/events/handles", `{"x":"` + strings.Repeat("x", 2*limit) + `"}`,
			[]string{"body_limit"}},
		{"two events", "/janus/events/handles", ofMQTT(attached(1, 1)) + ofMQTT(attached(1, 2)), []string{"not_json"}},
		{"deep", "/janus/events/handles", strings.Repeat("[", 20000), []string{"not_json"}},
	} {
		parked := len(s.parkedAs())
		wait(t, client.Publish(scene.topic, 1, false, scene.body))
		wait(t, client.Publish("/janus/events/handles", 1, false, ofMQTT(attached(5, n))))
		s.until(scene.name, func() bool { return s.written() == before+n+1 })
		if got := s.parkedAs()[parked:]; !slices.Equal(got, scene.parked) {
			t.Errorf("%s: parked as %q, want %q", scene.name, got, scene.parked)
		}
	}
}

func TestTheMemberThatOnlyMQTTHasIsTakenOff(t *testing.T) {
	for _, scene := range []struct{ sent, want string }{
		{`{"type":1,"eventtype":"Sessions"}`, `{"type":1}`},
		{`{"type":1,"event":{"a":[1]},"eventtype":"Sessions"}` + "\n", `{"type":1,"event":{"a":[1]}}` + "\n"},
		{"{\n   \"type\": 1,\n   \"eventtype\": \"No events\"\n}", "{\n   \"type\": 1\n}"},
		{`{"type": 1, "eventtype": "Jsep"}`, `{"type": 1}`},
		{`{"eventtype":"Sessions","type":1}`, `{"eventtype":"Sessions","type":1}`}, // not where mqttevh puts it
		{`{"type":1,"event":{"eventtype":"x"}}`, `{"type":1,"event":{"eventtype":"x"}}`},
		{`{"type":1,"event":{"a":1,"eventtype":"x"}}`, `{"type":1,"event":{"a":1,"eventtype":"x"}}`},
		{`{"type":1,"x":",\"eventtype\":\"x\"}"}`, `{"type":1,"x":",\"eventtype\":\"x\"}"}`},
		{`{"type":1}`, `{"type":1}`},
		{``, ``},
	} {
		if got := withoutEventType([]byte(scene.sent)); string(got) != scene.want {
			t.Errorf("of %s it leaves %s, want %s", scene.sent, got, scene.want)
		}
	}
}

// What is JSON stays JSON, and loses that member only, and only at its end.
func FuzzWithoutEventType(f *testing.F) {
	f.Add([]byte(`{"type":1,"eventtype":"Sessions"}`))
	f.Add([]byte(`{"a":","," ":"eventtype","eventtype" : "x" } `))
	f.Fuzz(func(t *testing.T, event []byte) {
		before := slices.Clone(event)
		got := withoutEventType(event)
		if !slices.Equal(before, event) {
			t.Fatal("the event was changed")
		}
		if !jx.Valid(event) {
			return
		}
		members := func(text []byte) (all []string) {
			if !jx.Valid(text) {
				t.Fatalf("%q became %q", event, text)
			}
			_ = jx.DecodeBytes(text).ObjBytes(func(d *jx.Decoder, key []byte) error {
				raw, err := d.Raw()
				all = append(all, string(key)+":"+string(raw))
				return err
			})
			return all
		}
		had, has := members(event), members(got)
		if len(has) < len(had) {
			if last := had[len(had)-1]; !strings.HasPrefix(last, "eventtype:") {
				t.Fatalf("%q lost %s", event, last)
			}
			had = had[:len(had)-1]
		}
		if !slices.Equal(had, has) {
			t.Fatalf("%q became %q", event, got)
		}
	})
}
