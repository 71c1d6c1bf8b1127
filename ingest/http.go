package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// What holds when an option is zero, and bounds that are no options.
const (
	defaultListen = "127.0.0.1:8090"
	defaultPath   = "/events"
	defaultConns  = 3000 // below 4096, a usual bound on descriptors, with room for Kafka's and the spool's
	maxHeader     = 16 << 10
	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute  // Janus opens a connection per request; this is for others
	refusedPause  = time.Second      // before a request of a stranger is left: its next one comes later
	janusTimeout  = 10 * time.Second // of sampleevh, for a request
)

// HTTP receives what Janus' sampleevh posts: one event, or an array of up to 100, plain or gzipped; a new connection
// for each request, one request at a time.
//
// Janus takes any answer as delivered, whatever its status, and tries again only when there is none: 5 times by
// default, after 100 ms and then twice as long each time, and then the body is lost. So there are two ends: 200 when
// all of a body is safe, and a connection that is closed without an answer. And the time until that end is used up: to
// close at once would burn the tries of a sender in 3 s, to wait for Kafka as long as the sender waits gives it a
// minute.
type HTTP struct {
	Listen   string // host:port; port 0 takes a free one; 127.0.0.1:8090 when empty
	Path     string // path of the URL that Janus posts to; /events when empty
	User     string // of HTTP Basic authentication; empty: anybody may send
	Password string // of User
	// Users has more users with their passwords, one for each Janus; it is asked at each request and must not be changed.
	// Nil: there are no more.
	Users func() map[string]string
	TLS   *tls.Config // nil: plain HTTP. A proxy in front must not do this: its 502 counts as delivered

	MaxConnections int // at a time, 3000 when 0; beyond, one makes room for the next: see guard

	receiver   *Receiver
	paths      map[string]bool
	credential [sha256.Size]byte // that is wanted
	listener   net.Listener
}

// Name is the word for this source.
func (*HTTP) Name() string { return "http" }

func (h *HTTP) listen() string {
	if h.Listen == "" {
		return defaultListen
	}
	return h.Listen
}

func (h *HTTP) path() string {
	if h.Path == "" {
		return defaultPath
	}
	return h.Path
}

// Check says all that is wrong with the options.
func (h *HTTP) Check(o Options) (complaints []error) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Errorf(format, args...)) }
	if !strings.HasPrefix(h.path(), "/") {
		complain("path %q does not begin with a slash", h.Path)
	}
	if h.MaxConnections < 0 {
		complain("%d connections are not possible", h.MaxConnections)
	}
	if h.User == "" && h.Password != "" {
		complain("a password without a user: Janus sends both or none")
	}
	if h.User != "" && h.Password == "" {
		complain("user %q has no password: Janus sends both or none", h.User)
	}
	if o.Delivery >= janusTimeout {
		complain("delivery timeout of %v is not possible: Janus gives up at %v", o.Delivery, janusTimeout)
	}
	for i, r := range o.Rules {
		if r.Path != "" && !strings.HasPrefix(r.Path, "/") {
			complain("sender rule %d: path %q does not begin with a slash", i+1, r.Path)
		}
		if r.User != "" && r.User != h.User && h.Users == nil {
			complain("sender rule %d: user %q is not known: a name that is not checked proves nothing", i+1, r.User)
		}
	}
	return complaints
}

// Open opens the port. The error of a port that is in use says what to do.
func (h *HTTP) Open(r *Receiver) ([]any, error) {
	listener, err := net.Listen("tcp", h.listen())
	if err != nil {
		return nil, listenError(h.listen(), "--ingest-listen", err)
	}
	h.listener, h.receiver = listener, r
	h.credential = credential(h.User, h.Password)
	h.paths = r.rules.paths(h.path())
	return []any{"address", h.Addr().String(), "path", h.path(),
		"authentication", h.authenticates(), "tls", h.TLS != nil}, nil
}

// Addr is where it listens; valid after Open.
func (h *HTTP) Addr() net.Addr { return h.listener.Addr() }

// Serve answers requests until the context ends; those in hand get up to 3 s more. It speaks HTTP/1.1 only: a stream of
// HTTP/2 cannot be left unanswered without leaving its neighbours unanswered.
func (h *HTTP) Serve(ctx context.Context) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	delivery, log := h.receiver.delivery, h.receiver.log
	server := &http.Server{
		Handler:           h,
		Protocols:         &protocols,
		ReadHeaderTimeout: min(headerTimeout, delivery),
		ReadTimeout:       delivery, // of head and body; a sender that takes longer gives up anyway
		WriteTimeout:      delivery + headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withGuarded,
		ErrorLog:          log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	limited := h.receiver.guard(h.listener, cmp.Or(h.MaxConnections, defaultConns), h.Name())
	if h.TLS != nil {
		limited = tls.NewListener(limited, h.TLS)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(limited) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve events on %s: %w", h.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		log.Warn("connections did not end in time and are cut", "error", err)
		server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve events on %s: %w", h.Addr(), err)
	}
	return nil
}

// ServeHTTP answers when the body is safe, and closes the connection when it is not.
func (h *HTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost { // no Janus, so an answer loses nothing
		w.Header().Set("Allow", http.MethodPost)
		w.Header().Set("Connection", "close")
		http.Error(w, "januscdr takes events by POST", http.StatusMethodNotAllowed)
		return
	}
	if h.receive(http.NewResponseController(w), r).Safe() {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		return
	}
	hangUp(w)
}

func (h *HTTP) receive(c *http.ResponseController, r *http.Request) Outcome {
	from, refused := h.sender(r)
	if refused != "" {
		outcome := h.receiver.Refuse(from, refused)
		h.receiver.pause(r.Context(), refusedPause)
		return outcome
	}
	// A client that closes its half after the body still waits for the answer, and the context of its request has ended:
	// the delivery timeout bounds the time instead, and what breaks off is an error of the body.
	ctx := context.WithoutCancel(r.Context())
	if conn := guardedOf(ctx); conn != nil {
		if of := h.receiver.rules.party(from); of.known {
			conn.prove(of)
		}
		ctx = conn.alive
	}
	delivery := h.receiver.delivery
	body := &pace{in: r.Body, deadline: c.SetReadDeadline, end: time.Now().Add(delivery),
		grace: min(slowGrace, delivery/2), rate: h.receiver.minRate}
	return h.receiver.ReceiveStream(ctx, from, r.Header.Get("Content-Encoding"), body, r.ContentLength)
}

// sender tells who sends a request. A refusal says why; none is empty.
func (h *HTTP) sender(r *http.Request) (Sender, Refusal) {
	from := Sender{Source: h.Name(), Address: remote(r.RemoteAddr), Path: r.URL.Path}
	if !h.paths[r.URL.Path] {
		return from, RefusedPath
	}
	from.Certificate = certificateOf(r)
	if h.authenticates() {
		user, password, _ := r.BasicAuth()
		if !h.allows(user, password) {
			return from, RefusedCredentials
		}
		from.User = user
	}
	return from, ""
}

// knows tells whether a sender can show who it is.
func (h *HTTP) knows() bool {
	return h.authenticates() || h.TLS != nil && h.TLS.ClientAuth >= tls.VerifyClientCertIfGiven
}

// authenticates tells whether a sender must give a password.
func (h *HTTP) authenticates() bool { return h.User != "" || h.Users != nil }

// allows tells whether it is the password of the user. It takes the same time whatever is wrong, but for whether there
// is such a user.
func (h *HTTP) allows(user, password string) bool {
	want, known := h.credential, user == h.User && user != ""
	if !known && h.Users != nil {
		var secret string
		if secret, known = h.Users()[user]; known {
			want = credential(user, secret)
		}
	}
	got := credential(user, password)
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && known
}

// certificateOf is the name in the certificate of a client that was verified, or empty.
func certificateOf(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return ""
	}
	return r.TLS.VerifiedChains[0][0].Subject.CommonName
}

// credential hashes a user and a password, so that comparing takes the same time whatever their lengths.
func credential(user, password string) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%d:%s%s", len(user), user, password))
}

// hangUp ends the connection before any byte of an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // does the same, less politely
	}
	conn.Close()
}

var _ Source = (*HTTP)(nil)

var _ http.Handler = (*HTTP)(nil)
