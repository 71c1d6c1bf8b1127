package wiring

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// lookAgain is the least time between two looks at whether files were renewed.
const lookAgain = time.Second

// ServerTLS is TLS as a server that shows the certificate of the files, and wants one of its clients, signed by the
// authorities of a third one, if that is named. Files that are renewed are taken from the next connection on; if they
// will not do, what was there before goes on, and the log says so.
func ServerTLS(certFile, keyFile, clientCAFile string, log hclog.Logger) (*tls.Config, error) {
	load := func() (*tls.Config, error) {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("%s with the key %s will not do: %w; name PEM files of a certificate and of its key",
				certFile, keyFile, err)
		}
		config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		if clientCAFile != "" {
			if config.ClientCAs, err = authorities(clientCAFile); err != nil {
				return nil, err
			}
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
		return config, nil
	}
	r, err := newRenewed(load, log, certFile, keyFile, clientCAFile)
	if err != nil {
		return nil, err
	}
	config := r.get().Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.get(), nil }
	return config, nil
}

// ClientTLS is TLS as a client that trusts the authorities of a file, or those of the system, and shows a certificate
// if one is named. That one is read again when it was renewed; the authorities are those of the start.
func ClientTLS(caFile, certFile, keyFile string, log hclog.Logger) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pool, err := authorities(caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	if certFile == "" {
		return config, nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("%s with the key %s will not do: %w; name PEM files of a certificate and of its key",
				certFile, keyFile, err)
		}
		return &pair, nil
	}
	r, err := newRenewed(load, log, certFile, keyFile)
	if err != nil {
		return nil, err
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return r.get(), nil }
	return config, nil
}

func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(file + " has no certificate in it; name a PEM file of authorities")
	}
	return pool, nil
}

// renewed is what was made of files, and is made again when one of them has changed.
type renewed[T any] struct {
	load  func() (*T, error)
	files []string
	log   hclog.Logger

	mu     sync.Mutex
	value  *T
	states []fileState // of when the value was made, or tried to be
	looked time.Time
}

type fileState struct {
	modified time.Time
	size     int64
}

func newRenewed[T any](load func() (*T, error), log hclog.Logger, files ...string) (*renewed[T], error) {
	r := &renewed[T]{load: load, files: files, log: log, looked: time.Now()}
	r.states = r.look()
	var err error
	r.value, err = load()
	return r, err
}

func (r *renewed[T]) look() []fileState {
	states := make([]fileState, len(r.files))
	for i, file := range r.files {
		if info, err := os.Stat(file); err == nil {
			states[i] = fileState{info.ModTime(), info.Size()}
		}
	}
	return states
}

func (r *renewed[T]) get() *T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) < lookAgain {
		return r.value
	}
	r.looked = time.Now()
	states := r.look()
	same := true
	for i := range states {
		same = same && states[i] == r.states[i]
	}
	if same {
		return r.value
	}
	value, err := r.load()
	if err != nil {
		// A certificate may be there before its key is: the next look tries again.
		r.log.Warn("files have changed, and the new ones will not do; the old ones go on", "error", err)
		return r.value
	}
	r.states, r.value = states, value
	r.log.Info("files were renewed", "files", r.files)
	return value
}
