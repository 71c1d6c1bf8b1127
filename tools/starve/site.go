package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"januscdr/internal/fixtures/procs"
	"januscdr/kafka"
	"januscdr/kafka/embedded"
)

const (
	ready  = 30 * time.Second // for what is started
	known  = "attacker"       // the user whose password an attacker has
	admits = 12               // partitions
)

// site is a broker and an ingest, each a process.
type site struct {
	addr    string // of ingest
	topics  kafka.Topics
	brokers []string
	ingest  *procs.Service
	ends    []func()
	died    chan error
}

func (s *site) close() {
	for _, end := range slices.Backward(s.ends) {
		end()
	}
}

// lowest is the priority of an attacker: what it takes of the processors is not what an attacker from elsewhere would.
const lowest = 19

// serveBroker is the broker's process.
func serveBroker(ctx context.Context, dir string) error {
	broker, err := embedded.Start(embedded.Options{Dir: dir})
	if err != nil {
		return err
	}
	fmt.Println(broker.Addrs()[0])
	<-ctx.Done()
	return broker.Close()
}

// startSite starts all that is attacked.
func startSite(ctx context.Context, o *options) (s *site, err error) {
	if err := o.Build(ctx, "ingest"); err != nil {
		return nil, err
	}
	s = &site{topics: procs.Topics(admits, 1), brokers: strings.Split(o.brokers, ","), died: make(chan error, 1)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if o.brokers == "" {
		if err := s.startBroker(o.Dir); err != nil {
			return nil, err
		}
	}
	if err := s.makeTopics(ctx, o.brokers == ""); err != nil {
		return nil, err
	}
	return s, s.startIngest(ctx, o)
}

func (s *site) startBroker(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "-role", "broker", "-dir", filepath.Join(dir, "broker"))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.ends = append(s.ends, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	s.brokers = []string{strings.TrimSpace(addr)}
	return err
}

func (s *site) makeTopics(ctx context.Context, isEmbedded bool) error {
	s.topics.Embedded = isEmbedded
	client, err := kafka.NewClient(kafka.Options{Brokers: s.brokers})
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kafka.CreateTopics(ctx, client, s.topics)
	return err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *site) startIngest(ctx context.Context, o *options) (err error) {
	if s.addr, err = freeAddress(); err != nil {
		return err
	}
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	users := filepath.Join(o.Dir, "users")
	var lines strings.Builder
	for n := range o.senders {
		fmt.Fprintf(&lines, "%s:%s%[1]s\n", goodUser(n), password)
	}
	fmt.Fprintf(&lines, "%s:%s%[1]s\n", known, password)
	if err := os.WriteFile(users, []byte(lines.String()), 0o600); err != nil {
		return err
	}
	s.ingest = &procs.Service{Name: "ingest", Args: []string{filepath.Join(o.Bin, "ingest")},
		Log: filepath.Join(o.Dir, "ingest.log"), Admin: admin,
		Died: func(_ *procs.Service, err error) { s.died <- err }}
	s.ingest.Env = procs.WithoutOurs()
	settings := procs.Settings(s.brokers, s.topics)
	maps.Copy(settings, map[string]string{"INGEST_LISTEN": s.addr, "ADMIN_LISTEN": admin, "INGEST_AUTH_USERS_FILE": users})
	for name, value := range settings {
		s.ingest.Env = append(s.ingest.Env, "JANUSCDR_"+name+"="+value)
	}
	if err := s.ingest.Start(); err != nil {
		return err
	}
	s.ends = append(s.ends, s.ingest.Close)
	return s.ingest.AwaitReady(ctx, ready)
}

// startAttack begins an attack as a process of its own, and returns what ends it.
func (s *site) startAttack(ctx context.Context, o *options, a *attack, by string) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"-role", "attack", "-attack", a.name, "-at", s.addr}
	if by == "known" {
		args = append(args, "-user", known)
	}
	if o.sameAddress {
		args = append(args, "-same-address")
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, lowest)
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}, nil
}

// numbers are what ingest has taken of the machine.
type numbers struct {
	peak        int64 // bytes of memory, at the most
	now         int64 // bytes of memory
	heap        int64 // bytes of memory in use
	descriptors float64
	goroutines  float64
	connections float64
	held        float64
}

func (s *site) numbers(ctx context.Context) (n numbers, err error) {
	m, err := s.metrics(ctx)
	if err != nil {
		return n, err
	}
	n = numbers{descriptors: m["process_open_fds"], goroutines: m["go_goroutines"],
		connections: m[`januscdr_ingest_connections{source="http"}`], held: m["januscdr_ingest_inflight_bytes"],
		now: int64(m["process_resident_memory_bytes"]), heap: int64(m["go_memstats_heap_inuse_bytes"])}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.ingest.PID()))
	if err != nil {
		return n, err
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			n.peak = kib << 10
		}
	}
	return n, nil
}

// resetPeak lets the most that ingest has taken begin anew.
func (s *site) resetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.ingest.PID()), []byte("5"), 0)
}

// metrics are all that ingest tells, by name and labels.
func (s *site) metrics(ctx context.Context) (map[string]float64, error) {
	all, err := s.ingest.Metrics(ctx)
	if err != nil {
		select {
		case died := <-s.died:
			return nil, fmt.Errorf("ingest ended: %w, see %s", died, s.ingest.Log)
		default:
		}
	}
	return all, err
}

// refusals are the bodies that ingest did not take, by reason, and the connections that it ended.
func (s *site) refusals(ctx context.Context) (map[string]float64, error) {
	m, err := s.metrics(ctx)
	if err != nil {
		return nil, err
	}
	refused := map[string]float64{}
	for name, n := range m {
		if _, labels, ok := strings.Cut(name, "januscdr_ingest_refused_total{reason=\""); ok {
			reason, _, _ := strings.Cut(labels, `"`)
			refused[reason] += n
		}
	}
	refused["ended"] = m[`januscdr_ingest_connections_ended_total{source="http"}`]
	refused["aborted"] = m[`januscdr_ingest_bodies_total{outcome="aborted",source="http"}`]
	return refused, nil
}

func refusedSince(before, after map[string]float64) string {
	var all []string
	for _, reason := range slices.Sorted(maps.Keys(after)) {
		if n := after[reason] - before[reason]; n > 0 {
			all = append(all, fmt.Sprintf("%s %.0f", reason, n))
		}
	}
	return strings.Join(all, ", ")
}

// settle waits until nothing of an attack is left.
func (s *site) settle(ctx context.Context) error {
	for until := time.Now().Add(ready); time.Now().Before(until); {
		n, err := s.numbers(ctx)
		if err != nil {
			return err
		}
		if n.held == 0 && n.connections == 0 {
			return nil
		}
		if !procs.Sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
	return errors.New("what an attack held is still held half a minute after it")
}
