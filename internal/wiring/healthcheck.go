package wiring

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"januscdr/admin"
	"januscdr/config"
	"januscdr/internal/cli"
)

// Healthcheck is the command by which a container asks its process whether it is well. The environment is given, so
// that tests have one of their own; bind binds the settings of the program.
func Healthcheck(program string, environ []string,
	bind func(*pflag.FlagSet, ...string) *config.Flags) *cobra.Command {
	var ready bool
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the process on this machine whether it is well",
		Long: `Asks the process that serves admin.listen on this machine whether it lives, or with --ready whether it
works. It is for containers, which have no shell and no curl. Exits with 0 or 1.`,
		Example: fmt.Sprintf("  %s healthcheck\n  %s healthcheck --ready --admin-listen :9001", program, program),
		Args:    cobra.NoArgs,
	}
	flags := bind(cmd.Flags(), "admin")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it is ready, not only whether it lives")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := Load(flags, environ)
		if err != nil {
			return err
		}
		if c.Admin.Listen == "" {
			return cli.Misused("admin.listen is empty, so nobody can be asked; set it")
		}
		return admin.Check(cmd.Context(), c.Admin.Listen, ready)
	}
	return cmd
}
