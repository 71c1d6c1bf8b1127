// Package wiring has what both commands need in the same way: it turns the configuration into what rooms ask for, comes
// to Kafka and its topics, and asks a process whether it is well.
//
// It promises to decide nothing: what an operator wrote arrives in the room under the room's own name. It touches the
// network through the rooms it imports, which are config, admin, kafka and cli.
package wiring

import (
	"io"
	"strings"

	"github.com/hashicorp/go-hclog"

	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/kafka"
)

// Load makes the configuration; whatever is wrong with it is a mistake of use.
func Load(flags *config.Flags, environ []string) (*config.Config, error) {
	c, err := flags.Load(environ)
	if err != nil {
		return nil, &cli.UsageError{Err: err}
	}
	return c, nil
}

// Logger makes the logger that the configuration asks for.
func Logger(w io.Writer, name string, c *config.Config, environ []string) hclog.Logger {
	var noColor string
	for _, pair := range environ {
		if value, ok := strings.CutPrefix(pair, "NO_COLOR="); ok && noColor == "" {
			noColor = value
		}
		if pair == "TERM=dumb" {
			noColor = pair
		}
	}
	return cli.Log(w, name, c.Log.Level, c.Log.Format, noColor)
}

// Kafka says how to reach Kafka.
func Kafka(c *config.Config, log hclog.Logger) kafka.Options {
	o := kafka.Options{
		Brokers:     c.Kafka.Brokers,
		ClientID:    c.Kafka.ClientID,
		ClusterID:   c.Kafka.ClusterID,
		Compression: c.Kafka.Compression,
		Log:         log.Named("kafka"),
		Contact:     new(kafka.Contact),
	}
	if t := c.Kafka.TLS; t.Enabled {
		o.TLS = &kafka.TLS{CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile, ServerName: t.ServerName,
			InsecureSkipVerify: t.InsecureSkipVerify}
	}
	if s := c.Kafka.SASL; s.Mechanism != "" {
		o.SASL = &kafka.SASL{Mechanism: s.Mechanism, User: s.User, Password: s.Password, PasswordFile: s.PasswordFile,
			TokenFile: s.TokenFile}
	}
	return o
}

// Topics say which topics there are, and how they are made.
func Topics(c *config.Config) kafka.Topics {
	t := c.Topics
	return kafka.Topics{
		Events: t.Events, CDR: t.CDR, State: t.State, DLQ: t.DLQ,
		Partitions: int32(t.Partitions), Replication: int16(t.Replication), RequireDurable: t.RequireDurable,
		EventsRetention: t.RetentionEvents, CDRRetention: t.RetentionCDR, DLQRetention: t.RetentionDLQ,
	}
}
