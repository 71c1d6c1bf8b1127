package ingest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Kinds of the queue of RabbitMQ.
const (
	QueueAsJanus = "janus"   // gone when RabbitMQ ends: what rabbitmqevh declares if it is not told not to
	QueueDurable = "durable" // it outlives RabbitMQ, but Janus' messages in it do not: they are not marked to
	QueueQuorum  = "quorum"  // it outlives RabbitMQ with all that is in it
	QueueExists  = "exists"  // it is there, and bound; nothing is declared
)

// QueueKinds are all of them.
var QueueKinds = []string{QueueAsJanus, QueueDurable, QueueQuorum, QueueExists}

const (
	defaultQueue    = "janus-events"
	defaultExchange = "fanout" // kind of an exchange, to rabbitmqevh
	amqpPrefetch    = laneGroup
	amqpHeartbeat   = 10 * time.Second
	amqpDialTime    = 5 * time.Second
	amqpAgain       = time.Second // between two tries to connect
)

// RabbitMQ receives what Janus' rabbitmqevh publishes: messages of one event, or of an array of up to 100, from a
// queue.
//
// A message is acknowledged when it is safe; what is not when we or the connection end, RabbitMQ gives to the next
// consumer. There is one consumer at a time, because a session's events must keep their order: another ingest with the
// same queue waits until this one is gone.
type RabbitMQ struct {
	URL          string                 // amqp://host:port/vhost, or amqps://; no user in it
	User         string                 // guest when empty
	Password     func() (string, error) // of User, asked for at each connect; nil: guest
	TLS          *tls.Config            // for amqps; nil: the authorities of the system
	Queue        string                 // janus-events when empty
	Kind         string                 // of QueueKinds; QueueAsJanus when empty
	Exchange     string                 // that Janus publishes to, declared as it does; empty: none, Janus names the queue
	ExchangeType string                 // of Exchange; fanout when empty
	RoutingKey   string                 // that binds the queue to the exchange; Queue when empty

	receiver *Receiver
}

// Name is the word for this source.
func (*RabbitMQ) Name() string { return "rabbitmq" }

func (s *RabbitMQ) queue() string { return cmp.Or(s.Queue, defaultQueue) }

// Check says all that is wrong with the options.
func (s *RabbitMQ) Check(Options) (complaints []error) {
	u, err := amqp.ParseURI(s.URL)
	switch {
	case err != nil:
		complaints = append(complaints, fmt.Errorf("url %q: %w; write amqp://host:5672/vhost", withoutUser(s.URL), err))
	case strings.Contains(s.URL, "@"):
		complaints = append(complaints,
			fmt.Errorf("url of %s names a user: user and password have options of their own", u.Host))
	}
	if s.Kind != "" && !slices.Contains(QueueKinds, s.Kind) {
		complaints = append(complaints, fmt.Errorf("queue kind %q is not known: use one of %s", s.Kind,
			strings.Join(QueueKinds, ", ")))
	}
	return complaints
}

func withoutUser(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Redacted()
	}
	return "…"
}

// Open connects to nothing yet: RabbitMQ may start after us.
func (s *RabbitMQ) Open(r *Receiver) ([]any, error) {
	s.receiver = r
	return []any{"url", withoutUser(s.URL), "queue", s.queue(),
		"kind", cmp.Or(s.Kind, QueueAsJanus), "exchange", s.Exchange}, nil
}

// Serve takes messages until the context ends, and connects again whenever the connection is lost.
func (s *RabbitMQ) Serve(ctx context.Context) error {
	select {
	case <-s.receiver.Ready():
	case <-ctx.Done():
		return nil
	}
	hand, cancel := inHand(ctx)
	defer cancel()
	for ctx.Err() == nil {
		err := s.consume(ctx, hand)
		if ctx.Err() == nil {
			s.receiver.throttled.warn("no queue to take events from", Sender{Source: s.Name()}, "queue", s.queue(), "error", err)
			pause(ctx, amqpAgain)
		}
	}
	return nil
}

func (s *RabbitMQ) dial() (*amqp.Connection, error) {
	user, password := cmp.Or(s.User, "guest"), "guest"
	if s.Password != nil {
		var err error
		if password, err = s.Password(); err != nil {
			return nil, err
		}
	}
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName("januscdr ingest")
	conn, err := amqp.DialConfig(s.URL, amqp.Config{
		SASL:            []amqp.Authentication{&amqp.PlainAuth{Username: user, Password: password}},
		TLSClientConfig: s.TLS,
		Heartbeat:       amqpHeartbeat,
		Dial:            amqp.DefaultDial(amqpDialTime),
		Properties:      properties,
	})
	if err != nil {
		return nil, fmt.Errorf("connect to rabbitmq: %w", err)
	}
	return conn, nil
}

// consume takes messages over one connection, until that ends or the context does.
func (s *RabbitMQ) consume(ctx, hand context.Context) error {
	conn, err := s.dial()
	if err != nil {
		return err
	}
	defer conn.Close() // what is not acknowledged goes back into the queue
	channel, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	if err := s.declare(channel); err != nil {
		return err
	}
	if err := channel.Qos(amqpPrefetch, 0, false); err != nil {
		return fmt.Errorf("bound what is on its way: %w", err)
	}
	const consumer = "januscdr-ingest"
	messages, err := channel.Consume(s.queue(), consumer, false, true, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume from %s: %w", s.queue(), remedied(err))
	}
	s.receiver.log.Info("takes from the queue", "source", s.Name(), "queue", s.queue())

	lane := newLane(hand, s.receiver)
	defer lane.close()
	for {
		select {
		case <-ctx.Done():
			_ = channel.Cancel(consumer, true)
			return nil
		case m, ok := <-messages:
			if !ok {
				select {
				case err := <-closed:
					if err != nil {
						return fmt.Errorf("rabbitmq closed the channel: %w", err)
					}
				default:
				}
				return errors.New("rabbitmq cancelled the consumer: the queue was deleted")
			}
			from := Sender{Source: s.Name(), Path: "/" + strings.TrimPrefix(m.RoutingKey, "/")}
			err := lane.put(hand, from, m.Body, func(o Outcome) {
				if o.Safe() {
					_ = m.Ack(false) // without the connection it comes again, and is known
				}
			})
			if err != nil {
				return err
			}
		}
	}
}

// declare makes what Janus would make, with the same properties: who comes second fails if they differ.
func (s *RabbitMQ) declare(channel *amqp.Channel) error {
	kind := cmp.Or(s.Kind, QueueAsJanus)
	if kind == QueueExists {
		return nil
	}
	var arguments amqp.Table
	if kind == QueueQuorum {
		arguments = amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum}
	}
	if _, err := channel.QueueDeclare(s.queue(), kind != QueueAsJanus, false, false, false, arguments); err != nil {
		return fmt.Errorf("declare queue %s as %s: %w", s.queue(), kind, remedied(err))
	}
	if s.Exchange == "" {
		return nil
	}
	exchangeType := cmp.Or(s.ExchangeType, defaultExchange)
	if err := channel.ExchangeDeclare(s.Exchange, exchangeType, false, false, false, false, nil); err != nil {
		return fmt.Errorf("declare exchange %s of type %s: %w", s.Exchange, exchangeType, remedied(err))
	}
	if err := channel.QueueBind(s.queue(), cmp.Or(s.RoutingKey, s.queue()), s.Exchange, false, nil); err != nil {
		return fmt.Errorf("bind queue %s to exchange %s: %w", s.queue(), s.Exchange, err)
	}
	return nil
}

// remedied says what to do about an error of RabbitMQ.
func remedied(err error) error {
	var e *amqp.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case amqp.PreconditionFailed:
		return fmt.Errorf("it is there with other properties: set the kind that it has, or exists, "+
			"or delete it; if janus declares it, set declare_outgoing_queue = false there: %w", err)
	case amqp.AccessRefused:
		return fmt.Errorf("another consumer has it, or the user may not: %w", err)
	case amqp.NotFound:
		return fmt.Errorf("it is not there: let it be declared, or make it: %w", err)
	}
	return err
}

var _ Source = (*RabbitMQ)(nil)
