// Command throughput measures how many events a CPU second of the processor takes, against a consumer that only fetches
// and parses, in one run on the same topic. Each part is a process of its own, so that the broker's CPU is not counted.
//
//	go run ./tools/throughput
//	go run ./tools/throughput -events 1000000 -brokers 127.0.0.1:19192
//	go run ./tools/throughput -cpuprofile cpu.out -memprofile mem.out
//	go run ./tools/throughput -role cdr -brokers 127.0.0.1:19192 -topic EVENTS -partitions 8 -dir DIR -cpuprofile cpu.out
//
//	go run ./tools/throughput -role latency -brokers 127.0.0.1:19192 -topic EVENTS -records RECORDS -span 60s
//
//	go run ./tools/throughput -role fill -brokers 127.0.0.1:19192 -prefix P -partitions 96 -fleet
//	go run ./tools/throughput -role fill -brokers 127.0.0.1:19192 -prefix P -partitions 8 -open 1000000 -events 20000000
//	go run ./tools/throughput -role cdr -brokers 127.0.0.1:19192 -prefix P -partitions 8 -dir DIR
//
//	go run ./tools/throughput -role curve -partitions 8 -open 1000000 -events 2000000 -dir DIR
//
// The last one of these folds one partition of so many in one process, without Kafka: what is left are parsing, the
// fold, its states and the store, with as many sessions open as are wanted.
//
// The fourth runs the processor alone, on events that are there already. The fifth looks at how long
// records take that a `cdr run` makes of events that somebody else writes at the time.
//
// Machines differ and are noisy: quote the ratio, not the figures.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
	"januscdr/pipeline"
)

var (
	partitions = flag.Int("partitions", 12, "partitions of the topics")
	topic      = flag.String("topic", "", "events that are there already, for -role cdr")
	commit     = flag.Duration("commit", 0, "commit interval; 0: the default")
	records    = flag.String("records", "", "records that another process writes, for -role latency")
	span       = flag.Duration("span", time.Minute, "for how long -role latency looks")
	open       = flag.Int("open", 0, "sessions that are open at once over all partitions, for -role curve and fill")
	fleet      = flag.Bool("fleet", false, "-role fill: what some Janus say, with copies as ingest writes them")
	lag        = flag.Duration("lag", time.Second, "for how long the changelog may lag")
	cpuProfile = flag.String("cpuprofile", "", "where the profile of the processor's CPU time goes")
	memProfile = flag.String("memprofile", "", "where the profile of what the processor allocates goes")
)

// collectAt is at how much more than what is alive garbage is collected, in percent, as `cdr run` has it.
const collectAt = 50

func main() {
	role := flag.String("role", "", "which part this process is; empty: the one that starts the others")
	events := flag.Int("events", 300_000, "how many events to process")
	brokers := flag.String("brokers", "", "a real Kafka to measure on; empty: the embedded broker")
	dir := flag.String("dir", "", "scratch directory of the parts")
	prefix := flag.String("prefix", fmt.Sprintf("throughput-%d", time.Now().UnixNano()), "what the topics are called")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *role, *events, *brokers, *dir, *prefix)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "throughput:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, role string, events int, brokers, dir, prefix string) error {
	o := kafka.Options{Brokers: strings.Split(brokers, ",")}
	topics := kafka.Topics{
		Events: prefix + ".events", CDR: prefix + ".cdr", State: prefix + ".state", DLQ: prefix + ".dlq",
		Partitions: int32(*partitions), Replication: 1, EventsRetention: 24 * time.Hour, CDRRetention: 24 * time.Hour,
		DLQRetention: 24 * time.Hour,
		Embedded:     os.Getenv("THROUGHPUT_EMBEDDED") != "",
	}
	if *topic != "" {
		topics.Events = *topic
	}
	switch role {
	case "profile":
		return profileForTheCompiler()
	case "":
		return measure(ctx, events, brokers, prefix)
	case "broker":
		return broker(ctx, dir)
	case "fill":
		return fill(ctx, o, topics, events)
	case "fetch", "scan":
		return consume(ctx, o, topics, role == "scan")
	case "latency":
		return latency(ctx, o, topics.Events, *records, *span)
	case "cdr":
		return process(ctx, o, topics, dir)
	case "curve":
		return curve(dir, *open, events)
	}
	return fmt.Errorf("no such role: %q", role)
}

// measure starts the parts one after the other and compares what they cost.
func measure(ctx context.Context, events int, brokers, prefix string) error {
	dir, err := os.MkdirTemp("", "throughput")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if brokers == "" {
		os.Setenv("THROUGHPUT_EMBEDDED", "1")
		cmd := exec.CommandContext(ctx, self, "-role", "broker", "-dir", dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		defer func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}()
		if brokers, err = bufio.NewReader(out).ReadString('\n'); err != nil {
			return fmt.Errorf("start the broker: %w", err)
		}
		brokers = strings.TrimSpace(brokers)
	}
	part := func(role string) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, self, "-role", role, "-brokers", brokers, "-events", fmt.Sprint(events), "-prefix",
			prefix, "-dir", filepath.Join(dir, role), "-partitions", fmt.Sprint(*partitions), "-commit", commit.String(),
			"-cpuprofile", *cpuProfile, "-memprofile", *memProfile)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		return cmd, cmd.Run()
	}
	if _, err := part("fill"); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	fmt.Printf("%-22s %10s %10s %12s %14s %8s\n", "part", "CPU s", "wall s", "max RSS MB", "events/CPU s", "ratio")
	var first float64
	for _, role := range []string{"fetch", "scan", "cdr"} {
		began := time.Now()
		cmd, err := part(role)
		if err != nil {
			return fmt.Errorf("%s: %w", role, err)
		}
		s := cmd.ProcessState
		cpu := (s.UserTime() + s.SystemTime()).Seconds()
		rate := float64(events) / cpu
		if first == 0 {
			first = rate
		}
		rss := int64(0)
		if u, ok := s.SysUsage().(*syscall.Rusage); ok {
			rss = u.Maxrss / 1024
		}
		what := map[string]string{"fetch": "fetch only", "scan": "fetch and parse", "cdr": "cdr, exactly once"}[role]
		fmt.Printf("%-22s %10.2f %10.2f %12d %14.0f %8.2f\n", what, cpu, time.Since(began).Seconds(), rss, rate, rate/first)
	}
	fmt.Printf("%d events, %d partitions, %d cores, %s\n", events, *partitions, runtime.NumCPU(), runtime.Version())
	return nil
}

func broker(ctx context.Context, dir string) error {
	b, err := embedded.Start(embedded.Options{Dir: filepath.Join(dir, "kafka")})
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(b.Addrs(), ","))
	<-ctx.Done()
	return b.Close()
}

// consume reads all events, and parses them if asked to: what nobody can do without.
func consume(ctx context.Context, o kafka.Options, topics kafka.Topics, parse bool) error {
	client, err := kafka.NewClient(o)
	if err != nil {
		return err
	}
	defer client.Close()
	var parser janus.Parser
	return kafka.ReadCommitted(ctx, client, o, topics.Events, func(records []*kgo.Record) error {
		for _, r := range records {
			if !parse {
				break
			}
			if _, err := parser.Parse(r.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

// process runs the processor with everything on, until it has come to the end of the events.
func process(ctx context.Context, o kafka.Options, topics kafka.Topics, dir string) error {
	client, err := kafka.NewClient(o)
	if err != nil {
		return err
	}
	if *topic != "" {
		if _, err := kafka.CreateTopics(ctx, client, topics); err != nil {
			client.Close()
			return err
		}
	}
	ends, err := kafka.CommittedRanges(ctx, client, topics.Events)
	client.Close()
	if err != nil {
		return err
	}
	p, err := pipeline.New(pipeline.Options{
		Kafka: o, Topics: topics, Group: topics.State, Instance: "throughput", Workers: runtime.NumCPU(), StateDir: dir,
		Policy: cdr.DefaultPolicy(), CommitInterval: *commit, ChangelogLag: *lag,
	})
	if err != nil {
		return err
	}
	debug.SetGCPercent(collectAt)
	stopProfiles, err := profiles()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended, began, ready := make(chan error, 1), time.Now(), time.Duration(0)
	go func() { ended <- p.Run(ctx) }()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-look.C:
		}
		status, behind := p.Status(), len(ends)
		for _, s := range status.Partitions {
			if s.Position >= ends[s.Partition].To {
				behind--
			}
		}
		if status.Ready && ready == 0 {
			ready = time.Since(began)
		}
		if status.Ready && behind == 0 {
			err := stopProfiles()
			fmt.Printf("ready after %.2f s, at the end after %.2f s, with %d sessions open; %.2f s of CPU, %d MiB at most\n",
				ready.Seconds(), time.Since(began).Seconds(), openSessions(status), cpuTime().Seconds(), maxRSS())
			stop()
			return and(err, <-ended)
		}
	}
}

func and(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// profiles begins the profiles that are asked for, and returns what ends them.
func profiles() (stop func() error, err error) {
	var cpu *os.File
	if *cpuProfile != "" {
		if cpu, err = os.Create(*cpuProfile); err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(cpu); err != nil {
			return nil, err
		}
	}
	return func() error {
		if cpu != nil {
			pprof.StopCPUProfile()
			if err := cpu.Close(); err != nil {
				return err
			}
		}
		if *memProfile == "" {
			return nil
		}
		f, err := os.Create(*memProfile)
		if err != nil {
			return err
		}
		return and(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
	}, nil
}

// openSessions are those of all partitions.
func openSessions(s pipeline.Status) (n int) {
	for _, p := range s.Partitions {
		n += p.OpenSessions
	}
	return n
}
