// Command ingest receives the events of Janus servers and writes them to Kafka. It wires rooms together and decides
// nothing about events. It touches everything its rooms touch.
package main

import (
	"context"
	"os"

	"januscdr/internal/cli"
)

func main() {
	ctx, stop := cli.Signals(context.Background(), os.Stderr)
	code := cli.Run(ctx, newRoot(os.Environ()), os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}
