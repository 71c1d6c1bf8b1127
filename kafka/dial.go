package kafka

import (
	"context"
	"net"
	"time"
)

// failedDial is how long a connection that does not come about takes at least.
const failedDial = 50 * time.Millisecond

// unhurried dials, and does not fail at once. Clients wait before they try again what the network has refused, but not
// each of them in all cases: a producer that has no id yet asks for one again without a rest when the name of its only
// broker is not known any more, or the certificate there is none that we trust, and so would keep a core busy until the
// broker is back.
func unhurried(dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		rest := time.NewTimer(failedDial)
		defer rest.Stop()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			select {
			case <-rest.C:
			case <-ctx.Done():
			}
		}
		return conn, err
	}
}
