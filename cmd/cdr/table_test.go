package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
	"januscdr/kafka"
	"januscdr/kafka/inspect"
)

var update = flag.Bool("update", false, "write the golden files of screens anew")

// golden holds a screen to a file, and how wide it is.
func golden(t *testing.T, name, got string, columns int) {
	t.Helper()
	path := filepath.Join("testdata", "screens", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: go test ./cmd/cdr -update writes it", err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
	for line := range strings.Lines(regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(got, "")) {
		if n := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); n > columns {
			t.Errorf("%s: %d columns: %s", name, n, line)
		}
	}
}

// screens are the terminals that screens are kept for. What is dark or light is the terminal's: only the colours of
// its palette are named.
var screens = []struct {
	name    string
	environ []string
	columns int
}{
	{"80", []string{"COLUMNS=80"}, 80},
	{"120", []string{"COLUMNS=120"}, 120},
	{"200", []string{"COLUMNS=200"}, 200},
	{"colours", []string{"COLUMNS=120", "CLICOLOR_FORCE=1", "TERM=xterm"}, 120},
	{"no-color", []string{"COLUMNS=120", "CLICOLOR_FORCE=1", "NO_COLOR=1"}, 120},
	{"dumb", []string{"COLUMNS=80", "CLICOLOR_FORCE=1", "TERM=dumb"}, 80},
	{"pipe", nil, 1000}, // where nobody knows the width, nothing is cut
}

// recordsOfRecordings are the records of some recordings, as they are in each run.
func recordsOfRecordings(t *testing.T, names ...string) (all []cdr.Record) {
	t.Helper()
	for _, name := range names {
		fold, err := cdr.NewFold(cdr.DefaultPolicy(), cdr.Source{Topic: "janus.events", Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		lines := newEventLines(bytes.NewReader(bytes.Join(recordings.Events(name), []byte("\n"))), name, 1<<20, io.Discard)
		for {
			in, err := lines.next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			step, err := fold.Apply(in)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, step.Records...)
		}
		all = append(all, fold.Step().Records...)
		step, err := fold.Flush()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, step.Records...)
	}
	return all
}

func TestTheScreenOfTheDemoFitsEachTerminal(t *testing.T) {
	all := recordsOfRecordings(t, demoRecordings...)
	for _, s := range screens {
		var out bytes.Buffer
		screen := newScreen(&out, s.environ)
		screen.calls(all, 0)
		golden(t, "demo-"+s.name, out.String(), max(s.columns, 96)) // of prose, which a terminal may wrap
		table := newCallTable(screen.terminal, false)
		var rows strings.Builder
		fmt.Fprintln(&rows, table.header())
		for i := range all {
			fmt.Fprintln(&rows, table.row(&all[i]))
		}
		golden(t, "records-"+s.name, rows.String(), s.columns)
	}
}

// Names, rooms and reasons are as long as people make them; rows are as wide as the terminal all the same, and what
// decides is not what is cut: who ended a call and why, and what it carried.
func TestRowsFitTerminalsOfAllWidths(t *testing.T) {
	all := recordsOfRecordings(t, recordings.Names()...)
	long := all[0]
	long.CallingParty, long.CalledParty = strings.Repeat("李", 60), "sip:+4366012345678@a.very.long.name.of.a.host.example"
	long.RoomID, long.SessionID, long.Emitter = strings.Repeat("7", 40), "18446744073709551615", strings.Repeat("janus", 9)
	long.Diagnostics, long.DisconnectInitiator = "Service Unavailable because of maintenance", cdr.ByRemote
	all = append(all, long)
	for columns := leastColumns; columns <= 260; columns++ {
		table := newCallTable(terminal{columns: columns, known: true}, false)
		lines := []string{table.header()}
		for i := range all {
			lines = append(lines, table.row(&all[i]))
		}
		for _, line := range lines {
			if n := runewidth.StringWidth(line); n > columns {
				t.Fatalf("%d columns on a terminal of %d: %s", n, columns, line)
			}
		}
		if last := lines[len(lines)-1]; columns >= mediumColumns && !strings.Contains(last, "by remote: Service") {
			t.Fatalf("on a terminal of %d columns nobody ended this call: %s", columns, last)
		}
	}
	for _, all := range []*callTable{newCallTable(terminal{columns: wideColumns}, false),
		newCallTable(terminal{columns: 80, known: true}, true)} {
		if row := all.row(&long); !strings.Contains(row, long.RoomID) && !strings.Contains(row, "+4366012345678") {
			t.Errorf("what was to be whole is cut: %s", row)
		}
	}
}

func TestWhatALegCarriedIsToldInFewerWordsWhereThereIsLittleRoom(t *testing.T) {
	r := cdr.Record{Streams: []cdr.Stream{{Media: cdr.Audio, BytesReceived: 1_000, BytesSent: 2_000},
		{Media: cdr.Video, BytesReceived: 3_000}, {Media: cdr.Audio}}}
	for width, want := range map[int]string{22: "audio+video 4/2 kB", 12: "a+v 4/2 kB"} {
		if got := media(&r, width); got != want {
			t.Errorf("in %d columns: %q, want %q", width, got, want)
		}
	}
	r.Streams[0].BytesSent = 12_345_678_901
	if got := media(&r, 22); got != "a+v 0/12345 MB" && got != "audio+video 0/12345 MB" {
		t.Errorf("got %q", got)
	}
}

// A terminal is told what tail waits for; records that cannot be read are named among the rows.
func TestTheScreenOfTailFitsEachTerminal(t *testing.T) {
	all := recordsOfRecordings(t, "1.1-f_sip")
	for _, s := range screens {
		var out strings.Builder
		o := tailOptions{topic: "janus.cdr", terminal: terminalOf(&out, s.environ)}
		if s.environ != nil {
			out.WriteString(o.waits(len(all)))
		}
		line := o.lines()
		for i := range all {
			fmt.Fprintln(&out, line(nil, &all[i], nil))
		}
		fmt.Fprintln(&out, line(&kgo.Record{Partition: 3, Offset: 4711}, nil, errors.New("it is cut off")))
		golden(t, "tail-"+s.name, out.String(), s.columns)
	}
}

// What the demo says before and after: on a terminal its calls come as they end, above a line that moves.
func TestTheWordsOfTheDemoFitEachTerminal(t *testing.T) {
	all := recordsOfRecordings(t, "1.1-f_sip")
	const address, events = "http://127.0.0.1:8091", "http://127.0.0.1:8090/events"
	for _, s := range screens {
		var out bytes.Buffer
		screen := newScreen(&out, s.environ)
		screen.program, screen.is = "cdr", s.environ != nil
		o := demoOptions{dir: demoDir, broker: demoBroker, ingest: demoIngest, admin: demoAdmin, recordings: demoRecordings}
		screen.begin(o, "127.0.0.1:9092", events, address, 0)
		screen.playing(1, 2, "1.1-f_sip", 1, 3)
		for i := range all {
			if all[i].RecordType == cdr.Leg && all[i].Chargeable {
				screen.callEnded(&all[i])
			}
		}
		screen.played("1.1-f_sip", 60, 210)
		screen.waiting()
		screen.calls(all, 0)
		screen.end(o, events, address, "5133196797721488")
		screen.bye(o)
		said := regexp.MustCompile(`"timestamp":\d+`).ReplaceAllString(out.String(), `"timestamp":1764000000000000`)
		golden(t, "demo-words-"+s.name, strings.ReplaceAll(said, "\r", "<cr>"), 1000) // commands are not broken
	}
}

// What the screens of check and topics are about: something of each verdict, and names that are long.
var (
	shownFindings = []inspect.Finding{
		{Promise: inspect.PromiseKept, Subject: "topic janus.events", Verdict: inspect.Weak,
			Reason: "topic janus.events has 1 copy of each partition: the loss of one disk loses what was acknowledged",
			Remedy: "give it three copies: `kafka-reassign-partitions --bootstrap-server kafka-1:9092 " +
				"--reassignment-json-file three.json --execute`, then set min.insync.replicas to 2"},
		{Promise: inspect.PromiseKept, Subject: "topic janus.dlq", Verdict: inspect.OK, Reason: "has 3 copies"},
		{Promise: inspect.PromiseState, Subject: "topic janus.cdr.state", Verdict: inspect.Broken,
			Reason: "topic janus.cdr.state has cleanup.policy=delete, which deletes states of open sessions by age, so that a " +
				"call that lasts longer is billed from its middle",
			Remedy: "mend it with `kafka-configs --bootstrap-server kafka-1:9092 --alter --entity-type topics --entity-name " +
				"janus.cdr.state --add-config cleanup.policy=compact`"},
		{Promise: inspect.PromiseTime, Subject: "topic janus.events", Verdict: inspect.OK,
			Reason: "message.timestamp.type is LogAppendTime"},
	}
	shownTopics = kafka.Topics{Events: "production.janus.events", CDR: "production.janus.cdr",
		State: "production.janus.cdr.state", DLQ: "production.janus.dlq"}
)

func TestTheScreensOfCheckAndTopicsFitEachTerminal(t *testing.T) {
	for _, s := range screens {
		var check, topics bytes.Buffer
		shown := terminalOf(&check, s.environ)
		if err := showFindings(&check, shown, shownFindings); err != nil {
			t.Fatal(err)
		}
		err := showTopics(&topics, shown, []string{shownTopics.Events, shownTopics.State}, shownTopics, true)
		if err != nil {
			t.Fatal(err)
		}
		const whole = 1000 // where nobody knows the width, lines are for other programs; and commands are not broken
		golden(t, "check-"+s.name, check.String(), whole)
		golden(t, "topics-"+s.name, topics.String(), s.columns)
		for line := range strings.Lines(regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(check.String(), "")) {
			if n := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); n > s.columns && shown.known &&
				!strings.HasPrefix(strings.TrimSpace(line), "`") {
				t.Errorf("check-%s: %d columns: %s", s.name, n, line)
			}
		}
	}
}

func TestOnlyWhatWasAnsweredIsGreen(t *testing.T) {
	for i, word := range cdr.Dispositions {
		colour := outcomeColour(&cdr.Record{RecordType: cdr.Leg, Disposition: cdr.Disposition(i)})
		if (colour == green) != (word == "ANSWERED") {
			t.Errorf("%s is painted %q", word, colour)
		}
	}
}

func TestALengthIsReadAsPeopleSayIt(t *testing.T) {
	for micros, want := range map[int64]string{0: "0.0 s", 8_025_442: "8.0 s", 61_000_000: "1:01",
		3_725_400_000: "1:02:05"} {
		r := cdr.Record{RecordType: cdr.Leg, AnswerTime: 1, Duration: micros, Confidence: cdr.Exact}
		if got := duration(&r); got != want {
			t.Errorf("%d us are %q, want %q", micros, got, want)
		}
		r.Confidence = cdr.Estimated
		if got := duration(&r); got != "~"+want {
			t.Errorf("%d us, estimated, are %q", micros, got)
		}
	}
}
