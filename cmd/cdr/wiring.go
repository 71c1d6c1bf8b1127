package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/janus"
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
	return cli.Log(w, "cdr", c.Log.Level, c.Log.Format, noColor)
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

// topics say which topics there are, and how they are made.
func topics(c *config.Config) kafka.Topics {
	t := c.Topics
	return kafka.Topics{
		Events: t.Events, CDR: t.CDR, State: t.State, DLQ: t.DLQ,
		Partitions: int32(t.Partitions), Replication: int16(t.Replication),
		EventsRetention: t.RetentionEvents, CDRRetention: t.RetentionCDR, DLQRetention: t.RetentionDLQ,
	}
}

// policy is when a call is over.
func policy(c *config.Config) cdr.Policy {
	micros := func(d time.Duration) janus.Micros { return janus.Micros(d.Microseconds()) }
	p := cdr.DefaultPolicy()
	p.Grace = micros(c.Policy.Grace)
	p.LegSilence = micros(c.Policy.LegSilence)
	p.LegSilenceWithoutStatistics = micros(c.Policy.LegSilenceWithoutStatistics)
	p.EmitterSilence = micros(c.Policy.EmitterSilence)
	p.StubRetention = micros(c.Policy.StubRetention)
	return p
}

// connect makes a client and waits until Kafka answers. The caller closes the client.
func connect(ctx context.Context, o kafka.Options, log hclog.Logger) (*kgo.Client, error) {
	client, err := kafka.NewClient(o)
	if err != nil {
		return nil, err
	}
	if err := kafka.WaitReady(ctx, client, log); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// ensureTopics creates what is missing, if that was asked for, and checks the rest.
func ensureTopics(ctx context.Context, client *kgo.Client, t kafka.Topics, create bool, log hclog.Logger) error {
	if create {
		created, err := kafka.CreateTopics(ctx, client, t)
		if err != nil {
			return err
		}
		if len(created) > 0 {
			log.Info("topics created", "topics", strings.Join(created, ","), "partitions", t.Partitions)
		}
	}
	if err := kafka.CheckTopics(ctx, client, t); err != nil {
		if create {
			return err
		}
		return fmt.Errorf("%w\nmissing topics are made by `cdr topics create`, or by --create-topics", err)
	}
	return nil
}
