package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/kafka"
	"januscdr/kafka/inspect"
	"januscdr/pipeline"
)

func newTopics(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "Make the topics, check them, or add partitions",
		Long: `Makes the topics or checks that they are as they must be: the events with the brokers' append time, the
state compacted, all with the same number of partitions. That number is chosen once; more can be added
while nothing happens.`,
		Example: `  cdr topics create --topics-replication 3
  cdr topics check
  cdr topics grow --partitions 24`,
	}
	cmd.AddCommand(
		newTopicsGrow(environ),
		newTopicsCommand(environ, "create", "Make the topics that are missing, then check all",
			"Makes the topics that are missing, as the configuration says, then checks all. Topics that exist are left\nas "+
				"they are.", true),
		newTopicsCommand(environ, "check", "Check that the topics are as they must be",
			"Checks the topics and says at once all that is wrong with them, and what to do.", false))
	return cmd
}

func newTopicsCommand(environ []string, name, short, long string, create bool) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Long: long,
		Example: "  cdr topics " + name + " --kafka-brokers kafka-1:9092", Args: cobra.NoArgs}
	flags := config.Bind(cmd.Flags(), "kafka", "topics", "log")
	wait := patient(cmd)
	cmd.RunE = wait.run(func(cmd *cobra.Command, _ []string) error {
		c, _, client, err := online(cmd, flags, environ, wait)
		if err != nil {
			return err
		}
		defer client.Close()
		t := wiring.Topics(c)
		var made []string
		if create {
			created, err := kafka.CreateTopics(cmd.Context(), client, t)
			if err != nil {
				return err
			}
			made = created
		}
		err = inspect.CheckTopics(cmd.Context(), client, t)
		return errors.Join(showTopics(cmd.OutOrStdout(), terminalOf(cmd.OutOrStdout(), environ), made, t, err == nil), err)
	})
	return cmd
}

// showTopics says which topics were made, and that all fit, if they do.
func showTopics(w io.Writer, t terminal, made []string, topics kafka.Topics, fit bool) error {
	var text strings.Builder
	for _, name := range made {
		text.WriteString("created " + t.paint(bold, name) + "\n")
	}
	if fit {
		t.block(&text, 0, strings.Join([]string{topics.Events, topics.CDR, topics.State, topics.DLQ}, ", ")+
			" are as they must be")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func newTopicsGrow(environ []string) *cobra.Command {
	var partitions int32
	cmd := &cobra.Command{
		Use:   "grow",
		Short: "Add partitions to all topics, while nothing is open",
		Long: `Adds partitions to all topics. With another number of partitions most sessions get another partition,
where nobody knows how they began. So this refuses while a session is open, an event unread or a
processor at work, and says what stands in the way. What to do:

  1. stop ingest, when no Janus has sessions any more: what Janus sends meanwhile is lost after its retries
  2. let the processors read all and close all: cdr check tells what is unread, this command what is open
  3. stop the processors with SIGTERM, if they run with --leave, else wait for their session timeout too
  4. cdr topics grow --partitions N
  5. set topics.partitions to N everywhere, start the processors, start ingest

If it is interrupted, run it again; nothing starts to work in between. To move without a stop, make
topics of other names and a group of another name, and let Janus after Janus report there:
docs/operations.md, growing partitions.`,
		Example: "  cdr topics grow --partitions 24",
		Args:    cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), "kafka", "topics", "group", "log")
	cmd.Flags().Int32Var(&partitions, "partitions", 0, "how many partitions each topic is to have")
	wait := patient(cmd)
	cmd.RunE = wait.run(func(cmd *cobra.Command, _ []string) error {
		if partitions <= 0 {
			return cli.Misused("--partitions: %d is not possible; say how many each topic is to have", partitions)
		}
		c, log, client, err := online(cmd, flags, environ, wait)
		if err != nil {
			return err
		}
		client.Close()
		t := wiring.Topics(c)
		if err := pipeline.Grow(cmd.Context(),
			pipeline.Growth{Kafka: wiring.Kafka(c, log), Topics: t, Group: c.Group, Partitions: partitions}); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(),
			"%s have %d partitions\nset topics.partitions to %d, then start the processors, then ingest\n",
			strings.Join([]string{t.Events, t.CDR, t.State, t.DLQ}, ", "), partitions, partitions)
		return err
	})
	return cmd
}
