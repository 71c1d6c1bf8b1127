package kafka_test

import (
	"crypto/tls"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"januscdr/internal/fixtures/broker"
	"januscdr/internal/fixtures/certificates"
	"januscdr/kafka"
)

// identity is a certificate for 127.0.0.1 of an authority of its own, and their files.
type identity struct {
	*certificates.Authority
	certificate tls.Certificate
	cert, key   string
}

func newIdentity(t *testing.T, name string) identity {
	t.Helper()
	i := identity{Authority: certificates.New(t), cert: filepath.Join(t.TempDir(), "cert.pem"),
		key: filepath.Join(t.TempDir(), "key.pem")}
	i.Sign(name, i.cert, i.key)
	var err error
	if i.certificate, err = tls.LoadX509KeyPair(i.cert, i.key); err != nil {
		t.Fatal(err)
	}
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
			ClientCAs: ours.Pool(), MaxVersion: newest,
		})).Addrs()
	}
	newer, older := mutual(tls.VersionTLS13), mutual(tls.VersionTLS12)
	for name, scene := range map[string]struct {
		options kafka.Options
		want    string // empty: it works
	}{
		"no tls for a port with tls": {kafka.Options{Brokers: private}, "switch tls on"},
		"an authority that is not ours": {kafka.Options{Brokers: private, TLS: &kafka.TLS{CAFile: stranger.File}},
			"check the tls ca file"},
		"no certificate": {kafka.Options{Brokers: newer, TLS: &kafka.TLS{CAFile: server.File}},
			"give a tls certificate and key"},
		"no certificate, tls 1.2": {kafka.Options{Brokers: older, TLS: &kafka.TLS{CAFile: server.File}}, "tls certificate"},
		"a certificate that is not trusted": {kafka.Options{Brokers: newer,
			TLS: &kafka.TLS{CAFile: server.File, CertFile: stranger.cert, KeyFile: stranger.key}},
			"give a tls certificate and key"},
		"a certificate that is trusted": {kafka.Options{Brokers: newer,
			TLS: &kafka.TLS{CAFile: server.File, CertFile: ours.cert, KeyFile: ours.key}}, ""},
		"a certificate for a name of its own": {kafka.Options{Brokers: private,
			TLS: &kafka.TLS{CAFile: server.File, ServerName: "elsewhere"}}, "check the addresses or the tls server name"},
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
