package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Service is one of our commands, started again under the same name with the same settings: same addresses, same folder.
type Service struct {
	Name  string
	Args  []string // the command first
	Env   []string
	Log   string // file, of all lives
	State string // its state directory
	Admin string // host:port

	Died func(s *Service, err error) // it ended, and it was not we who ended it

	Struck atomic.Bool // a fault is under way; one at a time
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

// Start runs the service, unless it runs or was closed. More arguments are for this life only.
func (s *Service) Start(more ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life != nil || s.closed {
		return nil
	}
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	fmt.Fprintf(log, "--- %s %s starts\n", time.Now().Format(time.RFC3339Nano), s.Name)
	l := &life{cmd: exec.Command(s.Args[0], slices.Concat(s.Args[1:], more)...), done: make(chan struct{})}
	l.cmd.Env, l.cmd.Dir, l.cmd.Stdout, l.cmd.Stderr = s.Env, filepath.Dir(s.Log), log, log
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the keyboard is ours to handle
	if err := l.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
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
			s.Died(s, l.err)
		}
	}()
	return nil
}

// Runs tells whether there is a process.
func (s *Service) Runs() bool { return s.current() != nil }

func (s *Service) current() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life
}

// Kill ends the process with -9 and waits until it is gone. It reports whether there was one.
func (s *Service) Kill() bool {
	l := s.current()
	if l == nil {
		return false
	}
	l.expected.Store(true)
	_ = l.cmd.Process.Kill()
	<-l.done
	return true
}

// Pause stops the process where it stands, as a machine does that is suspended, and lets it go on after a while.
func (s *Service) Pause(ctx context.Context, d time.Duration) bool {
	l := s.current()
	if l == nil {
		return false
	}
	if err := l.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return false
	}
	Sleep(ctx, d)
	_ = l.cmd.Process.Signal(syscall.SIGCONT)
	return true
}

// Stop asks the process to end in order.
func (s *Service) Stop(patience time.Duration) error {
	l := s.current()
	if l == nil {
		return fmt.Errorf("stop %s: it does not run", s.Name)
	}
	l.expected.Store(true)
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", s.Name, err)
	}
	select {
	case <-l.done:
	case <-time.After(patience):
		s.Kill()
		return fmt.Errorf("stop %s: it still ran after %v", s.Name, patience)
	}
	if l.err != nil {
		return fmt.Errorf("stop %s: %w, see %s", s.Name, l.err, s.Log)
	}
	return nil
}

// Close ends the service for good.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Kill()
}

// Readiness is what /readyz of a processor says.
type Readiness struct {
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

// Readiness asks the process.
func (s *Service) Readiness(ctx context.Context) (r Readiness, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Admin+"/readyz", nil)
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

// AwaitReady waits until the service says that it works.
func (s *Service) AwaitReady(ctx context.Context, patience time.Duration) error {
	for until := time.Now().Add(patience); ; {
		r, err := s.Readiness(ctx)
		if err == nil && r.Ready {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if s.current() == nil {
			return fmt.Errorf("wait for %s: it ended, see %s", s.Name, s.Log)
		}
		if time.Now().After(until) {
			return fmt.Errorf("wait for %s: not ready after %v, see %s", s.Name, patience, s.Log)
		}
		Sleep(ctx, 200*time.Millisecond)
	}
}
