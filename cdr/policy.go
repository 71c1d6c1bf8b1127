package cdr

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"time"

	"januscdr/janus"
)

// Units of spans, in microseconds.
const (
	millisecond = janus.Micros(1000)
	second      = 1000 * millisecond
	minute      = 60 * second
	hour        = 60 * minute
)

// Policy is what the operator may decide about the fold. It is data: two programs with the same policy make the same
// records of the same log, and a record's Kafka header names the policy by its Fingerprint.
type Policy struct {
	EmitterSilence janus.Micros // an emitter of which nothing comes for this long, in partition time, is given up
	SessionSilence janus.Micros // a session with nothing open is given up after this long, and one that was given up is remembered for it
	StubRetention  janus.Micros // how long a closed session is remembered, in partition time
	HashKey        []byte       // key of the hash that stands for personal data, where a rule asks for it
	Terms                       // what holds where no rule says otherwise
	Rules          []Rule       // later rules win over earlier ones
}

// Terms are what may differ from plugin to plugin and from emitter to emitter.
type Terms struct {
	Grace                       janus.Micros // how long a closed leg or session waits for late events, in partition time
	LegSilence                  janus.Micros // a leg that had statistics is given up after this long without an event
	LegSilenceWithoutStatistics janus.Micros // any other leg, and a session without legs
	Chargeable                  []LegKind    // which legs are charged; nil: the SIP call on a SIP handle, elsewhere the PeerConnection
	Partial                     Partial
	Address                     Disclosure // remote_address
	DisplayName                 Disclosure // display_name
	VanishedClient              Vanished   // when a leg ends whose client was gone when Janus gave its session up
}

// Vanished says when a leg ends that its session's timeout took down: Janus held it until then, and its client may have
// been gone since its last sign. The interval in which the true end lies is part of the record, whichever holds.
type Vanished uint8

// The moments at which such a leg may end.
const (
	Held     Vanished = iota // when Janus let go: what the operator's resources were held for
	LastSign                 // at the client's last sign: no evidence, no time
)

// VanishedClients are the words of the constants, as a configuration writes them.
var VanishedClients = []string{"held", "last_sign"}

// Partial says when a long leg is reported in parts. The zero value is never.
type Partial struct {
	Every    janus.Micros   // after this long, in the emitter's clock; 0 for never
	Volume   int64          // after this many bytes, received and sent; 0 for never
	Midnight *time.Location // at midnight of this place; nil for never
}

// Disclosure says what becomes of personal data in a record.
type Disclosure uint8

// The ways to disclose.
const (
	Emit Disclosure = iota // as it is
	Hash                   // a keyed hash: equal values stay equal, and nobody without the key can tell which they are
	Omit                   // null
)

// Disclosures are the words of the constants, as a configuration writes them.
var Disclosures = []string{"emit", "hash", "omit"}

// Rule overrides terms for the handles that it matches. A nil field leaves the term as it is.
type Rule struct {
	Plugin  string // pattern of path.Match on the package name; empty matches all
	Emitter string // pattern of path.Match on the emitter; empty matches all

	Grace, LegSilence, LegSilenceWithoutStatistics *janus.Micros
	Chargeable                                     []LegKind
	PartialEvery                                   *janus.Micros
	PartialVolume                                  *int64
	PartialMidnight                                *time.Location
	Address, DisplayName                           *Disclosure
	VanishedClient                                 *Vanished
}

// DefaultPolicy is what holds where nothing else is said: the defaults of the configuration.
func DefaultPolicy() Policy {
	return Policy{
		EmitterSilence: 25 * hour, // later than what its silence suspends
		SessionSilence: 7 * 24 * hour,
		StubRetention:  10 * minute,
		Terms: Terms{
			Grace:                       5 * second,
			LegSilence:                  hour,
			LegSilenceWithoutStatistics: 24 * hour,
		},
	}
}

// For are the terms of a plugin on an emitter. The session itself, and a handle whose plugin is not known, is asked for
// with plugin "".
func (p *Policy) For(emitter, plugin string) Terms {
	t := p.Terms
	for i := range p.Rules {
		if r := &p.Rules[i]; matches(r.Plugin, plugin) && matches(r.Emitter, emitter) {
			r.override(&t)
		}
	}
	return t
}

func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

func (r *Rule) override(t *Terms) {
	set(&t.Grace, r.Grace)
	set(&t.LegSilence, r.LegSilence)
	set(&t.LegSilenceWithoutStatistics, r.LegSilenceWithoutStatistics)
	set(&t.Partial.Every, r.PartialEvery)
	set(&t.Partial.Volume, r.PartialVolume)
	set(&t.Address, r.Address)
	set(&t.DisplayName, r.DisplayName)
	set(&t.VanishedClient, r.VanishedClient)
	if r.Chargeable != nil {
		t.Chargeable = r.Chargeable
	}
	if r.PartialMidnight != nil {
		t.Partial.Midnight = r.PartialMidnight
	}
}

func set[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

// Fingerprint names the policy: equal policies have equal ones. The key of the hash is part of it without being told.
func (p *Policy) Fingerprint() string {
	h := sha256.New()
	key := sha256.Sum256(p.HashKey)
	fmt.Fprintf(h, "%d %d %d %x ", p.EmitterSilence, p.SessionSilence, p.StubRetention, key)
	show := func(t Terms) {
		fmt.Fprintf(h, "%d %d %d %v %d %d %v %d %d %d\n", t.Grace, t.LegSilence, t.LegSilenceWithoutStatistics, kindsOf(t.Chargeable),
			t.Partial.Every, t.Partial.Volume, placeOf(t.Partial.Midnight), t.Address, t.DisplayName, t.VanishedClient)
	}
	show(p.Terms)
	for i := range p.Rules {
		r := &p.Rules[i]
		var set Terms
		r.override(&set)
		fmt.Fprintf(h, "%q %q %t %t %t %t %t %t %t %t ", r.Plugin, r.Emitter, r.Grace != nil, r.LegSilence != nil,
			r.LegSilenceWithoutStatistics != nil, r.PartialEvery != nil, r.PartialVolume != nil, r.Address != nil, r.DisplayName != nil,
			r.VanishedClient != nil)
		show(set)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// kindsOf is a list of kinds as the fingerprint shows it: none at all is another policy than not to say which.
func kindsOf(kinds []LegKind) string {
	if kinds != nil && len(kinds) == 0 {
		return "[none]"
	}
	return fmt.Sprint(kinds)
}

// placeOf is a place as the fingerprint shows it: the word for none was "UTC" from the first.
func placeOf(place *time.Location) string {
	if place != nil && place.String() == time.UTC.String() {
		return "midnight UTC"
	}
	return place.String()
}

// Check names everything that is wrong with the policy, each complaint with the place and the remedy.
func (p *Policy) Check() []error {
	var all []error
	complain := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if p.EmitterSilence < second {
		complain("emitter_silence is %v: it must be at least 1s, and for calls that count more than 1m: an emitter shows that it lives every 30 s", span(p.EmitterSilence))
	}
	if p.SessionSilence < minute {
		complain("session_silence is %v: it must be at least 1m: who calls must still be known when he does", span(p.SessionSilence))
	}
	if p.StubRetention <= 0 {
		complain("stub_retention is %v: it must be more than 0, or late events would open sessions that are closed", span(p.StubRetention))
	}
	terms := func(where string, t Terms) {
		if t.Grace < 0 || t.Grace > hour {
			complain("%sgrace is %v: it must be from 0s to 1h", where, span(t.Grace))
		}
		if t.LegSilence < minute {
			complain("%sleg_silence is %v: it must be at least 1m, or calls would end between two reports", where, span(t.LegSilence))
		}
		if t.LegSilenceWithoutStatistics < minute {
			complain("%sleg_silence_without_statistics is %v: it must be at least 1m", where, span(t.LegSilenceWithoutStatistics))
		}
		if t.Partial.Every != 0 && t.Partial.Every < minute {
			complain("%spartial_every is %v: it must be at least 1m, or 0 for never", where, span(t.Partial.Every))
		}
		if t.Partial.Volume < 0 {
			complain("%spartial_volume is %d: it must not be negative; 0 is never", where, t.Partial.Volume)
		}
		if (t.Address == Hash || t.DisplayName == Hash) && len(p.HashKey) < 16 {
			complain("%spersonal data is to be hashed, but hash_key has %d bytes: give it at least 16, from a file", where, len(p.HashKey))
		}
	}
	terms("", p.Terms)
	for i := range p.Rules {
		r := &p.Rules[i]
		where := fmt.Sprintf("rules[%d]: ", i)
		for _, pattern := range []string{r.Plugin, r.Emitter} {
			if _, err := path.Match(pattern, ""); err != nil {
				complain("%spattern %q: %v: use * and ? and [a-z]", where, pattern, err)
			}
		}
		t := p.Terms
		r.override(&t)
		terms(where, t)
	}
	return all
}

func span(m janus.Micros) time.Duration { return time.Duration(m) * time.Microsecond }

// disclose is what a record says of personal data.
func (p *Policy) disclose(value string, how Disclosure) string {
	switch {
	case value == "" || how == Emit:
		return value
	case how == Omit:
		return ""
	}
	mac := hmac.New(sha256.New, p.HashKey)
	mac.Write([]byte(value))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// partials tells whether long legs are reported in parts anywhere.
func (p *Policy) partials() bool {
	some := func(t Terms) bool { return t.Partial != (Partial{}) }
	for i := range p.Rules {
		var t Terms
		p.Rules[i].override(&t)
		if some(t) {
			return true
		}
	}
	return some(p.Terms)
}

// terms are the terms of a plugin on an emitter, looked up once.
func (p *Partition) terms(em *emitterEntry, plugin string) *Terms {
	if len(p.policy.Rules) == 0 {
		return &p.policy.Terms
	}
	key := termsRef{em.number, plugin}
	t := p.termsCache[key]
	if t == nil {
		if len(p.termsCache) >= maxTerms { // plugin names come from outside
			clear(p.termsCache)
		}
		v := p.policy.For(em.name, plugin)
		t = &v
		p.termsCache[key] = t
	}
	return t
}

type termsRef struct {
	emitter int64
	plugin  string
}

const maxTerms = 1024

// Bounds. What goes beyond is left out and the record says so (truncated).
const (
	maxText       = 512   // bytes of any string that is kept
	maxPast       = 64    // handles of a session that are forgotten, by id
	maxOpenLegs   = 64    // legs of a handle that are open or in their grace at a time
	maxClosedLegs = 16384 // legs whose ids a SESSION record lists: what a Kafka message carries
	maxStreams    = 256   // media and layers of one leg
	maxFeeds      = 64    // feeds of one leg
	maxIdle       = 4096  // emitters of a partition that are remembered though no session of them is
)

// fewLegs is how many legs of a handle an event is about without asking for memory.
const fewLegs = 4

// maxStep is the most that the partition clock moves from one record to the next: so an outage of Kafka, or a jump of a
// broker's clock, is not mistaken for silence.
const maxStep = minute

// togetherSpan is how close a handle's `detached` must be to the end of its session to have been ended by it, and the
// end of a session to the loss of its connection.
const togetherSpan = second

// shutdownSpan is how long after an emitter's `shutdown` its ends are still the shutdown's.
const shutdownSpan = 2 * second

// overtaken is how far events of different threads may come out of order. Seen were some 100 µs.
const overtaken = 10 * millisecond

// stepBack is how far a handle's timestamps may go back before its emitter's clock is suspected. Events of one handle
// come from one thread; others were seen out of order by some 100 µs.
const stepBack = 2 * second
