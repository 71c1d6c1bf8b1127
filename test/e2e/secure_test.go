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
	"testing"
	"time"
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
