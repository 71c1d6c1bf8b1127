package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"januscdr/cdr"
	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/kafka/inspect"
	"januscdr/replay"
)

// promiseArrives is what is looked at by --emitters.
const promiseArrives = "what Janus says arrives"

const lookAtTheWay = "look at the way from this Janus to ingest at that time: docs/sources.md says what is lost on it"

const (
	silentAfter  = 90 * time.Second // a Janus that has heartbeats says something each 15 s
	aheadAtMost  = 2 * time.Second
	behindAtMost = 30 * time.Second
)

// emitterFindings say of each Janus server whether something of it is missing in the last stretch of the log.
func emitterFindings(ctx context.Context, o kafka.Options, c *config.Config, p cdr.Policy,
	last time.Duration) ([]inspect.Finding, error) {
	now := time.Now()
	all, err := replay.Emitters(ctx, replay.Options{Kafka: o, Events: c.Topics.Events, Policy: p, From: replay.Earliest,
		Since: now.Add(-last)}, c.Topics.CDR)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return []inspect.Finding{{Promise: promiseArrives, Subject: c.Topics.Events, Verdict: inspect.Weak,
			Reason: fmt.Sprintf("nothing came of any Janus in the last %v", last),
			Remedy: "see that ingest runs, and that a Janus sends to it: docs/sources.md"}}, nil
	}
	var findings []inspect.Finding
	for i := range all {
		findings = append(findings, findingsOf(&all[i], now)...)
	}
	return findings, nil
}

// checkEmitters looks at the emitters, with the policy of the configuration.
func checkEmitters(cmd *cobra.Command, c *config.Config, log hclog.Logger, last time.Duration,
	report func([]inspect.Finding) error) error {
	if last <= 0 {
		return cli.Misused("--last: %v is not possible", last)
	}
	p, err := policy(c)
	if err != nil {
		return err
	}
	findings, err := emitterFindings(cmd.Context(), wiring.Kafka(c, log), c, p, last)
	if err != nil {
		return err
	}
	return report(findings)
}

// findingsOf are those of one Janus server; one that all is well if there is none.
func findingsOf(e *replay.Emitter, now time.Time) (all []inspect.Finding) {
	add := func(v inspect.Verdict, remedy, reason string, args ...any) {
		all = append(all, inspect.Finding{Promise: promiseArrives, Subject: e.Name, Verdict: v, Remedy: remedy,
			Reason: fmt.Sprintf(reason, args...)})
	}
	b := &e.Balance
	for _, of := range []struct {
		what string
		gap  cdr.Gap
	}{{"sessions", b.Sessions}, {"handles", b.Handles}, {"PeerConnections", b.PeerConnections}} {
		switch {
		case of.gap.Surplus > 0:
			add(inspect.Broken, lookAtTheWay+"; their records are made when they are given up",
				"%d %s are open by the log that Janus does not count any more, %s: their ends were lost%s", of.gap.Surplus,
				of.what, since(of.gap), silentOf(e, of.what, of.gap))
		case of.gap.Surplus < 0 && of.gap.Equal != 0:
			add(inspect.Broken, lookAtTheWay,
				"Janus counts %d %s more than are open by the log, %s: their beginnings were lost", -of.gap.Surplus, of.what,
				since(of.gap))
		case of.gap.Surplus < 0:
			add(inspect.Weak, "ask for a longer time with --last; if it stays, the beginnings were lost",
				"Janus counts %d %s of which nothing came in the time that was looked at", -of.gap.Surplus, of.what)
		}
	}
	if b.Beats > 0 && now.Sub(e.LastSign) > silentAfter {
		add(inspect.Broken, "see whether this Janus runs, and whether its events reach ingest",
			"nothing came of it since %s, and it has heartbeats", clockOf(e.LastSign))
	}
	if e.Steps > 0 {
		add(inspect.Weak, "let NTP slew its clock, and not set it", "its clock was seen to be set %d times", e.Steps)
	}
	if e.Behind < -aheadAtMost || e.Behind > behindAtMost {
		add(inspect.Weak, "look at its clock, and whether its events wait somewhere",
			"its last event came %v after its timestamp", e.Behind.Round(time.Millisecond))
	}
	var lacks []string
	for _, what := range []string{"start", "interim", "end", "clock"} {
		if n := e.Missing[what]; n > 0 {
			lacks = append(lacks, fmt.Sprintf("%d with %s", n, map[string]string{"start": "start_missing",
				"interim": "interim_missing", "end": "end_missing", "clock": "clock_suspect"}[what]))
		}
	}
	if len(lacks) > 0 {
		add(inspect.Weak, "a Janus that was restarted explains end_missing; else see which with `cdr tail`, and why with "+
			"`cdr explain`", "of %d legs, %s", e.Legs, strings.Join(lacks, ", "))
	}
	if len(all) > 0 {
		return all
	}
	if b.Beats == 0 {
		add(inspect.OK, "", "%d legs lack nothing; it says no numbers of its own, as Janus before 1.2 does", e.Legs)
		return all
	}
	add(inspect.OK, "", "what is open by the log is what it counts, at %d heartbeats; %d legs lack nothing", b.Beats,
		e.Legs)
	return all
}

// since says when something was lost: between two heartbeats.
func since(g cdr.Gap) string {
	if g.Equal == 0 {
		return "since " + momentOf(g.Since) + " or before"
	}
	return "lost between " + momentOf(g.Equal) + " and " + momentOf(g.Since)
}

// silentOf names the sessions that a surplus may be.
func silentOf(e *replay.Emitter, what string, g cdr.Gap) string {
	if what != "sessions" || len(e.Silent) == 0 {
		return ""
	}
	ids := make([]string, 0, len(e.Silent))
	for _, id := range e.Silent {
		ids = append(ids, id.String())
	}
	if int64(len(ids)) <= g.Surplus {
		return ": session " + strings.Join(ids, ", ")
	}
	return "; nothing came since then of session " + strings.Join(ids, ", ")
}

func momentOf(at janus.Micros) string { return clockOf(time.UnixMicro(int64(at))) }

func clockOf(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05Z") }
