package ingest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const (
	defaultMQTTTopic  = "/janus/events/#"
	defaultMQTTClient = "januscdr"
	mqttKeepAlive     = 30 * time.Second
	mqttAgain         = time.Second      // between two tries to connect, at first
	mqttAgainAtMost   = 10 * time.Second // and at last
	mqttFarewell      = 500              // ms to say goodbye
	mqttStatus        = "status"         // last level of the topic where mqttevh tells of itself
	subscribeFailed   = 0x80
)

// mqttLabels are the last levels of the topics to which mqttevh publishes events, one for each type.
var mqttLabels = []string{"sessions", "handles", "external", "jsep", "webrtc", "media", "plugins", "transports", "core"}

// MQTT receives what Janus' mqttevh publishes: a message for each event, which has one member more than elsewhere,
// eventtype, at its end. It is taken off, so that an event has the same bytes on each way.
//
// A message of QoS 1 or 2 is acknowledged when it is safe; as the session is a lasting one, the broker keeps what comes
// while we are away, as far as it is set up to. Messages of QoS 0 are never acknowledged and are lost whenever
// somebody is away.
type MQTT struct {
	Brokers  []string               // URLs: tcp://host:1883 or ssl://host:8883; no user in it
	ClientID string                 // of the lasting session: no two clients may have the same; januscdr when empty
	User     string                 // empty: no login
	Password func() (string, error) // of User, asked for at each connect
	TLS      *tls.Config            // for ssl; nil: the authorities of the system
	Topics   []string               // filters; /janus/events/# when empty
	QoS      byte                   // that is asked for; what Janus publishes with can be less

	receiver *Receiver
	crew     crew // of messages
}

// Name is the word for this source.
func (*MQTT) Name() string { return "mqtt" }

func (s *MQTT) topics() []string {
	if len(s.Topics) == 0 {
		return []string{defaultMQTTTopic}
	}
	return s.Topics
}

// Check says all that is wrong with the options.
func (s *MQTT) Check(Options) (complaints []error) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Errorf(format, args...)) }
	if len(s.Brokers) == 0 {
		complain("the URL of a broker is needed")
	}
	for _, broker := range s.Brokers {
		u, err := url.Parse(broker)
		switch {
		case err != nil || u.Host == "" || !slices.Contains([]string{"tcp", "ssl"}, u.Scheme):
			complain("broker %q: write tcp://host:1883 or ssl://host:8883", withoutUser(broker))
		case u.User != nil:
			complain("broker %s names a user: user and password have options of their own", u.Host)
		}
	}
	if s.QoS > 2 {
		complain("qos %d is not possible: use 0, 1 or 2", s.QoS)
	}
	if slices.Contains(s.topics(), "") {
		complain("a topic is empty")
	}
	return complaints
}

// Open connects to nothing yet: the broker may start after us.
func (s *MQTT) Open(r *Receiver) ([]any, error) {
	s.receiver = r
	return []any{"brokers", s.Brokers, "topics", s.topics(), "qos", s.QoS,
		"client_id", cmp.Or(s.ClientID, defaultMQTTClient)}, nil
}

// Serve takes messages until the context ends, and connects again whenever the connection is lost.
func (s *MQTT) Serve(ctx context.Context) error {
	select {
	case <-s.receiver.Ready():
	case <-ctx.Done():
		return nil
	}
	hand, cancel := inHand(ctx)
	defer cancel()
	lane := newLane(hand, s.receiver)
	client := mqtt.NewClient(s.options(hand, lane))
	client.Connect() // until it succeeds
	<-ctx.Done()
	s.crew.dismiss() // what comes now is not acknowledged, and comes again
	lane.close()
	client.Disconnect(mqttFarewell)
	return nil
}

func (s *MQTT) options(hand context.Context, lane *lane) *mqtt.ClientOptions {
	log, us := s.receiver.log, Sender{Source: s.Name()}
	o := mqtt.NewClientOptions()
	for _, broker := range s.Brokers {
		o.AddBroker(broker)
	}
	o.SetClientID(cmp.Or(s.ClientID, defaultMQTTClient))
	o.SetCleanSession(false)
	o.SetAutoAckDisabled(true)
	o.SetOrderMatters(true)
	o.SetKeepAlive(mqttKeepAlive)
	o.SetConnectTimeout(headerTimeout)
	o.SetWriteTimeout(headerTimeout)
	o.SetConnectRetry(true)
	o.SetConnectRetryInterval(mqttAgain)
	o.SetAutoReconnect(true)
	o.SetMaxReconnectInterval(mqttAgainAtMost)
	if s.TLS != nil {
		o.SetTLSConfig(s.TLS)
	}
	if s.User != "" {
		o.SetCredentialsProvider(func() (user, password string) {
			password, err := s.Password()
			if err != nil {
				s.receiver.throttled.warn("password cannot be read", us, "error", err)
			}
			return s.User, password
		})
	}
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { s.take(hand, lane, m) })
	o.SetOnConnectHandler(func(c mqtt.Client) { s.subscribe(c) })
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		s.receiver.throttled.warn("connection is lost", us, "error", err)
	})
	o.SetConnectionNotificationHandler(func(_ mqtt.Client, n mqtt.ConnectionNotification) {
		if failed, ok := n.(mqtt.ConnectionNotificationFailed); ok {
			s.receiver.throttled.warn("no broker to take events from", us, "error", failed.Reason)
		}
	})
	log.Debug("connects", "source", s.Name(), "brokers", s.Brokers)
	return o
}

// subscribe asks for the topics after each connect: a broker that was started anew may have forgotten them.
func (s *MQTT) subscribe(c mqtt.Client) {
	filters := map[string]byte{}
	for _, topic := range s.topics() {
		filters[topic] = s.QoS
	}
	token := c.SubscribeMultiple(filters, nil)
	token.Wait()
	err := token.Error()
	if granted, ok := token.(*mqtt.SubscribeToken); ok && err == nil {
		for topic, qos := range granted.Result() {
			if qos == subscribeFailed {
				err = errors.Join(err, fmt.Errorf("the broker does not let us have %s", topic))
			}
		}
	}
	if err != nil {
		s.receiver.throttled.warn("topics are not subscribed to", Sender{Source: s.Name()}, "error", err)
		return
	}
	s.receiver.log.Info("takes from the broker", "source", s.Name(), "topics", s.topics())
}

// take takes a message. Its sender is known by the topic, without the level that mqttevh appends.
func (s *MQTT) take(hand context.Context, lane *lane, m mqtt.Message) {
	if !s.crew.join() {
		return
	}
	defer s.crew.leave()
	base, last := m.Topic(), ""
	if i := strings.LastIndexByte(base, '/'); i >= 0 {
		base, last = base[:i], base[i+1:]
	}
	if last == mqttStatus {
		s.receiver.log.Info("janus says by mqtt", "topic", m.Topic(), "text", short(m.Payload()))
		m.Ack()
		return
	}
	if !slices.Contains(mqttLabels, last) {
		base = m.Topic()
	}
	from := Sender{Source: s.Name(), Path: base}
	body := withoutEventType(m.Payload())
	_ = lane.put(hand, from, body, func(o Outcome) {
		if o.Safe() {
			m.Ack() // without the connection it comes again, and is known
		}
	})
}

// short is a text for the log.
func short(text []byte) string {
	const most = 200
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(string(text), "?")
}

var eventType = regexp.MustCompile(`,\s*"eventtype"\s*:\s*"[^"\\]*"(\s*\}\s*)$`)

// withoutEventType is an event without the member that mqttevh puts at its end.
func withoutEventType(event []byte) []byte {
	at := eventType.FindSubmatchIndex(event)
	if at == nil {
		return event
	}
	return append(event[:at[0]:at[0]], event[at[2]:]...)
}

var _ Source = (*MQTT)(nil)
