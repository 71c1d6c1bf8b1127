package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
)

// A connection that fails is mostly one that should be tried again: brokers start, stop and move. Some failures will be
// the same tomorrow. They are told apart here, by what the broker says, and where it says nothing, by asking once more
// in another way: Kafka hangs up without a word on whom it does not understand.

// refused is the error of a connection that no waiting will mend, in words for the operator; else nil.
func refused(ctx context.Context, cl *kgo.Client, err error) error {
	if final := byWord(err); final != nil {
		return final
	}
	var timeout net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) &&
		timeout.Timeout() {
		return byProbe(ctx, cl, err)
	}
	return nil
}

// byWord is for failures that name their reason.
func byWord(err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var plaintext tls.RecordHeaderError
	var network *net.OpError
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
	case strings.Contains(err.Error(), "tls alert record"): // of franz-go, which has no other mark for it
		return errWantsTLS
	case errors.As(err, &network) && network.Op == "remote error": // an alert of TLS, whose type is not exported
		return byAlert(network.Err)
	}
	return nil
}

// byAlert is for alerts by which a broker ends a handshake; those that say nothing of our certificate or our protocol
// may pass.
func byAlert(alert error) error {
	text := alert.Error()
	switch {
	case strings.Contains(text, "certificate"):
		// Bad, required, unknown, expired, revoked, unsupported, of an unknown authority.
		return fmt.Errorf("the broker does not accept our certificate, or misses it: give a tls certificate and key that "+
			"it trusts: %w", alert)
	case strings.Contains(text, "handshake failure"), strings.Contains(text, "protocol version"),
		strings.Contains(text, "unrecognized name"):
		return fmt.Errorf("the broker cannot agree with us on tls, check its listeners, our tls certificate and the tls "+
			"server name: %w", alert)
	}
	return nil
}

var errWantsTLS = errors.New("the broker wants tls on this port: switch tls on, or give the address of a port without")

const (
	probeTimeout = 3 * time.Second
	probeAnswer  = 1 << 20 // bytes; no answer to a question for versions is longer
)

// byProbe is for a broker that hung up, or said nothing: it asks whether the port wants a login, and whether it speaks
// without TLS, or with it.
func byProbe(ctx context.Context, cl *kgo.Client, err error) error {
	mute := strings.Contains(err.Error(), "is TLS missing") // franz-go's mark of a port that never said a word of Kafka
	secure := usesTLS(cl)
	brokers, _ := cl.OptValue(kgo.SeedBrokers).([]string)
	if !loggingIn(cl) {
		for _, broker := range cl.SeedBrokers() {
			if final := wantsLogin(ctx, broker); final != nil && !answers(ctx, cl) {
				return final
			}
		}
	}
	for _, address := range brokers {
		switch {
		case secure && speaksPlaintext(ctx, address):
			return fmt.Errorf("the broker does not speak tls on port %s: leave tls out, or give the address of a port with tls",
				address)
		case !secure && mute && speaksTLS(ctx, address):
			return errWantsTLS
		}
	}
	return nil
}

// wantsLogin begins a login. A port without logins calls that an illegal state.
func wantsLogin(ctx context.Context, broker *kgo.Broker) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ask := kmsg.NewPtrSASLHandshakeRequest()
	ask.Mechanism = "PLAIN"
	answer, err := broker.Request(ctx, ask)
	handshake, ok := answer.(*kmsg.SASLHandshakeResponse)
	switch {
	case err != nil || !ok || handshake.ErrorCode == kerr.IllegalSaslState.Code:
		return nil
	case len(handshake.SupportedMechanisms) > 0:
		return fmt.Errorf("the broker wants a login: set the sasl mechanism (it has %s), user and password",
			strings.Join(handshake.SupportedMechanisms, ", "))
	}
	return errors.New("the broker wants a login: set the sasl mechanism, user and password")
}

// answers tells whether a broker answers without a login by now: the embedded one takes the beginning of a login for a
// good question also where it wants none.
func answers(ctx context.Context, cl *kgo.Client) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ask := kmsg.NewPtrMetadataRequest() // versions, as a ping asks for, are told without a login too
	ask.Topics = []kmsg.MetadataRequestTopic{}
	_, err := cl.Request(ctx, ask)
	return err == nil || errors.Is(err, ErrOtherCluster) // which was told without a login, too
}

func loggingIn(cl *kgo.Client) bool {
	mechanisms, _ := cl.OptValue(kgo.SASL).([]sasl.Mechanism)
	return len(mechanisms) > 0
}

// speaksPlaintext asks a port for the versions of the protocol it has, without TLS.
func speaksPlaintext(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return false
		}
	}
	const correlation = 7
	request := kmsg.NewRequestFormatter(kmsg.FormatterClientID("januscdr")).AppendRequest(nil,
		kmsg.NewPtrApiVersionsRequest(), correlation)
	if _, err := conn.Write(request); err != nil {
		return false
	}
	var head [8]byte // length of what follows, and our number
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return false
	}
	return binary.BigEndian.Uint32(head[:4]) <= probeAnswer && binary.BigEndian.Uint32(head[4:]) == correlation
}

// speaksTLS tries a handshake. It looks at no certificate, since nothing is said after it.
func speaksTLS(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return byWord(err) != nil && !errors.As(err, new(tls.RecordHeaderError)) // an alert is an answer, too
	}
	_ = conn.Close()
	return true
}
