package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"januscdr/internal/fixtures/queues"
)

// amqpChannel is a channel as Janus has it.
func amqpChannel(t testing.TB, address string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial("amqp://guest:guest@" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

func amqpPublish(t testing.TB, channel *amqp.Channel, exchange, key, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	message := amqp.Publishing{ContentType: "application/json", Body: []byte(body)}
	if err := channel.PublishWithContext(ctx, exchange, key, false, false, message); err != nil {
		t.Fatal(err)
	}
}

// untilTaken declares a queue as we do and waits until it has a consumer. Before that, RabbitMQ may lose what is
// published without a confirmation: the queue may be in the making by the other one who declares it.
func (s *site) untilTaken(channel *amqp.Channel, queue string, durable bool, arguments amqp.Table) {
	s.t.Helper()
	if _, err := channel.QueueDeclare(queue, durable, false, false, false, arguments); err != nil {
		s.t.Fatal(err)
	}
	s.until("the queue has a consumer", func() bool {
		q, err := channel.QueueDeclarePassive(queue, durable, false, false, false, nil)
		return err == nil && q.Consumers > 0
	})
}

// untilEmpty waits until no message waits in a queue to be taken.
func (s *site) untilEmpty(channel *amqp.Channel, queue string, durable bool) {
	s.t.Helper()
	s.until("the queue is empty", func() bool {
		q, err := channel.QueueDeclarePassive(queue, durable, false, false, false, nil)
		return err == nil && q.Messages == 0
	})
}

func TestMessagesOfRabbitMQ(t *testing.T) {
	if testing.Short() {
		t.Skip("RabbitMQ takes seconds to start")
	}
	server := queues.RabbitMQ(t)
	url := "amqp://" + server.Address + "/"

	t.Run("stand in the log in their order", func(t *testing.T) {
		s := openWith(t, &RabbitMQ{URL: url, Queue: "ordered"}, nil)
		channel := amqpChannel(t, server.Address)
		s.untilTaken(channel, "ordered", false, nil)
		var want []string
		for n := range 500 {
			want = append(want, attached(5, n))
			amqpPublish(t, channel, "", "ordered", "["+want[n]+"]")
		}
		s.fates("rabbitmq", len(want))
		if got := values(s.events()); !slices.Equal(got, want) {
			t.Errorf("%d events, want %d in their order", len(got), len(want))
		}
		s.untilEmpty(channel, "ordered", false)
	})

	t.Run("come by an exchange, and their key tells who sent them", func(t *testing.T) {
		s := openWith(t, &RabbitMQ{URL: url, Queue: "bound", Exchange: "janus-exchange", ExchangeType: "topic",
			RoutingKey: "janus.*"},
			func(o *Options) { o.Rules = []SenderRule{{Path: "/janus.fra", Emitter: "fra"}} })
		channel := amqpChannel(t, server.Address)
		if err := channel.ExchangeDeclare("janus-exchange", "topic", false, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		s.until("the queue is bound", func() bool {
			amqpPublish(t, channel, "janus-exchange", "janus.fra", attached(5, 1))
			return s.written() > 0
		})
		if got := header(s.events()[0], "januscdr-emitter"); got != "fra" {
			t.Errorf("emitter %q, want fra", got)
		}
	})

	t.Run("are answered whatever they are", func(t *testing.T) {
		const limit = 300 << 10
		s := openWith(t, &RabbitMQ{URL: url, Queue: "hostile", Kind: QueueQuorum},
			func(o *Options) { o.BodyLimit, o.EventLimit, o.InflightMax = limit, 64<<10, 4*limit })
		channel := amqpChannel(t, server.Address)
		s.untilTaken(channel, "hostile", true, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
		for n, scene := range []struct {
			name, body string
			parked     []string
		}{
			{"nothing", "", []string{"not_json"}},
			{"no JSON", "hello", []string{"not_json"}},
			{"noise", "\xff\x00\xfe", []string{"not_json"}},
			{"half an event", attached(1, 1)[:30], []string{"not_json"}},
			{"a number", "17", []string{"not_json"}},
			{"null", "null", []string{"not_json"}},
			{"no event", "{}", []string{"not_event"}},
			{"anything", `[1,"x",null]`, []string{"not_event", "not_event", "not_event"}},
			{"a type that is text", `{"type":"1"}`, []string{"not_event"}},
			{"an event and more", attached(1, 1) + attached(1, 2), []string{"not_json"}},
			{"an event over the limit", strings.Replace(attached(5, 4), "echotest", strings.Repeat("x", 65<<10), 1),
				[]string{"event_limit"}},
			{"a message over the limit", `{"x":"` + strings.Repeat("x", 2*limit) + `"}`, []string{"body_limit"}},
			{"a message over what the lane holds", `{"x":"` + strings.Repeat("x", limit-100) + `"}`, []string{"not_event"}},
			{"too many", "[" + strings.Repeat("1,", maxEvents) + "1]", []string{"too_many"}},
			{"gzip", string(zip(t, []byte(attached(1, 1)))), []string{"not_json"}},
			{"deep", strings.Repeat("[", 20000), []string{"not_json"}},
		} {
			parked := len(s.parkedAs())
			amqpPublish(t, channel, "", "hostile", scene.body)
			amqpPublish(t, channel, "", "hostile", attached(5, n))
			s.until(scene.name, func() bool { return s.written() == n+1 })
			if got := s.parkedAs()[parked:]; !slices.Equal(got, scene.parked) {
				t.Errorf("%s: parked as %q, want %q", scene.name, got, scene.parked)
			}
		}
		s.untilEmpty(channel, "hostile", true)
	})

	t.Run("are taken by one consumer, and by the next one when that is gone", func(t *testing.T) {
		s := openWith(t, &RabbitMQ{URL: url, Queue: "once"}, nil)
		channel := amqpChannel(t, server.Address)
		s.until("there is a queue", func() bool {
			amqpPublish(t, channel, "", "once", attached(5, 1))
			return s.written() > 0
		})
		other := openWith(t, &RabbitMQ{URL: url, Queue: "once"}, nil)
		for n := range 20 {
			amqpPublish(t, channel, "", "once", attached(6, n))
		}
		s.until("the first one takes them", func() bool { return s.written() >= 21 })
		if err := s.server.Stop(); err != nil {
			t.Error(err)
		}
		s.server = nil
		amqpPublish(t, channel, "", "once", attached(7, 1))
		other.until("the other one takes the next", func() bool { return other.written() == 1 })
	})

	t.Run("are not acknowledged before they are safe", func(t *testing.T) {
		s := openWith(t, &RabbitMQ{URL: url, Queue: "unsafe"}, func(o *Options) { o.Delivery = 200 * time.Millisecond })
		reached, release := s.cutProduce()
		defer release()
		channel := amqpChannel(t, server.Address)
		s.untilTaken(channel, "unsafe", false, nil)
		amqpPublish(t, channel, "", "unsafe", attached(5, 1))
		<-reached
		if err := s.server.Stop(); err != nil {
			t.Error(err)
		}
		s.server = nil
		q, err := channel.QueueDeclarePassive("unsafe", false, false, false, false, nil)
		if err != nil || q.Messages != 1 {
			t.Errorf("%d messages are in the queue, %v, want 1", q.Messages, err)
		}
		if lost := s.bodies("rabbitmq", "lost"); lost != 0 {
			t.Errorf("%d are counted as lost", lost)
		}
	})

	t.Run("come again after RabbitMQ was killed", func(t *testing.T) {
		s := openWith(t, &RabbitMQ{URL: url, Queue: "quorum", Kind: QueueQuorum}, nil)
		channel := amqpChannel(t, server.Address)
		s.until("there is a queue", func() bool {
			amqpPublish(t, channel, "", "quorum", attached(5, 1))
			return s.written() > 0
		})
		server.Stop()
		server.Start()
		channel = amqpChannel(t, server.Address)
		amqpPublish(t, channel, "", "quorum", attached(5, 2))
		s.until("it connects again", func() bool { return s.written() >= 2 })
	})

	t.Run("a queue with other properties is told with a remedy", func(t *testing.T) {
		channel := amqpChannel(t, server.Address)
		if _, err := channel.QueueDeclare("durable", true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		source := &RabbitMQ{URL: url, Queue: "durable"}
		openWith(t, source, nil)
		err := source.consume(t.Context(), t.Context())
		if err == nil || !strings.Contains(err.Error(), "declare_outgoing_queue = false") {
			t.Errorf("it says %v", err)
		}
		other := &RabbitMQ{URL: url, Queue: "durable", receiver: source.receiver,
			Password: func() (string, error) { return "wrong", nil }}
		if err := other.consume(t.Context(), t.Context()); err == nil || strings.Contains(fmt.Sprint(err), "wrong") {
			t.Errorf("a wrong password: %v", err)
		}
	})
}
