package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"januscdr/cdr"
	"januscdr/config"
	"januscdr/janus"
)

// timeSpan is a stretch of time that is looked at.
type timeSpan struct {
	sinceText, untilText, lastText string
	since, until                   time.Time // zero: no bound
}

func (s *timeSpan) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.sinceText, "since", "", "from this `time` on: 2026-11-27, 2026-11-27T08:00 (UTC) or with an offset")
	f.StringVar(&s.untilText, "until", "", "before this `time`")
	f.StringVar(&s.lastText, "last", "", "the last so much `time`: 90m, 2h, 7d")
	cmd.MarkFlagsMutuallyExclusive("last", "since")
	cmd.MarkFlagsMutuallyExclusive("last", "until")
}

func (s *timeSpan) parse(now time.Time) error {
	for _, t := range []struct {
		flag, text string
		at         *time.Time
	}{{"--since", s.sinceText, &s.since}, {"--until", s.untilText, &s.until}} {
		if t.text == "" {
			continue
		}
		at, err := parseTime(t.text, time.UTC)
		if err != nil {
			return fmt.Errorf("%s: %w", t.flag, err)
		}
		*t.at = time.UnixMicro(int64(at)).UTC()
	}
	if s.lastText != "" {
		last, err := config.ParseDuration(s.lastText)
		if err != nil || last <= 0 {
			return fmt.Errorf("--last: %q is no stretch of time: write 90m, 2h or 7d", s.lastText)
		}
		s.since = now.Add(-last)
	}
	if !s.until.IsZero() && !s.since.Before(s.until) {
		return errors.New("--until is not after --since: no time is between them")
	}
	return nil
}

func (s *timeSpan) given() bool { return !s.since.IsZero() || !s.until.IsZero() }

// covers tells whether a call was up in that time.
func (s *timeSpan) covers(r *cdr.Record) bool {
	from, to := janus.Micros(s.since.UnixMicro()), janus.Micros(s.until.UnixMicro())
	return (s.since.IsZero() || endOf(r) >= from) && (s.until.IsZero() || r.StartTime < to)
}

// recordFilter are terms that must all hold for a record.
type recordFilter struct {
	party, opaque, call, room, plugin, emitter, session, outcome string
}

func (f *recordFilter) bind(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&f.party, "party", "", "with this `text` in a party: who called, who was called, a name, a peer")
	set.StringVar(&f.opaque, "opaque-id", "", "of this `opaque id`")
	set.StringVar(&f.call, "call-id", "", "of the SIP call with this `Call-ID`")
	set.StringVar(&f.room, "room", "", "in this `room`, mountpoint or recording")
	set.StringVar(&f.plugin, "plugin", "", "on this `plugin`: sip or janus.plugin.sip")
	set.StringVar(&f.emitter, "emitter", "", "of the Janus server of this `name`")
	set.StringVar(&f.session, "session", "", "of the session with this `id`")
	set.StringVar(&f.outcome, "outcome", "", "that came to this: answered, busy, no_answer, ...")
	_ = cmd.RegisterFlagCompletionFunc("plugin", cobra.FixedCompletions(plugins, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("outcome", cobra.FixedCompletions(outcomes(), cobra.ShellCompDirectiveNoFileComp))
}

func outcomes() (all []string) {
	for _, word := range cdr.Dispositions {
		all = append(all, strings.ToLower(word))
	}
	return all
}

func (f *recordFilter) any() bool { return *f != recordFilter{} }

func (f *recordFilter) check() error {
	f.outcome = strings.ToUpper(strings.NewReplacer("-", "_", " ", "_").Replace(f.outcome))
	if f.outcome != "" && !slices.Contains(cdr.Dispositions, f.outcome) {
		if near := config.Nearest(strings.ToLower(f.outcome), outcomes()); near != "" {
			return fmt.Errorf("--outcome: %q is no outcome; did you mean %s?", strings.ToLower(f.outcome), near)
		}
		return fmt.Errorf("--outcome: %q is no outcome; there are %s", strings.ToLower(f.outcome),
			strings.Join(outcomes(), ", "))
	}
	f.plugin = strings.TrimPrefix(f.plugin, "janus.plugin.")
	return nil
}

func (f *recordFilter) fits(r *cdr.Record) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return is(f.opaque, r.OpaqueID) && is(f.call, r.SIPCallID) && is(f.room, r.RoomID) && is(f.emitter, r.Emitter) &&
		is(f.session, r.SessionID) && is(f.plugin, strings.TrimPrefix(r.Plugin, "janus.plugin.")) &&
		(f.outcome == "" || r.RecordType == cdr.Leg && f.outcome == r.Disposition.String()) &&
		(f.party == "" || anyContains(f.party, r.Parties()...))
}

func anyContains(part string, texts ...string) bool {
	part = strings.ToLower(part)
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), part) })
}
