// Command rebalance measures what processes that come and go cost the partitions that stay where they are.
//
// It runs a real Kafka, a steady load of events into each partition, and processors as processes of their own. First
// nothing moves, for an equal time with each number of processes from one to all. Then a process joins, leaves or is
// started again every few seconds. What is measured is seen from outside: the time between the commits of a partition,
// by the marks of transactions in its changelog. A partition that stayed with its worker is told apart from one that
// was given to another, by the barriers of restores there, and from one whose process was started again. In the end
// `cdr replay --verify` must find every record as it should be.
//
//	go run ./tools/rebalance
//	go run ./tools/rebalance -still 20s -moving 30s        a quick look
//	go run ./tools/rebalance -bin DIR                      the processor of another version, built before
//
// It needs what scripts/kafka.sh needs. Machines differ and are noisy, so quote the ratio, not the figures; how long
// the machine and its disk stood still in each part is printed, too. Exit code 0: the longest gap of what stayed is at
// most -most times the longest without moves; 1: it is more, or something failed; the folder with the logs is kept and
// named; 130: interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"januscdr/internal/fixtures/procs"
)

// options are what the command line says.
type options struct {
	procs.Place
	processes  int
	workers    int
	partitions int
	rate       float64

	still, moving    time.Duration
	soonest, latest  time.Duration // from one move to the next
	leaves           float64
	most             float64
	commitInterval   time.Duration
	logLevel         string
	worst            int
	sessionTimeout   time.Duration
	settleAfterStart time.Duration
}

func main() {
	o := options{}
	o.Flags(flag.CommandLine)
	flag.IntVar(&o.processes, "processes", 4, "processes of `cdr run` at the most, 2 to 9")
	flag.IntVar(&o.workers, "workers", 4,
		"workers of each; when they are more than partitions, some have no work, and hear of a move last")
	flag.IntVar(&o.partitions, "partitions", 12, "partitions of the topics")
	flag.Float64Var(&o.rate, "rate", 600, "events a second into all partitions")
	flag.DurationVar(&o.still, "still", 2*time.Minute, "time without moves, shared by the numbers of processes")
	flag.DurationVar(&o.moving, "moving", 2*time.Minute, "time with moves")
	flag.DurationVar(&o.soonest, "soonest", 3*time.Second, "least time from one move to the next")
	flag.DurationVar(&o.latest, "latest", 5*time.Second, "most time from one move to the next")
	flag.Float64Var(&o.leaves, "leaves", 0.7,
		"share of the processes that leave the group when they stop, and stay away; others are started again at once")
	flag.Float64Var(&o.most, "most", 3, "ratio of the longest gaps that is still good")
	flag.DurationVar(&o.commitInterval, "commit-interval", 200*time.Millisecond, "of the processors")
	flag.DurationVar(&o.sessionTimeout, "session-timeout", 30*time.Second, "of the processors")
	flag.StringVar(&o.logLevel, "log-level", "info", "of the processors; debug tells what a gap was spent with, and costs")
	flag.DurationVar(&o.settleAfterStart, "settle", 5*time.Second,
		"calm before each measurement, after all processes are ready")
	flag.IntVar(&o.worst, "worst", 3, "how many of the longest gaps of each kind are told one by one")
	flag.Parse()

	procs.Main("rebalance", func(ctx context.Context) error { return run(ctx, o) })
}

func (o *options) complete() error {
	switch {
	case o.processes < 2 || o.processes > 9 || o.workers < 1:
		return errors.New("-processes goes from 2 to 9, -workers from 1")
	case o.partitions < 1:
		return fmt.Errorf("-partitions %d: from 1", o.partitions)
	case o.rate <= 0 || o.soonest <= 0 || o.latest < o.soonest:
		return errors.New("-rate and -soonest are more than 0, -latest is not less than -soonest")
	case o.still <= 0 || o.moving <= 0:
		return errors.New("-still and -moving are more than 0")
	}
	return o.Complete("rebalance")
}
