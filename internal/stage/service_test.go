package stage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAServiceThatEndsByItselfIsTold(t *testing.T) {
	told := make(chan error, 1)
	s := &Service{Name: "short", Args: []string{"/bin/sh", "-c", "exit 3"}, Log: filepath.Join(t.TempDir(), "log"),
		Died: func(_ *Service, err error) { told <- err }}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := <-told; err == nil || err.Error() != "exit status 3" {
		t.Errorf("told %v, want exit status 3", err)
	}
}

func TestAServiceThatIsKilledAndClosedStaysDown(t *testing.T) {
	s := &Service{Name: "long", Args: []string{"/bin/sh", "-c", "echo runs; exec sleep 1000"}, Log: filepath.Join(t.TempDir(), "log"),
		Died: func(_ *Service, err error) { t.Errorf("told %v of a kill", err) }}
	for range 2 {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		if !s.Kill() {
			t.Fatal("there was nothing to kill")
		}
	}
	s.Close()
	if err := s.Start(); err != nil || s.Runs() {
		t.Errorf("it was started again: %v, %v", err, s.Runs())
	}
	text, err := os.ReadFile(s.Log)
	if err != nil || strings.Count(string(text), "long starts") != 2 {
		t.Errorf("log %q, %v: want two starts", text, err)
	}
}
