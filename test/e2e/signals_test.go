package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAHangupReadsTheConfigurationAgainAndNeverKills(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	delete(s.settings, "LOG_LEVEL")
	file := filepath.Join(t.TempDir(), "januscdr.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log: {level: info}\n")
	s.settings["CONFIG"] = file
	for _, p := range []*service{s.processor(t, "one").start(t), s.ingest(t).start(t)} {
		hangup := func() {
			t.Helper()
			p.mustRun(t)
			if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
		write("log: {level: loud}\n")
		hangup()
		p.says(t, "SIGHUP: all stays as it was")
		write("log: {level: debug}\n")
		hangup()
		p.says(t, "were read again")
		p.stop(t)
		if said := p.said(); !strings.Contains(said, "stopping: by=SIGTERM") {
			t.Errorf("%s does not say why it stops:\n%s", p.name, said)
		}
	}
}
