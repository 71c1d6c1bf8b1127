package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"januscdr/cdr"
	"januscdr/config"
	"januscdr/explain"
	"januscdr/internal/cli"
	"januscdr/internal/wiring"
	"januscdr/kafka"
)

// explainOptions are the flags of `cdr explain`.
type explainOptions struct {
	filter  recordFilter
	query   explain.Query // that the filter and the arguments make
	html    string
	json    bool
	from    string
	noFlush bool
	when    timeSpan
}

func newExplain(environ []string) *cobra.Command {
	o := explainOptions{}
	cmd := &cobra.Command{
		Use:   "explain [SESSION] [FILE]",
		Short: "Tell what happened in one session or call, and why its records say so",
		Long: `Tells the story of one session: its events in plain words, what was concluded at each and why, the
records that came of it, how sure they are, and what is worth noticing. SESSION is a session id, or the
first digits of a record_id, cdr_id or session_uid; of a record_id or cdr_id, its call is told.

--call-id, --opaque-id, --party, --room, --plugin, --outcome and --emitter find it, too: all that are
given must hold for one leg. Where several sessions fit, they are listed, newest first. With --call-id,
--party or --outcome the calls that fit are told, and not the others of their session.

--room alone, or with --emitter and --plugin, tells the story of the room: who was in when, on one axis of
time, with each one's legs.

FILE has one event per line, plain or gzip, as for "cdr assemble"; - is standard input. With one of these
flags a lone argument is the FILE (--session names the session then). Without FILE the
events come from Kafka: the partition of the session is read from --from to its end and folded again,
in no consumer group, and nothing is changed. --since, --until and --last bound what is read, by when it
came to Kafka: what is looked for by a room is found sooner. The policy must be the one that the processors have.

Secrets in events are not shown: no SDP, no tokens, of a SIP message its first line only.`,
		Example: `  cdr explain 5133196797721488 events.jsonl
  cdr explain 6fa9306f71a8 --html call.html
  cdr explain --opaque-id sip-acct-77 events.jsonl.gz
  cdr explain --party alice --outcome busy --last 2h
  cdr explain --room 1234 --plugin videoroom --last 2h --html room.html
  cdr explain --call-id 46a3ba0d-5fe5-1240-a69e-4a2e6a0871bc --json`,
		Args: cobra.MaximumNArgs(2),
	}
	flags := config.Bind(cmd.Flags(), "kafka", "topics.events", "policy", "ingest.event_limit", "log")
	f := cmd.Flags()
	o.filter.bind(cmd)
	f.StringVar(&o.html, "html", "", "write a page to this `file` instead of text; - is standard output")
	f.BoolVar(&o.json, "json", false, "write JSON instead of text")
	f.StringVar(&o.from, "from", "earliest", "where to begin on Kafka: earliest or an `offset`")
	f.BoolVar(&o.noFlush, "no-flush", false, "leave open what is open at the end of the file")
	cmd.MarkFlagsMutuallyExclusive("html", "json")
	o.when.bind(cmd)
	wait := patient(cmd)
	cmd.RunE = wait.run(func(cmd *cobra.Command, args []string) error {
		args, err := o.meant(args)
		if err := errors.Join(err, o.when.parse(time.Now())); err != nil {
			return &cli.UsageError{Err: err}
		}
		if len(args) > 1 {
			return cli.Misused("name a session once, and one file at most")
		}
		begin, err := parseFrom(o.from, "earliest")
		if err != nil {
			return err
		}
		c, p, err := withPolicy(flags, environ)
		if err != nil {
			return err
		}
		var story *told
		if len(args) == 1 && o.when.given() {
			return cli.Misused("--since, --until and --last are times of Kafka: a file has none")
		}
		if len(args) == 1 {
			story, err = o.ofFile(cmd, args[0],
				explain.Options{Policy: p, Source: cdr.Source{Topic: c.Topics.Events, Whole: true}, Ends: !o.noFlush},
				int(c.Ingest.EventLimit))
		} else {
			if begin >= 0 && o.query.Session() == 0 {
				return cli.Misused("--from: an offset belongs to one partition; name the session by its id")
			}
			var k kafka.Options
			if k, err = wait.kafka(cmd, c, wiring.Logger(cmd.ErrOrStderr(), "cdr", c, environ)); err != nil {
				return err
			}
			story, err = o.ofKafka(cmd.Context(), k, p, c.Topics.Events, begin)
		}
		if err != nil {
			return err
		}
		return o.write(cmd.OutOrStdout(), cmd.ErrOrStderr(), story, environ)
	})
	return cmd
}

// meant makes the query of the flags and the arguments, and returns the arguments that are left. With a flag that says
// what is looked for, a lone argument is the file.
func (o *explainOptions) meant(args []string) ([]string, error) {
	err := o.filter.check()
	f := &o.filter
	o.query = explain.Query{ID: f.session, Emitter: f.emitter, OpaqueID: f.opaque, CallID: f.call, Room: f.room,
		Plugin: f.plugin, Party: f.party, Outcome: f.outcome}
	if o.query.ID == "" && (len(args) == 2 || len(args) == 1 && o.query == (explain.Query{Emitter: f.emitter})) {
		o.query.ID, args = args[0], args[1:]
	}
	o.query.ID = strings.ToLower(o.query.ID)
	return args, errors.Join(err, o.query.Check())
}

// ofFile makes the story of a session in a file.
func (o *explainOptions) ofFile(cmd *cobra.Command, path string, options explain.Options,
	limit int) (*told, error) {
	file := &eventFile{path: path, limit: limit, complain: cmd.ErrOrStderr(),
		open: func(ctx context.Context) (io.ReadCloser, string, error) {
			return openInput(ctx, path, cmd.InOrStdin())
		}}
	if path == "-" { // it is read twice, so it is kept
		kept, err := keepInput(cmd.Context(), cmd.InOrStdin())
		if err != nil {
			return nil, err
		}
		defer os.Remove(kept)
		file.open = func(ctx context.Context) (io.ReadCloser, string, error) {
			in, _, err := openInput(ctx, kept, nil)
			return in, "standard input", err
		}
	}
	options.Name = path
	if path == "-" {
		options.Name = "standard input"
	}
	survey, err := explain.Find(cmd.Context(), options, file.inputs, o.query)
	if err != nil {
		return nil, err
	}
	file.complain = io.Discard // once is enough
	if o.query.OfRoom() && len(survey.Found) > 0 {
		return toldRoom(explain.TellRoom(cmd.Context(), o.query, survey.Found,
			func(int32) (explain.Options, explain.Inputs) { return options, file.inputs }))
	}
	found, err := survey.One()
	if err != nil {
		return nil, err
	}
	return toldSession(explain.TellOf(cmd.Context(), options, file.inputs, found, o.query))
}

// told is a story as it can be written.
type told struct {
	of         string // what it is the story of
	text       func(columns int, colours bool) []byte
	json, page func() ([]byte, error)
}

func toldSession(s *explain.Story, err error) (*told, error) {
	if err != nil {
		return nil, err
	}
	text := func(columns int, colours bool) []byte { return explain.Text(s, columns, colours) }
	return &told{"session " + s.Session, text,
		func() ([]byte, error) { return explain.JSON(s) }, func() ([]byte, error) { return explain.Page(s) }}, nil
}

func toldRoom(s *explain.RoomStory, err error) (*told, error) {
	if err != nil {
		return nil, err
	}
	text := func(columns int, colours bool) []byte { return explain.RoomText(s, columns, colours) }
	return &told{"room " + s.Room, text,
		func() ([]byte, error) { return explain.RoomJSON(s) }, func() ([]byte, error) { return explain.RoomPage(s) }}, nil
}

// keepInput copies an input into a file that is removed by the caller.
func keepInput(ctx context.Context, in io.Reader) (path string, err error) {
	file, err := os.CreateTemp("", "cdr-explain-")
	if err != nil {
		return "", fmt.Errorf("keep standard input: %w", err)
	}
	_, err = io.Copy(file, &interruptible{ctx: ctx, in: in})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("keep standard input: %w", err), os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// eventFile is a file of events, which can be read again.
type eventFile struct {
	path     string
	limit    int // bytes of a line
	complain io.Writer
	open     func(context.Context) (io.ReadCloser, string, error)
}

// inputs are the lines of the file, as `cdr assemble` takes them: what is no event is named and left out.
func (f *eventFile) inputs(ctx context.Context, apply func(cdr.Input) error) error {
	in, name, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	lines := newEventLines(in, name, f.limit, f.complain)
	for {
		event, err := lines.next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := apply(event); err != nil {
			return err
		}
	}
}

// write writes the story as it was asked for.
func (o *explainOptions) write(out, stderr io.Writer, s *told, environ []string) error {
	var b []byte
	var err error
	switch {
	case o.html != "":
		if b, err = s.page(); err != nil {
			return err
		}
		if o.html == "-" {
			break
		}
		// It names people: others on this machine need not read it.
		if err := os.WriteFile(o.html, b, 0o600); err != nil {
			return fmt.Errorf("write page: %w", err)
		}
		fmt.Fprintf(stderr, "cdr: the story of %s is in %s\n", s.of, o.html)
		return nil
	case o.json:
		if b, err = s.json(); err != nil {
			return err
		}
	default:
		t := terminalOf(out, environ)
		b = s.text(t.columns, t.colours)
	}
	if _, err := out.Write(b); err != nil {
		return fmt.Errorf("write story: %w", err)
	}
	return nil
}
