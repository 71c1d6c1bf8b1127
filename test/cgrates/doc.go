// Package cgrates says which CGRateS rates our records in the tests. It is a module of its own, so that nothing of
// that program becomes part of ours: it is built as it is, by scripts/cgrates.sh, and started as a process by the test
// of the copy in cmd/cdr.
package cgrates
