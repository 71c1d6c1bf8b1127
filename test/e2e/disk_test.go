package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"januscdr/internal/fixtures/smalldisk"
)

func TestAFullDiskEndsAProcessorInOrderAndLosesNothing(t *testing.T) {
	t.Parallel()
	small := smalldisk.New(t, 160<<20)
	s := newSite(t)
	ingest, processor := s.ingest(t).start(t), s.processor(t, "cdr-1")
	processor.settings["STATE_DIR"] = filepath.Join(small, "state")
	processor.start(t)
	play(t, ingest.url(), "1.1-a_echotest", nil)
	want := recordsOfFile(t, "1.1-a_echotest")
	s.emitted(t, len(want))

	filler := smalldisk.Fill(t, small)
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

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	processor.start(t)
	for id, r := range recordsOfFile(t, "1.1-f_sip") {
		want[id] = r
	}
	ingest.stop(t)
	s.allOf(t, want, processor)
}
