package main

import (
	"fmt"
	"os"

	"github.com/google/pprof/profile"
)

// profileForTheCompiler takes a profile from the standard input and writes it without what only the machine knows on
// which it was made: names of files, and when.
func profileForTheCompiler() error {
	p, err := profile.Parse(os.Stdin)
	if err != nil {
		return fmt.Errorf("read profile: %w", err)
	}
	for _, m := range p.Mapping {
		m.File, m.BuildID = "", ""
	}
	for _, f := range p.Function {
		f.Filename = ""
	}
	p.Comments, p.TimeNanos = nil, 0
	return p.Write(os.Stdout)
}
