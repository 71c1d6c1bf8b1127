package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Certificates are renewed while a process runs. Connections that are open stay, each new one takes what
// was read last.

// dialTimeout is how long a connection may take to be opened, without the handshake of TLS: a broker that hangs is left
// early enough to try another.
const dialTimeout = 3 * time.Second

// material is what the files of TLS hold.
type material struct {
	own   []tls.Certificate
	roots *x509.CertPool // nil: those of the system
}

// Renew reads the files of certificates again; new connections use them. After an error, which names the file, all is
// as it was. Secrets of a login are read at each one anyway.
func (o Options) Renew() error {
	if o.TLS == nil {
		return nil
	}
	return o.TLS.renew()
}

func (t *TLS) renew() error {
	m := &material{}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return fmt.Errorf("read tls ca file: %w", err)
		}
		m.roots = x509.NewCertPool()
		if !m.roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("read tls ca file: no certificate in %s", t.CAFile)
		}
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return errors.New("tls certificate and key belong together: give both files or none")
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return fmt.Errorf("read tls certificate: %w", err)
		}
		m.own = []tls.Certificate{pair}
	}
	t.read.Store(m)
	return nil
}

// Config reads the files and is TLS as Go has it; nil of nil.
func (t *TLS) Config() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	if err := t.renew(); err != nil {
		return nil, err
	}
	return t.current(), nil
}

// current is TLS of a new connection.
func (t *TLS) current() *tls.Config {
	m := t.read.Load()
	return &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify, MinVersion: tls.VersionTLS12,
		RootCAs: m.roots, Certificates: m.own}
}

// overTLS speaks TLS on the connections of a dialer.
func overTLS(dial dialer, current func() *tls.Config) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		config := current()
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(addr)
		}
		handshake, cancel := context.WithTimeout(ctx, 2*dialTimeout)
		defer cancel()
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(handshake); err != nil {
			conn.Close()
			return nil, err
		}
		return secure, nil
	}
}

// speaksOverTLS marks a client whose dialer does.
type speaksOverTLS struct{}

// OnNewClient makes it a hook.
func (speaksOverTLS) OnNewClient(*kgo.Client) {}

// usesTLS tells whether a client of ours speaks over TLS.
func usesTLS(cl *kgo.Client) bool {
	hooks := reflect.ValueOf(cl.OptValue(kgo.WithHooks)) // a slice of a type that is not exported
	for i := 0; hooks.Kind() == reflect.Slice && i < hooks.Len(); i++ {
		if _, ok := hooks.Index(i).Interface().(speaksOverTLS); ok {
			return true
		}
	}
	return false
}
