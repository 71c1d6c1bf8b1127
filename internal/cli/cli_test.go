package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
)

// nearest is a rule of the test: a candidate that begins with the same three letters.
func nearest(word string, candidates []string) string {
	for _, c := range candidates {
		if len(word) >= 3 && strings.HasPrefix(c, word[:3]) {
			return c
		}
	}
	return ""
}

// program is a command tree with one command that does what run says.
func program(run func(*cobra.Command, []string) error) *cobra.Command {
	root := &cobra.Command{Use: "prog", Short: "A program", Long: "Prog shows."}
	work := &cobra.Command{Use: "work FILE", Short: "Work hard", Args: cobra.ExactArgs(1), RunE: run,
		Example: "  prog work x"}
	work.Flags().String("speed", "slow", "how fast")
	work.Flags().String("topic", "t", "what of")
	if err := work.Flags().SetAnnotation("topic", "section", []string{"topics"}); err != nil {
		panic(err)
	}
	rest := &cobra.Command{Use: "rest", Short: "Do nothing", RunE: run}
	more := &cobra.Command{Use: "more", Short: "A group"}
	more.AddCommand(&cobra.Command{Use: "inner", Short: "Inside", RunE: run})
	root.AddCommand(work, rest, more)
	Teach(root, "section", "words", nearest)
	return root
}

func runs(t *testing.T, err error, args ...string) (code int, out, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	root := program(func(*cobra.Command, []string) error { return err })
	root.SetOut(&o)
	code = Run(t.Context(), root, args, &e)
	return code, o.String(), e.String()
}

func TestMistakesOnTheCommandLineAreOneLineWithARemedy(t *testing.T) {
	for _, scene := range []struct{ args, want string }{
		{"wokr x", `prog: "wokr" is not a command of prog; there are more, rest, work`},
		{"worry x", `prog: "worry" is not a command of prog; did you mean work?`},
		{"more innner", `prog: "innner" is not a command of prog more; did you mean inner?`},
		{"work", "prog: prog work takes other arguments; write: prog work FILE [flags]"},
		{"rest now", "prog: prog rest takes other arguments; write: prog rest"},
		{"work x --speeed=fast", "prog: unknown flag --speeed; did you mean --speed?"},
		{"work x --zzz", "prog: unknown flag --zzz; see prog work --help"},
		{"work x -z", "prog: unknown shorthand flag: 'z' in -z; see prog work --help"},
		{"work x --speed", "prog: flag needs an argument: --speed; see prog work --help"},
	} {
		code, out, stderr := runs(t, nil, strings.Fields(scene.args)...)
		if code != Usage || out != "" || stderr != scene.want+"\n" {
			t.Errorf("%s: code %d, out %q, stderr %q, want %q", scene.args, code, out, stderr, scene.want)
		}
	}
}

func TestTheExitCodeSaysWhatBecameOfIt(t *testing.T) {
	for _, scene := range []struct {
		err  error
		code int
		want string
	}{
		{nil, OK, ""},
		{errors.New("open state: no space left"), Failed, "prog: open state: no space left\n"},
		{Misused("group: it is empty"), Usage, "prog: group: it is empty\n"},
		{fmt.Errorf("load: %w", errors.Join(Misused("one"), errors.New("two"))), Usage, "prog: load: one\nprog: two\n"},
		{ErrSilent, Failed, ""},
	} {
		code, _, stderr := runs(t, scene.err, "work", "x")
		if code != scene.code || stderr != scene.want {
			t.Errorf("%v: code %d, stderr %q", scene.err, code, stderr)
		}
	}
}

func TestHelpTeachesAtEachLevel(t *testing.T) {
	code, out, _ := runs(t, nil)
	const root = `Prog shows.

Usage:
  prog COMMAND

Commands:
  more  A group
  rest  Do nothing
  work  Work hard

prog COMMAND --help tells more.

` + ExitCodes + "\n"
	if code != OK || out != root {
		t.Errorf("code %d, help:\n%s\nwant:\n%s", code, out, root)
	}
	const work = `Work hard

Usage:
  prog work FILE [flags]

Examples:
  prog work x

Flags:
      --speed string   how fast (default "slow")

Configuration (a flag wins over the environment, that over the file, that over the default;
--kafka-brokers is JANUSCDR_KAFKA_BROKERS there and kafka.brokers here):

 topics
      --topic string   what of (default "t")
`
	if _, out, _ := runs(t, nil, "work", "--help"); out != work {
		t.Errorf("help:\n%s\nwant:\n%s", out, work)
	}
}

func TestTheFirstSignalAsksAndTheSecondEnds(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			var stderr bytes.Buffer
			exited := make(chan int, 1)
			ctx, stop := signals(t.Context(), &stderr, func(code int) { exited <- code })
			defer stop()
			if err := syscall.Kill(os.Getpid(), s); err != nil {
				t.Fatal(err)
			}
			<-ctx.Done()
			if got := StoppedInOrder(ctx); got != (s == syscall.SIGTERM) {
				t.Errorf("stopped in order: %v", got)
			}
			root := program(func(cmd *cobra.Command, _ []string) error {
				return fmt.Errorf("wait for kafka: %w", cmd.Context().Err())
			})
			var said bytes.Buffer
			if code := Run(ctx, root, []string{"rest"}, &said); code != 128+int(s) ||
				!strings.HasPrefix(said.String(), "prog: stopped by ") {
				t.Errorf("code %d, %q", code, said.String())
			}
			if err := syscall.Kill(os.Getpid(), s); err != nil {
				t.Fatal(err)
			}
			if code := <-exited; code != 128+int(s) {
				t.Errorf("the second signal ends with %d", code)
			}
		})
	}
}

func TestACancelWithoutASignalIsAFailure(t *testing.T) {
	if code, _, _ := runs(t, context.Canceled, "rest"); code != Failed {
		t.Errorf("code %d", code)
	}
}

func TestTheLogHasTheFormatThatWasAskedFor(t *testing.T) {
	var text, json bytes.Buffer
	Log(&text, "cdr", "warn", "text", "").Info("not shown")
	Log(&text, "cdr", "warn", "text", "").Warn("healed by itself", "partition", 3)
	if ok := regexp.MustCompile(`^\S+Z \[WARN\]  cdr: healed by itself: partition=3\n$`).Match(text.Bytes()); !ok {
		t.Errorf("text: %q", text.String())
	}
	Log(&json, "cdr", "debug", "json", "").Debug("batch", "records", 7)
	if !strings.Contains(json.String(), `"@message":"batch"`) || !strings.Contains(json.String(), `"records":7`) {
		t.Errorf("json: %q", json.String())
	}
	if l := Log(&text, "cdr", "off", "text", "").GetLevel(); l != hclog.Off {
		t.Errorf("level %v", l)
	}
}

func TestDurationsInJSONAreReadByPeopleAndMachines(t *testing.T) {
	var out bytes.Buffer
	log := Log(&out, "cdr", "info", "json", "")
	log.Named("pipeline").With("took", 70*time.Second).Info("restored", "waited", 1512*time.Millisecond, "records", 7)
	for _, want := range []string{`"took":"1m10s"`, `"waited":"1.512s"`, `"records":7`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not in %s", want, out.String())
		}
	}
}

func TestTheVersionIsTheReleaseElseTheRevision(t *testing.T) {
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}
	for want, info := range map[string]*debug.BuildInfo{
		"v1.2.3":             {Main: debug.Module{Version: "v1.2.3"}, Settings: vcs},
		"0123456789ab-dirty": {Main: debug.Module{Version: "(devel)"}, Settings: vcs},
		"devel":              {Main: debug.Module{Version: "(devel)"}},
	} {
		if got := versionOf(info); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if Version() == "" || !strings.HasPrefix(GoVersion(), "go1.") {
		t.Errorf("%q, %q", Version(), GoVersion())
	}
}
