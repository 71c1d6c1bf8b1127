//go:build race

package e2e

// raceEnabled: the processes watch for races where the tests do.
const raceEnabled = true
