package main

import (
	"io"
	"strings"

	"github.com/hashicorp/go-hclog"

	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/kafka"
)

// load makes the configuration; whatever is wrong with it is a mistake of use.
func load(flags *config.Flags, environ []string) (*config.Config, error) {
	c, err := flags.Load(environ)
	if err != nil {
		return nil, &cli.UsageError{Err: err}
	}
	return c, nil
}

// logger makes the logger that the configuration asks for.
func logger(w io.Writer, c *config.Config, environ []string) hclog.Logger {
	var noColor string
	for _, pair := range environ {
		if value, ok := strings.CutPrefix(pair, "NO_COLOR="); ok {
			noColor = value
		}
	}
	return cli.Log(w, "ingest", c.Log.Level, c.Log.Format, noColor)
}

// kafkaOptions say how to reach Kafka.
func kafkaOptions(c *config.Config, log hclog.Logger) kafka.Options {
	o := kafka.Options{
		Brokers:     c.Kafka.Brokers,
		ClientID:    c.Kafka.ClientID,
		Compression: c.Kafka.Compression,
		Log:         log.Named("kafka"),
	}
	if t := c.Kafka.TLS; t.Enabled {
		o.TLS = &kafka.TLS{CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	}
	if s := c.Kafka.SASL; s.Mechanism != "" {
		o.SASL = &kafka.SASL{Mechanism: s.Mechanism, User: s.User, Password: s.Password}
	}
	return o
}

// topics are those that we write: the events, and what is parked.
func topics(c *config.Config) kafka.Topics {
	t := c.Topics
	return kafka.Topics{
		Events: t.Events, DLQ: t.DLQ, Partitions: int32(t.Partitions), Replication: int16(t.Replication),
		EventsRetention: t.RetentionEvents, DLQRetention: t.RetentionDLQ,
	}
}
