package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/config"
	"januscdr/consume"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/janus"
	"januscdr/kafka"
)

// summation says what is to be added up.
type summation struct {
	by, where          []string
	month, since, zone string
	until              string
	json               bool

	fields   []avro.Field
	at       []int // of by, in fields
	filter   consume.Filter
	from, to janus.Micros
}

// amount is what one group comes to.
type amount struct {
	values   []avro.Value // of by
	legs     map[cdr.ID]struct{}
	duration int64 // microseconds
}

func newSum(environ []string) *cobra.Command {
	s := &summation{}
	cmd := &cobra.Command{
		Use:   "sum",
		Short: "Add up what calls come to, per billing reference",
		Long: `Adds up the durations of chargeable legs that were answered in a month, or in any time, per opaque_id or any
other fields. Of each part of a leg the highest revision counts, and a leg belongs to the time at which it was
answered, with all of its duration. It reads all records that the topic holds now, and changes nothing.`,
		Example: `  cdr sum --month 2026-11 --zone Europe/Vienna
  cdr sum --by emitter,plugin --since 2026-11-01 --until 2026-11-08
  cdr sum --by opaque_id --where record_type=LEG,emitter=janus-1 --json`,
		Args: cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), "kafka", "topics.cdr", "export.zone", "log")
	set := cmd.Flags()
	set.StringSliceVar(&s.by, "by", []string{"opaque_id"}, "`fields` whose values make a group, with commas")
	set.StringVar(&s.month, "month", "", "calls of this `month`: 2026-11")
	set.StringVar(&s.since, "since", "", "calls from this `time` on: 2026-11-01 or 2026-11-01T08:00:00Z")
	set.StringVar(&s.until, "until", "", "calls before this `time`")
	set.StringVar(&s.zone, "zone", "", "`place` of the dates, for example Europe/Vienna (default: export.zone)")
	set.StringSliceVar(&s.where, "where", nil, "`terms` that must hold besides: plugin=janus.plugin.sip,emitter!=test")
	set.BoolVar(&s.json, "json", false, "a line of JSON for each group")
	set.Lookup("by").DefValue, set.Lookup("where").DefValue = "opaque_id", ""
	wait := patient(cmd)
	cmd.RunE = wait.run(func(cmd *cobra.Command, _ []string) error {
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		if err := s.understand(c.Export.Zone); err != nil {
			return &cli.UsageError{Err: err}
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ)
		o, err := wait.kafka(cmd, c, log)
		if err != nil {
			return err
		}
		client, err := wiring.Connect(cmd.Context(), o, log)
		if err != nil {
			return err
		}
		client.Close()
		groups, err := s.add(cmd.Context(), o, c.Topics.CDR)
		if err != nil {
			return err
		}
		return s.print(cmd.OutOrStdout(), groups)
	})
	return cmd
}

// understand reads what the flags say.
func (s *summation) understand(zone string) (err error) {
	if s.zone != "" {
		zone = s.zone
	}
	place, err := time.LoadLocation(zone)
	if err != nil {
		return fmt.Errorf("--zone: %q is no place of the time zone database", zone)
	}
	s.fields = avro.Fields()
	for _, name := range s.by {
		at := slices.IndexFunc(s.fields, func(f avro.Field) bool { return f.Name == name })
		if at < 0 || s.fields[at].Type == avro.List || s.fields[at].Type == avro.Group {
			return fmt.Errorf("--by: %q is no field with a single value", name)
		}
		s.at = append(s.at, at)
	}
	if s.filter, err = consume.ParseFilter(s.where); err != nil {
		return fmt.Errorf("--where: %w", err)
	}
	if s.month != "" {
		if s.since != "" || s.until != "" {
			return fmt.Errorf("--month: %s, and --since or --until: say one of them", s.month)
		}
		begin, err := time.ParseInLocation("2006-01", s.month, place)
		if err != nil {
			return fmt.Errorf("--month: %q is no month: write 2026-11", s.month)
		}
		s.from, s.to = janus.Micros(begin.UnixMicro()), janus.Micros(begin.AddDate(0, 1, 0).UnixMicro())
		return nil
	}
	s.from, s.to, err = parseSpan(s.since, s.until, place)
	return err
}

// add reads all there is, twice: which records were replaced shows only when all were seen.
func (s *summation) add(ctx context.Context, o kafka.Options, topic string) (map[string]*amount, error) {
	now, err := consume.Now(ctx, o, topic)
	if err != nil {
		return nil, err
	}
	var newest consume.Newest
	if err := now.Each(ctx, func(r *consume.Row) error {
		newest.See(&r.Record)
		return nil
	}); err != nil {
		return nil, err
	}
	groups := map[string]*amount{}
	var values []avro.Value
	var key []byte
	err = now.Each(ctx, func(row *consume.Row) error {
		r := &row.Record
		if r.RecordType != cdr.Leg || !r.Chargeable || r.Disposition != cdr.Answered || r.AnswerTime < s.from ||
			r.AnswerTime >= s.to || !newest.Counts(r) {
			return nil
		}
		values = avro.Values(values, r)
		if !s.filter.Wants(values) {
			return nil
		}
		key = key[:0]
		for _, at := range s.at {
			key = append(avro.AppendJSON(key, &s.fields[at], &values[at]), ',')
		}
		g := groups[string(key)]
		if g == nil {
			g = &amount{legs: map[cdr.ID]struct{}{}}
			for _, at := range s.at {
				g.values = append(g.values, values[at])
			}
			groups[string(key)] = g
		}
		g.legs[r.CDRID] = struct{}{}
		g.duration += r.Duration
		return nil
	})
	return groups, err
}

func (s *summation) print(w io.Writer, groups map[string]*amount) error {
	out := bufio.NewWriter(w)
	total := amount{legs: map[cdr.ID]struct{}{}}
	legs := 0
	table := &sheet{left: len(s.by)}
	if !s.json {
		table.add(append(slices.Clone(s.by), "legs", "duration", "microseconds")...)
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		g := groups[key]
		total.duration += g.duration
		legs += len(g.legs)
		if s.json {
			line := []byte{'{'}
			for i, at := range s.at {
				line = append(fmt.Appendf(line, "%q:", s.by[i]), avro.AppendJSON(nil, &s.fields[at], &g.values[i])...)
				line = append(line, ',')
			}
			fmt.Fprintf(out, "%s\"legs\":%d,\"duration\":%d}\n", line, len(g.legs), g.duration)
			continue
		}
		var cells []string
		for i, at := range s.at {
			value := strings.Trim(string(avro.AppendJSON(nil, &s.fields[at], &g.values[i])), `"`)
			cells = append(cells, printable(value))
		}
		table.add(append(cells, strconv.Itoa(len(g.legs)), hours(g.duration), strconv.FormatInt(g.duration, 10))...)
	}
	if !s.json {
		cells := make([]string, len(s.by))
		cells[0] = "all"
		table.add(append(cells, strconv.Itoa(legs), hours(total.duration), strconv.FormatInt(total.duration, 10))...)
		out.WriteString(table.String())
	}
	return out.Flush()
}

// hours is a duration as people add them up, cut to the second: 1:02:03.
func hours(micros int64) string {
	s := micros / 1_000_000
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
