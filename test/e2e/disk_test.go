package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/internal/fixtures/smalldisk"
	"januscdr/kafka"
)

// aFault is what becomes of the disk of a process while it runs.
type aFault struct {
	name string
	does func(t *testing.T, p *process, dir string) (heal func())
	says string
}

var (
	readOnly = aFault{"it is read-only", func(t *testing.T, _ *process, dir string) func() {
		return smalldisk.BecomesReadOnly(t, dir)
	}, "read-only file system"}
	full = aFault{"it is full", func(t *testing.T, _ *process, dir string) func() {
		filler := smalldisk.Fill(t, dir)
		return func() { _ = os.Remove(filler) }
	}, "no space left on device"}
)

// bounded lets no file grow beyond so many bytes, the log of the process neither.
func bounded(bytes string) aFault {
	return aFault{"files have a bound", func(t *testing.T, p *process, _ string) func() {
		limit(t, p, bytes)
		return func() {
			select {
			case <-p.done:
			default:
				limit(t, p, "unlimited")
			}
		}
	}, "file too large"}
}

// limit lets no file of a process grow beyond so many bytes.
func limit(t *testing.T, p *process, bytes string) {
	t.Helper()
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		t.Skip(err)
	}
	set := exec.Command(prlimit, "--pid", strconv.Itoa(p.cmd.Process.Pid), "--fsize="+bytes+":") // the soft one
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// endedInOrder expects that a process has ended by itself: with 1, and with a line that has these words as its last.
func (p *process) endedInOrder(t *testing.T, words ...string) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s goes on", p.name)
	}
	var exit *exec.ExitError
	said := strings.TrimSpace(p.said())
	if !errors.As(p.err, &exit) || exit.ExitCode() != 1 || strings.Contains(said, "goroutine ") {
		t.Errorf("%s ended with %v", p.name, p.err)
	}
	last := said[strings.LastIndexByte(said, '\n')+1:]
	for _, w := range words {
		if !strings.Contains(last, w) {
			t.Errorf("its last words are %q, want %q in them", last, w)
		}
	}
}

func TestADiskThatTakesNoWritesEndsAProcessorInOrderAndLosesNothing(t *testing.T) {
	t.Parallel()
	const remedy = "and start again, nothing is lost"
	for _, scene := range []struct {
		aFault
		stopped bool // it is told to stop before it notices
	}{{readOnly, false}, {bounded("16384"), false}, {readOnly, true}, {bounded("16384"), true}} {
		t.Run(fmt.Sprintf("%s, stopped %v", scene.name, scene.stopped), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			ingest, processor := s.ingest(t).start(t), s.processor(t, "cdr-1")
			processor.settings["LOG_LEVEL"] = "error" // what it says is bounded, too
			processor.start(t)
			play(t, ingest.url(), "1.1-a_echotest", nil)
			want := recordsOfFile(t, "1.1-a_echotest")
			s.emitted(t, len(want))

			state := processor.settings["STATE_DIR"]
			heal := scene.does(t, processor.process, state)
			if scene.stopped {
				if err := processor.cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			play(t, ingest.url(), "1.1-f_sip", nil)
			maps.Copy(want, recordsOfFile(t, "1.1-f_sip"))
			processor.endedInOrder(t, "its disk takes no writes", scene.says, remedy)
			heal()

			processor.start(t)
			ingest.stop(t)
			s.allOf(t, want, processor)
		})
	}
}

func TestADiskThatTakesNoWritesEndsTheStartOfAProcessorInOneLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := smalldisk.New(t, 80<<20)
	smalldisk.ReadOnly(t, dir)
	brim := smalldisk.New(t, 80<<20)
	smalldisk.Fill(t, brim)
	for _, scene := range []struct {
		name, state, shell, says string
	}{
		{"it is full", brim, `exec "$@"`, "disk is full: "},
		{"it is read-only", dir, `exec "$@"`, "read-only file system; set state_dir"},
		{"files have a bound", t.TempDir(), `ulimit -f 16; exec "$@"`,
			"file too large; let this process write files of 64 MiB"},
	} {
		t.Run(scene.name, func(t *testing.T) {
			settings := s.with(map[string]string{"STATE_DIR": scene.state, "ADMIN_LISTEN": "", "LOG_LEVEL": "error"})
			endsInOneLine(t, settings, scene.says, scene.shell, "cdr", "run")
		})
	}
}

func TestADiskThatTakesNoWritesEndsTheStartOfAnIngestWithASpoolInOneLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := smalldisk.New(t, 1<<20)
	spool := filepath.Join(dir, "spool")
	if err := os.Mkdir(spool, 0o700); err != nil {
		t.Fatal(err)
	}
	smalldisk.Fill(t, dir)
	brim := smalldisk.New(t, 1<<20)
	smalldisk.ReadOnly(t, brim)
	for _, scene := range []struct {
		name, spool, shell, says string
	}{
		{"its folder is read-only", brim, `exec "$@"`, "read-only file system; set spool.dir"},
		{"its folder cannot be made", filepath.Join(brim, "spool"), `exec "$@"`, "read-only file system; set spool.dir"},
		{"it is full", spool, `exec "$@"`, "no space left on device; set spool.dir"},
		{"files have a bound", t.TempDir(), `ulimit -f 0; exec "$@" 2>&1 | cat; exit ${PIPESTATUS[0]}`,
			"file too large; set spool.dir"},
	} {
		t.Run(scene.name, func(t *testing.T) {
			settings := s.with(map[string]string{"SPOOL_DIR": scene.spool, "ADMIN_LISTEN": "", "LOG_LEVEL": "error",
				"INGEST_LISTEN": freeAddress(t)})
			endsInOneLine(t, settings, scene.says, scene.shell, "ingest")
		})
	}
}

// endsInOneLine expects that a command which is started by a shell ends with 1 and one line that has these words.
func endsInOneLine(t *testing.T, settings map[string]string, says, shell string, command ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args := append([]string{"-c", shell, "bash", our(command[0])}, command[1:]...)
	cmd := exec.CommandContext(ctx, "bash", args...)
	cmd.Dir, cmd.Env = t.TempDir(), environment(settings)
	out, err := cmd.CombinedOutput()
	code, said := cmd.ProcessState.ExitCode(), string(out)
	if code != 1 || strings.Count(said, "\n") != 1 || !strings.Contains(said, says) {
		t.Errorf("it ends with %v and says\n%s", err, said)
	}
}

func TestASpoolWhoseDiskTakesNoWritesRefusesAndGoesOn(t *testing.T) {
	t.Parallel()
	for _, fault := range []aFault{full, bounded("16")} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			k := startOneBroker(t)
			s := newSiteOn(t, k.Addresses())
			dir := smalldisk.New(t, 4<<20)
			ingest := s.ingest(t)
			maps.Copy(ingest.settings, map[string]string{"SPOOL_DIR": dir, "INGEST_DELIVERY_TIMEOUT": "2s",
				"LOG_LEVEL": "error"})
			ingest.start(t)
			sent := &letters{url: ingest.url(), answered: map[int64]bool{}}
			sent.more(t, 5)
			if err := k.Stop(); err != nil {
				t.Fatal(err)
			}
			sent.more(t, 5)

			heal := fault.does(t, ingest.process, dir)
			until(t, "nothing is answered any more", func(ctx context.Context) (bool, error) {
				ingest.mustRun(t)
				return !sent.one(ctx), nil
			})
			until(t, "it says why", func(ctx context.Context) (bool, error) {
				ready, reasons, err := readyz(ctx, ingest.settings["ADMIN_LISTEN"])
				return !ready && strings.Contains(strings.Join(reasons, ";"), fault.says), err
			})
			heal()
			sent.more(t, 5)
			if err := k.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			until(t, "the spool is empty", func(ctx context.Context) (bool, error) {
				return scrape(ctx, ingest.settings["ADMIN_LISTEN"])["januscdr_ingest_spool_events"] == "0", nil
			})
			ingest.stop(t)
			sent.areIn(t, s)
		})
	}
}

// letters are events that were sent, by their session, and whether they were answered.
type letters struct {
	url      string
	answered map[int64]bool
}

func (l *letters) one(ctx context.Context) bool {
	session := rand.Int64N(1 << 53)
	l.answered[session] = answersTo(ctx, l.url, session)
	return l.answered[session]
}

func (l *letters) more(t *testing.T, count int) {
	t.Helper()
	for range count {
		until(t, "an event is answered", func(ctx context.Context) (bool, error) { return l.one(ctx), nil })
	}
}

// areIn expects each event that was answered in the log of a site.
func (l *letters) areIn(t *testing.T, s *site) {
	t.Helper()
	for session := range s.sessions(t) {
		delete(l.answered, session)
	}
	for session, answered := range l.answered {
		if answered {
			t.Errorf("the event of session %d was answered, and is lost", session)
		}
	}
}

// sessions are those of the events in the log.
func (s *site) sessions(t *testing.T) map[int64]bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	all := map[int64]bool{}
	err := kafka.ReadCommitted(ctx, s.client, kafka.Options{Brokers: s.brokers}, s.topics.Events,
		func(records []*kgo.Record) error {
			for _, r := range records {
				var e struct {
					Session int64 `json:"session_id"`
				}
				if json.Unmarshal(r.Value, &e) == nil && e.Session != 0 {
					all[e.Session] = true
				}
			}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

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

	heal := full.does(t, processor.process, small)
	processor.endedInOrder(t, "disk is full", "make room there") // though there is nothing to write
	play(t, ingest.url(), "1.1-f_sip", nil)
	heal()
	processor.start(t)
	for id, r := range recordsOfFile(t, "1.1-f_sip") {
		want[id] = r
	}
	ingest.stop(t)
	s.allOf(t, want, processor)
}
