package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// An address can lead to another cluster for a while: a name that moves, a port that is given to another container, a
// balancer that is set wrong. A client that listens to it learns of other topics under the same names, of other
// members and producers, and is of no more use when its own cluster is back; and what it writes meanwhile is lost in a
// place where nobody looks. So each connection asks which cluster it came to before anything else is said on it, and is
// closed if that is not the one with which we began. To a client another cluster is then what no cluster would be.

// ErrOtherCluster is what an error wraps when another cluster than that of our beginning answers at an address.
var ErrOtherCluster = errors.New("another cluster answers")

// home is the cluster with which a Contact began: the first that answered.
type home struct {
	mu       sync.Mutex
	id       string    // empty: none has answered yet, or it has no id
	stranger string    // the other one that answered last, if it is still so
	since    time.Time // when that was seen first
}

// expect says which cluster it is before one has answered; empty: nobody knows.
func (h *home) expect(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.id == "" {
		h.id = id
	}
}

// greet takes note of the cluster to which a connection came, and fails if it is not ours.
func (h *home) greet(address, id string, log hclog.Logger) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case id == "": // brokers before 0.10.1
		return nil
	case h.id == "":
		h.id = id
	case h.id != id:
		if h.stranger != id {
			h.stranger, h.since = id, time.Now()
			log.Error("another cluster answers at our brokers' address, nothing is written to it", "address", address,
				"cluster", id, "ours", h.id)
		}
		return &otherClusterError{address: address, id: id, ours: h.id}
	case h.stranger != "":
		log.Info("our cluster answers again", "address", address, "cluster", id,
			"away", time.Since(h.since).Round(time.Second))
		h.stranger = ""
	}
	return nil
}

// strange is why our cluster is away when it is for the sake of another one, else nil.
func (h *home) strange() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stranger == "" {
		return nil
	}
	return fmt.Errorf("%w: %s instead of %s", ErrOtherCluster, h.stranger, h.id)
}

// otherClusterError is the error of a connection that came to another cluster.
type otherClusterError struct{ address, id, ours string }

func (e *otherClusterError) Error() string {
	return fmt.Sprintf("%v at %s: %s instead of %s", ErrOtherCluster, e.address, e.id, e.ours)
}

func (e *otherClusterError) Unwrap() error { return ErrOtherCluster }

// Temporary makes clients try again.
func (e *otherClusterError) Temporary() bool { return true }

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// toHome asks on each connection of a dialer which cluster it came to. The connections carry what a client says, TLS
// included; login tells whether that begins with one.
func toHome(dial dialer, h *home, clientID string, login bool, log hclog.Logger) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &homeConn{Conn: conn, home: h, clientID: clientID, address: addr, login: login, log: log}, nil
	}
}

// homeConn is a connection that knows where it came to as soon as it may ask: when the login is done. Until then a
// client waits for each answer before it says more, so that nothing but our answer is on its way.
type homeConn struct {
	net.Conn
	home     *home
	clientID string
	address  string
	log      hclog.Logger

	login    bool  // is still to be done
	versions int   // how often they were asked for
	asked    int16 // in which version of that request
	known    bool  // it is ours
}

const homeAnswer = 5 * time.Second

// Write writes requests, one at a time.
func (c *homeConn) Write(request []byte) (int, error) {
	if !c.known && !c.beginning(request) {
		if err := c.ask(); err != nil {
			return 0, err
		}
		c.known = true
	}
	return c.Conn.Write(request)
}

// beginning tells whether a request belongs to the beginning of a connection: the versions, and the login.
func (c *homeConn) beginning(request []byte) bool {
	const length = 4 // and then the kind of request, and its version
	if len(request) < length+4 {
		return false
	}
	switch kmsg.Key(binary.BigEndian.Uint16(request[length:])) {
	case kmsg.ApiVersions:
		// A broker that does not know this version is asked once more, in a lower one. What comes then is a ping.
		version := int16(binary.BigEndian.Uint16(request[length+2:]))
		again := c.versions == 1 && version < c.asked
		c.asked = version
		c.versions++
		return c.versions == 1 || again || c.login
	case kmsg.SASLHandshake:
		return true
	case kmsg.SASLAuthenticate:
		c.login = false
		return true
	}
	return false
}

// ask asks for the id of the cluster.
func (c *homeConn) ask() error {
	const (
		correlation = -1 // a client counts its requests from 0
		version     = 5  // Kafka 1.0
		answerMost  = 16 << 20
	)
	if err := c.SetReadDeadline(time.Now().Add(homeAnswer)); err != nil {
		return err
	}
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // of none
	request.SetVersion(version)
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID(c.clientID))
	if _, err := c.Conn.Write(format.AppendRequest(nil, request, correlation)); err != nil {
		return err
	}
	var head [8]byte // length of what follows, and our number
	if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
		return fmt.Errorf("ask %s for its cluster: %w", c.address, err)
	}
	length, number := binary.BigEndian.Uint32(head[:4]), int32(binary.BigEndian.Uint32(head[4:]))
	if length < 4 || length > answerMost || number != correlation {
		return fmt.Errorf("ask %s for its cluster: this is no answer of Kafka: %x", c.address, head)
	}
	body := make([]byte, length-4)
	if _, err := io.ReadFull(c.Conn, body); err != nil {
		return fmt.Errorf("ask %s for its cluster: %w", c.address, err)
	}
	answer := kmsg.NewPtrMetadataResponse()
	answer.SetVersion(version)
	if err := answer.ReadFrom(body); err != nil {
		return fmt.Errorf("ask %s for its cluster: %w", c.address, err)
	}
	id := ""
	if answer.ClusterID != nil {
		id = *answer.ClusterID
	}
	return c.home.greet(c.address, id, c.log)
}
