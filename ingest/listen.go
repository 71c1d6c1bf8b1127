package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// listenError says why a port could not be opened, and what to do with the flag that names it.
func listenError(address, flag string, err error) error {
	why := "write the address as host:port, with " + flag
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		why = "another process listens there: stop it, or choose another address with " + flag
	case errors.Is(err, syscall.EACCES):
		why = "this port needs more rights than we have: choose one above 1023 with " + flag
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		why = "this machine has no such address: choose one of its own, or :port for all, with " + flag
	}
	return fmt.Errorf("listen for events on %s: %s: %w", address, why, err)
}

// crew are the connections of a source, each on a goroutine of its own.
type crew struct {
	mu      sync.Mutex
	gone    bool
	working sync.WaitGroup
}

// join counts one more; false when all are to go. Whoever has joined leaves once.
func (c *crew) join() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	c.working.Add(1)
	return true
}

func (c *crew) leave() { c.working.Done() }

// dismiss lets nobody join any more and waits for those who have.
func (c *crew) dismiss() {
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	c.working.Wait()
}

// acceptEach takes connections, each on a goroutine of the crew, until the context ends or the listener is closed. A
// connection is closed after it was served.
func acceptEach(ctx context.Context, listener net.Listener, crew *crew, serve func(net.Conn)) error {
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED):
			if !pause(ctx, 100*time.Millisecond) { // as net/http does: there will be some again
				return nil
			}
			continue
		default:
			return fmt.Errorf("accept connections on %s: %w", listener.Addr(), err)
		}
		if !crew.join() {
			conn.Close()
			return nil
		}
		go func() {
			defer crew.leave()
			defer conn.Close()
			serve(conn)
		}()
	}
}
