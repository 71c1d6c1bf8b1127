// Command wounds shows that the tests of the fold can fail: it breaks one rule after the other, runs the tests of
// package cdr on the broken code, and prints which test noticed. The sources are not touched: the compiler is given the
// broken file in place of the whole one.
//
//	go run ./tools/mutants               all of them; some ten minutes on two cores
//	go run ./tools/mutants -only Ends    those of a group
//
// It ends with exit code 1 when a wound was noticed by nobody, or when the text to be broken is not there any more.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// wound is a deliberate mistake in one rule.
type wound struct {
	group string // where the rule stands
	rule  string // the rule, as it should be
	hurt  string // what the mistake does
	file  string // in cdr, or a path from there
	old   string // stands in the file once
	new   string
}

func main() {
	only := flag.String("only", "", "run the wounds of one group, or those whose rule has this text")
	list := flag.Bool("list", false, "only check that each wound still has its place")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	missed, err := run(ctx, *only, *list)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "wounds:", err)
		os.Exit(2)
	}
	if missed > 0 {
		fmt.Fprintf(os.Stderr, "wounds: %d were noticed by no test\n", missed)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, list bool) (missed int, err error) {
	top, err := module()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "wounds")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	table := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "GROUP\tRULE\tWOUND\tNOTICED BY\tAFTER")
	var lost []string
	for i, w := range wounds {
		if only != "" && w.group != only && !strings.Contains(w.rule, only) {
			continue
		}
		overlay, err := w.overlay(top, filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			lost = append(lost, err.Error())
			continue
		}
		if list {
			continue
		}
		began := time.Now()
		by, err := w.test(ctx, top, overlay)
		if err != nil {
			return missed, err
		}
		switch by {
		case "":
			by = "NOBODY"
			missed++
		case compiler:
			lost = append(lost, w.rule+": it does not compile")
		}
		fmt.Fprintf(os.Stderr, "\r\x1b[K%d/%d %s: %s", i+1, len(wounds), w.rule, by)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%v\n", w.group, w.rule, w.hurt, by, time.Since(began).Round(100*time.Millisecond))
	}
	if !list {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
		table.Flush()
	}
	if len(lost) > 0 {
		return missed, fmt.Errorf("the code has changed under these wounds; give them their place again:\n  %s", strings.Join(lost, "\n  "))
	}
	fmt.Printf("%d wounds\n", len(wounds))
	return missed, nil
}

// module is the directory of go.mod.
func module() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// overlay writes the broken file, and the file that tells the compiler of it.
func (w wound) overlay(top, dir string) (string, error) {
	path := filepath.Join(top, "cdr", w.file)
	whole, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(whole), w.old); n != 1 {
		return "", fmt.Errorf("%s: %q stands in %s %d times, not once", w.rule, w.old, w.file, n)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	broken := filepath.Join(dir, filepath.Base(w.file))
	if err := os.WriteFile(broken, []byte(strings.Replace(string(whole), w.old, w.new, 1)), 0o644); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{path: broken}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o644)
}

// compiler is who notices a wound that is none.
const compiler = "the compiler: mend the wound"

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// test runs the tests on the broken code, the stories before the rest because they are quick and notice most, and names the
// deepest one that failed first.
func (w wound) test(ctx context.Context, top, overlay string) (by string, err error) {
	for _, tests := range []string{"^TestStories$", "."} {
		if by, err = w.try(ctx, top, overlay, tests); by != "" || err != nil {
			break
		}
	}
	return by, err
}

func (w wound) try(ctx context.Context, top, overlay, tests string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-vet=off", "-count=1", "-failfast", "-short", "-timeout=3m", "-run", tests, "./cdr", "-rapid.nofailfile")
	cmd.Dir = top
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s: %w", w.rule, ctx.Err())
	}
	if err == nil {
		return "", nil
	}
	if strings.Contains(string(out), "[build failed]") || strings.Contains(string(out), "[setup failed]") {
		return compiler, nil
	}
	if strings.Contains(string(out), "panic: test timed out") {
		return "a test that does not end", nil
	}
	names := failed.FindAllStringSubmatch(string(out), -1)
	if len(names) == 0 {
		return "a panic", nil
	}
	name := names[0][1]
	for _, n := range names { // the story that failed says more than the test that tells stories
		if strings.HasPrefix(n[1], name+"/") {
			name = n[1]
		}
	}
	return name, nil
}
