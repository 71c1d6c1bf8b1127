package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/internal/cli"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say what this program is",
		Long:    "Says which version this is, with which Go it was built, and which schema its records have.",
		Example: "  cdr version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "cdr %s\ngo %s\nschema version %d fingerprint %s\n",
				cli.Version(), cli.GoVersion(), cdr.SchemaVersion, avro.Fingerprint())
			return err
		},
	}
}
