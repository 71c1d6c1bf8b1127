package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"januscdr/avro"
	"januscdr/internal/cli"
)

// repository is where the sources lie; tests change their folder.
var repository = func() string {
	wd, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return filepath.Join(wd, "..", "..")
}()

// aRegistry is the URL of a registry: a real one where there is one. end is nil for that.
func aRegistry(t *testing.T) (url string, end func()) {
	t.Helper()
	if url := os.Getenv("JANUSCDR_TEST_REGISTRY"); url != "" {
		return url, nil
	}
	fake := srfake.New()
	t.Cleanup(fake.Close)
	return fake.URL(), fake.Close
}

func TestTheSchemaIsPrintedAsItIsAndAsItIsRegistered(t *testing.T) {
	if got := says(t, "", "schema"); got.out != avro.Schema() || got.code != cli.OK {
		t.Errorf("%+v", got)
	}
	if got := says(t, "", "schema", "--reduced"); got.out != avro.Reduced()+"\n" {
		t.Errorf("%+v", got)
	}
	if got := says(t, "", "schema", "check"); got.code != cli.Usage || !strings.Contains(got.err, "registry.url") {
		t.Errorf("%+v", got)
	}
}

func TestTheSchemaIsRegisteredByHand(t *testing.T) {
	url, _ := aRegistry(t)
	with := []string{"--registry-url", url, "--registry-subject", fmt.Sprint("by-hand-", time.Now().UnixNano())}
	do := func(verb string, code int, want string) {
		t.Helper()
		got := says(t, "", append([]string{"schema", verb}, with...)...)
		if got.code != code || !strings.Contains(got.out, want) {
			t.Errorf("%s: %+v", verb, got)
		}
	}
	do("check", cli.Failed, "it would be taken")
	do("register", cli.OK, "is new")
	do("register", cli.OK, "was there")
	do("check", cli.OK, "has it as version 1")
}

// With a registry the topic is framed for it, and every reader of ours reads that as it reads the other.
func TestARecordFramedForARegistryIsReadByAllOfOurReaders(t *testing.T) {
	url, end := aRegistry(t)
	subject := fmt.Sprint("JANUSCDR_REGISTRY_SUBJECT=framed-", time.Now().UnixNano())
	if os.Getenv("JANUSCDR_TEST_REGISTRY") == "" {
		subject = "JANUSCDR_REGISTRY_SUBJECT="
	}
	s := recorded(t, "1.1-c_videoroom", "JANUSCDR_REGISTRY_URL="+url, "JANUSCDR_REGISTRY_REGISTER=true", subject)
	want := lines(s.says("tail", "--from", "earliest", "--once", "--json").out)
	if len(want) == 0 || strings.Contains(want[0], "unreadable") {
		t.Fatalf("tail shows %d records: %v", len(want), want)
	}
	if table := s.says("tail", "--from", "earliest", "--once"); strings.Contains(table.out, "cannot be read") {
		t.Errorf("%+v", table)
	}
	if got := s.says("replay", "--verify"); got.code != cli.OK ||
		!strings.Contains(got.out, fmt.Sprint(len(want), " identical")) {
		t.Errorf("%+v", got)
	}
	for _, args := range [][]string{
		{"sink", "sqlite", "--once"},
		{"copy", "--create-topic", "--once"},
		{"export", "--export-to", "records", "--export-format", "avro", "--once"},
	} {
		if got := s.says(args...); got.code != cli.OK {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := s.says("export", "verify", "records"); got.code != cli.OK ||
		!strings.Contains(got.out, fmt.Sprint("with ", len(want), " records")) {
		t.Errorf("%+v", got)
	}
	readByAStranger(t, s, url, want)

	if end == nil {
		return
	}
	end()
	v := s.start("run", "--admin-listen", "") // the id is known
	v.waitFor(t, "going on with the id it gave before")
	v.waitFor(t, "task started")
	v.stop(syscall.SIGTERM)
	<-v.done
}

// A registry that goes away while a processor and a copy are at work is not missed by them.
func TestARegistryThatGoesAwayDuringARunIsNotMissed(t *testing.T) {
	var away atomic.Bool
	var asked atomic.Int64
	fake := srfake.New()
	defer fake.Close()
	behind, err := url.Parse(fake.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			asked.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer registry.Close()
	s := newSite(t)
	s.environ = append(s.environ, "JANUSCDR_REGISTRY_URL="+registry.URL, "JANUSCDR_REGISTRY_REGISTER=true")
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	processor := s.start("run", "--admin-listen", "")
	copier := s.start("copy", "--create-topic", "--copy-to", "flat", "--copy-format", "flat-avro", "--admin-listen", "",
		"--registry-subject", "flat-value")
	before, all := map[*service]int{}, 0
	for i, recording := range []string{"1.1-a_echotest", "1.1-f_sip"} {
		if i == 1 {
			copier.waitFor(t, "the target has what the topic had")
			away.Store(true)
			before[processor], before[copier] = len(processor.err.String()), len(copier.err.String())
		}
		if err := os.WriteFile("events.jsonl", []byte(file(t, recording)), 0o600); err != nil {
			t.Fatal(err)
		}
		all += strings.Count(s.says("assemble", "events.jsonl").out, "\n")
		s.happens(recording)
		if got := s.says("tail", "--from", "earliest", "--count", fmt.Sprint(all)); got.code != cli.OK {
			t.Fatalf("%+v\n%s", got, processor.err)
		}
		if got := s.says("tail", "--dlq", "--topics-dlq", "flat", "--from", "earliest", "--count",
			fmt.Sprint(all)); got.code != cli.OK {
			t.Fatalf("%+v\n%s", got, copier.err)
		}
	}
	for _, v := range []*service{processor, copier} {
		v.stop(syscall.SIGTERM)
		<-v.done
		if since := v.err.String()[before[v]:]; strings.Contains(since, "registry") {
			t.Errorf("it is spoken of:\n%s", since)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("it was asked %d times", n)
	}
	if got := s.says("replay", "--verify"); got.code != cli.OK {
		t.Errorf("%+v", got)
	}
}

// readByAStranger expects the same of Confluent's deserializer. It needs a Python with it, and a real registry.
func readByAStranger(t *testing.T, s *site, registry string, want []string) {
	t.Helper()
	python := os.Getenv("JANUSCDR_PYTHON")
	if python == "" || os.Getenv("JANUSCDR_TEST_REGISTRY") == "" {
		return
	}
	out, err := exec.Command(python, filepath.Join(repository, "scripts", "registry_consumer.py"), "--brokers", s.address,
		"--registry", registry).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%v: %s", err, exit.Stderr)
	}
	if got := lines(string(out)); !slices.Equal(got, want) {
		t.Errorf("the deserializer reads %d records, want %d, and they are others", len(got), len(want))
	}
}

// lines are those of a text, sorted.
func lines(text string) (all []string) {
	for line := range strings.Lines(text) {
		all = append(all, line)
	}
	slices.Sort(all)
	return all
}

func TestATopicKeepsItsFraming(t *testing.T) {
	url, _ := aRegistry(t)
	s := recorded(t, "1.1-f_sip")
	with := []string{"run", "--admin-listen", "", "--registry-url", url, "--registry-register"}
	if got := s.says(with...); got.code != cli.Failed || !strings.Contains(got.err, "single-object encoding") ||
		!strings.Contains(got.err, "--change-framing") {
		t.Fatalf("%+v", got)
	}
	before := strings.Count(s.says("tail", "--from", "earliest", "--once", "--json").out, "\n")
	s.happens("1.1-a_echotest")
	v := s.start(append(with, "--change-framing")...)
	if got := s.says("tail", "--from", "earliest", "--count", fmt.Sprint(before+1), "--json"); got.code != cli.OK {
		t.Fatalf("%+v\n%s", got, v.err)
	}
	v.waitFor(t, "the framing of records changes")
	v.stop(syscall.SIGTERM)
	<-v.done
	if got := s.says("run", "--admin-listen", ""); got.code != cli.Failed ||
		!strings.Contains(got.err, "framing of a schema registry") {
		t.Errorf("%+v", got)
	}
	if got := s.says("replay", "--verify"); got.code != cli.OK { // both framings stay readable
		t.Errorf("%+v", got)
	}
}

func TestAMissingSchemaIsSaidWithItsRemedy(t *testing.T) {
	url, _ := aRegistry(t)
	s := newSite(t)
	got := s.says("run", "--create-topics", "--admin-listen", "", "--registry-url", url, "--registry-subject",
		fmt.Sprint("missing-", time.Now().UnixNano()))
	if got.code != cli.Failed || !strings.Contains(got.err, "cdr schema register") {
		t.Errorf("%+v", got)
	}
}
