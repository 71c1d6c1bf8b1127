package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"januscdr/internal/fixtures/certificates"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

func TestAHangupReadsTheConfigurationAgainAndNeverKills(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	delete(s.settings, "LOG_LEVEL")
	file := filepath.Join(t.TempDir(), "januscdr.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log: {level: error}\n")
	s.settings["CONFIG"] = file
	for _, p := range []*service{s.processor(t, "one").start(t), s.ingest(t).start(t)} {
		write("log: {level: loud}\n")
		p.hangup(t)
		p.says(t, "SIGHUP: all stays as it was")
		if said := p.said(); strings.Contains(said, "[INFO]") {
			t.Errorf("%s says more than errors:\n%s", p.name, said)
		}
		write("log: {level: info}\n") // from now on it says what it does
		p.hangup(t)
		p.says(t, "were read again")
		p.stop(t)
		if said := p.said(); !strings.Contains(said, "stopping: by=SIGTERM") {
			t.Errorf("%s does not say why it stops:\n%s", p.name, said)
		}
	}
}

func (p *process) hangup(t *testing.T) {
	t.Helper()
	p.mustRun(t)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// A gate is where a broker listens with TLS. It knows who has come, and can cut all connections.
type gate struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
	came  map[string]int // by the name in the certificate
}

func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err == nil {
		g.mu.Lock()
		g.conns = append(g.conns, c)
		g.mu.Unlock()
	}
	return c, err
}

func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		c.Close()
	}
	g.conns, g.came = nil, map[string]int{}
}

func (g *gate) noted(state tls.ConnectionState) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.came[state.PeerCertificates[0].Subject.CommonName]++
	return nil
}

func (g *gate) has(name string) (came, others int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n, times := range g.came {
		if n == name {
			came += times
		} else {
			others += times
		}
	}
	return came, others
}

// guarded is a broker that wants a certificate and a login, behind a gate.
func guarded(t *testing.T, ca *certificates.Authority, password string) (g *gate, broker *embedded.Broker) {
	t.Helper()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "broker.pem"), filepath.Join(dir, "broker.key")
	ca.Sign("broker", cert, key)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	g = &gate{came: map[string]int{}}
	shown := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs: ca.Pool(), VerifyConnection: g.noted}
	broker, err = embedded.Start(embedded.Options{Dir: filepath.Join(dir, "kafka"), Kfake: []kfake.Opt{
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "cdr", password),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			inner, err := net.Listen(network, "127.0.0.1:0")
			g.Listener = inner
			return tls.NewListener(g, shown), err
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	return g, broker
}

// Certificates and passwords are renewed while both programs run: the next connection shows what is there now.
func TestWhatIsRenewedIsShownAtTheNextConnection(t *testing.T) {
	t.Parallel()
	ca, dir := certificates.New(t), t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("password", "one\n")
	write("janus", "one\n")
	ca.Sign("client-1", file("client.pem"), file("client.key"))
	ca.Sign("ingest-1", file("server.pem"), file("server.key"))
	g, broker := guarded(t, ca, "one")

	admin, err := kafka.NewClient(kafka.Options{Brokers: broker.Addrs(),
		TLS:  &kafka.TLS{CAFile: ca.File, CertFile: file("client.pem"), KeyFile: file("client.key")},
		SASL: &kafka.SASL{Mechanism: "SCRAM-SHA-512", User: "cdr", Password: "one"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	s := &site{settings: topics("KAFKA_BROKERS", broker.Addrs()[0], "KAFKA_TLS_ENABLED", "true",
		"KAFKA_TLS_CA_FILE", ca.File, "KAFKA_TLS_CERT_FILE", file("client.pem"), "KAFKA_TLS_KEY_FILE", file("client.key"),
		"KAFKA_SASL_MECHANISM", "SCRAM-SHA-512", "KAFKA_SASL_USER", "cdr", "KAFKA_SASL_PASSWORD_FILE", file("password"),
		"LOG_LEVEL", "info", "WORKERS", "1")}
	output(t, s.settings, our("cdr"), "topics", "create")
	processor, ingest := s.processor(t, "one"), s.ingest(t)
	for name, value := range map[string]string{"TLS_CERT_FILE": file("server.pem"), "TLS_KEY_FILE": file("server.key"),
		"AUTH_USER": "janus", "AUTH_PASSWORD_FILE": file("janus")} {
		ingest.settings["INGEST_"+name] = value
	}
	processor.start(t)
	ingest.start(t)

	// posted is by whom an event was taken.
	posted := func(ctx context.Context, password string) (string, error) {
		trusting := &tls.Config{RootCAs: ca.Pool()}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trusting}}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.Replace(ingest.url(), "http:", "https:", 1),
			strings.NewReader(`{"emitter":"e","type":1,"timestamp":1764000000000000,"session_id":1,"event":{"name":"created"}}`))
		if err != nil {
			return "", err
		}
		r.SetBasicAuth("janus", password)
		answer, err := client.Do(r)
		if err != nil {
			return "", err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return "", errors.New(answer.Status)
		}
		return answer.TLS.PeerCertificates[0].Subject.CommonName, nil
	}
	if by, err := posted(t.Context(), "one"); by != "ingest-1" || err != nil {
		t.Fatalf("%q takes an event, %v", by, err)
	}

	write("password", "two\n")
	write("janus", "two\n")
	altered, err := kadm.NewClient(admin).AlterUserSCRAMs(t.Context(), nil,
		[]kadm.UpsertSCRAM{{User: "cdr", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "two"}})
	if err = errors.Join(err, altered.Error()); err != nil {
		t.Fatal(err)
	}
	admin.Close()
	ca.Sign("client-2", file("client.pem"), file("client.key"))
	ca.Sign("ingest-2", file("server.pem"), file("server.key"))
	for _, p := range []*service{processor, ingest} {
		p.hangup(t)
		p.says(t, "were read again")
	}
	g.cut()
	// Each asks the brokers at least every 5 s.
	until(t, "both have come again", func(context.Context) (bool, error) {
		came, _ := g.has("client-2")
		return came >= 2, nil
	})
	until(t, "ingest shows its new certificate, and takes the new password", func(ctx context.Context) (bool, error) {
		by, err := posted(ctx, "two")
		return by == "ingest-2", err
	})
	if _, others := g.has("client-2"); others > 0 {
		t.Errorf("%d connections have another certificate than the new one", others)
	}
	if by, err := posted(t.Context(), "one"); err == nil {
		t.Errorf("%q takes the old password", by)
	}
	until(t, "the processor reaches kafka", func(ctx context.Context) (bool, error) {
		return scrape(ctx, processor.settings["ADMIN_LISTEN"])["januscdr_kafka_reachable"] == "1", nil
	})
	write("client.pem", "no certificate")
	for _, p := range []*service{processor, ingest} {
		p.hangup(t)
		p.says(t, "SIGHUP: all stays as it was")
	}
	g.cut()
	until(t, "both have come again, as before", func(context.Context) (bool, error) {
		came, _ := g.has("client-2")
		return came >= 2, nil
	})
}
