package kafka_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"januscdr/internal/fixtures/broker"
	"januscdr/kafka"
)

// identity is a self-signed certificate for 127.0.0.1, its files, and the pool that trusts it.
type identity struct {
	certificate tls.Certificate
	cert, key   string
	pool        *x509.CertPool
}

func newIdentity(t *testing.T, name string) identity {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	must(err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	i := identity{cert: filepath.Join(t.TempDir(), "cert.pem"), key: filepath.Join(t.TempDir(), "key.pem"),
		pool: x509.NewCertPool()}
	must(os.WriteFile(i.cert, certPEM, 0o600))
	must(os.WriteFile(i.key, keyPEM, 0o600))
	i.certificate, err = tls.X509KeyPair(certPEM, keyPEM)
	must(err)
	i.pool.AppendCertsFromPEM(certPEM)
	return i
}

// TLS for a port without is tried against a real Kafka, in test/e2e: the embedded one does not hang up.

func TestWhatNoWaitingMendsEndsTheWaitInOneLineWithTheRemedy(t *testing.T) {
	server, ours, stranger := newIdentity(t, "broker"), newIdentity(t, "cdr"), newIdentity(t, "stranger")
	plain := broker.Start(t).Addrs()
	login := broker.Start(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "cdr", "right")).Addrs()
	private := broker.Start(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server.certificate}})).Addrs()
	mutual := func(newest uint16) []string {
		return broker.Start(t, kfake.TLS(&tls.Config{
			Certificates: []tls.Certificate{server.certificate}, ClientAuth: tls.RequireAndVerifyClientCert,
			ClientCAs: ours.pool, MaxVersion: newest,
		})).Addrs()
	}
	newer, older := mutual(tls.VersionTLS13), mutual(tls.VersionTLS12)
	for name, scene := range map[string]struct {
		options kafka.Options
		want    string // empty: it works
	}{
		"no tls for a port with tls": {kafka.Options{Brokers: private}, "switch tls on"},
		"an authority that is not ours": {kafka.Options{Brokers: private, TLS: &kafka.TLS{CAFile: stranger.cert}},
			"check the tls ca file"},
		"no certificate": {kafka.Options{Brokers: newer, TLS: &kafka.TLS{CAFile: server.cert}},
			"give a tls certificate and key"},
		"no certificate, tls 1.2": {kafka.Options{Brokers: older, TLS: &kafka.TLS{CAFile: server.cert}}, "tls certificate"},
		"a certificate that is not trusted": {kafka.Options{Brokers: newer,
			TLS: &kafka.TLS{CAFile: server.cert, CertFile: stranger.cert, KeyFile: stranger.key}},
			"give a tls certificate and key"},
		"a certificate that is trusted": {kafka.Options{Brokers: newer,
			TLS: &kafka.TLS{CAFile: server.cert, CertFile: ours.cert, KeyFile: ours.key}}, ""},
		"a certificate for a name of its own": {kafka.Options{Brokers: private,
			TLS: &kafka.TLS{CAFile: server.cert, ServerName: "elsewhere"}}, "check the addresses or the tls server name"},
		"no login where one is wanted":       {kafka.Options{Brokers: login}, "set the sasl mechanism"},
		"all is well without tls and logins": {kafka.Options{Brokers: plain}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, 20*time.Second)
			err := kafka.WaitReady(ctx, broker.Client(t, scene.options), nil)
			switch {
			case ctx.Err() != nil:
				t.Fatalf("it waited in vain: %v", err)
			case scene.want == "" && err != nil:
				t.Fatal(err)
			case scene.want != "" && (err == nil || !strings.Contains(err.Error(), scene.want) ||
				strings.Contains(err.Error(), "\n")):
				t.Fatalf("got %v, want one line with %q", err, scene.want)
			}
		})
	}
}
