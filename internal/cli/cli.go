// Package cli is what the commands share: a logger, signals, exit codes, help, the version.
//
// It promises that ingest and cdr behave alike: errors are single lines on standard error that say what to do, the
// first signal asks for an orderly stop and the second ends at once. It touches signals and the streams it is given,
// and imports no room.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes. A process that a signal stopped before its work was done has 128 and the signal's number: 130 for
// Ctrl-C, 143 for SIGTERM.
const (
	OK     = 0
	Failed = 1 // it was tried and did not work, or a comparison found a difference
	Usage  = 2 // the command line or the configuration is wrong; nothing was tried
	Away   = 3 // Kafka did not answer for as long as it was waited for
)

// ExitCodes explains them, for the help of the root command.
const ExitCodes = `Exit codes:
  0    done, or stopped in order
  1    failed, or a comparison found a difference
  2    the command line or the configuration is wrong; nothing was tried
  3    Kafka did not answer within --wait
  130  stopped by Ctrl-C before it was done
  143  stopped by SIGTERM before it was done (a service that SIGTERM stops has 0)`

// UsageError is an error of the command line or of the configuration.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

func (e *UsageError) Unwrap() error { return e.Err }

// Misused makes a UsageError of text.
func Misused(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

// UnreachableError is the error of a command that Kafka has not answered.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return e.Err.Error() }

func (e *UnreachableError) Unwrap() error { return e.Err }

// ErrSilent is the error of a command that has said everything itself; only its exit code 1 remains.
var ErrSilent = errors.New("failed")

// Run executes a command line under root and returns the exit code. Each line of an error is written to stderr behind
// the name of the program.
func Run(ctx context.Context, root *cobra.Command, args []string, stderr io.Writer) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetArgs(args)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err)
	if err == nil || errors.Is(err, ErrSilent) {
		return code
	}
	if code > 128 {
		err = fmt.Errorf("stopped by %w before it was done", context.Cause(ctx))
	}
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		fmt.Fprintf(stderr, "%s: %s\n", root.Name(), line)
	}
	return code
}

func exitCode(ctx context.Context, err error) int {
	var usage *UsageError
	var away *UnreachableError
	var stopped *Stopped
	switch {
	case err == nil:
		return OK
	case errors.As(err, &usage):
		return Usage
	case errors.As(err, &away):
		return Away
	case errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &stopped):
		return 128 + int(stopped.Signal)
	}
	return Failed
}
