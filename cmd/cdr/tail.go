package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	"januscdr/janus"
	"januscdr/kafka"
)

func newTail(environ []string) *cobra.Command {
	var from string
	var asJSON, parked, once bool
	var count int64
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Watch the records as they come",
		Long: `Watches the records on janus.cdr as they are committed, one line each, until Ctrl-C. It belongs to no
consumer group and changes nothing. With --dlq it shows what was put aside because it could not be
understood, and why.`,
		Example: `  cdr tail
  cdr tail --from earliest --once --json | jq -c 'select(.disposition == "BUSY")'
  cdr tail --dlq --from earliest`,
		Args: cobra.NoArgs,
	}
	flags := config.Bind(cmd.Flags(), "kafka", "topics.cdr", "topics.dlq", "log")
	cmd.Flags().StringVar(&from, "from", "latest", "where to begin: earliest, latest or an `offset`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "all fields, one JSON object a line")
	cmd.Flags().BoolVar(&parked, "dlq", false, "what could not be understood, instead of the records")
	cmd.Flags().BoolVar(&once, "once", false, "end where the topic ends now")
	cmd.Flags().Int64Var(&count, "count", 0, "end after so many lines; 0: never")
	wait := patient(cmd)
	cmd.RunE = wait.run(func(cmd *cobra.Command, _ []string) error {
		begin, err := parseFrom(from, "earliest", "latest")
		if err != nil {
			return err
		}
		if count < 0 {
			return cli.Misused("--count: %d lines are not possible; write 0 for no end", count)
		}
		c, err := wiring.Load(flags, environ)
		if err != nil {
			return err
		}
		topic, line := c.Topics.CDR, recordLine
		switch {
		case parked && asJSON:
			topic, line = c.Topics.DLQ, parkedJSON
		case parked:
			topic, line = c.Topics.DLQ, parkedLine
		case asJSON:
			line = recordJSON
		}
		log := wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ)
		o, err := wait.kafka(cmd, c, log)
		if err != nil {
			return err
		}
		err = tail(cmd.Context(), o, log, topic, begin, once, count, line, cmd.OutOrStdout())
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

func tail(ctx context.Context, o kafka.Options, log hclog.Logger, topic string, begin int64, once bool, count int64,
	line lineFunc, w io.Writer) error {
	client, err := wiring.Connect(ctx, o, log)
	if err != nil {
		return err
	}
	ranges, err := kafka.CommittedRanges(ctx, client, topic)
	client.Close()
	if err != nil {
		return err
	}
	for p, r := range ranges {
		switch begin {
		case earliest:
		case latest:
			r.From = r.To
		default:
			r.From = min(max(begin, r.From), r.To)
		}
		if !once {
			r.To = -1
		}
		ranges[p] = r
	}
	reader, err := kafka.NewReader(o, topic, ranges)
	if err != nil {
		return err
	}
	defer reader.Close()
	log.Debug("watching", "topic", topic, "partitions", len(ranges))
	out := bufio.NewWriter(w)
	var written int64
	for {
		records, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, r := range records {
			out.WriteString(line(r))
			out.WriteByte('\n')
			if written++; written == count {
				return out.Flush()
			}
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write records: %w", err)
		}
	}
}

// lineFunc is a record as one line, without its end.
type lineFunc func(*kgo.Record) string

func recordJSON(k *kgo.Record) string {
	r, err := avro.DecodeMessage(k.Value, kafka.Schema(k))
	if err != nil {
		return toJSON(map[string]any{"partition": k.Partition, "offset": k.Offset, "unreadable": err.Error()})
	}
	return string(avro.JSON(nil, &r))
}

// recordLine is what one wants to know of a record at a glance.
func recordLine(k *kgo.Record) string {
	r, err := avro.DecodeMessage(k.Value, kafka.Schema(k))
	if err != nil {
		return fmt.Sprintf("partition %d offset %d cannot be read: %s", k.Partition, k.Offset, printable(err.Error()))
	}
	what, who := r.LegKind.String(), r.SessionID+"/"+r.HandleID
	if r.RecordType == cdr.SessionSummary {
		what, who = "SESSION", fmt.Sprintf("%s (%d legs)", r.SessionID, r.LegCount)
	}
	end := r.EndTime
	if end == 0 { // a partial record
		end = r.RecordClosureTime
	}
	line := fmt.Sprintf("%s  %-15s  %-15s %10s  %-26s  %s %s", moment(end), what, r.Disposition,
		span(r.Duration), r.CauseForRecordClosing, r.Emitter, who)
	for _, more := range []struct{ name, value string }{
		{"plugin", strings.TrimPrefix(r.Plugin, "janus.plugin.")}, {"from", r.CallingParty}, {"to", r.CalledParty},
		{"room", r.RoomID}, {"name", r.DisplayName}, {"opaque", r.OpaqueID},
	} {
		if more.value != "" {
			line += " " + more.name + "=" + more.value
		}
	}
	return printable(line)
}

func moment(at janus.Micros) string {
	return time.UnixMicro(int64(at)).UTC().Format("2006-01-02T15:04:05.000Z")
}

func span(micros int64) string {
	return (time.Duration(micros) * time.Microsecond).Round(time.Millisecond).String()
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
