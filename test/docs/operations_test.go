package docs

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/consume"
	"januscdr/ingest"
	"januscdr/internal/wiring"
	"januscdr/kafka"
	"januscdr/pipeline"
	"januscdr/spool"
)

var (
	metricName = regexp.MustCompile(`\bjanuscdr_[a-z_]+\*?`)
	testName   = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
)

// spy notes what a room registers.
type spy struct{ names map[string]bool }

var fqName = regexp.MustCompile(`fqName: "([^"]+)"`)

func (s *spy) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		c.Describe(descs)
	}()
	for d := range descs {
		s.names[fqName.FindStringSubmatch(d.String())[1]] = true
	}
	return nil
}

func (s *spy) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		_ = s.Register(c)
	}
}

func (s *spy) Unregister(prometheus.Collector) bool { return false }

// measuring are the rooms that have metrics; each registers all of them when it is made.
var measuring = map[string]func(r prometheus.Registerer) error{
	"internal/wiring": func(r prometheus.Registerer) error {
		r.MustRegister(wiring.BuildInfo("cdr"))
		return nil
	},
	"ingest": func(r prometheus.Registerer) error {
		s, err := ingest.New(ingest.Options{
			Kafka:      kafka.Options{Brokers: []string{"127.0.0.1:1"}},
			Topics:     kafka.Topics{Events: "events", DLQ: "dlq", Partitions: 1},
			Sources:    []ingest.Source{&ingest.HTTP{}},
			Spool:      &spool.Options{},
			Registerer: r,
		})
		if err == nil {
			s.Close()
		}
		return err
	},
	"consume": func(r prometheus.Registerer) error {
		consume.New(consume.Options{Registerer: r}, nil)
		return nil
	},
	"pipeline": func(r prometheus.Registerer) error {
		_, err := pipeline.New(pipeline.Options{
			Kafka:      kafka.Options{Brokers: []string{"127.0.0.1:1"}},
			Topics:     kafka.Topics{Events: "events", CDR: "cdr", State: "state", DLQ: "dlq", Partitions: 1},
			Instance:   "cdr-1",
			StateDir:   "state",
			Registerer: r,
		})
		if err != nil {
			return err
		}
		client, err := kgo.NewClient(pipeline.ClientMetrics(r, "plain")...) // it registers them when it is made
		if err == nil {
			client.Close()
		}
		return err
	},
}

// metrics are the names that the rooms register.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	all := &spy{names: map[string]bool{}}
	for name, make := range measuring {
		if err := make(all); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return all.names
}

func TestMetricsOnThePagesExist(t *testing.T) {
	known := metrics(t)
	seen := 0
	for _, page := range pages(t) {
		for _, name := range metricName.FindAllString(read(t, page), -1) {
			seen++
			if !known[name] && !isFamily(known, name) {
				t.Errorf("docs/%s names the metric %s, which does not exist", page, name)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d metrics were found: the pattern of this test is broken", seen)
	}
}

// isFamily tells whether a name is the beginning of several, as januscdr_ingest_kafka_* is.
func isFamily(known map[string]bool, name string) bool {
	before, more := strings.CutSuffix(name, "*")
	for k := range known {
		if more && strings.HasPrefix(k, before) {
			return true
		}
	}
	return false
}

func TestEachMetricIsDocumentedForOperators(t *testing.T) {
	// What brings records to others has a page of its own.
	text := read(t, "operations.md") + read(t, "consumers/README.md")
	documented := metricName.FindAllString(text, -1)
	known := metrics(t)
	for name := range known {
		if !slices.ContainsFunc(documented, func(d string) bool {
			return d == name || isFamily(map[string]bool{name: true}, d)
		}) {
			t.Errorf("neither docs/operations.md nor docs/consumers/README.md names the metric %s", name)
		}
	}
	if len(known) < 30 {
		t.Errorf("only %d metrics were found: this test asks the wrong rooms", len(known))
	}
}

func TestAlertsAreAboutMetricsThatExist(t *testing.T) {
	known := metrics(t)
	var seen int
	for _, name := range metricName.FindAllString(read(t, "alerts.yaml"), -1) {
		seen++
		if !known[strings.TrimSuffix(name, "_bucket")] {
			t.Errorf("docs/alerts.yaml is about the metric %s, which does not exist", name)
		}
	}
	if seen < 10 {
		t.Errorf("only %d metrics were found: the pattern of this test is broken", seen)
	}
}

// What an operator must hear of at the first time has an alert.
func TestCountersThatShouldStayAtNothingHaveAnAlert(t *testing.T) {
	rules, rows := read(t, "alerts.yaml"), 0
	for line := range strings.Lines(read(t, "operations.md")) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(strings.TrimSpace(cells[3]), "any") {
			continue
		}
		for _, name := range metricName.FindAllString(cells[1], -1) {
			rows++
			if strings.HasSuffix(name, "_total") && !strings.Contains(rules, name+"[") && !strings.Contains(rules, name+"{") {
				t.Errorf("docs/operations.md wants an alert at any %s, and docs/alerts.yaml has none", name)
			}
		}
	}
	if rows < 10 {
		t.Errorf("only %d counters were found: the pattern of this test is broken", rows)
	}
}

// With JANUSCDR_PROMTOOL, the rules are tried on series of a story.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	promtool := os.Getenv("JANUSCDR_PROMTOOL")
	if promtool == "" {
		t.Skip("JANUSCDR_PROMTOOL names no promtool")
	}
	try := exec.CommandContext(t.Context(), promtool, "test", "rules", filepath.Join("testdata", "alerts.yaml"))
	out, err := try.CombinedOutput()
	if err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

func TestARoomThatHasMetricsIsAskedForThem(t *testing.T) {
	made := regexp.MustCompile(`prometheus\.New(Counter|Gauge|Histogram|Summary)`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2:
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		room := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../../")))
		if made.Match(b) && measuring[room] == nil {
			t.Errorf("%s makes metrics: show this test how they are registered", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTestsOnThePagesExist(t *testing.T) {
	known := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range function.FindAllSubmatch(b, -1) {
			known[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range pages(t) {
		for _, m := range testName.FindAllStringSubmatch(read(t, page), -1) {
			seen++
			if !known[m[1]] {
				t.Errorf("docs/%s names the test %s, which does not exist", page, m[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d tests were found: the pattern of this test is broken", seen)
	}
}
