package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"januscdr/config"
	"januscdr/internal/wiring"
	"januscdr/kafka"
)

func newTopics(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "Make the topics, or check them",
		Long: `Makes the topics or checks that they are as they must be: the events with the brokers' append time, the
state compacted, all with the same number of partitions.`,
		Example: `  cdr topics create --topics-replication 3
  cdr topics check`,
	}
	cmd.AddCommand(
		newTopicsCommand(environ, "create", "Make the topics that are missing, then check all",
			"Makes the topics that are missing, as the configuration says, then checks all. Topics that exist are left\nas they are.", true),
		newTopicsCommand(environ, "check", "Check that the topics are as they must be",
			"Checks the topics and says at once all that is wrong with them, and what to do.", false))
	return cmd
}

func newTopicsCommand(environ []string, name, short, long string, create bool) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Long: long, Example: "  cdr topics " + name + " --kafka-brokers kafka-1:9092", Args: cobra.NoArgs}
	flags := config.Bind(cmd.Flags(), "kafka", "topics", "log")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ)
		client, err := connect(cmd.Context(), wiring.Kafka(c, log), log)
		if err != nil {
			return err
		}
		defer client.Close()
		t := wiring.Topics(c)
		if create {
			created, err := kafka.CreateTopics(cmd.Context(), client, t)
			if err != nil {
				return err
			}
			for _, name := range created {
				fmt.Fprintf(cmd.OutOrStdout(), "created %s\n", name)
			}
		}
		if err := kafka.CheckTopics(cmd.Context(), client, t); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s are as they must be\n", strings.Join([]string{t.Events, t.CDR, t.State, t.DLQ}, ", "))
		return nil
	}
	return cmd
}
