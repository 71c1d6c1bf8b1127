package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/internal/cli"
	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
	"januscdr/kafka"
)

// A log whose first half is two hours old: with a time or an offset what is before is not read at all.
func TestTheLogIsReadFromWhereItIsTold(t *testing.T) {
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	events := recordings.Events("1.1-f_sip")
	partition := kafka.PartitionOf([]byte(sipSession), 2)
	var parser janus.Parser
	var inputs, ofSession [2]int // of each half, and of those in the partition of the session
	for i, value := range events {
		e, err := parser.Parse(value)
		if err != nil {
			t.Fatal(err)
		}
		half, key := i*2/len(events), []byte(e.Session.String())
		inputs[half]++
		if kafka.PartitionOf(key, 2) == partition {
			ofSession[half]++
		}
		s.produce(&kgo.Record{Topic: "janus.events", Key: key, Value: value,
			Timestamp: s.began.Add(time.Duration(half-1) * 2 * time.Hour)})
	}
	begins := func(offset int) string {
		return fmt.Sprintf("The story begins at offset %d of the log", offset)
	}
	hourAgo := s.began.Add(-time.Hour).UTC().Format(time.RFC3339)
	all := inputs[0] + inputs[1]
	for _, scene := range []struct{ line, want string }{
		{"explain " + sipSession + " --last 1h", begins(ofSession[0])},
		{"explain " + sipSession + " --since " + hourAgo, begins(ofSession[0])},
		{"explain " + sipSession + " --from 7", begins(7)},
		{"explain --opaque-id sip-acct-77 --until " + hourAgo, "the session is open where the log ends"},
		{"replay --last 1h", fmt.Sprintf("inputs=%d ", inputs[1])},
		{"replay --since " + hourAgo, fmt.Sprintf("inputs=%d ", inputs[1])},
		{"replay --until " + hourAgo, fmt.Sprintf("inputs=%d ", inputs[0])},
		{fmt.Sprintf("replay --partition %d --from 7", partition),
			fmt.Sprintf("inputs=%d ", ofSession[0]+ofSession[1]-7)},
		{"replay", fmt.Sprintf("inputs=%d ", all)},
	} {
		got := s.says(strings.Fields(scene.line)...)
		if said := got.out + got.err; got.code != cli.OK || !strings.Contains(said, scene.want) {
			t.Errorf("cdr %s: no %q in %d %s", scene.line, scene.want, got.code, said)
		}
	}
	if got := s.says("explain", sipSession); strings.Contains(got.out, "The story begins at offset") {
		t.Errorf("all of the log, and it begins somewhere: %s", got.out)
	}
}

// What is no record is always told, so it shows what was read.
func TestRecordsAreReadFromWhereItIsTold(t *testing.T) {
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	at := janus.Micros(s.began.Add(-10 * time.Minute).UnixMicro())
	value, err := avro.Encode(&cdr.Record{RecordType: cdr.Leg, SessionID: "7", StartTime: at, EndTime: at})
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range [][]byte{[]byte("no record"), value} {
		s.produce(&kgo.Record{Topic: "janus.cdr", Key: []byte("7"), Value: value,
			Timestamp: s.began.Add(time.Duration(i-1) * 2 * time.Hour)})
	}
	for args, want := range map[string][2]int{ // records, and what is none
		"--from earliest":              {1, 1},
		"--last 1h":                    {1, 0},
		"--last 1h --newest-first":     {1, 0},
		"--last 1m":                    {0, 0},
		"--since 2999-01-01":           {0, 0},
		"--from 2":                     {0, 0},
		"--from 4711":                  {0, 0},
		"--until 2020-01-01":           {0, 1},
		"--from earliest --emitter no": {0, 1},
	} {
		got := s.says(append([]string{"tail", "--once", "--json"}, strings.Fields(args)...)...)
		records, others := strings.Count(got.out, `"record_type"`), strings.Count(got.out, `"unreadable"`)
		if got.code != cli.OK || [2]int{records, others} != want {
			t.Errorf("tail %s: %d records and %d others, want %v: %+v", args, records, others, want, got)
		}
	}
	one := strings.Count(s.says("tail", "--once", "--json", "--from", "1").out, "\n")
	if one != 1 {
		t.Errorf("of two messages %d are behind offset 1", one)
	}
}

// Whatever a person or cron starts ends by itself when Kafka is away: after ten seconds, if nobody says otherwise.
func TestWhatIsNoServiceWaitsTenSecondsForKafka(t *testing.T) {
	services := map[string]bool{"cdr run": true}
	seen := 0
	for _, cmd := range commands(newRoot(nil)) {
		path := cmd.CommandPath()
		if cmd.Flags().Lookup("kafka-brokers") == nil || services[path] || strings.HasPrefix(path, "cdr config") {
			continue
		}
		seen++
		if f := cmd.Flags().Lookup("wait"); f == nil || f.DefValue != "10s" {
			t.Errorf("%s waits for as long as it takes: %+v", path, f)
		}
	}
	if seen < 8 {
		t.Errorf("only %d commands", seen)
	}
	if defaultWait != 10*time.Second {
		t.Errorf("it is %v", defaultWait)
	}
}

func TestMoreCopiesThanBrokersAreToldWithTheSettingThatMendsIt(t *testing.T) {
	s := newSite(t)
	got := s.says("topics", "create", "--topics-replication", "3")
	if got.code != cli.Failed || strings.Count(got.err, "\n") != 1 ||
		!strings.Contains(got.err, "set topics.replication to 1") {
		t.Errorf("%+v", got)
	}
}
