package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Kafka is an Apache Kafka of some brokers, as scripts/kafka.sh runs it.
type Kafka struct {
	Root string // checkout with scripts/kafka.sh
	Dir  string // folder of its data, logs and pids
	Size int    // brokers, 1 or 3
	Port int    // the first of its ports
}

// Start starts the brokers that do not run, and waits until all do.
func (k *Kafka) Start(ctx context.Context) error {
	return k.run(ctx, "start", strconv.Itoa(k.Size), k.Dir)
}

// Stop ends all brokers, whatever became of us.
func (k *Kafka) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return k.run(ctx, "stop", k.Dir)
}

func (k *Kafka) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(k.Root, "scripts", "kafka.sh"), args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("KAFKA_PORT=%d", k.Port), "KAFKA_WAIT=120")
	// Not a keyboard's interrupt but the context ends it: a broker that was just started has its pid written by then.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("kafka.sh %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return nil
}

// Addresses are those of all brokers, running or not.
func (k *Kafka) Addresses() []string {
	var all []string
	for i := range k.Size {
		all = append(all, fmt.Sprintf("localhost:%d", k.Port+10*i))
	}
	return all
}

// broker finds the process of broker n, from 1. It fails when that does not run: the number in a file may be somebody
// else's by now.
func (k *Kafka) broker(n int) (pid int, runs func() bool, err error) {
	broker := filepath.Join(k.Dir, fmt.Sprintf("b%d", n))
	text, err := os.ReadFile(filepath.Join(broker, "pid"))
	if err != nil {
		return 0, nil, fmt.Errorf("find broker %d: %w", n, err)
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, nil, fmt.Errorf("find broker %d: %w", n, err)
	}
	properties := []byte(filepath.Join(broker, "server.properties"))
	runs = func() bool {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return err == nil && bytes.Contains(line, properties)
	}
	if !runs() {
		return 0, nil, fmt.Errorf("find broker %d: it does not run, see %s", n, filepath.Join(broker, "log"))
	}
	return pid, runs, nil
}

// Kill ends broker n with -9, and waits until it is gone.
func (k *Kafka) Kill(n int) error {
	pid, runs, err := k.broker(n)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill broker %d: %w", n, err)
	}
	// A process that ends has no command line any more some time before it gives up its port.
	address := k.Addresses()[n-1]
	listens := func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			_ = connection.Close()
		}
		return err == nil
	}
	for range 500 {
		if !runs() && !listens() {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("kill broker %d: pid %d does not go away", n, pid)
}

// Pause stops broker n where it stands, and lets it go on after a while: it still takes itself for a leader then.
func (k *Kafka) Pause(ctx context.Context, n int, d time.Duration) error {
	pid, _, err := k.broker(n)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pause broker %d: %w", n, err)
	}
	Sleep(ctx, d)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		return fmt.Errorf("let broker %d go on: %w", n, err)
	}
	return nil
}

// freePorts finds the first of 100 ports in a row on which nobody listens, below 32768: above, an outgoing connection of
// any client can own a port already.
func freePorts() (int, error) {
	for range 100 {
		base := 22000 + 100*rand.IntN(90)
		if allFree(base) {
			return base, nil
		}
	}
	return 0, errors.New("find 100 free ports in a row: none in 100 tries; give -port")
}

func allFree(base int) bool {
	for port := base; port < base+100; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
