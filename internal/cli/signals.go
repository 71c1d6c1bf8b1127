package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Stopped is the cause of a context that a signal ended.
type Stopped struct{ Signal syscall.Signal }

func (s *Stopped) Error() string {
	if s.Signal == syscall.SIGINT {
		return "Ctrl-C"
	}
	return "SIGTERM"
}

// StoppedInOrder tells whether ctx was ended by SIGTERM: the way in which services are stopped, and no failure.
func StoppedInOrder(ctx context.Context) bool {
	var stopped *Stopped
	return errors.As(context.Cause(ctx), &stopped) && stopped.Signal == syscall.SIGTERM
}

// Signals makes a context that Ctrl-C or SIGTERM ends, with a *Stopped as its cause. A second signal ends the process
// at once, with exit code 128 and the signal's number: for when an orderly stop takes longer than patience lasts. The
// caller calls stop, after which signals have their usual effect.
func Signals(parent context.Context, stderr io.Writer) (ctx context.Context, stop func()) {
	return signals(parent, stderr, os.Exit)
}

func signals(parent context.Context, stderr io.Writer, exit func(int)) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	arrived := make(chan os.Signal, 2)
	signal.Notify(arrived, syscall.SIGINT, syscall.SIGTERM)
	over, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for first := true; ; first = false {
			select {
			case s := <-arrived:
				n, _ := s.(syscall.Signal)
				if !first {
					fmt.Fprintln(stderr, "stopped at once; the next start repairs what was in hand")
					exit(128 + int(n))
					return
				}
				cancel(&Stopped{n})
			case <-over:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(arrived)
		close(over)
		<-gone
		cancel(nil)
	}
}
