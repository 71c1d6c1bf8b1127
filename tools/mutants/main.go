// Command mutants shows that the tests of the fold can fail: it breaks one rule after the other, runs the tests of
// package cdr on the broken code, and prints which test noticed. The sources are not touched: the compiler is given the
// broken file in place of the whole one.
//
//	go run ./tools/mutants                  all of them; half an hour on two cores
//	go run ./tools/mutants -only Ends       those of a group
//	go run ./tools/mutants -only "DTLS"     those whose rule has this text
//
// Those of the protocol that are named so are tried as well, by the simulation.
//
// It ends with exit code 1 when a mutant was noticed by nobody, and with 2 when one could not be tried.
package main

import (
	"bytes"
	"context"
	"errors"
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

	"januscdr/internal/fixtures/mutants"
)

func main() {
	only := flag.String("only", "", "run the mutants of one group, or those whose rule has this text")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	missed, err := run(ctx, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
	if missed > 0 {
		fmt.Fprintf(os.Stderr, "mutants: %d were noticed by no test\n", missed)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string) (missed int, err error) {
	top, err := module()
	if err != nil {
		return 0, err
	}
	source, err := mutants.Read(top)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	table := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "GROUP\tRULE\tMUTANT\tNOTICED BY\tAFTER")
	var untried []error
	tried := 0
	for i, m := range mutants.Fold {
		if only != "" && m.Group != only && !strings.Contains(m.Rule, only) {
			continue
		}
		began := time.Now()
		by, err := try(ctx, source, m, top, filepath.Join(dir, fmt.Sprint(i)))
		if ctx.Err() != nil {
			return missed, ctx.Err()
		}
		switch {
		case err != nil:
			untried = append(untried, fmt.Errorf("%s: %s: %w", m.Group, m.Rule, err))
			by = "NOT TRIED"
		case by == "":
			by = "NOBODY"
			missed++
		}
		tried++
		fmt.Fprintf(os.Stderr, "\r\x1b[K%d/%d %s: %s", i+1, len(mutants.Fold), m.Rule, by)
		after := time.Since(began).Round(100 * time.Millisecond)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%v\n", m.Group, m.Rule, m.Fault, by, after)
	}
	fmt.Fprint(os.Stderr, "\r\x1b[K")
	if err := table.Flush(); err != nil {
		return missed, err
	}
	fmt.Printf("%d mutants of the fold\n", tried)
	missed += protocol(ctx, top, only)
	return missed, errors.Join(untried...)
}

// protocol lets the simulation try the mutants of the protocol that are named, and tells whether it missed any. All of
// them are tried by its own flag.
func protocol(ctx context.Context, top, only string) (missed int) {
	var faults []string
	for _, m := range mutants.Protocol {
		if only != "" && (m.Group == only || strings.Contains(m.Rule, only)) {
			faults = append(faults, m.Fault)
		}
	}
	if len(faults) == 0 {
		return 0
	}
	look := exec.CommandContext(ctx, "go", "test", "-tags", "synctests", "-count=1", "-timeout", "2h", "-v",
		"./test/simulation", "-run", "^TestMutantsAreNoticed$", "-simulation.mutants", strings.Join(faults, ","))
	look.Dir, look.Stdout, look.Stderr = top, os.Stdout, os.Stderr
	if look.Run() != nil {
		missed = 1
	}
	return missed
}

// module is the directory of go.mod.
func module() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// try builds the tests with a mutant and runs them, the stories before the rest because they are quick and notice most.
// It names the deepest one that failed first, or nobody.
func try(ctx context.Context, source *mutants.Source, m mutants.Mutant, top, dir string) (by string, err error) {
	files, err := source.Apply(m)
	if err != nil {
		return "", err
	}
	overlay, err := mutants.Overlay(top, dir, files)
	if err != nil {
		return "", err
	}
	tests := filepath.Join(dir, "cdr.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", overlay, "-vet=off", "-o", tests, "./cdr")
	build.Dir = top
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not compile: %s", bytes.TrimSpace(out))
	}
	defer os.Remove(tests)
	for _, which := range []string{"^TestStories$", "."} {
		if by, err = look(ctx, tests, filepath.Join(top, "cdr"), which); by != "" || err != nil {
			break
		}
	}
	return by, err
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// look runs some tests and says who noticed.
func look(ctx context.Context, tests, dir, which string) (string, error) {
	cmd := exec.CommandContext(ctx, tests, "-test.run", which, "-test.failfast", "-test.short", "-test.timeout=3m",
		"-rapid.nofailfile")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case !errors.As(err, &exit):
		return "", err
	case bytes.Contains(out, []byte("panic: test timed out")):
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
