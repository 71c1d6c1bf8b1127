// Command ways tries the way of an event from Janus to Kafka, with a real Kafka and ingest as processes of their own.
//
//	go run ./tools/ways -try outage                 Kafka is stopped for ten minutes, ingest is killed five times
//	go run ./tools/ways -try outage -for 20s        a quick look
//	go run ./tools/ways -try answers                what an answer costs, beside a handler that reads and answers 200
//
// An outage is played by senders that post as Janus does: one body after the other, events that wait meanwhile in the
// next one, and the same bytes again until there is an answer. In the end each event that was answered must be in the
// topic, in the order of its session, and no event more often than its bodies were on their way when something was
// killed or stopped.
//
// It needs what scripts/kafka.sh needs. Machines differ and are noisy: of answers quote what is beside the bare
// handler. Exit code 0: all is as promised; 1: it is not, or something failed; the folder with the logs is kept and
// named; 130: interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"januscdr/internal/fixtures/procs"
)

// options are what the command line says.
type options struct {
	procs.Place
	try        string
	partitions int
	senders    int
	rate       float64
	away       time.Duration
	kills      int
	catchUp    float64
	window     time.Duration
	role       string
	at         string
}

func main() {
	var o options
	o.Flags(flag.CommandLine)
	flag.StringVar(&o.try, "try", "", "outage or answers")
	flag.IntVar(&o.partitions, "partitions", 12, "partitions of the topics")
	flag.IntVar(&o.senders, "senders", 20, "Janus servers that send")
	flag.Float64Var(&o.rate, "rate", 2000, "of an outage: events a second, of all together")
	flag.DurationVar(&o.away, "for", 10*time.Minute, "of an outage: how long Kafka is away")
	flag.IntVar(&o.kills, "kills", 5, "of an outage: how often ingest is killed meanwhile")
	flag.Float64Var(&o.catchUp, "catch-up", 10, "of an outage: how many times as quick what waited must go")
	flag.DurationVar(&o.window, "window", 10*time.Second, "of answers: how long each is measured")
	flag.StringVar(&o.role, "role", "", "which part this process is; empty: the one that starts the others")
	flag.StringVar(&o.at, "at", "", "of -role bare: where it listens")
	flag.Parse()
	procs.Main("ways", func(ctx context.Context) error { return run(ctx, &o) })
}

func run(ctx context.Context, o *options) error {
	if o.role == "bare" {
		return bare(ctx, o.at)
	}
	try := map[string]func(context.Context, *options, *procs.Cluster) error{"outage": outage, "answers": answers}[o.try]
	switch {
	case try == nil:
		return fmt.Errorf("-try %q: outage or answers", o.try)
	case o.senders < 1 || o.rate <= 0 || o.away <= 0 || o.window <= 0 || o.kills < 0:
		return errors.New("-senders goes from 1, -rate, -for and -window are more than 0, -kills is not less")
	}
	if err := o.Complete("ways"); err != nil {
		return err
	}
	c, err := o.Cluster(ctx, "ways", o.partitions, 1, "ingest")
	if err == nil {
		err = startIngest(ctx, c)
	}
	if err == nil {
		err = try(ctx, o, c)
	}
	if closing := c.Close(); err == nil {
		err = closing
	}
	if err == nil && len(c.Complaints.All()) > 0 {
		err = fmt.Errorf("%d complaints, see above", len(c.Complaints.All()))
	}
	if err != nil || o.Keep {
		fmt.Println("logs are in", o.Dir)
		return err
	}
	return os.RemoveAll(o.Dir)
}

const ready = time.Minute // for what is started

// startIngest starts an ingest with a spool.
func startIngest(ctx context.Context, c *procs.Cluster) error {
	if err := c.AddIngest(); err != nil {
		return err
	}
	s := c.Ingests[0]
	s.Set("SPOOL_DIR", s.State)
	if err := s.Start(); err != nil {
		return err
	}
	return s.AwaitReady(ctx, ready)
}
