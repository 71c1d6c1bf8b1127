package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"januscdr/admin"
	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/ingest"
	"januscdr/internal/cli"
	"januscdr/internal/fixtures/player"
	"januscdr/internal/fixtures/recordings"
	"januscdr/internal/wiring"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
	"januscdr/kafka/inspect"
	"januscdr/pipeline"
)

// demoOptions are the flags of `cdr demo`.
type demoOptions struct {
	dir        string
	speed      float64
	recordings []string
	exit       bool
	broker     string
	ingest     string
	admin      string
}

// Where the demo is if nobody says otherwise.
const (
	demoDir    = "januscdr-data"
	demoBroker = "127.0.0.1:19092"
	demoIngest = "127.0.0.1:8090"
	demoAdmin  = "127.0.0.1:8091"
)

// demoRecordings are those that show most: SIP calls of every outcome, a video room, calls that end badly.
var demoRecordings = []string{"1.1-f_sip", "1.1-c_videoroom", "1.1-b_abnormal_ends"}

func newDemo(environ []string) *cobra.Command {
	o := demoOptions{}
	var wide bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See the whole thing at work, in one process",
		Long: `Starts an embedded Kafka broker, ingest and the processor in this process, and plays what a real Janus
server once reported into ingest, over HTTP, as Janus would: same bytes, same batches, pauses shortened
by --speed. Then it shows the calls, as they stand on janus.cdr.

It stays up until Ctrl-C, so that you can post events of your own and look around, or ends by itself
with --exit. What it made is kept in --dir; a second start goes on from there, and shows that no call
is counted twice though all events come again. Delete the directory to begin anew.

The embedded broker is for trying out and for tests; production runs on a real Kafka cluster.`,
		Example: `  cdr demo
  cdr demo --exit --speed 100
  cdr demo --recording 1.1-e_videocall --recording 1.4-t_newer`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", demoDir, "where broker, states and log are kept")
	f.Float64Var(&o.speed, "speed", 20, "how many times faster than recorded to play; 0: without pauses")
	f.StringSliceVar(&o.recordings, "recording", demoRecordings, "which recordings to play, one after the other")
	f.BoolVar(&wide, "wide", false, "all columns, however narrow the terminal is")
	f.BoolVar(&o.exit, "exit", false, "end by itself when the calls are shown")
	f.StringVar(&o.broker, "broker-listen", demoBroker, "`host:port` of the embedded broker; port 0: any")
	f.StringVar(&o.ingest, "ingest-listen", demoIngest, "`host:port` where events are taken; port 0: any")
	f.StringVar(&o.admin, "admin-listen", demoAdmin, "`host:port` of health and metrics; port 0: any")
	completeRecordings(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkPlay(o.recordings, o.speed); err != nil {
			return err
		}
		screen := newScreen(cmd.OutOrStdout(), environ)
		screen.wide = wide
		err := demo(cmd.Context(), o, screen)
		if errors.Is(err, context.Canceled) && cli.StoppedInOrder(cmd.Context()) {
			return nil
		}
		return err
	}
	return cmd
}

// demoRun is a run of the demo, with what its parts share.
type demoRun struct {
	demoOptions
	screen *screen

	kafka     kafka.Options
	topics    kafka.Topics
	client    *kgo.Client
	processor *pipeline.Processor
	events    string                // URL
	health    string                // URL
	kept      int                   // records of earlier runs
	fresh     map[int32]kafka.Range // of the records of this run
	shown     atomic.Int64          // of them
}

// demo is the whole program as a parts list: broker, topics, ingest, processor, player, and a reader of the records.
func demo(ctx context.Context, o demoOptions, screen *screen) error {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return fmt.Errorf("make the demo's directory: %w: name another one with --dir", err)
	}
	logFile, err := os.OpenFile(filepath.Join(o.dir, "demo.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the demo's log: %w", err)
	}
	defer logFile.Close()
	log := hclog.New(&hclog.LoggerOptions{Name: "demo", Output: logFile, Level: hclog.Info})

	broker, err := embedded.Start(embedded.Options{Dir: filepath.Join(o.dir, "kafka"), Listen: o.broker, Log: log})
	if err != nil {
		return fmt.Errorf("%w (or name another one with --broker-listen or --dir)", err)
	}
	defer broker.Close()
	d := &demoRun{demoOptions: o, screen: screen}
	d.kafka = kafka.Options{Brokers: broker.Addrs(), Log: log.Named("kafka")}
	if d.client, err = wiring.Connect(ctx, d.kafka, log); err != nil {
		return err
	}
	defer d.client.Close()
	if err := d.makeTopics(ctx); err != nil {
		return err
	}

	registry := prometheus.NewRegistry()
	web := &ingest.HTTP{Listen: o.ingest}
	server, err := ingest.New(ingest.Options{
		Kafka: d.kafka, Topics: d.topics, Sources: []ingest.Source{web}, Log: log.Named("ingest"), Registerer: registry,
	})
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		server.Close()
		return fmt.Errorf("%w (or name another one with --ingest-listen)", err)
	}
	defer func() { _ = server.Stop() }() // the broker goes next: who was not answered cannot be helped
	policy := demoPolicy(o.speed)
	d.processor, err = pipeline.New(pipeline.Options{
		Kafka: d.kafka, Topics: d.topics, Group: "januscdr", Instance: "demo", Workers: 2,
		StateDir: filepath.Join(o.dir, "state"), Policy: policy, CommitInterval: 100 * time.Millisecond,
		ChangelogLag: time.Second,
		Headers:      pipeline.HeaderNames{Version: cli.Version(), Policy: policy.Fingerprint()}, Registerer: registry,
		Log: log.Named("cdr"),
	})
	if err != nil {
		return err
	}
	health, err := admin.Listen(admin.Options{
		Listen: o.admin, Gatherer: registry, Log: log.Named("admin"),
		Ready: func() admin.Readiness { return readiness(d.processor.Status()) },
	})
	if err != nil {
		return fmt.Errorf("%w (or name another one with --admin-listen)", err)
	}

	if err := demoConfig(o, broker.Addrs()[0], d.topics.Partitions, policy); err != nil {
		return err
	}
	d.events, d.health = "http://"+web.Addr().String()+"/events", "http://"+health.Addr().String()
	screen.begin(o, broker.Addrs()[0], d.events, d.health, d.kept)
	if err := d.run(ctx, health); err != nil {
		return fmt.Errorf("%w (the log is in %s)", err, filepath.Join(o.dir, "demo.log"))
	}
	if o.exit {
		return ctx.Err()
	}
	screen.bye(o)
	return nil
}

// makeTopics makes the topics where they are missing, and counts what is in them already.
func (d *demoRun) makeTopics(ctx context.Context) error {
	d.topics = kafka.Topics{
		Events: "janus.events", CDR: "janus.cdr", State: "janus.cdr.state", DLQ: "janus.dlq", Partitions: 4, Replication: 1,
		EventsRetention: 7 * 24 * time.Hour, CDRRetention: 90 * 24 * time.Hour, DLQRetention: 90 * 24 * time.Hour,
		EventsRetentionBytes: 256 << 20, Embedded: true,
	}
	if _, err := kafka.CreateTopics(ctx, d.client, d.topics); err != nil {
		return err
	}
	if err := inspect.CheckTopics(ctx, d.client, d.topics); err != nil {
		return err
	}
	var err error
	if d.fresh, err = kafka.CommittedRanges(ctx, d.client, d.topics.CDR); err != nil { // nobody writes yet
		return err
	}
	for partition, r := range d.fresh {
		d.fresh[partition] = kafka.Range{From: r.To, To: -1}
	}
	kept, unreadable, err := readRecords(ctx, d.kafka, d.client, d.topics.CDR)
	d.kept = len(kept) + unreadable
	return err
}

// run lets all parts work until the recordings are played and shown, or for as long as it is told.
func (d *demoRun) run(ctx context.Context, health *admin.Server) error {
	parts, work := errgroup.WithContext(ctx)
	stop, cancel := context.WithCancel(work)
	defer cancel()
	parts.Go(func() error { return d.processor.Run(stop) })
	parts.Go(func() error { return health.Run(stop) })
	parts.Go(func() error {
		defer cancel()
		if err := d.play(stop); err != nil {
			return err
		}
		if !d.exit {
			<-stop.Done()
		}
		return nil
	})
	return parts.Wait()
}

// play posts the recordings, waits until their calls have ended, and shows the records.
func (d *demoRun) play(ctx context.Context) error {
	if err := until(ctx, d.processor.Ready, 30*time.Second, "the processor is not ready"); err != nil {
		return err
	}
	watching, enough := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.watch(watching) // what it did not read is missed below
	}()
	defer func() {
		enough()
		<-ended
	}()
	if err := d.keepEvents(); err != nil {
		return err
	}
	for i, name := range d.recordings {
		requests := recordings.Requests(name)
		played := len(recordings.Events(name))
		err := player.Play(ctx, d.events, requests,
			player.Options{Speed: d.speed, Progress: func(done, total int, _ time.Duration) {
				d.screen.playing(i+1, len(d.recordings), name, done, total)
			}})
		if err != nil {
			return fmt.Errorf("play %s: %w", name, err)
		}
		d.screen.played(name, len(requests), played)
	}
	d.screen.waiting()
	quiet := func() bool {
		events, err := kafka.CommittedRanges(ctx, d.client, d.topics.Events)
		return err == nil && settled(d.processor.Status(), events)
	}
	if err := until(ctx, quiet, 2*time.Minute, "the calls do not end"); err != nil {
		return err
	}
	all, unreadable, err := readRecords(ctx, d.kafka, d.client, d.topics.CDR)
	if err != nil {
		return err
	}
	if err := until(ctx, func() bool { return int(d.shown.Load()) >= len(all)+unreadable-d.kept }, 10*time.Second,
		"the records that were written are not read"); err != nil {
		return err
	}
	d.screen.calls(all, d.kept)
	if unreadable > 0 {
		d.screen.say("Not shown: %s of a newer program.", count(unreadable, "record"))
		d.screen.say("")
	}
	d.screen.end(d.demoOptions, d.events, d.health, sessionToTell(all))
	return nil
}

// watch shows each call that is charged as its record comes.
func (d *demoRun) watch(ctx context.Context) error {
	reader, err := kafka.NewReader(d.kafka, d.topics.CDR, d.fresh)
	if err != nil {
		return err
	}
	defer reader.Close()
	return reader.Each(ctx, func(records []*kgo.Record) error {
		for _, k := range records {
			if r, err := avro.Decode(k.Value); err == nil && r.RecordType == cdr.Leg && r.Chargeable && r.IsFinal {
				d.screen.callEnded(&r)
			}
			d.shown.Add(1)
		}
		return nil
	})
}

// keepEvents writes what is played as a file, for commands that need no Kafka.
func (d *demoRun) keepEvents() error {
	var lines []byte
	for _, name := range d.recordings {
		for _, event := range recordings.Events(name) {
			lines = append(append(lines, event...), '\n')
		}
	}
	if err := os.WriteFile(d.eventFile(), lines, 0o644); err != nil {
		return fmt.Errorf("write the demo's events: %w", err)
	}
	return nil
}

// sessionToTell is one whose story is worth telling: of the longest answered call.
func sessionToTell(all []cdr.Record) (session string) {
	var longest int64
	for i := range all {
		r := &all[i]
		if r.RecordType == cdr.Leg && r.Chargeable && r.AnswerTime != 0 && r.Duration > longest {
			session, longest = r.SessionID, r.Duration
		}
	}
	return session
}

// demoPolicy is short of patience, so that calls that just stop show at once. The slower the play, the longer are the
// pauses that are part of it.
func demoPolicy(speed float64) cdr.Policy {
	p := cdr.DefaultPolicy()
	silence := 5 * time.Second
	if speed > 0 {
		silence += time.Duration(30 / speed * float64(time.Second))
	}
	p.Grace = janus.Micros(time.Second.Microseconds())
	p.EmitterSilence = janus.Micros(silence.Microseconds())
	return p
}

// demoConfig writes the configuration that the other commands need to look at the demo.
func demoConfig(o demoOptions, broker string, partitions int32, policy cdr.Policy) error {
	text := fmt.Sprintf(`# How to reach the demo while it is up, and what it decides about records.
# Written at each start of: cdr demo
kafka:
  brokers: [%s]
topics:
  partitions: %d
policy:
  grace: %v
  emitter_silence: %v
`, broker, partitions, span(int64(policy.Grace)), span(int64(policy.EmitterSilence)))
	if err := os.WriteFile(o.configFile(), []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the demo's configuration: %w", err)
	}
	return nil
}

func (o demoOptions) eventFile() string { return filepath.Join(o.dir, "events.jsonl") }

func (o demoOptions) configFile() string { return filepath.Join(o.dir, "demo.yaml") }

// settled tells whether everything that stands in the log has become records.
func settled(s pipeline.Status, events map[int32]kafka.Range) bool {
	if !s.Ready || len(s.Partitions) != len(events) {
		return false
	}
	for _, p := range s.Partitions {
		if p.Position < events[p.Partition].To || p.OpenSessions != 0 {
			return false
		}
	}
	return true
}

// until waits for a condition, and gives up with a word after a limit.
func until(ctx context.Context, condition func() bool, limit time.Duration, complaint string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New(complaint+" within "+limit.String()))
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-look.C:
		}
	}
	return nil
}

// readRecords reads all records that are committed now, and counts those whose schema is not known here.
func readRecords(ctx context.Context, o kafka.Options, client *kgo.Client,
	topic string) (all []cdr.Record, unreadable int, err error) {
	err = kafka.ReadCommitted(ctx, client, o, topic, func(some []*kgo.Record) error {
		for _, k := range some {
			r, err := avro.DecodeMessage(k.Value, kafka.Schema(k))
			if errors.Is(err, avro.ErrOtherSchema) {
				unreadable++
				continue
			}
			if err != nil {
				return fmt.Errorf("record at partition %d offset %d: %w", k.Partition, k.Offset, err)
			}
			all = append(all, r)
		}
		return nil
	})
	return all, unreadable, err
}
