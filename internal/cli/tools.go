package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// Tools are the commands that each program has about itself: the completion for shells, and its manual.
func Tools(program string) []*cobra.Command {
	return []*cobra.Command{newCompletion(program), newMan(program)}
}

// VersionFlag gives a root the flag --version, which says the first line of its command version.
func VersionFlag(root *cobra.Command) {
	root.Version = Version()
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().Bool("version", false, "say which version this is")
}

func newCompletion(program string) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the completion of commands, flags and values for a shell",
		Long: fmt.Sprintf(`Prints what a shell needs to complete commands, flags and their values: words of
settings, recordings, outcomes, plugins, and topics, for which Kafka is asked. In bash, which needs its
package bash-completion, for this shell and for all that are to come:

  source <(%[1]s completion bash)
  %[1]s completion bash > ~/.local/share/bash-completion/completions/%[1]s`, program),
		Example: fmt.Sprintf("  source <(%[1]s completion bash)\n  %[1]s completion zsh > \"${fpath[1]}/_%[1]s\"\n"+
			"  %[1]s completion fish > ~/.config/fish/completions/%[1]s.fish", program),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return root.GenPowerShellCompletionWithDesc(out)
		},
	}
}

func newMan(program string) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into a folder",
		Long: `Writes a page for each command, in section 1, into a folder that is made if needed. They are dated by
SOURCE_DATE_EPOCH, if that is set.`,
		Example: fmt.Sprintf("  %[1]s man ~/.local/share/man/man1 && man %[1]s", program),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("make the folder of the manual: %w", err)
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: program + " " + Version(),
				Manual: "januscdr"}, args[0])
		},
	}
}

// completeWords lets the flags of root and of all commands below it complete the words that their annotation has.
func completeWords(root *cobra.Command, annotation string) {
	for _, sub := range root.Commands() {
		completeWords(sub, annotation)
	}
	for name, words := range annotated(root, annotation) {
		_ = root.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// annotated are the flags of a command that have an annotation.
func annotated(cmd *cobra.Command, annotation string) map[string][]string {
	all := map[string][]string{}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if words := f.Annotations[annotation]; len(words) > 0 {
			all[f.Name] = words
		}
	})
	return all
}
