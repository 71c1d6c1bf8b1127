//go:build synctests

package pipeline

import (
	"time"

	"januscdr/statestore"
)

// OnCrashPoint lets hook be called at each crash point, on the goroutine that is there. A hook that was set before is
// not called any more.
func (o *Options) OnCrashPoint(hook func(CrashPoint)) { o.hooks.crash = hook }

// OnStoreCrashPoint does the same for the state stores, which write more often then; an error is that of the write.
func (o *Options) OnStoreCrashPoint(hook func(statestore.CrashPoint) error) {
	o.hooks.store = func(s *statestore.Options) {
		s.OnCrashPoint(hook)
		s.FlushEvery = 15 * time.Second // what is played is over within a minute
	}
}
