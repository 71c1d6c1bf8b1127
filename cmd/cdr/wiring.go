package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/janus"
)

// policy is what the configuration decides about records. What is wrong with it is a mistake of use.
func policy(c *config.Config) (cdr.Policy, error) {
	p := cdr.DefaultPolicy()
	p.Grace = micros(c.Policy.Grace)
	p.LegSilence = micros(c.Policy.LegSilence)
	p.LegSilenceWithoutStatistics = micros(c.Policy.LegSilenceWithoutStatistics)
	p.EmitterSilence = micros(c.Policy.EmitterSilence)
	p.SessionSilence = micros(c.Policy.SessionSilence)
	p.StubRetention = micros(c.Policy.StubRetention)
	p.HashKey = []byte(c.Policy.HashKey)
	p.Chargeable = legKinds(c.Policy.Chargeable)
	p.Partial = cdr.Partial{Every: micros(c.Policy.PartialEvery), Volume: int64(c.Policy.PartialVolume),
		Midnight: place(c.Policy.PartialMidnight)}
	p.Address, p.DisplayName = disclosure(c.Policy.Address), disclosure(c.Policy.DisplayName)
	p.VanishedClient = vanished(c.Policy.VanishedClient)
	for _, r := range c.Policy.Rules {
		rule := cdr.Rule{Plugin: r.Plugin, Emitter: r.Emitter, Chargeable: legKinds(r.Chargeable),
			PartialMidnight: place(r.PartialMidnight)}
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
		if r.VanishedClient != "" {
			rule.VanishedClient = new(vanished(r.VanishedClient))
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

// withPolicy loads the configuration and what it decides about records.
func withPolicy(flags *config.Flags, environ []string) (*config.Config, cdr.Policy, error) {
	c, err := wiring.Load(flags, environ)
	if err != nil {
		return nil, cdr.Policy{}, err
	}
	p, err := policy(c)
	return c, p, err
}

// online loads the configuration, makes a logger and waits until Kafka answers, for as long as there is patience. The
// caller closes the client.
func online(cmd *cobra.Command, flags *config.Flags, environ []string,
	wait *waiting) (*config.Config, hclog.Logger, *kgo.Client, error) {
	c, err := wiring.Load(flags, environ)
	if err != nil {
		return nil, nil, nil, err
	}
	log := wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ)
	o, err := wait.kafka(cmd, c, log)
	if err != nil {
		return nil, nil, nil, err
	}
	client, err := wiring.Connect(cmd.Context(), o, log)
	return c, log, client, err
}

// learn makes records readable that a newer program wrote, by the schemas that are named.
func learn(c *config.Config) error {
	for _, path := range c.Topics.Schemas {
		text, err := os.ReadFile(path)
		if err == nil {
			_, err = avro.Learn(string(text))
		}
		if err != nil {
			return cli.Misused("topics.schemas: %s: %w", path, err)
		}
	}
	return nil
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

func vanished(word string) cdr.Vanished { return cdr.Vanished(known(cdr.VanishedClients, word)) }

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
