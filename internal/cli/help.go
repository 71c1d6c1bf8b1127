package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Teach gives root and all commands below it our help: what it does, examples, then its own flags, then those of the
// configuration in groups. The group of a flag is its annotation of the name section, and what it may be that of the
// name words. Errors of the command line become UsageErrors with a suggestion.
func Teach(root *cobra.Command, section, words string, nearest func(word string, candidates []string) string) {
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(cmd.OutOrStdout(), cmd, section) })
	root.SetUsageFunc(func(cmd *cobra.Command) error { writeHelp(cmd.OutOrStderr(), cmd, section); return nil })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return flagError(cmd, err, nearest) })
	root.CompletionOptions.DisableDefaultCmd = true // ours is among Tools
	completeWords(root, words)
	teachArgs(root, nearest)
}

// teachArgs makes the errors about arguments of cmd and all below it ours.
func teachArgs(cmd *cobra.Command, nearest func(string, []string) string) {
	for _, sub := range cmd.Commands() {
		teachArgs(sub, nearest)
	}
	cmd.Flags().BoolP("help", "h", false, "show this")
	cmd.Flags().Lookup("help").Hidden = true // whoever reads it knows how
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0], nearest)
		}
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		return
	}
	check := cmd.Args
	if check == nil {
		check = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			if cmd.HasAvailableSubCommands() && len(args) > 0 { // it does something by itself, too
				return unknownCommand(cmd, args[0], nearest)
			}
			return Misused("%s takes other arguments; write: %s", cmd.CommandPath(), cmd.UseLine())
		}
		return nil
	}
}

func unknownCommand(cmd *cobra.Command, text string, nearest func(string, []string) string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if isShown(sub) {
			names = append(names, sub.Name())
		}
	}
	if near := nearest(text, names); near != "" {
		return Misused("%q is not a command of %s; did you mean %s?", text, cmd.CommandPath(), near)
	}
	return Misused("%q is not a command of %s; there are %s", text, cmd.CommandPath(), strings.Join(names, ", "))
}

func flagError(cmd *cobra.Command, err error, nearest func(string, []string) string) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedShortnames()) > 0 {
		return Misused("%w; see %s --help", err, cmd.CommandPath())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if near := nearest(unknown.GetSpecifiedName(), names); near != "" {
		return Misused("unknown flag --%s; did you mean --%s?", unknown.GetSpecifiedName(), near)
	}
	return Misused("unknown flag --%s; see %s --help", unknown.GetSpecifiedName(), cmd.CommandPath())
}

func writeHelp(w io.Writer, cmd *cobra.Command, section string) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(w, "%s\n\nUsage:\n", strings.TrimSpace(text))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "  %s COMMAND\n", cmd.CommandPath())
	} else {
		fmt.Fprintf(w, "  %s\n", cmd.UseLine())
	}
	writeCommands(w, cmd)
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}

	var order []string
	groups := map[string]*pflag.FlagSet{}
	cmd.Flags().SortFlags = false
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		var name string
		if of := f.Annotations[section]; len(of) > 0 {
			name = of[0]
		}
		if groups[name] == nil {
			groups[name] = pflag.NewFlagSet(name, pflag.ContinueOnError)
			groups[name].SortFlags = false
			if name != "" {
				order = append(order, name)
			}
		}
		groups[name].AddFlag(f)
	})
	if own := groups[""]; own != nil && own.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags:\n%s", own.FlagUsagesWrapped(width))
	}
	if len(order) > 0 {
		fmt.Fprintf(w, "\nConfiguration (a flag wins over the environment, that over the file, that over the default;\n"+
			"--kafka-brokers is JANUSCDR_KAFKA_BROKERS there and kafka.brokers here):\n")
		for _, name := range order {
			fmt.Fprintf(w, "\n %s\n%s", name, groups[name].FlagUsagesWrapped(width))
		}
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n%s COMMAND --help tells more.\n", cmd.CommandPath())
	}
	if !cmd.HasParent() {
		fmt.Fprintf(w, "\n%s\n", ExitCodes)
	}
}

// width of help, in columns.
const width = 120

func writeCommands(w io.Writer, cmd *cobra.Command) {
	longest := 0
	for _, sub := range cmd.Commands() {
		if isShown(sub) {
			longest = max(longest, len(sub.Name()))
		}
	}
	write := func(title, group string) {
		var shown bool
		for _, sub := range cmd.Commands() {
			if !isShown(sub) || sub.GroupID != group {
				continue
			}
			if !shown {
				fmt.Fprintf(w, "\n%s\n", title)
				shown = true
			}
			fmt.Fprintf(w, "  %-*s  %s\n", longest, sub.Name(), sub.Short)
		}
	}
	for _, g := range cmd.Groups() {
		write(g.Title, g.ID)
	}
	write("Commands:", "")
}

// isShown tells whether a command is worth showing: `help` is what every --help says.
func isShown(cmd *cobra.Command) bool { return cmd.IsAvailableCommand() && cmd.Name() != "help" }
