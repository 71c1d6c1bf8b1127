package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"januscdr/avro"
	"januscdr/config"
	"januscdr/consume"
	"januscdr/consume/topic"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/registry"
)

func newCopy(environ []string) *cobra.Command {
	var f sinkFlags
	var create bool
	var from string
	cmd := &cobra.Command{
		Use:   "copy",
		Short: "Copy the records to another topic, as JSON or flat Avro",
		Long: `Copies the records of janus.cdr to another topic as JSON, each once and in order, until told to stop. It is for
readers that know no Avro, or that read uncommitted: the copies are not written in transactions. With
--copy-format cloudevents each has the headers of a CloudEvent, too; with flat-avro it is Avro without lists, for
tables behind Kafka Connect, framed for a schema registry if there is one.

The position is the last copy of each partition. A start waits for two seconds in which nothing arrives. Let one
copy write to a topic: of two both stop. The topic needs as many partitions as that of the records.`,
		Example: `  cdr copy --create-topic
  cdr copy --copy-to cdr.flat --copy-format flat-avro --registry-url http://registry:8081 --registry-register
  cdr copy --copy-to billing --copy-format cloudevents --copy-where record_type=LEG,chargeable,is_final`,
		Args: cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), "kafka", "topics.cdr", "topics.schemas", "topics.replication",
		"topics.retention_cdr", "registry", "sink.batch_records", "sink.batch_delay", "sink.group", "copy", "admin", "log")
	f.bind(cmd)
	cmd.Flags().BoolVar(&create, "create-topic", false, "make the topic if it is missing")
	cmd.Flags().StringVar(&from, "from", "", "where to begin, if the topic was emptied: earliest or latest")
	wait := patient(cmd)
	cmd.RunE = wait.run(func(cmd *cobra.Command, _ []string) error {
		if from != "" && from != "earliest" && from != "latest" {
			return cli.Misused("--from: %q is neither earliest nor latest", from)
		}
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		filter, err := consume.ParseFilter(c.Copy.Where)
		if err != nil {
			return cli.Misused("copy.where: %v", err)
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ)
		o := sinkOptions(c, f, "topic")
		o.Log = log.Named("copy")
		if err := wait.ofSink(cmd, c, log, &o); err != nil {
			return err
		}
		client, err := wiring.Connect(cmd.Context(), o.Kafka, log)
		if err != nil {
			return err
		}
		if create {
			err = createCopy(cmd, c, kadm.NewClient(client))
		}
		client.Close()
		if err != nil {
			return err
		}
		id, err := flatID(cmd.Context(), c, o.Log)
		if err != nil {
			return err
		}
		return runSink(cmd.Context(), c, o, topic.New(topic.Options{
			Kafka: o.Kafka, Topic: c.Copy.To, Format: c.Copy.Format, Filter: filter, SchemaID: id,
			FromAll: from == "earliest", FromNow: from == "latest", NewTopic: f.newTopic, Log: o.Log,
		}))
	})
	return cmd
}

// flatID is the id of the flat schema in the registry, under the topic of the copies; negative without a registry, and
// where it is not needed.
func flatID(ctx context.Context, c *config.Config, log hclog.Logger) (int32, error) {
	if c.Copy.Format != "flat-avro" || len(c.Registry.URL) == 0 {
		return -1, nil
	}
	r, err := newRegistry(c, c.Copy.To+"-value", avro.FlatSchema(), log)
	if err != nil {
		return 0, err
	}
	id, err := r.Await(ctx, "", c.Registry.Register)
	if errors.Is(err, registry.ErrAbsent) {
		return 0, fmt.Errorf("%w; --registry-register adds it", err)
	}
	return id, err
}

// createCopy makes the topic of the copies, with as many partitions as that of the records, unless there is one.
func createCopy(cmd *cobra.Command, c *config.Config, admin *kadm.Client) error {
	listed, err := admin.ListTopics(cmd.Context(), c.Topics.CDR)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return fmt.Errorf("look at topic %s: %w", c.Topics.CDR, err)
	}
	retention := strconv.FormatInt(c.Topics.RetentionCDR.Milliseconds(), 10)
	policy, append := "delete", "LogAppendTime"
	_, err = admin.CreateTopic(
		cmd.Context(),
		int32(len(listed[c.Topics.CDR].Partitions)),
		int16(c.Topics.Replication),
		map[string]*string{
			"cleanup.policy":         &policy,
			"message.timestamp.type": &append,
			"retention.ms":           &retention,
		},
		c.Copy.To,
	)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", c.Copy.To, err)
	}
	return nil
}
