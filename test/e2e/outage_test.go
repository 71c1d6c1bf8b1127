package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"januscdr/internal/fixtures/player"
	"januscdr/internal/fixtures/procs"
	"januscdr/internal/fixtures/recordings"
	"januscdr/kafka/embedded"
)

// A cluster is a Kafka of one story alone, which may be stopped.
type cluster interface {
	Start(ctx context.Context) error
	Stop() error
	Addresses() []string
}

// oneBroker is an embedded broker on a port that stays the same.
type oneBroker struct {
	dir, address string
	broker       *embedded.Broker
}

func newOneBroker(t *testing.T) *oneBroker {
	t.Helper()
	return &oneBroker{dir: filepath.Join(t.TempDir(), "kafka"), address: freeAddress(t)}
}

// startOneBroker starts one, until the test ends or it is stopped before.
func startOneBroker(t *testing.T) *oneBroker {
	t.Helper()
	b := newOneBroker(t)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Stop() })
	return b
}

func (b *oneBroker) Start(context.Context) (err error) {
	b.broker, err = embedded.Start(embedded.Options{Dir: b.dir, Listen: b.address})
	return err
}

func (b *oneBroker) Stop() error {
	if b.broker != nil {
		b.broker.Close()
	}
	b.broker = nil
	return nil
}

func (b *oneBroker) Addresses() []string { return []string{b.address} }

// ownKafka is the embedded broker, or with JANUSCDR_E2E_OUTAGE a real Kafka that is away for so long.
func ownKafka(t *testing.T) (cluster, time.Duration) {
	t.Helper()
	text := os.Getenv("JANUSCDR_E2E_OUTAGE")
	if text == "" {
		return newOneBroker(t), 0
	}
	away, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("read JANUSCDR_E2E_OUTAGE: %v", err)
	}
	return &procs.Kafka{Root: repository(""), Dir: t.TempDir(), Size: 1, Port: 10000 + 100*rand.IntN(90)}, away
}

// A monitor scrapes processes each second, as Prometheus does.
type monitor struct {
	mu      sync.Mutex
	series  map[string][]string // by name and labels: a value of each second, "_" where there was none
	seconds int
	marks   map[string]int // seconds of what happened
}

func (m *monitor) run(ctx context.Context, addresses ...string) {
	m.series, m.marks = map[string][]string{}, map[string]int{}
	each := time.NewTicker(time.Second)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-each.C:
		}
		now := map[string]string{}
		for _, a := range addresses {
			for name, value := range scrape(ctx, a) {
				now[name] = value
			}
		}
		m.mu.Lock()
		for name, value := range now {
			for len(m.series[name]) < m.seconds {
				m.series[name] = append(m.series[name], "_")
			}
			m.series[name] = append(m.series[name], value)
		}
		m.seconds++
		for name, values := range m.series {
			if len(values) < m.seconds {
				m.series[name] = append(values, "_")
			}
		}
		m.mu.Unlock()
	}
}

func (m *monitor) mark(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.marks[name] = m.seconds
}

func scrape(ctx context.Context, address string) map[string]string {
	all := map[string]string{}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return all
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return all
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if ok && strings.HasPrefix(name, "januscdr_") {
			all[name] = value
		}
	}
	return all
}

// readyz is what a process says of itself.
func readyz(ctx context.Context, address string) (ready bool, reasons []string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return false, nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return false, nil, err
	}
	var said struct{ Reasons []string }
	err = json.Unmarshal(text, &said)
	return answer.StatusCode == http.StatusOK, said.Reasons, err
}

func TestReadinessAndGaugesTellTheTruthWhileKafkaIsAway(t *testing.T) {
	t.Parallel()
	k, away := ownKafka(t)
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := newSiteOn(t, k.Addresses())
	s.settings["LOG_LEVEL"] = "info"
	ingest, processor := s.ingest(t).start(t), s.processor(t, "cdr-1").start(t)
	addresses := []string{ingest.settings["ADMIN_LISTEN"], processor.settings["ADMIN_LISTEN"]}

	watching, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	m := &monitor{}
	work.Go(func() { m.run(watching, addresses...) })
	work.Go(func() { // load: the same calls again and again, whatever becomes of them
		for watching.Err() == nil {
			_ = player.Play(watching, ingest.url(), recordings.Requests("1.1-f_sip"), player.Options{Speed: 5})
		}
	})
	until(t, "each partition has found its worker", func(ctx context.Context) (bool, error) {
		now := scrape(ctx, addresses[1])
		for partition := range partitions { // one that moves to another worker once more has no series for a while
			if now[fmt.Sprintf("januscdr_open_sessions{partition=%q}", strconv.Itoa(partition))] == "" {
				return false, nil
			}
		}
		ready, _, err := readyz(ctx, addresses[1])
		return ready && now["januscdr_assigned_partitions"] == fmt.Sprint(partitions), err
	})
	wait(t, away/4)
	before := scrape(t.Context(), addresses[1])

	m.mark("away")
	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	gone := time.Now()
	for _, a := range addresses {
		until(t, a+" is not ready any more", func(ctx context.Context) (bool, error) {
			ready, reasons, err := readyz(ctx, a)
			return !ready && strings.Contains(strings.Join(reasons, ";"), "kafka has not answered"), err
		})
	}
	t.Logf("not ready after %v", time.Since(gone).Round(time.Second))
	if code := exitCode(t, processor.settings, "cdr", "healthcheck", "--ready"); code != 1 {
		t.Errorf("healthcheck --ready ends with %d while Kafka is away", code)
	}
	wait(t, away)
	for _, a := range addresses { // it stays so: nobody forgets why
		if ready, reasons, err := readyz(t.Context(), a); ready || err != nil {
			t.Errorf("%s is ready again while Kafka is away: %v %v", a, reasons, err)
		}
	}
	during := scrape(t.Context(), addresses[1])
	for name := range before {
		for _, kept := range []string{"januscdr_lag_records", "januscdr_open_sessions", "januscdr_lag_age_seconds"} {
			if _, there := during[name]; strings.HasPrefix(name, kept) && !there {
				t.Errorf("%s lost its series while Kafka is away", name)
			}
		}
	}
	received := scrape(t.Context(), addresses[0])
	if during["januscdr_kafka_reachable"] != "0" || received["januscdr_ingest_kafka_reachable"] != "0" {
		t.Error("the gauges say that Kafka is there")
	}
	if age, err := strconv.ParseFloat(during["januscdr_commit_age_seconds"], 64); err != nil || age < away.Seconds() {
		t.Errorf("the last commit was %q s ago", during["januscdr_commit_age_seconds"])
	}
	quiet(t, processor, ingest)

	m.mark("back")
	back := time.Now()
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	up := time.Since(back).Round(time.Second)
	ingest.ready(t, addresses[0])
	taken := time.Since(back).Round(time.Second)
	processor.ready(t, addresses[1])
	t.Logf("Kafka took %v to start, ingest was ready again after %v, the processor after %v", up, taken,
		time.Since(back).Round(time.Second))
	until(t, "all is read", func(ctx context.Context) (bool, error) {
		now := scrape(ctx, addresses[1])
		return now["januscdr_kafka_reachable"] == "1" && now["januscdr_assigned_partitions"] == fmt.Sprint(partitions), nil
	})
	wait(t, min(away, 30*time.Second))
	m.mark("end")
	stop()
	work.Wait()
	if away > 0 {
		m.evaluate(t)
	}
}

// quiet holds how much is said of an outage: some lines, not some each second, however long it is.
func quiet(t *testing.T, all ...*service) {
	t.Helper()
	for _, s := range all {
		text, err := os.ReadFile(s.log)
		if err != nil {
			t.Fatal(err)
		}
		var loud []string
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "[WARN]") || strings.Contains(line, "[ERROR]") {
				loud = append(loud, line)
			}
		}
		lines := bytes.Count(text, []byte("\n"))
		t.Logf("%s: %d lines of log, %d warnings and errors:\n%s", s.name, lines, len(loud), strings.Join(loud, ""))
		if strings.Contains(string(text), "waiting for kafka") {
			t.Errorf("each part of %s says by itself that Kafka is away", s.name)
		}
		if len(loud) > 20 || lines > 60 { // with those of the start
			t.Errorf("%s says %d lines of one outage, %d of them warnings and errors:\n%s", s.name, lines, len(loud), text)
		}
	}
}

// wait lets time pass where that is what the story is about: a real outage of a given length.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// exitCode is how a command ends.
func exitCode(t *testing.T, settings map[string]string, name string, args ...string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, our(name), args...)
	cmd.Dir, cmd.Env = t.TempDir(), environment(settings)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s %v does not end: %v, it said:\n%s", name, args, err, out)
	}
	return cmd.ProcessState.ExitCode()
}

// evaluate lets promtool say which alerts of docs/alerts.yaml fire on what was scraped, and when.
func (m *monitor) evaluate(t *testing.T) {
	t.Helper()
	promtool := os.Getenv("JANUSCDR_PROMTOOL")
	if promtool == "" {
		t.Log("JANUSCDR_PROMTOOL is not set: the alerts are not evaluated")
		return
	}
	rules, err := filepath.Abs(repository("docs/alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "rule_files: [%q]\nevaluation_interval: 1s\ntests:\n- interval: 1s\n  input_series:\n", rules)
	names := make([]string, 0, len(m.series))
	for name := range m.series {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values := slices.Clone(m.series[name])
		for i, v := range values {
			if f, err := strconv.ParseFloat(v, 64); err == nil { // promtool knows no exponents
				values[i] = strconv.FormatFloat(f, 'f', -1, 64)
			}
			values[i] = strings.TrimPrefix(values[i], "+")
		}
		fmt.Fprintf(&text, "  - series: '%s'\n    values: '%s'\n", name, strings.Join(values, " "))
	}
	text.WriteString("  promql_expr_test:\n")
	expect := func(at int, alert string, firing bool) {
		fmt.Fprintf(&text, "  - expr: 'count by (alertname) (ALERTS{alertstate=\"firing\",alertname=\"%s\"})> bool 0'\n"+
			"    eval_time: %ds\n", alert, at)
		if firing {
			fmt.Fprintf(&text, "    exp_samples: [{labels: '{alertname=\"%s\"}', value: 1}]\n", alert)
		}
	}
	// After how many seconds without Kafka each fires at the latest: nothing is expected of a shorter outage.
	for alert, seconds := range map[string]int{"JanuscdrKafkaAway": 60, "JanuscdrIngestRefuses": 100,
		"JanuscdrLagUnknown": 110, "JanuscdrNobodyWorks": 110} {
		if m.marks["back"]-m.marks["away"] >= seconds {
			expect(m.marks["back"]-1, alert, true)
		}
		if alert == "JanuscdrIngestRefuses" { // it looks back on a minute
			continue
		}
		expect(m.marks["away"]-1, alert, false)
		expect(m.marks["end"]-1, alert, false)
	}
	path := filepath.Join(t.TempDir(), "samples.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", path).CombinedOutput()
	if err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	t.Logf("%d series, %d s, marks %v: %s", len(m.series), m.seconds, m.marks, out)
}
