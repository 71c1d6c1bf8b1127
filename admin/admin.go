// Package admin tells operators and machines how a process is: /healthz, /readyz and /metrics over HTTP.
//
// It promises that its answers never wait for the work they tell of, that a slow or hostile client costs little, and
// that it changes nothing. What "ready" means is told by the one who starts it. It touches the network, imports no
// other room, and shows no call data but what Readiness.Details holds.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Bounds of a connection.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second // a scrape of many series over a slow line
	idleTimeout   = 2 * time.Minute  // scrapers come back every few seconds
	stopTimeout   = 2 * time.Second
	maxHeader     = 16 << 10
	maxScrapes    = 4 // at a time
)

// Readiness is what /readyz answers.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitempty"` // why not, one sentence each, for people
	Details any      `json:"details,omitempty"` // whatever else is worth seeing: tasks, progress; must marshal to JSON
}

// Options say what is served, and where.
type Options struct {
	Listen   string              // host:port; port 0 takes a free one
	Ready    func() Readiness    // asked at each /readyz, from several goroutines; nil: ready as soon as it serves
	Gatherer prometheus.Gatherer // what /metrics shows; nil: no /metrics
	Log      hclog.Logger        // nil: silent
}

// Server serves until its context ends. It is used once.
type Server struct {
	listener net.Listener
	mux      *http.ServeMux
	log      hclog.Logger
}

// Listen opens the port, so that a mistake in the address shows before any work begins. Run serves, and frees
// the port when it ends.
func Listen(o Options) (*Server, error) {
	log := o.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	listener, err := net.Listen("tcp", o.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("serve health and metrics on %s: the port is in use; stop the other process or choose "+
			"another admin.listen", o.Listen)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("serve health and metrics on %s: the port needs more rights; choose another admin.listen, "+
			"above 1023", o.Listen)
	case err != nil:
		return nil, fmt.Errorf("serve health and metrics on %s: %w; check admin.listen", o.Listen, plainNetError(err))
	}
	s := &Server{listener: listener, mux: http.NewServeMux(), log: log}
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	})
	s.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r := Readiness{Ready: true}
		if o.Ready != nil {
			r = o.Ready()
		}
		s.answer(w, r)
	})
	if o.Gatherer != nil {
		s.mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{
			MaxRequestsInFlight: maxScrapes,
			EnableOpenMetrics:   true,
			ErrorLog:            log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
		}))
	}
	return s, nil
}

func (s *Server) answer(w http.ResponseWriter, r Readiness) {
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil { // a mistake of the program: Details
		s.log.Error("readiness cannot be written down", "error", err)
		http.Error(w, "readiness cannot be written down: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !r.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	w.Write(append(body, '\n'))
}

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until the context ends; requests in hand get up to 2 s more. It returns nil after that.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler:           s.mux,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          s.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	s.log.Info("health and metrics are served", "address", s.Addr().String())
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve health and metrics on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve health and metrics on %s: %w", s.Addr(), err)
	}
	return nil
}

// plainNetError is the cause of a network error without the operation and address, which are said elsewhere.
func plainNetError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
