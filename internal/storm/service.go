package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// service is one of our commands, started again under the same name with the same settings: same addresses, same folder.
type service struct {
	name  string
	args  []string // the command first
	env   []string
	log   string // file, of all lives
	state string // its state directory
	admin string // host:port

	died func(s *service, err error) // it ended, and it was not we who ended it

	struck atomic.Bool // a fault is under way; one at a time
	mu     sync.Mutex
	life   *life // nil while it is down
	closed bool  // it is not started any more
}

type life struct {
	cmd      *exec.Cmd
	expected atomic.Bool
	done     chan struct{}
	err      error // of Wait; valid when done is closed
}

// start runs the service, unless it runs or was closed.
func (s *service) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life != nil || s.closed {
		return nil
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	fmt.Fprintf(log, "storm: %s %s starts\n", time.Now().Format(time.RFC3339Nano), s.name)
	l := &life{cmd: exec.Command(s.args[0], s.args[1:]...), done: make(chan struct{})}
	l.cmd.Env, l.cmd.Dir, l.cmd.Stdout, l.cmd.Stderr = s.env, filepath.Dir(s.log), log, log
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the keyboard is ours to handle
	if err := l.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.life = l
	go func() {
		l.err = l.cmd.Wait()
		s.mu.Lock()
		if s.life == l {
			s.life = nil
		}
		s.mu.Unlock()
		close(l.done)
		if !l.expected.Load() {
			s.died(s, l.err)
		}
	}()
	return nil
}

func (s *service) current() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life
}

// kill ends the process with -9 and waits until it is gone. It reports whether there was one.
func (s *service) kill() bool {
	l := s.current()
	if l == nil {
		return false
	}
	l.expected.Store(true)
	_ = l.cmd.Process.Kill()
	<-l.done
	return true
}

// pause stops the process where it stands, as a machine does that is suspended, and lets it go on after a while.
func (s *service) pause(ctx context.Context, d time.Duration) bool {
	l := s.current()
	if l == nil {
		return false
	}
	if err := l.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return false
	}
	sleep(ctx, d)
	_ = l.cmd.Process.Signal(syscall.SIGCONT)
	return true
}

// stop asks the process to end in order.
func (s *service) stop(patience time.Duration) error {
	l := s.current()
	if l == nil {
		return fmt.Errorf("stop %s: it does not run", s.name)
	}
	l.expected.Store(true)
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", s.name, err)
	}
	select {
	case <-l.done:
	case <-time.After(patience):
		s.kill()
		return fmt.Errorf("stop %s: it still ran after %v", s.name, patience)
	}
	if l.err != nil {
		return fmt.Errorf("stop %s: %w, see %s", s.name, l.err, s.log)
	}
	return nil
}

// close ends the service for good.
func (s *service) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.kill()
}

// readiness is what /readyz of a processor says.
type readiness struct {
	Ready   bool `json:"ready"`
	Details struct {
		Tasks []struct {
			Partition    int32  `json:"partition"`
			State        string `json:"state"`
			Position     int64  `json:"position"`
			OpenSessions int    `json:"open_sessions"`
		} `json:"tasks"`
	} `json:"details"`
}

var adminClient = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func (s *service) readiness(ctx context.Context) (r readiness, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/readyz", nil)
	if err != nil {
		return r, err
	}
	answer, err := adminClient.Do(request)
	if err != nil {
		return r, err
	}
	defer answer.Body.Close()
	return r, json.NewDecoder(answer.Body).Decode(&r)
}

// awaitReady waits until the service says that it works.
func (s *service) awaitReady(ctx context.Context, patience time.Duration) error {
	for until := time.Now().Add(patience); ; {
		r, err := s.readiness(ctx)
		if err == nil && r.Ready {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if s.current() == nil {
			return fmt.Errorf("wait for %s: it ended, see %s", s.name, s.log)
		}
		if time.Now().After(until) {
			return fmt.Errorf("wait for %s: not ready after %v, see %s", s.name, patience, s.log)
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// environment is ours without the settings of the project, plus settings.
func environment(settings ...map[string]string) []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "JANUSCDR_") {
			env = append(env, pair)
		}
	}
	for _, some := range settings {
		for name, value := range some {
			env = append(env, "JANUSCDR_"+name+"="+value)
		}
	}
	return env
}

// sleep waits, and reports whether it was for the whole time.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
