package main

import (
	"bufio"
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"januscdr/config"
	"januscdr/internal/wiring"
)

func newConfig(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration, and all there is to configure",
		Long: `Shows the configuration. Each key has one name: kafka.brokers in the file is JANUSCDR_KAFKA_BROKERS in the
environment and --kafka-brokers on the command line. A flag wins over the environment, that over the
file, that over the default. ingest and cdr share one file.`,
		Example: `  cdr config print
  cdr config keys`,
	}
	cmd.AddCommand(newConfigPrint(environ), newConfigKeys())
	return cmd
}

func newConfigPrint(environ []string) *cobra.Command {
	var describe bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Show what holds, and where each value comes from",
		Long: `Shows the configuration that holds, as YAML, with where each value comes from. It is checked first. The
output can be used as a file; passwords are left out.`,
		Example: `  cdr config print
  cdr config print --describe > januscdr.yaml`,
		Args: cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags())
	cmd.Flags().BoolVar(&describe, "describe", false, "with the meaning of each key")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		if describe {
			return c.PrintWithDescriptions(cmd.OutOrStdout())
		}
		return c.Print(cmd.OutOrStdout())
	}
	return cmd
}

func newConfigKeys() *cobra.Command {
	return &cobra.Command{
		Use:     "keys",
		Short:   "List all keys with their three names, as a Markdown table",
		Long:    "Lists all keys with their three names, their defaults and their meaning, as a Markdown table.",
		Example: "  cdr config keys > keys.md",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := bufio.NewWriter(cmd.OutOrStdout())
			fmt.Fprint(out, "| Key | Environment | Flag | Default | Meaning |\n|---|---|---|---|---|\n")
			for _, r := range config.Rows() {
				about := r.About
				if r.Words != "" {
					about += " (" + strings.ReplaceAll(r.Words, "|", ", ") + ")"
				}
				fmt.Fprintf(out, "| `%s` | `%s` | `%s` | %s | %s |\n", r.Key, r.Env, r.Flag, cmp.Or(r.Default, "–"), about)
			}
			return out.Flush()
		},
	}
}
