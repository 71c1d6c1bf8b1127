package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/config"
	"januscdr/ingest"
	"januscdr/internal/cli"
	"januscdr/internal/fixtures/broker"
	"januscdr/internal/fixtures/player"
	"januscdr/internal/fixtures/recordings"
	"januscdr/internal/fixtures/twice"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// asProgram makes the test binary the program itself.
const asProgram = "INGEST_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is a process of ours.
type program struct {
	cmd   *exec.Cmd
	said  *bytes.Buffer // standard error, after the end
	lines chan string   // standard error, as it comes
	ended chan error
	in    io.WriteCloser // standard input
	out   *bufio.Scanner // standard output
}

func start(t *testing.T, broker *embedded.Broker, args ...string) *program {
	t.Helper()
	return startAt(t, broker.Addrs()[0], args...)
}

// startAt starts one whose broker may be away.
func startAt(t *testing.T, broker string, args ...string) *program {
	t.Helper()
	p := &program{said: &bytes.Buffer{}, lines: make(chan string, 1000), ended: make(chan error, 1)}
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = []string{asProgram + "=1", "HOME=" + p.cmd.Dir, "JANUSCDR_KAFKA_BROKERS=" + broker,
		"JANUSCDR_TOPICS_PARTITIONS=3"}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, err = p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe() // not StdoutPipe, which Wait closes before all of it is read
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close() })
	defer write.Close()
	p.cmd.Stdout, p.out = write, bufio.NewScanner(read)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		scan := bufio.NewScanner(stderr)
		for scan.Scan() {
			fmt.Fprintln(p.said, scan.Text())
			select {
			case p.lines <- scan.Text():
			default:
			}
		}
		p.ended <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
		}
	})
	return p
}

// address waits for the line that says where the program listens.
func (p *program) address(t *testing.T) string {
	t.Helper()
	limit := time.After(patience)
	takes := regexp.MustCompile(`ingest takes events: address=(\S+)`)
	for {
		select {
		case line := <-p.lines:
			if m := takes.FindStringSubmatch(line); m != nil {
				return m[1]
			}
		case err := <-p.ended:
			t.Fatalf("it ended: %v\n%s", err, p.said)
		case <-limit:
			t.Fatal("it says nothing")
		}
	}
}

func (p *program) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(patience):
		t.Fatal("it does not end")
		return nil
	}
}

func records(t *testing.T, broker *embedded.Broker, topic string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := kafka.NewClient(kafka.Options{Brokers: broker.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var all []*kgo.Record
	err = kafka.ReadCommitted(ctx, client, kafka.Options{Brokers: broker.Addrs()}, topic, func(some []*kgo.Record) error {
		all = append(all, some...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// byKey are the events of a recording by their key, in order of arrival, and how many of them concern everyone; a body
// that was repeated counts once.
func byKey(t *testing.T, requests []recordings.Request) (all map[string][]string, everyone int) {
	t.Helper()
	all = map[string][]string{}
	seen := map[string]bool{}
	var parser janus.Parser
	for _, r := range requests {
		if seen[string(r.Body)] {
			continue
		}
		seen[string(r.Body)] = true
		raw, err := janus.Split(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range raw {
			e, err := parser.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			key := strings.Clone(e.Emitter)
			if e.Session != 0 {
				key = e.Session.String()
			}
			all[key] = append(all[key], string(b))
			if e.Reach() == janus.ReachEveryone {
				everyone++
			}
		}
	}
	return all, everyone
}

func TestAStartSaysOnceWhichPromisesAreWeak(t *testing.T) {
	p := start(t, broker.Start(t), "--create-topics", "--ingest-listen", "127.0.0.1:0", "--admin-listen", "")
	p.address(t)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.end(t); err != nil {
		t.Fatalf("%v\n%s", err, p.said)
	}
	const want = `a promise is weak, cdr check tells why: promise="nothing acknowledged is lost" ` +
		`topics="janus.events,janus.dlq"`
	if n := strings.Count(p.said.String(), want); n != 1 {
		t.Errorf("one broker is weak, and that is said %d times:\n%s", n, p.said)
	}
}

func TestARecordingArrivesCompleteAndInOrder(t *testing.T) {
	for _, scene := range []struct {
		name string
		gzip bool
	}{{"1.1-a_echotest", false}, {"1.1-c_videoroom", false}, {"1.1-m_gzip", true}, {"1.1-m_plain", false},
		{"1.1-i_outage", false},
		{"1.4-f_sip_sofia113", true}} {
		t.Run(scene.name, func(t *testing.T) {
			own := broker.Start(t)
			p := start(t, own, "--create-topics", "--ingest-listen", "127.0.0.1:0", "--admin-listen", "")
			requests := recordings.Requests(scene.name)
			if err := player.Play(t.Context(), "http://"+p.address(t)+"/events", requests,
				player.Options{Gzip: scene.gzip}); err != nil {
				t.Fatal(err)
			}
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := p.end(t); err != nil {
				t.Fatalf("it ended: %v\n%s", err, p.said)
			}
			got, copies := map[string][]string{}, 0
			for _, r := range records(t, own, "janus.events") {
				switch kind, _ := kafka.Header(r, kafka.HeaderKind); string(kind) {
				case "":
					got[string(r.Key)] = append(got[string(r.Key)], string(r.Value))
				case kafka.KindCopy:
					copies++
				}
			}
			want, everyone := byKey(t, requests)
			for key, events := range want {
				if !slices.Equal(got[key], events) {
					t.Errorf("key %s: %d events, want %d in their order", key, len(got[key]), len(events))
				}
			}
			if len(got) != len(want) || copies != 2*everyone {
				t.Errorf("%d keys and %d copies, want %d and %d", len(got), copies, len(want), 2*everyone)
			}
			if parked := records(t, own, "janus.dlq"); len(parked) > 0 {
				t.Errorf("%d parked: %v", len(parked), parked[0].Headers)
			}
		})
	}
}

func TestSIGTERMEndsItInTimeAlsoWhileItWaitsForKafka(t *testing.T) {
	own := broker.Start(t)
	for _, scene := range []struct {
		name string
		args []string
		said string
	}{
		{"at work", []string{"--create-topics"}, "ingest takes events"},
		{"waiting", []string{"--kafka-brokers", "127.0.0.1:1"}, "waiting for kafka"},
	} {
		t.Run(scene.name, func(t *testing.T) {
			p := start(t, own, append(scene.args, "--ingest-listen", "127.0.0.1:0", "--admin-listen", "")...)
			for line := range p.lines {
				if strings.Contains(line, scene.said) {
					break
				}
			}
			started := time.Now()
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := p.end(t); err != nil || time.Since(started) > 5*time.Second {
				t.Errorf("it ended after %v: %v\n%s", time.Since(started), err, p.said)
			}
		})
	}
}

// certificate writes a certificate for this machine and its key into files. The client trusts it.
func certificate(t *testing.T) (cert, key string, client *http.Client) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, server.Client()
}

func TestSendersCanBeShownACertificate(t *testing.T) {
	own := broker.Start(t)
	cert, key, client := certificate(t)
	p := start(t, own, "--create-topics", "--ingest-listen", "127.0.0.1:0", "--admin-listen", "",
		"--ingest-tls-cert-file", cert, "--ingest-tls-key-file", key)
	address := p.address(t)
	body := recordings.Requests("1.1-a_echotest")[0].Body
	answer, err := client.Post("https://"+address+"/events", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.ProtoMajor != 1 {
		t.Errorf("answer %s %s, want 200 by HTTP/1.1: only there can a body be left without one", answer.Proto, answer.Status)
	}
	if got := len(records(t, own, "janus.events")); got == 0 {
		t.Error("nothing arrived")
	}
	// To Janus any answer means delivered, but it must not come to that where nobody listens for it.
	if answer, err := http.Post("http://"+address+"/events", "application/json", bytes.NewReader(body)); err == nil {
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			t.Error("a body without TLS was taken")
		}
	}
}

func TestWhatHoldsBodiesReachesTheRoom(t *testing.T) {
	c, err := config.Load(config.Sources{Flags: map[string]string{"ingest.inflight_limit": "512MiB",
		"ingest.body_limit": "16MiB", "ingest.event_limit": "64KiB", "ingest.delivery_timeout": "5s"}})
	if err != nil {
		t.Fatal(err)
	}
	all, err := sources(c, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	o, err := options(c, all, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if o.InflightMax != 512<<20 || o.BodyLimit != 16<<20 || o.EventLimit != 64<<10 ||
		o.Delivery != 5*time.Second || o.Sources[0].(*ingest.HTTP).TLS != nil {
		t.Errorf("%+v", o)
	}
}

func TestWhatStopsAStartIsOneLineWithARemedy(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	own := broker.Start(t)
	cert, key, _ := certificate(t)
	for _, scene := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"port in use", []string{"--ingest-listen", address, "--admin-listen", ""}, 1,
			[]string{address, "another process listens there", "--ingest-listen"}},
		{"port of the health server in use", []string{"--ingest-listen", "127.0.0.1:0", "--admin-listen", address}, 1,
			[]string{address, "admin.listen"}},
		{"no topics", []string{"--ingest-listen", "127.0.0.1:0", "--admin-listen", ""}, 1,
			[]string{"janus.events", "does not exist", "--create-topics"}},
		{"an event limit that no topic takes", []string{"--ingest-event-limit", "20MiB"}, 2,
			[]string{"ingest.event_limit", "too large"}},
		{"a key that is none", []string{"--ingest-tls-cert-file", key, "--ingest-tls-key-file", cert}, 2,
			[]string{"ingest.tls.cert_file", "PEM files of a certificate and of its key"}},
		{"a mistyped flag", []string{"--ingest-lisen", ":1"}, 2, []string{"--ingest-listen"}},
	} {
		t.Run(scene.name, func(t *testing.T) {
			p := start(t, own, append(scene.args, "--log-level", "error")...)
			err := p.end(t)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != scene.code {
				t.Fatalf("it ended: %v, want code %d\n%s", err, scene.code, p.said)
			}
			for _, want := range scene.want {
				if !strings.Contains(p.said.String(), want) {
					t.Errorf("%q is not in %s", want, p.said)
				}
			}
			if all := twice.Said("ingest", p.said.String()); len(all) > 0 {
				t.Errorf("%s is said twice in\n%s", strings.Join(all, ", "), p.said)
			}
			if remedy := scene.want[len(scene.want)-1]; strings.Count(p.said.String(), remedy) != 1 {
				t.Errorf("%q is said more than once: %s", remedy, p.said)
			}
		})
	}
}

// answer is the next line of standard output, "" when there are no more.
func (p *program) answer() string {
	if !p.out.Scan() {
		return ""
	}
	return p.out.Text()
}

func TestLinesOfStandardInputAreAnsweredAndTheExitCodeSaysWhetherAllAreSafe(t *testing.T) {
	event := string(recordings.Events("1.1-a_echotest")[1]) // of a session: it is not copied
	const delivered = `{"line":1,"outcome":"delivered","events":1}`
	for _, scene := range []struct {
		name   string
		in     string
		signal syscall.Signal // when the first line is answered; else the input ends
		code   int
		said   string
	}{
		{"all are safe", event + "\nhello\n", 0, 0, ""},
		{"nothing comes", "", 0, 0, ""},
		{"stopped as a service is", event + "\n", syscall.SIGTERM, 143, "stopped by SIGTERM before it was done"},
		{"stopped by Ctrl-C", event + "\n", syscall.SIGINT, 130, "stopped by Ctrl-C before it was done"},
	} {
		t.Run(scene.name, func(t *testing.T) {
			own := broker.Start(t)
			p := start(t, own, "--stdin", "--create-topics", "--log-level", "error")
			if _, err := io.WriteString(p.in, scene.in); err != nil {
				t.Fatal(err)
			}
			if scene.signal == 0 {
				p.in.Close()
			}
			if got := p.answer(); got != delivered && scene.in != "" {
				t.Errorf("the first line is answered %q", got)
			}
			if scene.signal != 0 {
				if err := p.cmd.Process.Signal(scene.signal); err != nil {
					t.Fatal(err)
				}
			}
			code, err := 0, p.end(t)
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				code = exit.ExitCode()
			}
			if code != scene.code || !strings.Contains(p.said.String(), scene.said) {
				t.Errorf("it ended with %d, want %d and %q\n%s", code, scene.code, scene.said, p.said)
			}
			var want int
			if scene.in != "" {
				want = 1
			}
			if got := len(records(t, own, "janus.events")); got != want {
				t.Errorf("%d events in the log, want %d", got, want)
			}
		})
	}
}

func TestALineThatIsNotSafeIsAFailure(t *testing.T) {
	own := broker.Start(t)
	p := start(t, own, "--stdin", "--create-topics", "--log-level", "error", "--ingest-delivery-timeout", "200ms")
	event := recordings.Events("1.1-a_echotest")[0]
	fmt.Fprintf(p.in, "%s\n", event)
	if got := p.answer(); !strings.Contains(got, "delivered") {
		t.Fatalf("the first line is answered %q", got)
	}
	own.Close()
	fmt.Fprintf(p.in, "%s \n", event)
	p.in.Close()
	if got := p.answer(); !strings.HasPrefix(got, `{"line":2,"outcome":"try_again","reason":"`) {
		t.Errorf("the second line is answered %q", got)
	}
	var exit *exec.ExitError
	if err := p.end(t); !errors.As(err, &exit) || exit.ExitCode() != 1 ||
		!strings.Contains(p.said.String(), "ingest: 1 of 2 lines are not safe") {
		t.Errorf("it ended with %v\n%s", err, p.said)
	}
}

func TestAReleaseSaysItsVersionAndACheckoutThatItIsNone(t *testing.T) {
	image, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	// The image is built as a release is: with the flags that tests want to be true.
	flags := regexp.MustCompile(`-ldflags "(.*)"`).FindSubmatch(image)
	if flags == nil {
		t.Fatal("the image is built without -ldflags")
	}
	for want, version := range map[string]string{"ingest v9.8.7": "v9.8.7", "ingest devel": ""} {
		program := filepath.Join(t.TempDir(), "ingest")
		build := exec.Command("go", "build", "-buildvcs=false", "-ldflags",
			strings.ReplaceAll(string(flags[1]), "${VERSION}", version), "-o", program, ".")
		if said, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, said)
		}
		said, err := exec.Command(program, "version").Output()
		if first, _, _ := strings.Cut(string(said), "\n"); err != nil || first != want {
			t.Errorf("it says %q (%v), want %q", said, err, want)
		}
	}
}

func TestReadinessAndMetricsTellOfTheWork(t *testing.T) {
	own := broker.Start(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	health := free.Addr().String()
	free.Close()
	p := start(t, own, "--create-topics", "--ingest-listen", "127.0.0.1:0", "--admin-listen", health)
	requests := recordings.Requests("1.1-a_echotest")[:3]
	if err := player.Play(t.Context(), "http://"+p.address(t)+"/events", requests, player.Options{}); err != nil {
		t.Fatal(err)
	}
	get := func(path string) (int, string) {
		answer, err := http.Get("http://" + health + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		said, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(said)
	}
	if status, said := get("/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d %s", status, said)
	}
	_, metrics := get("/metrics")
	for _, want := range []string{`januscdr_ingest_bodies_total{outcome="acknowledged",source="http"} 3`,
		`januscdr_ingest_events_total{type="core"} 1`,
		`januscdr_ingest_refused_total{reason="credentials",source="http"} 0`, `januscdr_ingest_ack_seconds_count 3`} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("%s is not in the metrics", want)
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.end(t); err != nil {
		t.Errorf("it ended: %v\n%s", err, p.said)
	}
}

func TestTheHelpSaysEachThingOnce(t *testing.T) {
	var out bytes.Buffer
	root := newRoot(nil)
	root.SetOut(&out)
	if code := cli.Run(t.Context(), root, []string{"--help"}, &out); code != cli.OK {
		t.Fatalf("%d: %s", code, &out)
	}
	if n := strings.Count(out.String(), "Exit codes:"); n != 1 {
		t.Errorf("the exit codes stand %d times in\n%s", n, &out)
	}
}

// Both are started without a word on one machine.
func TestIngestAndTheProcessorDoNotWantTheSamePort(t *testing.T) {
	flags := bind(pflag.NewFlagSet("ingest", pflag.ContinueOnError))
	c, err := flags.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Admin.Listen != adminListen || c.Admin.Listen == other.Admin.Listen || c.Admin.Listen == c.Ingest.Listen {
		t.Errorf("ingest %s, cdr %s, events %s", c.Admin.Listen, other.Admin.Listen, c.Ingest.Listen)
	}
	for _, command := range []string{"", "healthcheck"} {
		var out bytes.Buffer
		root := newRoot(nil)
		root.SetOut(&out)
		cli.Run(t.Context(), root, append(strings.Fields(command), "--help"), &out)
		if !strings.Contains(out.String(), `(default `+adminListen+`)`) {
			t.Errorf("ingest %s --help does not say the port:\n%s", command, &out)
		}
	}
	if c, err = flags.Load([]string{"JANUSCDR_ADMIN_LISTEN=:1"}); err != nil || c.Admin.Listen != ":1" {
		t.Errorf("%v, %v", c.Admin.Listen, err)
	}
}
