// Command cdr turns what Janus servers report into call detail records: it runs the processor and has the tools around
// it. It wires rooms together and decides nothing about calls. It touches everything its rooms touch.
package main

import (
	"context"
	"os"
	_ "time/tzdata" // policy.partial_midnight, where the machine has no time zone database

	"januscdr/internal/cli"
)

func main() {
	ctx, stop := cli.Signals(context.Background(), os.Stderr)
	code := cli.Run(ctx, newRoot(os.Environ()), os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}
