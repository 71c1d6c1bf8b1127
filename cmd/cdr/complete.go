package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"januscdr/config"
	"januscdr/internal/fixtures/recordings"
	"januscdr/internal/wiring"
	"januscdr/kafka"
)

// completePatience is how long a shell waits for the names of topics.
const completePatience = 2 * time.Second

// plugins are those whose calls are understood.
var plugins = []string{"audiobridge", "echotest", "nosip", "recordplay", "sip", "streaming", "textroom", "videocall",
	"videoroom", "voicemail"}

func completeRecordings(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("recording", cobra.FixedCompletions(recordings.Names(),
		cobra.ShellCompDirectiveNoFileComp))
}

// completeTopics lets each flag that names a topic complete those that the cluster has.
func completeTopics(root *cobra.Command, environ []string) {
	for _, cmd := range root.Commands() {
		completeTopics(cmd, environ)
	}
	for _, name := range []string{"topics-events", "topics-cdr", "topics-state", "topics-dlq", "copy-to"} {
		if root.Flags().Lookup(name) == nil {
			continue
		}
		_ = root.RegisterFlagCompletionFunc(name,
			func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
				return topicsOf(cmd, environ), cobra.ShellCompDirectiveNoFileComp
			})
	}
}

// topicsOf are the topics of the cluster that a command line is about, as far as it answers soon.
func topicsOf(cmd *cobra.Command, environ []string) []string {
	file, _ := cmd.Flags().GetString(config.FileFlag)
	c, err := config.Load(config.Sources{File: file, Environ: environ, Uses: []string{"kafka"}})
	if err != nil {
		return nil
	}
	if f := cmd.Flags().Lookup(config.FlagName("kafka.brokers")); f != nil && f.Changed {
		c.Kafka.Brokers = strings.Split(f.Value.String(), ",")
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completePatience)
	defer cancel()
	client, err := kafka.NewClient(wiring.Kafka(c, hclog.NewNullLogger()))
	if err != nil {
		return nil
	}
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(topics))
}
