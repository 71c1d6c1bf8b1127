package main

import (
	"os"
	"testing"

	"github.com/google/pprof/profile"
)

// TestTheProfileForTheCompilerIsOne: with one that it cannot read, nothing can be released.
func TestTheProfileForTheCompilerIsOne(t *testing.T) {
	f, err := os.Open("../../cmd/cdr/cdr.pgo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := profile.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Sample) < 100 {
		t.Errorf("%d samples", len(p.Sample))
	}
	for _, f := range p.Function {
		if f.Filename != "" {
			t.Fatalf("it names the file %s", f.Filename)
		}
	}
}
