package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/internal/cli"
)

func TestACheckGivesAVerdictPerPromiseAndAnExitCode(t *testing.T) {
	s := newSite(t)
	if got := s.says("check"); got.code != cli.Failed || got.err != "" ||
		!strings.HasPrefix(got.out, "BROKEN  nothing acknowledged is lost\n") ||
		strings.Count(got.out, "-> create it with `cdr topics create`") != 4 {
		t.Fatalf("without topics: %+v", got)
	}
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	// One broker is weak, and no reason to fail unless one is asked for.
	got := s.says("check")
	if got.code != cli.OK || !strings.Contains(got.out, "WEAK    nothing acknowledged is lost\n") ||
		!strings.Contains(got.out, "has 1 copy of each partition") || strings.Contains(got.out, "BROKEN") {
		t.Errorf("with topics: %+v", got)
	}
	if got := s.says("check", "--strict"); got.code != cli.Failed {
		t.Errorf("strict: %+v", got)
	}
	if got := s.says("check", "--topics-require-durable"); got.code != cli.Failed ||
		!strings.Contains(got.out, "BROKEN  nothing acknowledged is lost\n") {
		t.Errorf("where durability is required: %+v", got)
	}
	if got := s.says("run", "--topics-require-durable", "--admin-listen="); got.code != cli.Failed ||
		!strings.Contains(got.err, "topics.replication 3") {
		t.Errorf("a start where durability is required: %+v", got)
	}

	processor := s.start("run", "--admin-listen=")
	processor.waitFor(t, "a promise is weak, cdr check tells why: promise=\"nothing acknowledged is lost\"")
	processor.waitFor(t, "partition=1 position=0") // both tasks of the one worker have started
	got = s.says("check", "--json")
	var report struct {
		Verdict  string
		Findings []struct{ Promise, Subject, Verdict, Reason, Remedy string }
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || report.Verdict != "WEAK" || got.code != cli.OK {
		t.Fatalf("%v: %+v", err, got)
	}
	working := false
	for _, f := range report.Findings {
		working = working || f.Verdict == "OK" && f.Reason == "has 1 worker at work"
		if f.Verdict == "OK" != (f.Remedy == "") {
			t.Errorf("what is not well has a remedy, and only that: %+v", f)
		}
	}
	if !working {
		t.Errorf("a processor works, and that is not said: %+v", report)
	}
	processor.stop(syscall.SIGTERM)
	<-processor.done
}

func TestPartitionsAreAddedWhenNothingIsOpenAndAReplayMakesTheSameRecords(t *testing.T) {
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	// A session that nobody ends, and one event that nobody reads.
	s.produce(&kgo.Record{Topic: "janus.events", Key: []byte("1"),
		Value: []byte(`{"emitter":"j","type":1,"timestamp":1700000000000000,"session_id":1,"event":{"name":"created"}}`)})
	refused := s.says("topics", "grow", "--partitions", "5")
	if refused.code != cli.Failed || refused.out != "" || !strings.Contains(refused.err, "1 events are not read yet") {
		t.Fatalf("%+v", refused)
	}
	if got := s.says("topics", "grow"); got.code != cli.Usage {
		t.Errorf("without a number: %+v", got)
	}
	work := func() {
		t.Helper()
		processor := s.start("run", "--admin-listen=", "--leave", "--policy-emitter-silence", "1s")
		for {
			got := s.says("topics", "grow", "--partitions", "5")
			if got.code != cli.Failed || s.ctx.Err() != nil {
				t.Fatalf("%+v\n%s", got, processor.err)
			}
			if strings.Contains(got.err, "members") && !strings.Contains(got.err, "are open") &&
				!strings.Contains(got.err, "not read yet") {
				break
			}
		}
		processor.stop(syscall.SIGTERM)
		<-processor.done
		if processor.code != cli.OK {
			t.Fatalf("%s", processor.err)
		}
	}
	work()
	if got := s.says("topics", "grow", "--partitions", "5"); got.code != cli.OK ||
		!strings.Contains(got.out, "have 5 partitions\nset topics.partitions to 5") {
		t.Fatalf("%+v", got)
	}
	if got := s.says("run", "--admin-listen="); got.code != cli.Failed ||
		!strings.Contains(got.err, "set the partitions of the configuration to 5") {
		t.Fatalf("with the old configuration: %+v", got)
	}
	s.environ = append(s.environ, "JANUSCDR_TOPICS_PARTITIONS=5")
	s.happens("1.1-a_echotest")
	processor := s.start("run", "--admin-listen=")
	if got := s.says("tail", "--from", "earliest", "--count", "2"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	processor.stop(syscall.SIGTERM)
	<-processor.done
	if got := s.says("replay", "--verify", "--policy-emitter-silence", "1s"); !strings.Contains(got.out, " 0 different ") {
		t.Errorf("%+v", got)
	}
}
