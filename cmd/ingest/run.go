package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"januscdr/admin"
	"januscdr/config"
	"januscdr/ingest"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/kafka"
	"januscdr/spool"
)

// run receives events until it is told to stop.
func run(ctx context.Context, c *config.Config, o ingest.Options, create bool) error {
	registry := wiring.Registry("ingest")

	var prepared atomic.Bool
	o.Registerer = registry
	o.Prepare = func(ctx context.Context) error {
		// Whoever deletes a topic while we run makes it again: we would make another one.
		if err := prepare(ctx, o, create && !prepared.Load()); err != nil {
			return err
		}
		prepared.Store(true)
		return nil
	}
	server, err := ingest.New(o)
	if err != nil {
		return &cli.UsageError{Err: err}
	}

	ctx, cancel := context.WithCancelCause(ctx)
	var working sync.WaitGroup
	defer func() { // the health server ends with us
		cancel(nil)
		working.Wait()
	}()
	if c.Admin.Listen != "" {
		health, err := admin.Listen(admin.Options{
			Listen:   c.Admin.Listen,
			Gatherer: registry,
			Log:      o.Log.Named("admin"),
			Ready: func() admin.Readiness {
				var r admin.Readiness
				stats, spools := server.Spool()
				if spools {
					r.Details = detailsOf(stats, prepared.Load(), o.Kafka.Contact)
				}
				switch failure := server.LastFailure(); {
				case !prepared.Load() && !spools:
					r.Reasons = []string{notPrepared}
				case ctx.Err() != nil:
					r.Reasons = []string{"it stops"}
				case !spools && o.Kafka.Contact.Away() != "":
					r.Reasons = []string{o.Kafka.Contact.Away()}
				case !spools && server.Trouble() != "":
					r.Reasons = []string{server.Trouble()}
				case failure != "":
					r.Reasons = []string{failure}
				default:
					r.Ready = true
				}
				return r
			},
		})
		if err != nil {
			server.Close()
			return err
		}
		working.Go(func() {
			if err := health.Run(ctx); err != nil {
				cancel(err)
			}
		})
	}

	err = server.Run(ctx)
	var stopped *cli.Stopped
	switch cause := context.Cause(ctx); {
	case cause == nil || errors.As(cause, &stopped):
	default:
		err = errors.Join(err, cause)
	}
	if errors.Is(err, context.Canceled) && cli.StoppedInOrder(ctx) {
		return nil // while it waited for Kafka; nothing was in hand
	}
	return err
}

// memoryOf is what receiving takes at the worst: bodies, what of them is on its way to Kafka, and connections.
func memoryOf(c *config.Config) int64 {
	const itself, connection = 64 << 20, 32 << 10
	return 2*int64(c.Ingest.InflightLimit) + itself + connection*int64(c.Ingest.MaxConnections)
}

// options are those of the room, from the configuration.
func options(c *config.Config, sources []ingest.Source, log hclog.Logger) (ingest.Options, error) {
	o := ingest.Options{
		Kafka:       wiring.Kafka(c, log),
		Topics:      written(wiring.Topics(c)),
		Sources:     sources,
		BodyLimit:   int64(c.Ingest.BodyLimit),
		EventLimit:  int64(c.Ingest.EventLimit),
		Delivery:    c.Ingest.DeliveryTimeout,
		InflightMax: int64(c.Ingest.InflightLimit),
		MinRate:     int64(c.Ingest.MinRate),
		SenderRate:  int64(c.Ingest.SenderRate),
		Log:         log,
	}
	for _, s := range c.Ingest.Senders {
		o.Rules = append(o.Rules, ingest.SenderRule{Path: s.Path, User: s.User, Certificate: s.Certificate,
			Address: s.Address, Emitter: s.Emitter})
	}
	if c.Spool.Dir == "" {
		return o, nil
	}
	o.Spool = &spool.Options{Dir: c.Spool.Dir, MaxBytes: int64(c.Spool.MaxBytes), MaxAge: c.Spool.MaxAge}
	if c.Spool.KeyFile == "" {
		return o, nil
	}
	text, err := os.ReadFile(c.Spool.KeyFile)
	if err != nil {
		return o, fmt.Errorf("spool.key_file: %w", err)
	}
	if o.Spool.Keys, err = spool.ParseKeys(text); err != nil {
		return o, fmt.Errorf("spool.key_file: %s: %w", c.Spool.KeyFile, err)
	}
	return o, nil
}

// spooled is what /readyz shows of the spool.
type spooled struct {
	Events    int64   `json:"events"`
	Bytes     int64   `json:"bytes"`
	DiskBytes int64   `json:"disk_bytes"`
	MaxBytes  int64   `json:"max_bytes"`
	Oldest    string  `json:"oldest"`
	In        float64 `json:"events_in_per_second"`
	Out       float64 `json:"events_out_per_second"`
	Left      string  `json:"left_until_full"`
	Trouble   string  `json:"trouble,omitempty"`
}

type details struct {
	Kafka string  `json:"kafka,omitempty"`
	Spool spooled `json:"spool"`
}

func detailsOf(s spool.Stats, prepared bool, contact *kafka.Contact) details {
	d := details{Spool: spooled{Events: s.Records, Bytes: s.Bytes, DiskBytes: s.DiskBytes, MaxBytes: s.MaxBytes,
		Oldest: s.Oldest.Round(time.Second).String(), In: s.RecordsIn, Out: s.RecordsOut,
		Left: "it is not filling"}}
	if s.Left != spool.Never {
		d.Spool.Left = s.Left.Round(time.Second).String()
	}
	if s.Trouble != nil {
		d.Spool.Trouble = s.Trouble.Error()
	}
	switch {
	case !prepared:
		d.Kafka = notPrepared
	default:
		d.Kafka = contact.Away()
	}
	return d
}

const notPrepared = "kafka has not answered yet, or its topics are not checked"

// written are those of the topics that ingest writes.
func written(t kafka.Topics) kafka.Topics {
	t.CDR, t.State = "", ""
	return t
}

// prepare waits for Kafka, and makes the topics if that was asked for, and checks them.
func prepare(ctx context.Context, o ingest.Options, create bool) error {
	client, err := wiring.Connect(ctx, o.Kafka, o.Log)
	if err != nil {
		return err
	}
	defer client.Close()
	return wiring.EnsureTopics(ctx, client, o.Topics, create, o.Log)
}
