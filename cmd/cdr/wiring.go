package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/janus"
	"januscdr/kafka"
)

// policy is what the configuration decides about records. What is wrong with it is a mistake of use.
func policy(c *config.Config) (cdr.Policy, error) {
	p := cdr.DefaultPolicy()
	p.Grace = micros(c.Policy.Grace)
	p.LegSilence = micros(c.Policy.LegSilence)
	p.LegSilenceWithoutStatistics = micros(c.Policy.LegSilenceWithoutStatistics)
	p.EmitterSilence = micros(c.Policy.EmitterSilence)
	p.StubRetention = micros(c.Policy.StubRetention)
	p.HashKey = []byte(c.Policy.HashKey)
	p.Chargeable = legKinds(c.Policy.Chargeable)
	p.Partial = cdr.Partial{Every: micros(c.Policy.PartialEvery), Volume: int64(c.Policy.PartialVolume), Midnight: place(c.Policy.PartialMidnight)}
	p.Address, p.DisplayName = disclosure(c.Policy.Address), disclosure(c.Policy.DisplayName)
	for _, r := range c.Policy.Rules {
		rule := cdr.Rule{Plugin: r.Plugin, Emitter: r.Emitter, Chargeable: legKinds(r.Chargeable), PartialMidnight: place(r.PartialMidnight)}
		span := func(to **janus.Micros, from *time.Duration) {
			if from != nil {
				*to = new(micros(*from))
			}
		}
		span(&rule.Grace, r.Grace)
		span(&rule.LegSilence, r.LegSilence)
		span(&rule.LegSilenceWithoutStatistics, r.LegSilenceWithoutStatistics)
		span(&rule.PartialEvery, r.PartialEvery)
		if r.PartialVolume != nil {
			rule.PartialVolume = new(int64(*r.PartialVolume))
		}
		if r.Address != "" {
			rule.Address = new(disclosure(r.Address))
		}
		if r.DisplayName != "" {
			rule.DisplayName = new(disclosure(r.DisplayName))
		}
		p.Rules = append(p.Rules, rule)
	}
	var complaints []error
	for _, err := range p.Check() {
		complaints = append(complaints, fmt.Errorf("policy: %w", err))
	}
	if len(complaints) > 0 {
		return p, &cli.UsageError{Err: errors.Join(complaints...)}
	}
	return p, nil
}

func micros(d time.Duration) janus.Micros { return janus.Micros(d.Microseconds()) }

// The words were checked by the configuration; one that is unknown here is a mistake of the program.

func legKinds(words []string) []cdr.LegKind {
	var kinds []cdr.LegKind
	for _, w := range words {
		kinds = append(kinds, cdr.LegKind(known(cdr.LegKinds, w)))
	}
	return kinds
}

func disclosure(word string) cdr.Disclosure { return cdr.Disclosure(known(cdr.Disclosures, word)) }

func known(words []string, word string) int {
	i := slices.Index(words, word)
	if i < 0 {
		panic("cdr: " + word + " is a word of the configuration, but not of the fold")
	}
	return i
}

func place(name string) *time.Location {
	if name == "" {
		return nil
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		panic("cdr: " + err.Error())
	}
	return l
}

// connect makes a client and waits until Kafka answers. The caller closes the client.
func connect(ctx context.Context, o kafka.Options, log hclog.Logger) (*kgo.Client, error) {
	client, err := kafka.NewClient(o)
	if err != nil {
		return nil, err
	}
	if err := kafka.WaitReady(ctx, client, log); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// ensureTopics creates what is missing, if that was asked for, and checks the rest.
func ensureTopics(ctx context.Context, client *kgo.Client, t kafka.Topics, create bool, log hclog.Logger) error {
	if create {
		created, err := kafka.CreateTopics(ctx, client, t)
		if err != nil {
			return err
		}
		if len(created) > 0 {
			log.Info("topics created", "topics", strings.Join(created, ","), "partitions", t.Partitions)
		}
	}
	if err := kafka.CheckTopics(ctx, client, t); err != nil {
		if create {
			return err
		}
		return fmt.Errorf("%w\nmissing topics are made by `cdr topics create`, or by --create-topics", err)
	}
	findings, err := kafka.InspectTopics(ctx, client, t)
	if err != nil {
		return err
	}
	weak := map[string][]string{}
	for _, f := range kafka.Weaknesses(findings) {
		weak[f.Promise] = append(weak[f.Promise], f.Subject)
	}
	for _, promise := range slices.Sorted(maps.Keys(weak)) {
		log.Warn("a promise is weak, cdr check tells why", "promise", promise, "topics", strings.Join(slices.Compact(weak[promise]), ","))
	}
	return nil
}
