package consume_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"januscdr/consume"
	"januscdr/consume/files"
	"januscdr/consume/otlp"
	"januscdr/consume/postgres"
	"januscdr/consume/sqlite"
	"januscdr/consume/topic"
	"januscdr/kafka"
)

// sinkVariable holds the task of a process of this test binary that is a sink.
const sinkVariable = "JANUSCDR_TEST_SINK"

// task is what a sink is to do. It makes its target by itself: a process shares nothing with the test.
type task struct {
	Brokers  []string
	Topic    string
	Kind     string // of the target
	Place    string // where it is
	Records  int    // in a batch
	Once     bool
	NewTopic bool
	FromAll  bool
	Where    []string
	S3       files.S3
	URL      string
}

func (k task) filter() consume.Filter {
	f, err := consume.ParseFilter(k.Where)
	if err != nil {
		panic(err)
	}
	return f
}

func TestMain(m *testing.M) {
	if text := os.Getenv(sinkVariable); text != "" {
		if err := sinkProcess(text); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// sinkProcess is a sink that tells on its output when it has caught up.
func sinkProcess(text string) error {
	var todo task
	if err := json.Unmarshal([]byte(text), &todo); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, target := todo.sink(hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Warn}))
	defer target.Close()
	go func() {
		for !s.Status().Ready {
			time.Sleep(5 * time.Millisecond)
		}
		fmt.Println("ready")
	}()
	if err := s.Run(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("it did not end: " + s.Status().Trouble)
	}
	return nil
}

// sink makes the sink of a task.
func (k task) sink(log hclog.Logger) (*consume.Sink, consume.Target) {
	var target consume.Target
	switch k.Kind {
	case "sqlite":
		target = sqlite.New(sqlite.Options{File: k.Place, Program: "test", NewTopic: k.NewTopic})
	case "postgres":
		target = postgres.New(postgres.Options{URL: k.Place, Program: "test", NewTopic: k.NewTopic, Log: log})
	case "csv", "jsonl", "avro", "parquet":
		target = files.New(files.Options{Dir: k.Place, S3: k.S3, Form: files.Form{Name: k.Kind}, Program: "test",
			NewTopic: k.NewTopic, Records: 4 * int64(k.Records), Log: log})
	case "otlp":
		target = otlp.New(otlp.Options{URL: k.URL, File: k.Place, NewTopic: k.NewTopic})
	case "topic", "flat-avro":
		format := "cloudevents"
		if k.Kind == "flat-avro" {
			format = k.Kind
		}
		target = topic.New(
			topic.Options{Kafka: kafka.Options{Brokers: k.Brokers}, Topic: k.Place, Format: format, Filter: k.filter(),
				SchemaID: -1, Settle: 20 * time.Millisecond, NewTopic: k.NewTopic, FromAll: k.FromAll, Log: log},
		)
	default:
		panic("no target " + k.Kind)
	}
	s := consume.New(consume.Options{
		Kafka: kafka.Options{Brokers: k.Brokers, Log: log}, Topic: k.Topic, Name: k.Kind,
		BatchRecords: k.Records, BatchDelay: 20 * time.Millisecond, Once: k.Once, NewTopic: k.NewTopic, Log: log,
	}, target)
	return s, target
}

// run does a task to its end in this process.
func (k task) run(t testing.TB) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, target := k.sink(nil)
	defer target.Close()
	if err := s.Run(ctx); err != nil {
		return err
	}
	return ctx.Err()
}

// process is a sink in a process of its own.
type process struct {
	cmd   *exec.Cmd
	said  chan string
	ended chan error
	log   *strings.Builder
}

// wakesFenced stops a sink, lets another one go on, and expects of the first one, woken, that it finds that and ends.
func (k task) wakesFenced(t *testing.T, c *cluster) {
	t.Helper()
	zombie := k.start(t)
	if said := <-zombie.said; said != "ready" {
		t.Fatalf("it said %q\n%s", said, zombie.log)
	}
	zombie.halt(t)
	c.produce(300)
	k.fill(t)
	zombie.signal(t, syscall.SIGCONT)
	c.produce(300)
	if said := <-zombie.said; !strings.Contains(said, consume.ErrFenced.Error()) {
		t.Errorf("it said %q", said)
	}
	k.fill(t)
}

func (k task) start(t testing.TB) *process {
	t.Helper()
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{
		cmd:   exec.Command(os.Args[0]),
		said:  make(chan string, 10),
		ended: make(chan error, 1),
		log:   &strings.Builder{},
	}
	p.cmd.Env = append(os.Environ(), sinkVariable+"="+string(text))
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.said <- lines.Text()
		}
		p.ended <- p.cmd.Wait()
	}()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// halt stops a process with all its threads: the signal is on its way for a moment, and they go on meanwhile.
func (p *process) halt(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGSTOP)
	for limit := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(threads, runs) {
			return
		}
		if time.Now().After(limit) {
			t.Fatal("it does not stop")
		}
	}
}

// runs tells whether a thread is not stopped, by its stat: the state stands behind its name, which is in brackets.
func runs(stat string) bool {
	b, err := os.ReadFile(stat)
	if err != nil {
		return false // it is gone
	}
	_, state, _ := bytes.Cut(b, []byte(") "))
	return !bytes.HasPrefix(state, []byte("T"))
}

// last is what it said last.
func (p *process) last() (line string) {
	for {
		select {
		case line = <-p.said:
		default:
			return line
		}
	}
}

// killed kills the process, unless it ended before.
func (p *process) killed(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.ended
}

// stormVariable says how often each sink is killed in a storm: some times by default, more often in CI and by hand.
// strikesVariable says how often its target is, where there is one that can be: each twentieth time by default.
const (
	stormVariable   = "JANUSCDR_TEST_STORM"
	strikesVariable = "JANUSCDR_TEST_STRIKES"
)

func kills(t testing.TB, few int) int { return number(t, stormVariable, few) }

func number(t testing.TB, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return max(1, otherwise)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, which is no number of times", variable, text)
	}
	return n
}

// coming lets records come until it is told to stop.
func (c *cluster) coming() (stop func()) {
	done, written := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		for {
			select {
			case <-done:
				return
			default:
				c.produce(40)
				time.Sleep(10 * time.Millisecond)
			}
		}
	}()
	return func() {
		close(done)
		<-written
	}
}

// storm writes records while sinks of the task are killed and started, the target too if strike is given, and in the
// end lets one finish. It returns how often a sink was killed.
func (c *cluster) storm(k task, kills int, strike func()) {
	c.t.Helper()
	seed := rand.Uint64()
	c.t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 1))
	k.Brokers, k.Topic = c.opts.Brokers, c.topic
	life := 60 * time.Millisecond // of a sink, on average
	if k.Kind == "topic" || files.IsS3(k.Place) {
		life = 120 * time.Millisecond // it waits for stragglers first, or asks its store
	}
	each := max(1, kills/number(c.t, strikesVariable, kills/20))
	strikes := 0
	stop := c.coming()
	for n := range kills {
		p := k.start(c.t)
		// Some die before they have begun, some amid their work, some when there is nothing left to do.
		select {
		case err := <-p.ended:
			c.t.Errorf("a sink ended by itself: %v: %s\n%s", err, p.last(), p.log)
			p.ended <- nil
		case <-time.After(time.Duration(chance.ExpFloat64() * float64(life))):
		}
		if strike != nil && n%each == each-1 {
			strike()
			strikes++
		}
		p.killed(c.t)
	}
	stop()
	c.produce(max(0, 1000-len(c.records))) // where brokers or kills were slow
	k.Once = true
	if err := k.run(c.t); err != nil {
		c.t.Fatal(err)
	}
	c.t.Logf("%d records, %d kills of the sink, %d of its target", len(c.records), kills, strikes)
}
