package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"januscdr/kafka"
)

// A fortress is what `scripts/kafka.sh start-secure` made.
type fortress struct{ plain, sasl, ssl, ca, cert, key, password string }

func secure(t *testing.T) fortress {
	t.Helper()
	dir := os.Getenv("JANUSCDR_E2E_SECURE")
	if dir == "" {
		t.Skip("TLS and SCRAM need a real Kafka: scripts/kafka.sh start-secure, and its folder in JANUSCDR_E2E_SECURE")
	}
	size, err := os.ReadFile(filepath.Join(dir, "size"))
	if err != nil {
		t.Fatal(err)
	}
	var n, port int
	if _, err := fmt.Sscan(string(size), &n, &port); err != nil {
		t.Fatalf("read %s/size: %v", dir, err)
	}
	password, err := os.ReadFile(filepath.Join(dir, "tls", "password"))
	if err != nil {
		t.Fatal(err)
	}
	at := func(port int) string { return net.JoinHostPort("localhost", strconv.Itoa(port)) }
	file := func(name string) string { return filepath.Join(dir, "tls", name) }
	return fortress{
		plain: at(port), sasl: at(port + 2), ssl: at(port + 3), ca: file("ca.pem"), cert: file("client.crt"),
		key:      file("client.key"),
		password: strings.TrimSpace(string(password)),
	}
}

// topics are the settings of one `cdr topics create`, which makes topics that nobody else has.
func topics(more ...string) map[string]string {
	name := fmt.Sprintf("e2e-%08x", rand.Uint32())
	settings := map[string]string{
		"TOPICS_EVENTS": name + ".events", "TOPICS_CDR": name + ".cdr", "TOPICS_STATE": name + ".state",
		"TOPICS_DLQ":        name + ".dlq",
		"TOPICS_PARTITIONS": "1",
	}
	for i := 0; i < len(more); i += 2 {
		settings[more[i]] = more[i+1]
	}
	return settings
}

func TestTLSAndLoginsAreConfiguredNotProgrammed(t *testing.T) {
	t.Parallel()
	f := secure(t)
	tls := []string{"KAFKA_TLS_ENABLED", "true", "KAFKA_TLS_CA_FILE", f.ca}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			output(t, topics(append(tls, "KAFKA_BROKERS", f.sasl, "KAFKA_SASL_MECHANISM", mechanism,
				"KAFKA_SASL_USER", "cdr", "KAFKA_SASL_PASSWORD", f.password)...), our("cdr"), "topics", "create")
		})
	}
	t.Run("client certificate", func(t *testing.T) {
		output(t, topics(append(tls, "KAFKA_BROKERS", f.ssl, "KAFKA_TLS_CERT_FILE", f.cert, "KAFKA_TLS_KEY_FILE", f.key)...),
			our("cdr"), "topics", "create")
	})
}

func TestAWrongPasswordEndsTheStartAndIsSaid(t *testing.T) {
	t.Parallel()
	const wrong = "open-sesame-4711"
	f := secure(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, our("cdr"), "topics", "create")
	cmd.Env = environment(topics("KAFKA_BROKERS", f.sasl, "KAFKA_TLS_ENABLED", "true", "KAFKA_TLS_CA_FILE", f.ca,
		"KAFKA_SASL_MECHANISM", "SCRAM-SHA-512", "KAFKA_SASL_USER", "cdr", "KAFKA_SASL_PASSWORD", wrong))
	out, err := cmd.CombinedOutput()
	if err == nil || ctx.Err() != nil {
		t.Fatalf("a wrong password: error %v, want an early one\n%s", err, out)
	}
	if said := strings.ToLower(string(out)); !strings.Contains(said, "password") {
		t.Errorf("said nothing of the password: %s", out)
	}
	if strings.Contains(string(out), wrong) {
		t.Errorf("told the password: %s", out)
	}
}

func TestAMistakeAboutTLSEndsTheStartInOneLine(t *testing.T) {
	t.Parallel()
	f := secure(t)
	for name, scene := range map[string]struct {
		settings []string
		want     string
	}{
		"tls for a port without": {[]string{"KAFKA_BROKERS", f.plain, "KAFKA_TLS_ENABLED", "true", "KAFKA_TLS_CA_FILE", f.ca},
			"leave tls out"},
		"no tls for a port with tls": {[]string{"KAFKA_BROKERS", f.ssl}, "switch tls on"},
		"no certificate": {[]string{"KAFKA_BROKERS", f.ssl, "KAFKA_TLS_ENABLED", "true", "KAFKA_TLS_CA_FILE", f.ca},
			"give a tls certificate and key"},
		"no login": {[]string{"KAFKA_BROKERS", f.sasl, "KAFKA_TLS_ENABLED", "true", "KAFKA_TLS_CA_FILE", f.ca},
			"set the sasl mechanism (it has "},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, our("cdr"), "topics", "check")
			cmd.Env = environment(topics(scene.settings...))
			out, err := cmd.CombinedOutput()
			if err == nil || ctx.Err() != nil || !strings.Contains(string(out), scene.want) ||
				strings.Count(string(out), "\n") != 1 {
				t.Errorf("error %v, want one early line with %q, got\n%s", err, scene.want, out)
			}
		})
	}
}

// certificate writes a certificate of a client, and its key, over those of a folder. An authority of its own signs it,
// or that of the brokers.
func (f fortress) certificate(t *testing.T, dir string, trusted bool) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")
	authority, secret := f.ca, filepath.Join(filepath.Dir(f.ca), "ca.key")
	openssl := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	curve := []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"}
	if !trusted {
		authority, secret = filepath.Join(dir, "other.pem"), filepath.Join(dir, "other.key")
		openssl(append([]string{"req", "-x509", "-subj", "/CN=other", "-keyout", secret, "-out", authority}, curve...)...)
	}
	request := filepath.Join(dir, "client.csr")
	openssl(append([]string{"req", "-subj", "/CN=client", "-keyout", key, "-out", request}, curve...)...)
	openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", secret, "-out", cert)
	return cert, key
}

// Connections that are cut show which certificate the next ones have.
func TestCertificatesAreRenewedWhileAClientRuns(t *testing.T) {
	t.Parallel()
	f, dir := secure(t), t.TempDir()
	var mu sync.Mutex
	var open []net.Conn
	o := kafka.Options{Brokers: []string{f.ssl}, TLS: &kafka.TLS{CAFile: f.ca},
		Dialer: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				mu.Lock()
				open = append(open, c)
				mu.Unlock()
			}
			return c, err
		}}
	o.TLS.CertFile, o.TLS.KeyFile = f.certificate(t, dir, true)
	client, err := kafka.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	asks := func(limit time.Duration) error {
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		open = nil
		mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		return client.Ping(ctx) // it always asks a broker
	}
	for _, trusted := range []bool{true, false, true} {
		f.certificate(t, dir, trusted)
		if err := o.Renew(); err != nil {
			t.Fatal(err)
		}
		limit := patience
		if !trusted {
			limit = 5 * time.Second // it would try for ever
		}
		if err := asks(limit); (err == nil) != trusted {
			t.Errorf("with a certificate that is trusted: %v, the broker answers: %v", trusted, err)
		}
	}
	before := o.TLS.CertFile
	if err := os.WriteFile(before, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.Renew(); err == nil || asks(patience) != nil {
		t.Errorf("with a broken file: %v; the one before goes on", err)
	}
}
