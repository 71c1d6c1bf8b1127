package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
)

// WaitReady waits until a broker answers. It tries for as long as the context lives, and says at growing intervals what
// it waits for and why the last try failed. What waiting cannot mend is an error at once: wrong credentials, a
// certificate that is not trusted. The error of an ended context wraps the context's.
func WaitReady(ctx context.Context, cl *kgo.Client, log hclog.Logger) error {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	brokers, _ := cl.OptValue(kgo.SeedBrokers).([]string)
	started := time.Now()
	pause, silence := 100*time.Millisecond, time.Duration(0)
	var spoke time.Time
	for {
		try, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := cl.Ping(try)
		cancel()
		if err == nil {
			if !spoke.IsZero() {
				log.Info("kafka answers", "brokers", strings.Join(brokers, ","), "waited", time.Since(started).Round(time.Millisecond))
			}
			return nil
		}
		if final := refused(err); final != nil {
			return fmt.Errorf("connect to kafka at %s: %w", strings.Join(brokers, ","), final)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for kafka at %s: %w", strings.Join(brokers, ","), ctx.Err())
		}
		if time.Since(spoke) >= silence {
			pairs := []any{"brokers", strings.Join(brokers, ","), "waited", time.Since(started).Round(time.Millisecond), "error", err}
			if loggingIn(cl) && errors.Is(err, io.EOF) {
				// A broker says why it refuses a user, a proxy or a lesser broker just hangs up.
				pairs = append(pairs, "hint", "the connection was closed while we logged in: are the sasl user and password right?")
			}
			log.Warn("waiting for kafka", pairs...)
			spoke = time.Now()
			silence = min(max(2*silence, time.Second), time.Minute)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 2*time.Second)
	}
}

func loggingIn(cl *kgo.Client) bool {
	mechanisms, _ := cl.OptValue(kgo.SASL).([]sasl.Mechanism)
	return len(mechanisms) > 0
}

// refused is the error of a connection that no waiting will mend, in words for the operator; else nil.
func refused(err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var plaintext tls.RecordHeaderError
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Errorf("the broker refuses our user or password, check the sasl settings: %w", err)
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Errorf("the broker does not offer our sasl mechanism, check the sasl settings: %w", err)
	case errors.Is(err, kerr.IllegalSaslState):
		return fmt.Errorf("the broker expects another way of logging in, check the sasl settings: %w", err)
	case errors.As(err, &unknown):
		return fmt.Errorf("the broker's certificate is not trusted, check the tls ca file: %w", err)
	case errors.As(err, &name):
		return fmt.Errorf("the broker's certificate is for another name, check the addresses or the tls server name: %w", err)
	case errors.As(err, &invalid):
		return fmt.Errorf("the broker's certificate is not valid: %w", err)
	case errors.As(err, &plaintext):
		return fmt.Errorf("the broker does not speak tls on this port, check the address or leave tls out: %w", err)
	}
	return nil
}
