// Command chaos kills what it can, for as long as it is told, and then asks whether every call came out exactly once.
//
// It runs a real Kafka of one broker or three, ingest and processors as processes of their own, and emitters that post
// multiplied recordings as Janus does: one request in flight each, sent again when the connection closed without an
// answer. Processes and brokers are killed with -9 at random moments and started again, stand still until others have
// their work, find their state deleted, old, torn or another's, or their disk full, and come to another cluster where
// theirs was; a processor whose disk was full is started when there is room, nobody else is. When all is settled, the
// records that a reader of committed messages sees are compared with a fold of the same log that nobody disturbed, and
// the log with what was answered.
//
//	go run ./tools/chaos -kills-cdr 200 -kills-ingest 50
//	go run ./tools/chaos -brokers-count 3 -kills-broker 10 -kills-cdr 30
//	go run ./tools/chaos -zombies 20 -states 40 -strangers 10 -fills 10 -remakes 2
//	go run ./tools/chaos -kills-cdr 20 -python v/bin/python      read also by a consumer that is none of ours
//
// It needs what scripts/kafka.sh needs. The same seed makes the same traffic and the same plan of kills; what they hit
// is left to the machine. Exit code 0: nothing lost, doubled or different; 1: something was, or a process ended by
// itself; the folder with topics, states and logs is kept and named; 130: interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"januscdr/cdr"
	"januscdr/internal/fixtures/procs"
	"januscdr/janus"
)

// options are what the command line says.
type options struct {
	procs.Place
	duration time.Duration
	python   string

	processors, ingests, workers, emitters, copies int

	partitions int
	rate       float64

	killsCDR, killsIngest, killsBroker, pausesCDR, pausesIngest, pausesBroker int

	zombies, states, strangers, fills, remakes int

	aim, wipe, away float64

	sessionTimeout, transactionTimeout, commitInterval time.Duration
	settle                                             time.Duration
}

func main() {
	o := options{}
	o.Flags(flag.CommandLine)
	flag.DurationVar(&o.duration, "duration", 0,
		"time over which the kills are spread; 0: as the kills need it, or 1m without any")
	flag.StringVar(&o.python, "python", "",
		"a Python with confluent-kafka and fastavro, to read the records as a stranger would")
	flag.IntVar(&o.processors, "processors", 3, "processes of `cdr run`")
	flag.IntVar(&o.ingests, "ingests", 1, "processes of ingest; each emitter has one")
	flag.IntVar(&o.workers, "workers", 2, "workers of each processor")
	flag.IntVar(&o.emitters, "emitters", 4, "Janus servers")
	flag.IntVar(&o.copies, "copies", 10, "clients of each recording and emitter at once")
	flag.IntVar(&o.partitions, "partitions", 6, "partitions of the topics, at most 64")
	flag.Float64Var(&o.rate, "rate", 1000, "events a second of all emitters")
	flag.IntVar(&o.killsCDR, "kills-cdr", 0, "kills of processors")
	flag.IntVar(&o.killsIngest, "kills-ingest", 0, "kills of ingest")
	flag.IntVar(&o.killsBroker, "kills-broker", 0, "kills of brokers, one at a time")
	flag.IntVar(&o.pausesCDR, "pauses-cdr", 0,
		"times a processor is stopped until others have its work, and goes on as if nothing had happened")
	flag.IntVar(&o.pausesIngest, "pauses-ingest", 0,
		"times an ingest is stopped, up to longer than a sender waits, and goes on")
	flag.IntVar(&o.pausesBroker, "pauses-broker", 0,
		"times a broker is stopped, up to longer than a leader may be silent, and goes on")
	flag.IntVar(&o.zombies, "zombies", 0,
		"times a processor is stopped beyond all of its time-outs, and goes on as if it had not been; up to half at a time")
	flag.IntVar(&o.states, "states", 0,
		"kills of processors after which the state directory is deleted, an old copy, torn, or another processor's, in turn")
	flag.IntVar(&o.strangers, "strangers", 0,
		"times another cluster, with topics of the same names, answers at the addresses of ours, for 5 to 30 s")
	flag.IntVar(&o.fills, "fills", 0,
		"times the disk of a processor is filled to the brim; needs the right to mount a small one")
	flag.IntVar(&o.remakes, "remakes", 0,
		"times, in the end, that the event log or the changelog is deleted and made again: processors must end loudly")
	flag.Float64Var(&o.aim, "aim", 0.5, "share of the kills of processors that wait for a transaction to be open")
	flag.Float64Var(&o.wipe, "wipe", 0.05, "share of the kills of processors that also lose the state directory")
	flag.Float64Var(&o.away, "away", 0.1,
		"share of the kills of processors after which others take over, because the restart comes late")
	flag.DurationVar(&o.sessionTimeout, "session-timeout", 6*time.Second, "of the processors")
	flag.DurationVar(&o.transactionTimeout, "transaction-timeout", 5*time.Second, "of the processors")
	flag.DurationVar(&o.commitInterval, "commit-interval", 100*time.Millisecond, "of the processors")
	flag.DurationVar(&o.settle, "settle", 10*time.Minute, "patience until all is consumed and closed")
	flag.Parse()

	procs.Main("chaos", func(ctx context.Context) error { return run(ctx, o) })
}

func (o *options) complete() error {
	switch {
	case o.processors < 1 || o.processors > 9 || o.ingests < 1 || o.ingests > 9 || o.emitters < 1 || o.copies < 1:
		return errors.New("-processors and -ingests go from 1 to 9, -emitters and -copies from 1")
	case (o.states > 0 || o.fills > 0) && o.processors < 3:
		return errors.New("-states and -fills need three -processors or more")
	case o.partitions < 1 || o.partitions > 64:
		return fmt.Errorf("-partitions %d: 1 to 64", o.partitions)
	case o.rate <= 0:
		return fmt.Errorf("-rate %g: more than 0", o.rate)
	}
	if o.duration == 0 {
		o.duration = max(time.Minute,
			time.Duration(o.killsCDR)*6*time.Second/time.Duration(o.processors),
			time.Duration(o.killsIngest)*5*time.Second/time.Duration(o.ingests),
			time.Duration(o.killsBroker)*25*time.Second,
			time.Duration(max(o.pausesCDR, o.pausesIngest, o.pausesBroker))*15*time.Second,
			time.Duration(o.zombies)*20*time.Second/time.Duration(max(1, o.processors/2)),
			time.Duration(o.states)*10*time.Second/time.Duration(o.processors),
			time.Duration(o.strangers)*25*time.Second, time.Duration(o.fills)*20*time.Second)
	}
	return o.Complete("chaos")
}

// limit is what silence is waited for: the shortest that the configuration takes, so that the end is near.
const limit = time.Minute

// policy is that of the processors; their settings say the same.
func (o *options) policy() cdr.Policy {
	p := cdr.DefaultPolicy()
	p.Grace = janus.Micros(time.Second.Microseconds())
	p.LegSilence = janus.Micros(limit.Microseconds())
	p.LegSilenceWithoutStatistics = p.LegSilence
	p.EmitterSilence = p.LegSilence
	p.StubRetention = p.LegSilence
	p.Partial.Every = p.LegSilence
	return p
}

func (o *options) policySettings() map[string]string {
	return map[string]string{
		"POLICY_GRACE":           "1s",
		"POLICY_LEG_SILENCE":     limit.String(),
		"POLICY_EMITTER_SILENCE": limit.String(),
		"POLICY_STUB_RETENTION":  limit.String(),
		"POLICY_PARTIAL_EVERY":   limit.String(),

		"POLICY_LEG_SILENCE_WITHOUT_STATISTICS": limit.String(),
	}
}
