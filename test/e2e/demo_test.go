package e2e

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"runtime"
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

// onTerminal is a command of a shell whose output is a terminal, as far as it can tell.
func onTerminal(t *testing.T, dir, command string, more ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, "sh", "-c", command)
	if script, err := exec.LookPath("script"); err == nil && runtime.GOOS == "linux" {
		c = exec.CommandContext(ctx, script, "-qec", command, "/dev/null")
	} else {
		t.Log("there is no script(1) here: nobody sees what a terminal would")
	}
	c.Dir, c.Env = dir, append(environment(nil), append([]string{"COLUMNS=120", "TERM=xterm", "NO_COLOR="}, more...)...)
	return c
}

// rowsAsTheyEnd expects that the calls of the demo came one by one, before it said what to try next.
func rowsAsTheyEnd(t *testing.T, said string) {
	t.Helper()
	before, _, _ := strings.Cut(said, "What to try next")
	if rows := strings.Count(before, " sip caller ") + strings.Count(before, " sip callee "); rows != 7 ||
		strings.Count(before, "HOW IT ENDED") != 1 {
		t.Errorf("%d calls came as they ended, want 7 below one header, in\n%q", rows, before)
	}
	if strings.Contains(before, "as they stand on janus.cdr") {
		t.Errorf("they are told twice:\n%q", before)
	}
}

func TestWhatTheDemoSuggestsRunsAsItStands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	demo := our("cdr") + " demo --dir 'its data' --speed 0 --recording 1.1-f_sip --broker-listen 127.0.0.1:0 " +
		"--ingest-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --exit"
	terminal := onTerminal(t, dir, demo)
	out, err := terminal.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if filepath.Base(terminal.Path) == "script" {
		rowsAsTheyEnd(t, string(out))
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
	watching := watch(t, dir, strings.TrimSuffix(commands[1], " --from earliest --once"))
	for _, c := range commands {
		try(t, dir, c)
	}
	watching()
	if err := stays.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := stays.Wait(); err != nil {
		t.Errorf("the demo ends with %v", err)
	}
}

// watch starts a tail on a terminal, which says that it waits, and returns what waits for the next record to be a row.
func watch(t *testing.T, dir, command string) (row func()) {
	t.Helper()
	c := onTerminal(t, dir, command+" --count 1")
	if filepath.Base(c.Path) != "script" {
		return func() {}
	}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if lines.Scan(); !strings.HasPrefix(lines.Text(), "Waiting for what comes on janus.cdr, which has ") {
		t.Errorf("tail waits, and says %q", lines.Text())
	}
	return func() {
		var all []string
		for lines.Scan() {
			all = append(all, lines.Text())
		}
		if err := c.Wait(); err != nil || !strings.Contains(strings.Join(all, "\n"), "START UTC") {
			t.Errorf("tail shows no row: %v, %q", err, all)
		}
	}
}

// Not every terminal has colours, and not everybody wants them.
func TestTheLogHasColoursWhereATerminalHas(t *testing.T) {
	t.Parallel()
	for environ, colours := range map[string]bool{"TERM=xterm": true, "TERM=dumb": false, "NO_COLOR=1": false} {
		c := onTerminal(t, t.TempDir(), our("cdr")+" tail --wait 300ms --kafka-brokers 127.0.0.1:1", environ)
		if filepath.Base(c.Path) != "script" {
			return
		}
		out, _ := c.Output() // it fails, as nobody is there
		if said := string(out); !strings.Contains(said, "waiting for kafka") ||
			strings.Contains(said, "\x1b[") != colours {
			t.Errorf("with %s: %q", environ, said)
		}
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
