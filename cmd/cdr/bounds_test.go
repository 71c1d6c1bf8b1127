package main

import (
	"maps"
	"regexp"
	"testing"

	"januscdr/cdr"
	"januscdr/config"
	"januscdr/janus"
)

// bounds are those that the configuration names to whoever goes beyond them, as they are written.
func bounds(t *testing.T, key, beyond string) (least, most string) {
	t.Helper()
	_, err := config.Load(config.Sources{Flags: map[string]string{key: beyond}})
	if err == nil {
		t.Fatalf("%s: %s is accepted", key, beyond)
	}
	m := regexp.MustCompile(key + `: \S+ is too large; write (\S+) to (\S+)`).FindStringSubmatch(err.Error())
	if m == nil {
		t.Fatalf("%s: %v", key, err)
	}
	return m[1], m[2]
}

// The configuration knows no room, so a bound of the policy stands in its table and in the fold. Here they are held to
// each other.
func TestTheBoundsOfASettingOfThePolicyAreThoseOfTheFold(t *testing.T) {
	for key, scene := range map[string]struct {
		with  map[string]string // what must be said besides, to get there
		field func(*cdr.Policy) *janus.Micros
		least bool // the fold has the lower bound, too: not a microsecond less
		most  bool // and the upper one
	}{
		"policy.grace": {with: map[string]string{"policy.leg_silence": "2h"},
			field: func(p *cdr.Policy) *janus.Micros { return &p.Grace }, least: true, most: true},
		"policy.leg_silence": {with: map[string]string{"policy.leg_silence_without_statistics": "365d"},
			field: func(p *cdr.Policy) *janus.Micros { return &p.LegSilence }, least: true},
		"policy.leg_silence_without_statistics": {with: map[string]string{"policy.leg_silence": "1m"},
			field: func(p *cdr.Policy) *janus.Micros { return &p.LegSilenceWithoutStatistics }, least: true},
		"policy.emitter_silence": {field: func(p *cdr.Policy) *janus.Micros { return &p.EmitterSilence }, least: true},
		"policy.session_silence": {field: func(p *cdr.Policy) *janus.Micros { return &p.SessionSilence }, least: true},
		"policy.stub_retention":  {field: func(p *cdr.Policy) *janus.Micros { return &p.StubRetention }},
		"policy.partial_every":   {field: func(p *cdr.Policy) *janus.Micros { return &p.Partial.Every }, least: true},
	} {
		least, most := bounds(t, key, "100000d")
		for _, value := range []string{least, most} {
			flags := maps.Clone(scene.with)
			if flags == nil {
				flags = map[string]string{}
			}
			flags[key] = value
			p := policyOf(t, flags) // fails if the fold refuses what the configuration allows
			beyond := janus.Micros(-1)
			if value == most {
				beyond = 1
			}
			*scene.field(&p) += beyond
			held := value == least && scene.least || value == most && scene.most
			if complaints := p.Check(); held && len(complaints) != 1 {
				t.Errorf("%s: the configuration has a bound of %s, and a microsecond beyond it the fold says %v",
					key, value, complaints)
			}
		}
	}
}
