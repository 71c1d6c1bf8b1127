//go:build synctests

package simulation

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"januscdr/internal/fixtures/mutants"
)

var whichMutants = flag.String("simulation.mutants", "short", "mutants to try: short, all, or faults with commas")

// mutantRuns is in how many runs a mutant must be noticed.
const mutantRuns = 50

// together is a mutant with the one that it does harm with.
func together(m mutants.Mutant) mutants.Mutant {
	for _, other := range mutants.Protocol {
		if other.Fault == m.With {
			m.Cuts = slices.Concat(m.Cuts, other.Cuts)
			return m
		}
	}
	panic("there is no mutant " + m.With)
}

// TestMutantsAreNoticed builds the program with each mutant and lets the directed tests and some seeds look at it.
func TestMutantsAreNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("each mutant is a build")
	}
	source, err := mutants.Read(top)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, m := range mutants.Protocol {
		switch *whichMutants {
		case "all":
		case "short":
			if !m.Quick {
				continue
			}
		default:
			if !strings.Contains(","+*whichMutants+",", ","+m.Fault+",") {
				continue
			}
		}
		began := time.Now()
		by, err := noticed(t.Context(), source, m, t.TempDir())
		switch {
		case err != nil:
			t.Errorf("%s: %v", m.Fault, err)
			by = "NOT TRIED"
		case m.Alone != "" && by != "":
			t.Errorf("%s: it does harm alone: %s", m.Fault, by)
		case m.Alone != "":
			by, err = noticed(t.Context(), source, together(m), t.TempDir())
			if err != nil || by == "" {
				t.Errorf("%s: nobody notices it together with %q: %v", m.Fault, m.With, err)
				by = "BY NOBODY"
			}
			by = fmt.Sprintf("harmless alone: %s; together with %q: %s", m.Alone, m.With, by)
		case by == "":
			t.Errorf("%s: nobody notices in %d runs", m.Fault, mutantRuns)
			by = "BY NOBODY"
		}
		fmt.Fprintf(&table, "%-60s %5.1fs  %s\n", m.Fault, time.Since(began).Seconds(), by)
		fmt.Fprintf(os.Stderr, "%-60s %5.1fs  %s\n", m.Fault, time.Since(began).Seconds(), by)
	}
	t.Logf("mutant, how long it took, who noticed\n%s", table.String())
}

var caught = regexp.MustCompile(`CAUGHT by run (\d+), seed (\d+): (.*)`)

// top is the folder of the module.
const top = "../.."

// noticed says who notices a mutant, or is empty.
func noticed(ctx context.Context, source *mutants.Source, m mutants.Mutant, dir string) (string, error) {
	files, err := source.Apply(m)
	if err != nil {
		return "", err
	}
	list, err := mutants.Overlay(top, dir, files)
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "mutant.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-tags", "synctests", "-overlay", list, "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	run := []string{"-test.run", "^TestNothingIsLost", "-simulation.brief", "-simulation.from", "20000", "-simulation.seeds", fmt.Sprint(mutantRuns)}
	if m.Scene != "" {
		run = []string{"-test.run", "^" + m.Scene, "-test.failfast"}
	}
	look := exec.CommandContext(ctx, program, append(run, "-test.timeout", "4m")...)
	look.Env = append(os.Environ(), "TMPDIR="+dir)
	out, err := look.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case !errors.As(err, &failed):
		return "", err
	}
	if m := caught.FindSubmatch(out); m != nil {
		return fmt.Sprintf("run %s (seed %s): %.160s", m[1], m[2], m[3]), nil
	}
	scene := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		switch name, failed := strings.CutPrefix(line, "--- FAIL: "); {
		case failed:
			scene, _, _ = strings.Cut(name, " ")
		case strings.HasPrefix(line, "panic:"):
			return fmt.Sprintf("%.160s", line), nil
		case scene != "" && strings.Contains(line, "_test.go:"):
			return fmt.Sprintf("%s: %.160s", scene, line[strings.Index(line, ": ")+2:]), nil
		}
	}
	return fmt.Sprintf("%.200s", out), nil
}
