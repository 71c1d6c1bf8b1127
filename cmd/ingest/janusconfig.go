package main

import (
	"fmt"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"januscdr/ingest"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
)

// newJanusConfig prints what Janus needs to send its events to what the configuration says.
func newJanusConfig(environ []string) *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use:   "janus-config",
		Short: "Print the lines of Janus' configuration that fit",
		Long: `Prints what to write into Janus' configuration, in janus.jcfg and in the file of an event handler, for its
events to come to where ingest, with the same settings, takes them. One handler is enough for one Janus.
Words in capitals are to be replaced. Nothing is connected or opened.`,
		Example: `  ingest janus-config --ingest-listen :8090 --host ingest.example.com
  ingest janus-config --ingest-listen "" --ingest-websocket-listen 127.0.0.1:8092`,
		Args: cobra.NoArgs,
	}
	flags := bind(cmd.Flags(), "ingest")
	cmd.Flags().StringVar(&host, "host", "HOST", "name or address by which Janus reaches ingest")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		all, err := sources(c, hclog.NewNullLogger())
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		for i, file := range ingest.JanusConfig(all, host) {
			if i > 0 {
				fmt.Fprintln(cmd.OutOrStdout())
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "# %s\n%s", file.Name, file.Text); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}
