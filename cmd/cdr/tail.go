package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/config"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/kafka"
)

// tailOptions are what `cdr tail` is told.
type tailOptions struct {
	kafka    kafka.Options
	topic    string
	terminal terminal

	begin  int64
	when   timeSpan
	filter recordFilter
	newest bool
	json   bool
	wide   bool
	parked bool
	once   bool
	count  int64
}

// maxSorted bounds how many records are held to be sorted; of more, the newest are shown.
const maxSorted = 100_000

func (o *tailOptions) check(now time.Time) error {
	if err := o.when.parse(now); err != nil {
		return err
	}
	if err := o.filter.check(); err != nil {
		return err
	}
	if o.parked && (o.filter.any() || o.newest) {
		return errors.New("--dlq: what could not be understood has no parties, rooms or outcomes to look for")
	}
	if o.newest || !o.when.until.IsZero() {
		o.once = true
	}
	if (o.when.given() || o.newest) && o.begin == latest {
		o.begin = earliest
	}
	return nil
}

func newTail(environ []string) *cobra.Command {
	var o tailOptions
	var from string
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Watch the records as they come, or look for some",
		Long: `Watches the records on janus.cdr as they are committed, one row each, until Ctrl-C. It belongs to no
consumer group and changes nothing. --since, --until and --last take the calls that were up in a time,
and the other filters those that fit all of them; with --once or an end it stops, with --newest-first
it sorts what it found. With --dlq it shows what was put aside because it could not be understood, and
why.

A duration with ~ is not known exactly: docs/records.md tells what that means for money.`,
		Example: `  cdr tail
  cdr tail --last 2h --outcome busy --newest-first
  cdr tail --since 2026-11-27 --party alice --plugin sip --once
  cdr tail --from earliest --once --json | jq -c 'select(.disposition == "BUSY")'
  cdr tail --dlq --from earliest`,
		Args: cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), "kafka", "topics.cdr", "topics.schemas", "topics.dlq", "log")
	f := cmd.Flags()
	f.StringVar(&from, "from", "latest", "where to begin: earliest, latest or an `offset`")
	o.when.bind(cmd)
	o.filter.bind(cmd)
	f.BoolVar(&o.newest, "newest-first", false, "sort what there is, the newest call first; it ends then")
	f.BoolVar(&o.json, "json", false, "all fields, one JSON object a line")
	f.BoolVar(&o.wide, "wide", false, "all columns, however narrow the terminal is")
	f.BoolVar(&o.parked, "dlq", false, "what could not be understood, instead of the records")
	f.BoolVar(&o.once, "once", false, "end where the topic ends now")
	f.Int64Var(&o.count, "count", 0, "end after so many lines; 0: never")
	wait := patient(cmd)
	cmd.RunE = wait.run(func(cmd *cobra.Command, _ []string) error {
		var err error
		if o.begin, err = parseFrom(from, "earliest", "latest"); err != nil {
			return err
		}
		if o.count < 0 {
			return cli.Misused("--count: %d lines are not possible; write 0 for no end", o.count)
		}
		if err := o.check(time.Now()); err != nil {
			return &cli.UsageError{Err: err}
		}
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		o.topic = c.Topics.CDR
		if o.parked {
			o.topic = c.Topics.DLQ
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ)
		if o.kafka, err = wait.kafka(cmd, c, log); err != nil {
			return err
		}
		o.terminal = terminalOf(cmd.OutOrStdout(), environ)
		err = o.run(cmd.Context(), log, cmd.OutOrStdout(), cmd.ErrOrStderr())
		if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil && isAway(cmd.Context()) == nil {
			return nil // Ctrl-C is how one stops watching
		}
		return err
	})
	return cmd
}

// Places to begin at that are no offsets.
const (
	earliest int64 = -1
	latest   int64 = -2
)

// parseFrom reads a place to begin at: one of words, or an offset.
func parseFrom(text string, words ...string) (int64, error) {
	places := map[string]int64{"earliest": earliest, "latest": latest}
	for _, w := range words {
		if text == w {
			return places[w], nil
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return n, nil
	}
	if near := config.Nearest(text, words); near != "" {
		return 0, cli.Misused("--from: %q is no place to begin at; did you mean %s?", text, near)
	}
	return 0, cli.Misused("--from: %q is no place to begin at; write %s or an offset", text, strings.Join(words, ", "))
}

// run reads and shows.
func (o *tailOptions) run(ctx context.Context, log hclog.Logger, w, notices io.Writer) error {
	client, err := wiring.Connect(ctx, o.kafka, log)
	if err != nil {
		return err
	}
	ranges, err := kafka.CommittedRanges(ctx, client, o.topic)
	if err == nil && o.when.given() { // a record is written after its call has ended
		ranges, err = kafka.Since(ctx, client, o.topic, ranges, o.when.since)
	}
	client.Close()
	if err != nil {
		return err
	}
	var waiting int64
	for p, r := range ranges {
		waiting += r.To - r.From
		switch o.begin {
		case earliest:
		case latest:
			r.From = r.To
		default:
			r.From = min(max(o.begin, r.From), r.To)
		}
		if !o.once {
			r.To = -1
		}
		ranges[p] = r
	}
	reader, err := kafka.NewReader(o.kafka, o.topic, ranges)
	if err != nil {
		return err
	}
	defer reader.Close()
	log.Debug("watching", "topic", o.topic, "partitions", len(ranges))
	if !o.once && o.terminal.is && !o.json {
		fmt.Fprint(notices, o.waits(int(waiting)))
	}
	return o.show(ctx, reader, w, notices, waiting)
}

// waits says what nobody sees: that nothing has come yet, and what is there already.
func (o *tailOptions) waits(there int) string {
	var said strings.Builder
	o.terminal.block(&said, 0, fmt.Sprintf("Waiting for what comes on %s, which has %s; --from earliest or --last 2h "+
		"show those, Ctrl-C ends.", o.topic, count(there, "record")))
	return said.String()
}

// nothing says why nothing is shown: that there is nothing, that it is before what was read, or that it does not fit.
func (o *tailOptions) nothing(there, seen int64) string {
	var said strings.Builder
	text := fmt.Sprintf("Nothing of %s fits, of %s that were looked at.", o.topic, count(int(seen), "record"))
	switch {
	case there == 0:
		text = o.topic + " is empty."
	case seen == 0 && o.when.given():
		text = fmt.Sprintf("Nothing came on %s in that time; it has %s in all.", o.topic, count(int(there), "record"))
	case seen == 0:
		text = fmt.Sprintf("%s has %s, all before where it was begun; --from earliest or --last 2h show those.", o.topic,
			count(int(there), "record"))
	}
	o.terminal.block(&said, 0, text)
	return said.String()
}

// show writes what is wanted of what is read, or sorts it first. Notices are for who sees a terminal; there are as many
// records as there says.
func (o *tailOptions) show(ctx context.Context, reader *kafka.Reader, w, notices io.Writer, there int64) error {
	out := bufio.NewWriter(w)
	line := o.lines()
	var sorted []cdr.Record
	var seen, written int64
	for {
		records, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			if written == 0 && len(sorted) == 0 && o.terminal.is && !o.json {
				fmt.Fprint(notices, o.nothing(there, seen))
			}
			return o.showSorted(out, sorted)
		}
		if err != nil {
			return err
		}
		for _, k := range records {
			seen++
			r, err := o.decode(k)
			if err == nil && !o.parked && !o.wanted(&r) {
				continue
			}
			if o.newest && err == nil {
				if sorted = append(sorted, r); len(sorted) >= 2*maxSorted {
					sorted = newestFirst(sorted)[:maxSorted]
				}
				continue
			}
			out.WriteString(line(k, &r, err))
			out.WriteByte('\n')
			if written++; written == o.count {
				return out.Flush()
			}
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write records: %w", err)
		}
	}
}

func (o *tailOptions) decode(k *kgo.Record) (cdr.Record, error) {
	if o.parked {
		return cdr.Record{}, nil
	}
	return avro.DecodeMessage(k.Value, kafka.Schema(k))
}

func (o *tailOptions) wanted(r *cdr.Record) bool { return o.when.covers(r) && o.filter.fits(r) }

func newestFirst(records []cdr.Record) []cdr.Record {
	slices.SortStableFunc(records, func(a, b cdr.Record) int { return cmp.Compare(b.StartTime, a.StartTime) })
	return records
}

func (o *tailOptions) showSorted(out *bufio.Writer, records []cdr.Record) error {
	line := o.lines()
	for i, r := range newestFirst(records) {
		if int64(i) == o.count && o.count > 0 || i == maxSorted {
			break
		}
		out.WriteString(line(nil, &r, nil))
		out.WriteByte('\n')
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	return nil
}

// lines makes what writes a record as one line, without its end. Rows have a header before the first.
func (o *tailOptions) lines() func(*kgo.Record, *cdr.Record, error) string {
	switch {
	case o.parked && o.json:
		return func(k *kgo.Record, _ *cdr.Record, _ error) string { return parkedJSON(k) }
	case o.parked:
		return func(k *kgo.Record, _ *cdr.Record, _ error) string { return parkedLine(k) }
	case o.json:
		return recordJSON
	}
	table := newCallTable(o.terminal, o.wide)
	begun := false
	return func(k *kgo.Record, r *cdr.Record, err error) string {
		if err != nil {
			return fmt.Sprintf("partition %d offset %d cannot be read: %s", k.Partition, k.Offset, printable(err.Error()))
		}
		head := ""
		if !begun {
			begun, head = true, table.header()+"\n"
		}
		return head + table.row(r)
	}
}

func recordJSON(k *kgo.Record, r *cdr.Record, err error) string {
	if err != nil {
		return toJSON(map[string]any{"partition": k.Partition, "offset": k.Offset, "unreadable": err.Error()})
	}
	return string(avro.JSON(nil, r))
}

// maxShown bounds how much of something parked is shown in a line.
const maxShown = 200

func parkedLine(k *kgo.Record) string {
	line := fmt.Sprintf("%s  %d:%d", k.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z"), k.Partition, k.Offset)
	for _, h := range k.Headers {
		line += " " + strings.TrimPrefix(h.Key, "januscdr-") + "=" + strconv.Quote(string(h.Value))
	}
	value := k.Value
	if len(value) > maxShown {
		value = value[:maxShown]
	}
	return printable(line + "  " + string(value))
}

func parkedJSON(k *kgo.Record) string {
	headers := map[string]string{}
	for _, h := range k.Headers {
		headers[h.Key] = string(h.Value)
	}
	return toJSON(map[string]any{"partition": k.Partition, "offset": k.Offset, "time": k.Timestamp.UnixMicro(),
		"key": string(k.Key), "headers": headers, "value": string(k.Value)})
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf(`{"unreadable":%q}`, err)
	}
	return string(b)
}

// printable is text without what could steer a terminal: names in records are chosen by callers.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(text, "?"))
}
