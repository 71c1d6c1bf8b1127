package kafka_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"januscdr/internal/fixtures/broker"
	"januscdr/kafka"
)

// hangUp is a network on which the first connections are cut as soon as something is asked.
type hangUp struct{ left atomic.Int64 }

func (h *hangUp) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil || h.left.Add(-1) < 0 {
		return conn, err
	}
	return &cutOff{conn}, nil
}

type cutOff struct{ net.Conn }

func (c *cutOff) Read([]byte) (int, error) { return 0, io.EOF }

func TestABrokerThatHungUpOnceIsNotTakenForOneThatWantsALogin(t *testing.T) {
	network := &hangUp{}
	network.left.Store(1)
	client := broker.Client(t, kafka.Options{Brokers: broker.Start(t).Addrs(), Dialer: network.dial})
	if err := kafka.WaitReady(t.Context(), client, nil); err != nil {
		t.Fatal(err)
	}
}
