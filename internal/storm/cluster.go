package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cluster is an Apache Kafka of some brokers, as scripts/kafka.sh runs it.
type cluster struct {
	script, dir string
	size, port  int
}

// start starts the brokers that do not run, and waits until all do.
func (c *cluster) start(ctx context.Context) error {
	return c.run(ctx, "start", strconv.Itoa(c.size), c.dir)
}

// stop ends all brokers, whatever became of us.
func (c *cluster) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return c.run(ctx, "stop", c.dir)
}

func (c *cluster) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, c.script, args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("KAFKA_PORT=%d", c.port), "KAFKA_WAIT=120")
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

func (c *cluster) addresses() []string {
	var all []string
	for i := range c.size {
		all = append(all, fmt.Sprintf("localhost:%d", c.port+10*i))
	}
	return all
}

// broker finds the process of broker n, from 1. It fails when that does not run: the number in a file may be somebody
// else's by now.
func (c *cluster) broker(n int) (pid int, runs func() bool, err error) {
	broker := filepath.Join(c.dir, fmt.Sprintf("b%d", n))
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

// kill ends broker n with -9, and waits until it is gone.
func (c *cluster) kill(n int) error {
	pid, runs, err := c.broker(n)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill broker %d: %w", n, err)
	}
	// A process that ends has no command line any more some time before it gives up its port.
	address := c.addresses()[n-1]
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

// pause stops broker n where it stands, and lets it go on after a while: it still takes itself for a leader then.
func (c *cluster) pause(ctx context.Context, n int, d time.Duration) error {
	pid, _, err := c.broker(n)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pause broker %d: %w", n, err)
	}
	sleep(ctx, d)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		return fmt.Errorf("let broker %d go on: %w", n, err)
	}
	return nil
}

// freePorts finds the first of 100 ports in a row on which nobody listens, below 32768: above, an outgoing connection of
// any client can own a port already.
func freePorts(from func() int) (int, error) {
	for range 100 {
		base := from()
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
