// Package embedded is a Kafka broker in this process, for trying out and for tests: one node, no replication.
//
// It promises that what it acknowledged is there after a kill of the process (not after a loss of power), and that a
// start ends the transactions which a kill left open. It touches one directory, and listens at one address.
package embedded

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Options say where the embedded broker lives.
type Options struct {
	Dir    string       // where it keeps its data; made if needed; used by one process at a time
	Listen string       // host:port; port 0, or an empty text, takes a free port of 127.0.0.1
	Log    hclog.Logger // nil: silent

	// Kfake are further options of the broker, for tests: SASL, other limits.
	Kfake []kfake.Opt
}

// Broker is a broker in this process, for trying out and for tests: one node, no replication. What it acknowledged is
// in the page cache of the machine: it survives a kill of the process, not a loss of power.
type Broker struct {
	cluster *kfake.Cluster
	dir     string
	unlock  func() error
	close   func() error // once
}

// cleanerPause is how often retention is applied: the bound of a topic is passed by what comes in between.
const cleanerPause = "60000" // milliseconds

// Start starts a broker on the data of its directory, as it was left. If it was killed, transactions that were
// open are aborted first; one that was already being committed is committed. A directory that another process uses is
// an error. Topics are not made: see kafka.CreateTopics, with Topics.Embedded.
func Start(o Options) (*Broker, error) {
	log := o.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	if o.Dir == "" {
		return nil, fmt.Errorf("start embedded broker: the data directory is missing: without one it would keep every byte " +
			"in memory")
	}
	host, port, err := listenAt(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("start embedded broker: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("start embedded broker: make data directory: %w", err)
	}
	unlock, err := lockDir(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("start embedded broker: data directory %s is in use by another process: stop that process, "+
			"or choose another directory: %w", o.Dir, err)
	}
	if err := recoverDir(o.Dir, log); err != nil {
		_ = unlock() // the lock ends with the process anyway
		return nil, fmt.Errorf("start embedded broker: mend what the last one left in %s: %w", o.Dir, err)
	}
	opts := []kfake.Opt{
		kfake.Ports(port),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			return net.Listen(network, net.JoinHostPort(host, strconv.Itoa(port)))
		}),
		// Kept with the data: a first start chooses it, later ones find it. The state of another broker's life is
		// foreign by it.
		kfake.ClusterID(randomID()),
		kfake.DataDir(filepath.Join(o.Dir, brokerDir)),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": cleanerPause}),
		kfake.WithLogger(brokerLog{log}),
	}
	cluster, err := kfake.NewCluster(append(opts, o.Kfake...)...)
	if err != nil {
		_ = unlock() // the lock ends with the process anyway
		return nil, fmt.Errorf("start embedded broker on %s with data in %s: %w", net.JoinHostPort(host, strconv.Itoa(port)),
			o.Dir, err)
	}
	e := &Broker{cluster: cluster, dir: o.Dir, unlock: unlock}
	e.close = sync.OnceValue(e.stop)
	return e, nil
}

const brokerDir = "broker" // in the data directory: what is kfake's

// recoverDir makes a directory fit for a start. Whatever was not said to have ended in order has not.
func recoverDir(dir string, log hclog.Logger) error {
	stopped := filepath.Join(dir, stoppedFile)
	err := os.Remove(stopped)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	committed, aborted, err := endOpenTransactions(filepath.Join(dir, brokerDir))
	if err == nil && committed+aborted > 0 {
		log.Warn("embedded broker was killed amid transactions and ends them now", "committed", committed, "aborted", aborted)
	}
	return err
}

// Addrs are the addresses to connect to.
func (e *Broker) Addrs() []string { return e.cluster.ListenAddrs() }

// Cluster is the broker itself, for tests that break it.
func (e *Broker) Cluster() *kfake.Cluster { return e.cluster }

// Close stops the broker and frees its directory. Clients should be closed before.
func (e *Broker) Close() error { return e.close() }

func (e *Broker) stop() error {
	e.cluster.Close()
	err := os.WriteFile(filepath.Join(e.dir, stoppedFile), nil, 0o640)
	if err != nil {
		err = fmt.Errorf("note that it ended in order: %w", err)
	}
	if unlocked := e.unlock(); err == nil && unlocked != nil {
		err = fmt.Errorf("free data directory: %w", unlocked)
	}
	if err != nil {
		return fmt.Errorf("stop embedded broker: %w", err)
	}
	return nil
}

func listenAt(listen string) (host string, port int, err error) {
	if listen == "" {
		return "127.0.0.1", 0, nil
	}
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("read listen address %q: give host:port: %w", listen, err)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("read listen address %q: the port is no number from 0 to 65535", listen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return "", 0, fmt.Errorf("read listen address %q: name one address: the broker tells its clients to come to it",
			listen)
	}
	return host, port, nil
}

func randomID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// brokerLog writes what the broker has to say into our log, its requests only when tracing.
type brokerLog struct{ log hclog.Logger }

// Logf writes one line. The text is an argument, so that our messages stay constant.
func (l brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Error("embedded broker", "says", fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		l.log.Warn("embedded broker", "says", fmt.Sprintf(format, args...))
	default:
		if l.log.IsTrace() {
			l.log.Trace("embedded broker", "says", fmt.Sprintf(format, args...))
		}
	}
}
