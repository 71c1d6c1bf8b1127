// Command starve attacks a running ingest, and shows what is left of its work for those who send as they should.
//
// It runs a broker and ingest as processes of their own, and good senders that post at a steady rate, as Janus
// does: a new connection for each body, one after the other, each with a user of its own. Beside them, one attack
// after the other runs, first by strangers who know no password, then by a sender who has one. The table has, for
// each attack, the good posts that were answered in a second, the share of the rate without an attack right before
// it, the time that 99 of 100 answers took, what ingest held at the most, and what it says it refused.
//
//	go run ./tools/starve
//	go run ./tools/starve -only slow -for 20s
//	go run ./tools/starve -same-address               attackers hide behind the address of the good senders
//	go run ./tools/starve -hostile 1000000            bodies that were damaged by chance, see mutate.go
//
// Attackers and good senders share the processors with ingest, so attackers have the lowest priority. Exit code 0: good
// senders kept what they should (-strangers, -known); 1: they did not, or something failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"januscdr/internal/fixtures/procs"
)

type options struct {
	procs.Place
	brokers     string
	only        string
	role        string
	attack      string
	at          string
	user        string
	senders     int
	rate        float64
	window      time.Duration
	strangers   float64
	known       float64
	answers     time.Duration
	sameAddress bool
	hostile     int
	workers     int
}

func main() {
	var o options
	o.Flags(flag.CommandLine)
	flag.StringVar(&o.brokers, "brokers", "", "Kafka to write to; empty: an embedded broker")
	flag.StringVar(&o.only, "only", "", "attacks whose names have this in them")
	flag.IntVar(&o.senders, "senders", 4, "good senders, up to 200")
	flag.Float64Var(&o.rate, "rate", 20, "posts a second of each")
	flag.DurationVar(&o.window, "for", 10*time.Second, "how long an attack lasts; it is still for half of that before")
	flag.Float64Var(&o.strangers, "strangers", 0.9, "share of the good rate that must be left beside strangers")
	flag.Float64Var(&o.known, "known", 0.8, "share that must be left beside a known sender")
	flag.DurationVar(&o.answers, "answers", 100*time.Millisecond, "time that 99 of 100 answers may take beside strangers")
	flag.BoolVar(&o.sameAddress, "same-address", false, "strangers have the address of good senders")
	flag.IntVar(&o.hostile, "hostile", 0, "send so many damaged bodies instead of the attacks")
	flag.IntVar(&o.workers, "workers", 16, "of -hostile: senders at a time")
	flag.StringVar(&o.role, "role", "", "which part this process is; empty: the one that starts the others")
	flag.StringVar(&o.attack, "attack", "", "of -role attack: which")
	flag.StringVar(&o.at, "at", "", "of -role attack: host:port of ingest")
	flag.StringVar(&o.user, "user", "", "of -role attack: whose password it has")
	flag.Parse()
	procs.Main("starve", func(ctx context.Context) error { return run(ctx, &o) })
}

func run(ctx context.Context, o *options) error {
	switch o.role {
	case "broker":
		return serveBroker(ctx, o.Dir)
	case "attack":
		a, ok := attackNamed(o.attack)
		if !ok {
			return fmt.Errorf("no such attack: %q", o.attack)
		}
		a.run(ctx, target{addr: o.at, user: o.user, from: attackerAddress(o)}, nil)
		return nil
	case "":
	default:
		return fmt.Errorf("no such role: %q", o.role)
	}
	if o.senders < 1 || o.senders > 200 || o.rate <= 0 || o.window <= 0 {
		return errors.New("-senders goes from 1 to 200, -rate and -for are more than 0")
	}
	if err := o.Complete("starve"); err != nil {
		return err
	}
	s, err := startSite(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	if o.hostile > 0 {
		err = s.hostile(ctx, o.Seed, o.Dir, o.hostile, o.workers)
	} else {
		err = s.starve(ctx, o)
	}
	if err != nil || o.Keep {
		fmt.Println("logs are in", o.Dir)
		return err
	}
	return os.RemoveAll(o.Dir)
}

// starve runs the attacks and prints the table.
func (s *site) starve(ctx context.Context, o *options) error {
	fmt.Printf("%d good senders, %g posts a second each; an attack lasts %v\n\n", o.senders, o.rate, o.window)
	fmt.Printf("%-16s %-9s %8s %8s %6s %9s %9s %10s %9s %6s  %s\n", "attack", "by", "before/s", "good/s", "kept", "p99 ms",
		"before ms", "unanswered", "RSS MiB", "conns", "refused")
	var short []string
	for _, by := range []string{"strangers", "known"} {
		for _, a := range attacks {
			if !strings.Contains(a.name, o.only) {
				continue
			}
			row, err := s.measure(ctx, o, &a, by)
			if err != nil {
				return err
			}
			fmt.Println(row)
			least := o.strangers
			if by == "known" {
				least = o.known
			}
			if row.kept() < least {
				short = append(short, fmt.Sprintf("%s by %s left %.0f %%", a.name, by, 100*row.kept()))
			}
			if by == "strangers" && row.with.p99() > o.answers {
				short = append(short, fmt.Sprintf("%s by %s let 1 of 100 wait %v", a.name, by, row.with.p99()))
			}
		}
	}
	if len(short) > 0 {
		return errors.New(strings.Join(short, "; "))
	}
	return nil
}

// row is a line of the table.
type row struct {
	attack, by   string
	before, with tally
	after        numbers
	refused      string
}

func (r *row) kept() float64 { return r.with.rate() / r.before.rate() }

func (r *row) String() string {
	return fmt.Sprintf("%-16s %-9s %8.1f %8.1f %5.0f%% %9.1f %9.1f %10d %9d %6.0f  %s", r.attack, r.by, r.before.rate(),
		r.with.rate(), 100*r.kept(), ms(r.with.p99()), ms(r.before.p99()), r.with.unanswered, r.after.peak>>20,
		r.after.connections, r.refused)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// measure looks at the good senders before and during an attack.
func (s *site) measure(ctx context.Context, o *options, a *attack, by string) (*row, error) {
	r := &row{attack: a.name, by: by}
	r.before = s.good(ctx, o, o.window/2)
	refused, err := s.refusals(ctx)
	if err != nil {
		return nil, err
	}
	s.resetPeak()
	stop, err := s.startAttack(ctx, o, a, by)
	if err != nil {
		return nil, err
	}
	procs.Sleep(ctx, o.window/5) // until it is in full swing
	r.with = s.good(ctx, o, o.window)
	if r.after, err = s.numbers(ctx); err != nil {
		stop()
		return nil, err
	}
	after, err := s.refusals(ctx)
	stop()
	if err != nil {
		return nil, err
	}
	r.refused = refusedSince(refused, after)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return r, s.settle(ctx)
}
