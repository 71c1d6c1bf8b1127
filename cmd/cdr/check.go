package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/kafka/inspect"
)

func newCheck(environ []string) *cobra.Command {
	var asJSON, strict, emitters bool
	var last time.Duration
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say of each promise whether this cluster can keep it",
		Long: `Looks at the brokers, the topics and the consumer group, and says of each promise whether it can be kept:

  OK      it is kept
  WEAK    it is kept as long as all goes well; the line says what must not happen, and what to do
  BROKEN  it is not kept, or was not

With --emitters it says of each Janus server instead whether something of it is missing in the log, by
what it counts itself and by what the records lack: it folds the last hour again.

It changes nothing. Exits with 1 if anything is BROKEN, or with --strict if anything is WEAK. What the
promises are, and what else they hang on, is in docs/guarantees.md.`,
		Example: `  cdr check
  cdr check --strict --json | jq -r .verdict
  cdr check --emitters --last 4h`,
		Args: cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), "kafka", "topics", "group", "transaction_timeout", "policy", "log")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object, for machines")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 1 if anything is WEAK, too")
	cmd.Flags().BoolVar(&emitters, "emitters", false, "of each Janus server, whether something of it is missing")
	cmd.Flags().DurationVar(&last, "last", time.Hour, "of --emitters: how much of the log is looked at, from now back")
	wait := patient(cmd)
	cmd.RunE = wait.run(func(cmd *cobra.Command, _ []string) error {
		c, log, client, err := online(cmd, flags, environ, wait)
		if err != nil {
			return err
		}
		defer client.Close()
		if emitters {
			return checkEmitters(cmd, c, log, last, func(findings []inspect.Finding) error {
				return report(cmd, environ, findings, asJSON, strict)
			})
		}
		findings, err := inspect.Installation(cmd.Context(), client, wiring.Topics(c),
			inspect.ProcessorSettings{
				Group: c.Group, TransactionTimeout: c.TransactionTimeout, SessionTimeout: c.SessionTimeout,
				Instance: c.Instance, CommitBytes: int(c.CommitBytes), ClientID: c.Kafka.ClientID, User: c.Kafka.SASL.User,
			})
		if err != nil {
			return err
		}
		return report(cmd, environ, findings, asJSON, strict)
	})
	return cmd
}

// report writes findings, and returns what the command ends with.
func report(cmd *cobra.Command, environ []string, findings []inspect.Finding, asJSON, strict bool) (err error) {
	worst := inspect.OK
	for _, f := range findings {
		worst = max(worst, f.Verdict)
	}
	if asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"verdict": worst, "findings": findings})
	} else {
		err = showFindings(cmd.OutOrStdout(), terminalOf(cmd.OutOrStdout(), environ), findings)
	}
	if err != nil {
		return fmt.Errorf("write findings: %w", err)
	}
	if worst == inspect.Broken || strict && worst == inspect.Weak {
		return cli.ErrSilent
	}
	return nil
}

// showFindings writes them for a person: promise by promise, the worst first.
func showFindings(w io.Writer, t terminal, findings []inspect.Finding) error {
	var text strings.Builder
	var promises []string
	worst := map[string]inspect.Verdict{}
	for _, f := range findings {
		if !slices.Contains(promises, f.Promise) {
			promises = append(promises, f.Promise)
		}
		worst[f.Promise] = max(worst[f.Promise], f.Verdict)
	}
	slices.SortStableFunc(promises, func(a, b string) int { return int(worst[b]) - int(worst[a]) })
	for _, promise := range promises {
		text.WriteString(t.verdict(worst[promise]) + "  " + t.paint(bold, promise) + "\n")
		of := slices.DeleteFunc(slices.Clone(findings), func(f inspect.Finding) bool { return f.Promise != promise })
		slices.SortStableFunc(of, func(a, b inspect.Finding) int { return int(b.Verdict) - int(a.Verdict) })
		for _, f := range of {
			reason := f.Reason
			if !strings.Contains(reason, f.Subject) {
				reason = f.Subject + " " + reason
			}
			text.WriteString("          " + t.verdict(f.Verdict) + "  ")
			t.block(&text, 18, reason)
			if f.Remedy != "" {
				text.WriteString(strings.Repeat(" ", 18) + "-> ")
				t.block(&text, 21, f.Remedy)
			}
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// verdict is a verdict in a column of its own; only what is kept is green.
func (t terminal) verdict(v inspect.Verdict) string {
	colour := map[inspect.Verdict]string{inspect.OK: green, inspect.Weak: yellow, inspect.Broken: red}[v]
	return t.paint(colour, v.String()) + strings.Repeat(" ", 6-len(v.String()))
}
