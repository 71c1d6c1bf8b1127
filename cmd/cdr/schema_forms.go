package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/consume/layout"
	"januscdr/internal/cli"
)

func newSchemaJSON() *cobra.Command {
	return &cobra.Command{
		Use:   "json",
		Short: "Print a JSON Schema of the records in their JSON form",
		Long: `Prints a JSON Schema (2020-12) of the records in their JSON form, with the meaning of each field. Enums grow,
so their words stand there as examples.`,
		Example: "  cdr schema json > call_detail_record.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := avro.JSONSchema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b)
			return err
		},
	}
}

func newSchemaTable() *cobra.Command {
	return &cobra.Command{
		Use:   "table DATABASE",
		Short: "Print the table that has a column for each field",
		Long: `Prints the statement that makes a table with a column for each field of a record, in the words of one of
` + strings.Join(layout.Databases, ", ") + `: for whoever fills it. The tables of "cdr sink" make themselves.`,
		Example:   "  cdr schema table duckdb",
		Args:      cobra.ExactArgs(1),
		ValidArgs: layout.Databases,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := layout.Create(args[0])
			if err != nil {
				return cli.Misused("%w", err)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
}

// schemaOf is the Avro schema of a release, or of this program for 0.
func schemaOf(version int) (string, error) {
	all, err := avro.Schemas()
	if err != nil {
		return "", err
	}
	switch {
	case version == 0:
		return avro.Schema(), nil
	case version < 0 || version > min(len(all), cdr.SchemaVersion):
		return "", cli.Misused("--version: there is no %d; the newest is %d", version, cdr.SchemaVersion)
	}
	return all[version-1], nil
}
