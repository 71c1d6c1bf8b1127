package e2e

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// suggestions are the commands that the demo says to try next.
func suggestions(said string) (all []string) {
	_, next, _ := strings.Cut(said, "What to try next")
	for line := range strings.Lines(next) {
		if command, ok := strings.CutPrefix(line, "  "); ok && !strings.HasPrefix(command, "#") {
			all = append(all, strings.TrimSpace(command))
		}
	}
	return all
}

// try runs a command as it was suggested, in the folder where the demo was started.
func try(t *testing.T, dir, command string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-e", "-c", command)
	c.Dir, c.Env = dir, environment(nil)
	if out, err := c.CombinedOutput(); err != nil || len(out) == 0 && !strings.HasPrefix(command, "curl") {
		t.Errorf("%s\n%v\n%s", command, err, out)
	}
}

func TestWhatTheDemoSuggestsRunsAsItStands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	demo := func(more ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(binaries, "cdr"), append([]string{"demo", "--dir", "its data", "--speed", "0",
			"--recording", "1.1-f_sip", "--broker-listen", "127.0.0.1:0", "--ingest-listen", "127.0.0.1:0",
			"--admin-listen", "127.0.0.1:0"}, more...)...)
		c.Dir, c.Env = dir, environment(nil)
		return c
	}
	out, err := demo("--exit").Output()
	if err != nil {
		t.Fatal(err)
	}
	commands := suggestions(string(out))
	if len(commands) != 3 {
		t.Fatalf("suggestions %q in\n%s", commands, out)
	}
	for _, c := range commands[:2] {
		try(t, dir, c)
	}
	// The third one stays up, where the first one was.
	stays := exec.Command("sh", "-c", "exec "+commands[2])
	stays.Dir, stays.Env = dir, environment(nil)
	said, err := stays.StdoutPipe()
	if err == nil {
		err = stays.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stays.Process.Kill() })
	lines := bufio.NewScanner(said)
	var all strings.Builder
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "The log is in") {
		all.WriteString(lines.Text() + "\n")
	}
	if !strings.Contains(all.String(), "no call is counted twice") {
		t.Errorf("it is not the same demo:\n%s", &all)
	}
	commands = suggestions(all.String())
	if len(commands) < 8 || !strings.Contains(commands[0], " explain ") {
		t.Errorf("suggestions %q", commands)
	}
	for _, c := range commands {
		try(t, dir, c)
	}
	if err := stays.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := stays.Wait(); err != nil {
		t.Errorf("the demo ends with %v", err)
	}
}

// What is played as fresh makes calls each time it is played; what is played as it was recorded, once.
func TestRecordingsArePlayedToAnyIngest(t *testing.T) {
	t.Parallel()
	const name = "1.1-a_echotest"
	s := newSite(t)
	processor, ingest := s.processor(t, "one").start(t), s.ingest(t).start(t)
	for _, flags := range []string{"", "", "--fresh", "--fresh"} {
		said := string(output(t, nil, our("cdr"), append([]string{"play", strings.TrimSuffix(ingest.url(), "/events"),
			"--speed", "0", "--recording", name}, strings.Fields(flags)...)...))
		if !strings.Contains(said, "played "+name) || !strings.Contains(said, "all answered") {
			t.Errorf("play says %q", said)
		}
	}
	once := recordsOfFile(t, name)
	s.emitted(t, 3*len(once))
	processor.stop(t)
	by := map[string]int{}
	for _, r := range s.records(t) {
		by[r["emitter"].(string)]++
	}
	if len(by) != 3 {
		t.Errorf("records by emitter: %v", by)
	}
	for emitter, n := range by {
		if n != len(once) {
			t.Errorf("%s has %d records, want %d", emitter, n, len(once))
		}
	}
	for _, scene := range [][]string{{"play", "nowhere"}, {"play", "ftp://127.0.0.1"},
		{"play", ingest.url(), "--speed", "-1"}, {"play", ingest.url(), "--recording", "none"}} {
		if code := exitCode(t, nil, "cdr", scene...); code != 2 {
			t.Errorf("%q ends with %d", scene, code)
		}
	}
}
