package kafka

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestAConnectionThatFailsTakesItsTime(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	for _, c := range []struct {
		name        string
		takes, want time.Duration
		err         error
		gone        time.Duration // when nobody waits any more
	}{
		{"fails at once", 0, failedDial, refused, time.Minute},
		{"fails late", time.Second, time.Second, refused, time.Minute},
		{"comes about", 0, 0, nil, time.Minute},
		{"fails at once, and nobody waits", 0, time.Millisecond, refused, time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.gone)
				defer cancel()
				dial := unhurried(func(context.Context, string, string) (net.Conn, error) {
					time.Sleep(c.takes)
					return nil, c.err
				})
				began := time.Now()
				_, err := dial(ctx, "tcp", "broker:9092")
				if !errors.Is(err, c.err) {
					t.Errorf("it ends with %v", err)
				}
				if took := time.Since(began); took != c.want {
					t.Errorf("it takes %v, want %v", took, c.want)
				}
			})
		})
	}
}
