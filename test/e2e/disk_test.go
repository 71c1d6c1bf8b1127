//go:build linux

package e2e

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAFullDiskEndsAProcessorInOrderAndLosesNothing(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("januscdr-test", disk, "tmpfs", 0, "size=160m"); err != nil {
		t.Skipf("no disk of its own: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	s := newSite(t)
	ingest, processor := s.ingest(t).start(t), s.processor(t, "cdr-1")
	processor.settings["STATE_DIR"] = filepath.Join(disk, "state")
	processor.start(t)
	play(t, ingest.url(), "1.1-a_echotest", nil)
	want := recordsOfFile(t, "1.1-a_echotest")
	s.emitted(t, len(want))

	filler, err := os.Create(filepath.Join(disk, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(filler, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is filled, and says %v", err)
	}
	filler.Close()
	play(t, ingest.url(), "1.1-f_sip", nil)
	select {
	case <-processor.done:
	case <-time.After(patience):
		t.Fatal("the processor goes on on a full disk")
	}
	var exit *exec.ExitError
	said := processor.said()
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if !errors.As(processor.err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("the processor ended with %v", processor.err)
	}
	if last := lines[len(lines)-1]; !strings.Contains(last, "disk is full") || strings.Contains(said, "goroutine ") {
		t.Errorf("its last words are %s", last)
	}

	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	processor.start(t)
	for id, r := range recordsOfFile(t, "1.1-f_sip") {
		want[id] = r
	}
	ingest.stop(t)
	s.allOf(t, want, processor)
}
