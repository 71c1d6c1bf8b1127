package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/hashicorp/go-hclog"

	"januscdr/config"
	"januscdr/ingest"
	"januscdr/internal/wiring"
)

// sources are those that the configuration asks for, one at least.
func sources(c *config.Config, log hclog.Logger) (all []ingest.Source, err error) {
	in := c.Ingest
	var shown *tls.Config
	if t := in.TLS; t.CertFile != "" && (in.Listen != "" || in.WebSocket.Listen != "") {
		if shown, err = wiring.ServerTLS(t.CertFile, t.KeyFile, t.ClientCAFile, log); err != nil {
			return nil, fmt.Errorf("ingest.tls.cert_file: %w", err)
		}
	}
	if in.Listen != "" {
		web := &ingest.HTTP{Listen: in.Listen, Path: in.Path, TLS: shown, MaxConnections: in.MaxConnections}
		if err := authenticate(web, in.Auth, log); err != nil {
			return nil, err
		}
		all = append(all, web)
	}
	if w := in.WebSocket; w.Listen != "" {
		all = append(all, &ingest.WebSocket{Listen: w.Listen, Path: w.Path, Subprotocol: w.Subprotocol, TLS: shown})
	}
	if in.RabbitMQ.URL != "" {
		source, err := rabbitSource(in.RabbitMQ, log)
		if err != nil {
			return nil, err
		}
		all = append(all, source)
	}
	if len(in.MQTT.Brokers) > 0 {
		source, err := mqttSource(in.MQTT, log)
		if err != nil {
			return nil, err
		}
		all = append(all, source)
	}
	if n := in.Nanomsg; len(n.Connect)+len(n.Listen) > 0 {
		all = append(all, &ingest.Nanomsg{Connect: n.Connect, Listen: n.Listen})
	}
	if g := in.GELF; g.TCP != "" || g.UDP != "" {
		all = append(all, &ingest.GELF{TCP: g.TCP, UDP: g.UDP})
	}
	if len(all) == 0 {
		return nil, errors.New("ingest.listen: it is empty, and there is no other way in: " +
			"write host:port, or :port for all interfaces")
	}
	return all, nil
}

// authenticate says who may send by HTTP. What stands in files is asked for at each request, so that it can be changed.
func authenticate(web *ingest.HTTP, a config.Auth, log hclog.Logger) (err error) {
	var one, more func() map[string]string
	if a.UsersFile != "" {
		if more, err = wiring.Users(a.UsersFile, log); err != nil {
			return fmt.Errorf("ingest.auth.users_file: %w", err)
		}
	}
	web.Users = more
	if a.PasswordFile == "" {
		web.User, web.Password = a.User, a.Password
		return nil
	}
	if one, err = wiring.User(a.User, a.PasswordFile, log); err != nil {
		return fmt.Errorf("ingest.auth.password_file: %w", err)
	}
	web.Users = one
	if more != nil {
		web.Users = func() map[string]string {
			all := maps.Clone(more())
			maps.Copy(all, one())
			return all
		}
	}
	return nil
}

func rabbitSource(m config.IngestRabbitMQ, log hclog.Logger) (*ingest.RabbitMQ, error) {
	source := &ingest.RabbitMQ{
		URL: m.URL, User: m.User, Password: secret(m.Password, m.PasswordFile),
		Queue: m.Queue, Kind: m.QueueKind, Exchange: m.Exchange, ExchangeType: m.ExchangeType, RoutingKey: m.RoutingKey,
	}
	if m.Password == "" && m.PasswordFile == "" {
		source.Password = nil
	}
	if !strings.HasPrefix(m.URL, "amqps:") {
		return source, nil
	}
	var err error
	if source.TLS, err = wiring.ClientTLS(m.CAFile, m.CertFile, m.KeyFile, log); err != nil {
		return nil, fmt.Errorf("ingest.rabbitmq: %w", err)
	}
	return source, nil
}

func mqttSource(m config.IngestMQTT, log hclog.Logger) (*ingest.MQTT, error) {
	source := &ingest.MQTT{Brokers: m.Brokers, ClientID: m.ClientID, User: m.User, Topics: m.Topics, QoS: byte(m.QoS),
		Password: secret(m.Password, m.PasswordFile)}
	var err error
	if source.TLS, err = wiring.ClientTLS(m.CAFile, m.CertFile, m.KeyFile, log); err != nil {
		return nil, fmt.Errorf("ingest.mqtt: %w", err)
	}
	return source, nil
}

// secret is a password that is read again each time, if it stands in a file.
func secret(value, file string) func() (string, error) {
	if file == "" {
		return func() (string, error) { return value, nil }
	}
	return func() (string, error) {
		text, err := os.ReadFile(file)
		return strings.TrimRight(string(text), "\r\n"), err
	}
}
