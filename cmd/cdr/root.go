package main

import (
	"github.com/spf13/cobra"

	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
)

// newRoot has all commands. The environment is given, so that tests have one of their own.
func newRoot(environ []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "cdr",
		Short: "Call detail records from what Janus WebRTC servers report",
		Long: `cdr turns what Janus WebRTC servers report into call detail records (CDRs).

ingest writes each event of Janus to the Kafka topic janus.events. "cdr run" folds the events into
sessions and calls, and writes a record to janus.cdr when a call is over, each exactly once. Whoever
bills reads that topic.`,
		Example: `  cdr demo                           see it at work, with recorded traffic
  cdr assemble events.jsonl          records of recorded events, without Kafka
  cdr topics create                  make the topics
  cdr run                            process events until told to stop
  cdr tail                           watch the records
  cdr explain SESSION                what happened in one session, and why its records say so
  cdr replay --verify                would the same records come out again?
  cdr config print --describe        all there is to configure, with its meaning`,
	}
	root.AddGroup(
		&cobra.Group{ID: "work", Title: "Processing:"},
		&cobra.Group{ID: "bring", Title: "Bringing records elsewhere:"},
		&cobra.Group{ID: "look", Title: "Looking:"},
		&cobra.Group{ID: "setup", Title: "Setting up:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, cmd := range cmds {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	add("work", newDemo(environ), newPlay(environ), newRun(environ), newAssemble(environ))
	add("bring", newSink(environ), newExport(environ), newCopy(environ))
	add("look", newCheck(environ), newTail(environ), newSum(environ), newExplain(environ), newReplay(environ))
	add("setup", newTopics(environ), newSchema(environ), newConfig(environ),
		wiring.Healthcheck("cdr", environ, config.Bind), newVersion())
	add("setup", cli.Tools("cdr")...)
	cli.VersionFlag(root)
	completeTopics(root, environ)
	cli.Teach(root, config.Section, config.Words, config.Nearest)
	return root
}
