package cdr

import flags "flag" // the codec has a flag of its own

// The laws are checked with the same cases at each run, so that what fails was changed and not drawn. New cases are for
// the hand: go test ./cdr -rapid.seed=0 -rapid.checks=1000. What they find becomes a story.
func init() {
	if err := flags.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
}
