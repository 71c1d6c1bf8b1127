package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/explain"
	"januscdr/internal/cli"
	"januscdr/internal/fixtures/recordings"
	"januscdr/kafka"
)

// The session of the recording of SIP calls.
const sipSession = "5133196797721488"

func TestAStoryIsToldFromAFileFromAPipeAndPacked(t *testing.T) {
	t.Chdir(t.TempDir())
	events := file(t, "1.1-f_sip")
	if err := os.WriteFile("events.jsonl", []byte(events), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile := says(t, "", "explain", sipSession, "events.jsonl")
	if fromFile.code != cli.OK || fromFile.err != "" ||
		!strings.Contains(fromFile.out, "alice called sip:bob@127.0.0.1:5070") || strings.Contains(fromFile.out, "\x1b") {
		t.Fatalf("%+v", fromFile)
	}
	fromPipe := says(t, events, "explain", "--opaque-id", "sip-acct-77", "-")
	if got := strings.Replace(fromPipe.out, "standard input", "events.jsonl", 1); fromPipe.code != cli.OK ||
		got != fromFile.out {
		t.Errorf("another story from a pipe: %+v", fromPipe)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(events)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("events.jsonl.gz", packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	fromPacked := says(t, "", "explain", sipSession, "events.jsonl.gz")
	if got := strings.Replace(fromPacked.out, "events.jsonl.gz", "events.jsonl", 1); got != fromFile.out {
		t.Errorf("another story of the packed file: %+v", fromPacked)
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), "cdr-explain-") {
			t.Errorf("%s is left behind", e.Name())
		}
	}
}

func TestTheRecordsOfAStoryAreThoseOfAssemble(t *testing.T) {
	events := file(t, "1.1-f_sip")
	assembled := says(t, events, "assemble", "-")
	told := says(t, events, "explain", sipSession, "-", "--json")
	var story explain.Story
	if err := json.Unmarshal([]byte(told.out), &story); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(assembled.out, "\n"); len(story.Records) != lines || lines == 0 {
		t.Fatalf("%d records are told, %d are assembled", len(story.Records), lines)
	}
	for _, a := range story.Records {
		if !strings.Contains(assembled.out, `"record_id":"`+a.RecordID+`"`) {
			t.Errorf("nobody assembles %s", a.RecordID)
		}
	}
}

// A file ends where it was cut off, or the log goes on: who explains it knows.
func TestWhatIsOpenAtTheEndOfAFileMayStayOpen(t *testing.T) {
	events := file(t, "1.1-f_sip")
	half := strings.Join(strings.SplitAfter(events, "\n")[:40], "")
	ended, open := says(t, half, "explain", sipSession, "-"), says(t, half, "explain", sipSession, "-", "--no-flush")
	const still = "The session is open where the log ends: records may still come."
	if strings.Contains(ended.out, still) || !strings.Contains(open.out, still) {
		t.Errorf("ended:\n%s\nopen:\n%s", ended.out, open.out)
	}
}

func TestOneOfSeveralServersIsNamed(t *testing.T) {
	events := file(t, "1.1-f_sip")
	both := events + strings.ReplaceAll(events, "janus-par-01", "janus-lon-02")
	if got := says(t, both, "explain", sipSession, "-"); got.code != cli.Failed ||
		!strings.Contains(got.err, "2 sessions fit id "+sipSession+"; name one by its id and --emitter, newest first:") {
		t.Errorf("%+v", got)
	}
	got := says(t, both, "explain", sipSession, "-", "--emitter", "janus-lon-02")
	if got.code != cli.OK || !strings.HasPrefix(got.out, "Session "+sipSession+" on janus-lon-02\n") {
		t.Errorf("%+v", got)
	}
}

// Whoever mistypes a session is told which there is; whoever mistypes it wholly is told how many there are.
func TestASessionThatIsNotThereIsAMistakeThatSaysWhatIs(t *testing.T) {
	events := file(t, "1.1-f_sip")
	for typed, want := range map[string]string{
		sipSession[:15]: "; did you mean " + sipSession + "?\n",
		"deadbeef":      "cdr: no session fits id deadbeef among 1 session in 149 events\n",
	} {
		if got := says(t, events, "explain", typed, "-"); got.code != cli.Failed || !strings.HasSuffix(got.err, want) ||
			got.out != "" {
			t.Errorf("%s: %+v", typed, got)
		}
	}
}

func TestAPageIsWrittenForOneReader(t *testing.T) {
	t.Chdir(t.TempDir())
	got := says(t, file(t, "1.1-f_sip"), "explain", sipSession, "-", "--html", "call.html")
	if got.code != cli.OK || got.out != "" || got.err != "cdr: the story of session "+sipSession+" is in call.html\n" {
		t.Errorf("%+v", got)
	}
	info, err := os.Stat("call.html")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(err, info)
	}
	page, err := os.ReadFile("call.html")
	if err != nil || !strings.HasPrefix(string(page), "<!doctype html>") {
		t.Errorf("%v %.100s", err, page)
	}
	if got := says(t, file(t, "1.1-f_sip"), "explain", sipSession, "-", "--html",
		"-"); got.out != strings.ReplaceAll(string(page), "call.html", "-") || got.err != "" {
		t.Errorf("another page on standard output, %s", got.err)
	}
	if got := says(t, file(t, "1.1-f_sip"), "explain", sipSession, "-", "--html",
		"no/such/folder.html"); got.code != cli.Failed || !strings.HasPrefix(got.err, "cdr: write page: ") {
		t.Errorf("%+v", got)
	}
}

func TestWhoAsksForNothingOrForTooMuchIsTold(t *testing.T) {
	for line, want := range map[string]string{
		"explain":                         "say which session",
		"explain abc -":                   "at least 6 digits",
		"explain --room 1 1 b c":          "takes other arguments",
		"explain --session 1 a b":         "one file at most",
		"explain 1 --room 1":              "", // 1 is the file
		"explain 1 - --html x --json":     "none of the others can be",
		"explain abcdef --from 17":        "an offset belongs to one partition",
		"explain 1 --from yesterday":      "no place to begin at",
		"explain 1 absent.jsonl":          "open absent.jsonl",
		"explain 12345678 -":              "there are no events",
		"explain 1 - --policy-grace soon": "grace",
	} {
		got := says(t, "", strings.Fields(line)...)
		if got.code == cli.OK || !strings.Contains(got.err, want) || got.out != "" {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestWhatIsNoEventIsNamedOnceByExplain(t *testing.T) {
	got := says(t, "nonsense\n"+file(t, "1.1-f_sip"), "explain", sipSession, "-")
	if got.code != cli.OK || strings.Count(got.err, "\n") != 1 || !strings.HasPrefix(got.err, "cdr: standard input:1: ") {
		t.Errorf("code %d, %s", got.code, got.err)
	}
	if !strings.Contains(got.out, "offsets 4 to 147 of") {
		t.Errorf("the broken line does not count as a line:\n%.400s", got.out)
	}
}

func TestAStoryIsToldFromThePartitionOfTheSession(t *testing.T) {
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatal(got)
	}
	s.happens("1.1-f_sip")
	s.happens("1.1-a_echotest")
	if got := s.says("explain", sipSession); got.code != cli.OK ||
		!strings.Contains(got.out, "SIP call 1 since 00:28:13.668, answered at 00:28:15.173, until 00:28:23.199; its") {
		t.Errorf("before the grace is over: %+v", got)
	}
	s.produce(&kgo.Record{Topic: "janus.events", Key: []byte(sipSession), Timestamp: s.began.Add(time.Minute),
		Headers: []kgo.RecordHeader{{Key: kafka.HeaderKind, Value: []byte(kafka.KindTick)}}})
	fold := s.says("explain", sipSession)
	if fold.code != cli.OK || !strings.Contains(fold.out, "alice called sip:bob@127.0.0.1:5070") ||
		!strings.Contains(fold.out, "janus.events, partition ") {
		t.Fatalf("%+v", fold)
	}
	for _, args := range [][]string{{"--opaque-id", "sip-acct-77"}, {sipSession, "--from", "0"}} {
		if got := s.says(append([]string{"explain"}, args...)...); got != fold {
			t.Errorf("%v: another story: %+v", args, got)
		}
	}
	if got := s.says("explain", sipSession[:15]); got.code != cli.Failed ||
		!strings.Contains(got.err, "did you mean "+sipSession+"?") {
		t.Errorf("%+v", got)
	}
	// A record of an unknown session, on a log that goes on.
	events := recordings.Events("1.1-f_sip")
	s.produce(&kgo.Record{Topic: "janus.events", Key: []byte("4711"),
		Value: []byte(strings.ReplaceAll(string(events[3]), sipSession, "4711"))})
	if got := s.says("explain", "4711"); got.code != cli.OK ||
		!strings.Contains(got.out, "the session is open where the log ends") {
		t.Errorf("%+v", got)
	}
	// Nothing was written, and no group was made.
	if got := s.says("tail", "--from", "earliest", "--once"); got.out != "" {
		t.Errorf("records: %s", got.out)
	}
}

func TestTheFlagsOfExplainAreThoseOfTail(t *testing.T) {
	events := file(t, "1.1-f_sip")
	busy := says(t, events, "explain", "--outcome", "busy", "--party", "dave", "-")
	if busy.code != cli.OK || !strings.Contains(busy.out, "sip:dave@127.0.0.1:5072 was busy") ||
		!strings.Contains(busy.out, "Left out: 12 other legs") || strings.Contains(busy.out, "carol") {
		t.Errorf("%+v", busy)
	}
	for _, args := range [][]string{{"--session", sipSession, "--outcome", "busy", "-"},
		{sipSession, "-", "--outcome", "busy"}, {"--plugin", "sip", "--emitter", "janus-par-01", "--outcome", "BUSY", "-"}} {
		if got := says(t, events, append([]string{"explain"}, args...)...); got != busy {
			t.Errorf("%q: another story: %+v", args, got)
		}
	}
	if got := says(t, events, "explain", "--outcome", "buzy", "-"); got.code != cli.Usage ||
		!strings.Contains(got.err, "did you mean busy?") {
		t.Errorf("%+v", got)
	}
	if got := says(t, events, "explain", "--outcome", "missed", "-"); got.code != cli.Failed ||
		!strings.Contains(got.err, `no session fits outcome "MISSED"`) {
		t.Errorf("%+v", got)
	}
}

// The people of a room lie in as many partitions as they have sessions.
func TestARoomIsToldFromAllItsPartitionsAsFromAFile(t *testing.T) {
	t.Chdir(t.TempDir())
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatal(got)
	}
	s.happens("1.1-c_videoroom")
	fromKafka := s.says("explain", "--room", "7001")
	fromFile := says(t, file(t, "1.1-c_videoroom"), "explain", "--room", "7001", "--plugin", "videoroom", "-",
		"--no-flush")
	for _, got := range []said{fromKafka, fromFile} {
		for _, want := range []string{"Room 7001 of VideoRoom on janus-par-01\n", ": 3 people in ", "Who was in when", "Zoë",
			"comes; 3 in"} {
			if got.code != cli.OK || !strings.Contains(got.out, want) {
				t.Errorf("no %q in %+v", want, got)
			}
		}
	}
	if !strings.Contains(fromKafka.out, "\nfrom janus.events\n") {
		t.Errorf("%s", fromKafka.out)
	}
	if got := s.says("explain", "--room", "7001", "--html", "room.html"); got.code != cli.OK ||
		got.err != "cdr: the story of room 7001 is in room.html\n" {
		t.Errorf("%+v", got)
	}
	if got := s.says("explain", "--room", "7002"); got.code != cli.Failed ||
		!strings.Contains(got.err, `no session fits room "7002"`) {
		t.Errorf("%+v", got)
	}
	if got := s.says("explain", "--room", "7001", "--party", "zoë"); got.code != cli.OK ||
		!strings.HasPrefix(got.out, "Session ") {
		t.Errorf("with a party it is the session: %+v", got)
	}
}
