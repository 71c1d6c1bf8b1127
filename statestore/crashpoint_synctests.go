//go:build synctests

package statestore

// OnCrashPoint lets hook be called at each crash point of the store, on the goroutine that writes. Its error is that of
// the write.
func (o *Options) OnCrashPoint(hook func(CrashPoint) error) { o.crashHook = hook }
