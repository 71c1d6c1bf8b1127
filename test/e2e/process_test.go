package e2e

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience bounds each wait for a condition. It is long because the machine may be busy; nobody waits for it in full
// unless something is broken.
const patience = 90 * time.Second

// until waits for a condition. It asks often, since most come true within milliseconds.
func until(t *testing.T, what string, true func(ctx context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	var last error
	for {
		ok, err := true(ctx)
		if ok && err == nil {
			return
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %v (last error: %v)", what, patience, last)
		}
	}
}

// nextPort counts through ports below 32768: above, an outgoing connection of any client can own the port already.
var nextPort = func() *atomic.Int32 {
	var n atomic.Int32
	n.Store(20000 + rand.Int32N(8000))
	return &n
}()

// freeAddress is an address of loopback on which nobody listens. It stays the same when a process is started again.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(nextPort.Add(1))))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("find a free port: none in 1000 tries")
	return ""
}

// A process is one of our commands while it runs.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // file
	done chan struct{}
	err  error // of Wait; valid when done is closed
	once sync.Once
}

// environment is that of the tests without the settings of the project, which would reach the processes, plus settings.
func environment(settings map[string]string) []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "JANUSCDR_") {
			env = append(env, pair)
		}
	}
	for name, value := range settings {
		env = append(env, "JANUSCDR_"+name+"="+value)
	}
	return env
}

// start runs a command until it is told to end, at the latest when the test ends.
func start(t *testing.T, settings map[string]string, name string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(our(name), args...)
	cmd.Dir, cmd.Env = t.TempDir(), environment(settings)
	return startCommand(t, name, cmd)
}

// startCommand is the same of a command that knows its folder and its environment.
func startCommand(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{name: name, cmd: cmd, log: filepath.Join(t.TempDir(), "log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has its own copy
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s %s said:\n%s", name, strings.Join(cmd.Args[1:], " "), p.said())
		}
	})
	return p
}

// said is the end of what the process wrote.
func (p *process) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if n := len(text) - 8000; n > 0 {
		text = append([]byte("... "), text[n:]...)
	}
	return string(text)
}

// ready waits until the process itself says that it is ready. Whoever else answers on its address does not count.
func (p *process) ready(t *testing.T, admin string) {
	t.Helper()
	until(t, p.name+" is ready", func(ctx context.Context) (bool, error) {
		p.mustRun(t)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
		if err != nil {
			return false, err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return false, errors.New(answer.Status)
		}
		return true, nil
	})
	p.mustRun(t)
}

// says waits until the process has written a text.
func (p *process) says(t *testing.T, text string) {
	t.Helper()
	until(t, p.name+" says "+text, func(context.Context) (bool, error) {
		p.mustRun(t)
		return strings.Contains(p.said(), text), nil
	})
}

// mustRun fails the test when the process has ended by itself.
func (p *process) mustRun(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		t.Fatalf("%s ended by itself: %v", p.name, p.err)
	default:
	}
}

// ends waits until the process has ended by itself.
func (p *process) ends(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s still runs after %v", p.name, patience)
	}
}

// kill ends the process as a power cut would: it can finish nothing.
func (p *process) kill() {
	p.once.Do(func() { _ = p.cmd.Process.Kill() })
	<-p.done
}

// stop asks the process to end and expects it to do so without complaint.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.mustRun(t)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("stop %s: %v", p.name, err)
	}
	p.ends(t)
	if p.err != nil {
		t.Fatalf("stop %s: %v", p.name, p.err)
	}
}

// output runs a command to its end and returns what it wrote to stdout.
func output(t *testing.T, settings map[string]string, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = environment(settings)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out, complaint.Bytes())
	}
	return out
}

// our is the path of one of our commands.
func our(name string) string { return filepath.Join(binaries, name) }
